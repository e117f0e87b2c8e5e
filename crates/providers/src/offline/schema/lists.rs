//! Fills lists: of facts of one kind, of sentences, and of objects that are each about one person, date, or item.

use motet_core::{ErrorKind, Result};
use serde_json::{Map, Value};

use super::check::{least_of, most_of, tuple};
use super::view::{self, Anchor, View, alike};
use super::{DEEPEST, Filled, Filler, Spot, described, impossible, numbers, strings, types};
use crate::offline::blocks::Kind as BlockKind;
use crate::offline::material::{Material, Sentence};
use crate::offline::prose::unique;
use crate::offline::wanted::{Kind, Wanted};
use crate::offline::wish::Wish;
use crate::offline::{dates, facts, topics};

/// Most objects of a list for which the schema sets no limit.
const MOST_OBJECTS: usize = 200;
/// Sentences and topics of a list for which nothing says how many.
const USUAL: usize = 5;
/// Most sentences about a person that one object sees.
const MOST_SENTENCES: usize = 6;

/// Fills a schema of type array.
pub(super) fn fill(filler: &Filler<'_>, schema: &Map<String, Value>, spot: Spot<'_>) -> Result<Filled> {
    let Spot { wanted, view, depth } = spot;
    let (fixed, rest) = tuple(schema);
    let (least, most) = (least_of(schema, "minItems"), most_of(schema, "maxItems"));
    let mut items = Vec::new();
    let mut found = false;
    for part in fixed.iter().take(most) {
        let filled = filler.fill(part, spot.below(wanted))?;
        found |= filled.found;
        items.push(filled.value);
    }
    let anything = Value::Bool(true);
    let item = rest.unwrap_or(&anything);
    let open = most.saturating_sub(items.len());
    let needed = least.saturating_sub(items.len());
    if open > 0 && *item != Value::Bool(false) && (fixed.is_empty() || needed > 0) {
        let place = Place { filler, wanted, view, depth, needed, open };
        let more = if depth >= DEEPEST && needed == 0 { Vec::new() } else { place.items(item)? };
        found |= !more.is_empty();
        let seen = items.clone();
        items.extend(more.into_iter().filter(|value| !seen.contains(value)).take(open));
    }
    if items.len() < least {
        let name = wanted.name.join("_");
        return Err(impossible(&format!("`{name}` needs {least} items, and the text has {}", items.len())));
    }
    Ok(Filled { value: Value::Array(items), found })
}

struct Place<'a> {
    filler: &'a Filler<'a>,
    wanted: &'a Wanted,
    view: &'a View<'a>,
    depth: usize,
    needed: usize,
    open: usize,
}

/// A part of the text that one object is about.
struct Part {
    text: String,
    anchor: Option<Anchor>,
}

impl Place<'_> {
    fn items(&self, item: &Value) -> Result<Vec<Value>> {
        let resolved = self.filler.schemas.resolve(item)?.into_owned();
        let empty = Map::new();
        let keywords = resolved.as_object().unwrap_or(&empty);
        let wanted = &described(keywords, self.wanted);
        if let Some(Value::Array(options)) = keywords.get("enum") {
            return self.options(&resolved, options, wanted);
        }
        let names: Vec<&str> = types(keywords).into_iter().filter(|name| *name != "null").collect();
        let single = keywords.get("anyOf").is_none() && keywords.get("oneOf").is_none();
        match names.as_slice() {
            ["string"] if single && !keywords.contains_key("const") => Ok(self.texts(keywords, wanted)),
            ["integer"] if single => Ok(distinct(numbers::all(keywords, wanted, self.view, true))),
            ["number"] if single => Ok(distinct(numbers::all(keywords, wanted, self.view, false))),
            ["object"] if single => self.objects(item, keywords, wanted),
            _ => self.one(item),
        }
        .and_then(|items| if items.is_empty() && self.needed > 0 { self.one(item) } else { Ok(items) })
    }

    /// Fills a single item, where items are of no kind that a text has many of.
    fn one(&self, item: &Value) -> Result<Vec<Value>> {
        match self.filler.fill(item, Spot { wanted: self.wanted, view: self.view, depth: self.depth + 1 }) {
            Ok(filled) if filled.found || self.needed > 0 => Ok(vec![filled.value]),
            Err(error) if self.needed > 0 || error.kind() != ErrorKind::InvalidOutput => Err(error),
            _ => Ok(Vec::new()),
        }
    }

    /// Gives the options that the text names, or as many first ones as are needed.
    fn options(&self, schema: &Value, options: &[Value], wanted: &Wanted) -> Result<Vec<Value>> {
        let valid = options.iter().filter(|option| self.filler.schemas.check(schema, option).is_ok());
        let (named, other): (Vec<&Value>, Vec<&Value>) =
            valid.partition(|option| self.view.best_option(&[option], wanted).is_some());
        let missing = self.needed.saturating_sub(named.len());
        Ok(distinct(named.into_iter().chain(other.into_iter().take(missing)).cloned().collect()))
    }

    fn texts(&self, schema: &Map<String, Value>, wanted: &Wanted) -> Vec<Value> {
        let kind = strings::kind(schema, wanted);
        let fitted = |texts: Vec<String>| {
            let fitted =
                texts.iter().filter_map(|text| strings::fitted(schema, kind, text)).collect::<Vec<_>>();
            unique(fitted.into_iter().filter(|text| !text.is_empty()))
        };
        let mut texts = fitted(self.named(kind, wanted));
        let is_open = matches!(
            kind,
            Kind::Other | Kind::Point | Kind::Summary | Kind::Answer | Kind::Topic | Kind::Title
        );
        if is_open && texts.len() < self.needed {
            let more = fitted(self.anything(self.needed));
            texts = unique(texts.into_iter().chain(more));
        }
        texts.into_iter().map(Value::from).collect()
    }

    /// Gives all texts of a kind in the order of the material.
    fn named(&self, kind: Kind, wanted: &Wanted) -> Vec<String> {
        let material = self.view.material;
        let wish = Wish::read(&wanted.words).sentences;
        let most = wish.unwrap_or(USUAL).max(self.needed).min(self.open);
        match kind {
            Kind::Date => unique(dates::find(&material.text).iter().map(ToString::to_string)),
            Kind::Person => people(wanted, self.view),
            Kind::Organisation => material.names.organisations.clone(),
            Kind::Place => material.names.places.clone(),
            Kind::Role => unique(material.names.people.iter().filter_map(|person| person.role.clone())),
            Kind::Email => unique(facts::emails(&material.text)),
            Kind::Url => unique(facts::urls(&material.text)),
            Kind::Money | Kind::Number => {
                let numbers = facts::numbers(&material.text).into_iter();
                unique(
                    numbers
                        .filter(|number| kind == Kind::Number || number.is_money)
                        .map(|number| number.text),
                )
            }
            Kind::Topic => topics::top(material, most),
            Kind::Title => {
                let headings =
                    material.blocks.iter().filter(|block| matches!(block.kind, BlockKind::Heading(_)));
                headings.map(|block| block.text.clone()).collect()
            }
            Kind::Language => {
                material.language.map(|language| language.name.to_owned()).into_iter().collect()
            }
            Kind::Answer | Kind::Summary | Kind::Point => self.ranked(most),
            Kind::Other => {
                let pieces = self.view.pieces(wanted);
                if pieces.is_empty() || wanted.name.is_empty() {
                    let matching = self.view.best_sentence(wanted);
                    return matching.map(|sentence| vec![material.shown(sentence)]).unwrap_or_default();
                }
                pieces.into_iter().map(|sentence| self.view.piece(sentence)).collect()
            }
        }
    }

    fn ranked(&self, count: usize) -> Vec<String> {
        let mut chosen = self.view.ranking().choose(self.view.material, count, |_| true);
        chosen.sort_unstable();
        let sentences = chosen.into_iter().filter_map(|at| self.view.material.sentences.get(at));
        sentences.map(|sentence| self.view.material.shown(sentence)).collect()
    }

    /// Gives sentences, topics, and single words until there are enough.
    fn anything(&self, count: usize) -> Vec<String> {
        let material = self.view.material;
        let words = crate::offline::words::words(&material.text).map(str::to_owned);
        let texts = self.ranked(count).into_iter().chain(topics::top(material, count)).chain(words);
        unique(texts).into_iter().take(count.saturating_mul(3).saturating_add(64)).collect()
    }

    fn objects(&self, item: &Value, keywords: &Map<String, Value>, wanted: &Wanted) -> Result<Vec<Value>> {
        let most = self.open.min(MOST_OBJECTS.max(self.needed));
        let mut objects: Vec<Value> = Vec::new();
        for part in self.parts(keywords, wanted).into_iter().take(most.saturating_mul(2)) {
            let material = Material::part(&part.text, self.view.material);
            let view = View::about(&material, self.view.instruction, part.anchor);
            match self.filler.fill(item, Spot { wanted, view: &view, depth: self.depth + 1 }) {
                Ok(filled) if filled.found && !objects.contains(&filled.value) => objects.push(filled.value),
                Err(error) if error.kind() != ErrorKind::InvalidOutput => return Err(error),
                _ => {}
            }
            if objects.len() >= most {
                break;
            }
        }
        Ok(objects)
    }

    /// Finds what the objects of a list are about: people, the items of a section, dates, or the best sentences.
    fn parts(&self, item: &Map<String, Value>, wanted: &Wanted) -> Vec<Part> {
        let empty = Map::new();
        let properties = item.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let kinds: Vec<Kind> = properties
            .iter()
            .map(|(name, part)| Wanted::of(name, super::description(part), Some(wanted)).kind)
            .collect();
        let asks = |kind: Kind| wanted.kind == kind || kinds.contains(&kind);
        if wanted.kind == Kind::Person {
            return self.about_people();
        }
        let dated = [
            "appointments",
            "calendar",
            "ereignisse",
            "event",
            "events",
            "milestones",
            "schedule",
            "timeline",
        ];
        let by_heading = self.view.pieces(wanted);
        let is_dated =
            wanted.kind == Kind::Date || wanted.name.iter().any(|name| dated.contains(&name.as_str()));
        if is_dated && by_heading.is_empty() {
            return self.about_dates();
        }
        let section = self.section(properties, by_heading);
        if !section.is_empty() || view::has_cues(wanted) {
            return section;
        }
        if asks(Kind::Person) {
            return self.about_people();
        }
        let named: Vec<String> = match wanted.kind {
            Kind::Organisation => self.view.material.names.organisations.clone(),
            Kind::Topic => topics::top(self.view.material, USUAL.max(self.needed)),
            _ => Vec::new(),
        };
        if !named.is_empty() {
            return named.into_iter().map(|name| self.about(wanted.kind, name)).collect();
        }
        self.ranked(USUAL.max(self.needed)).into_iter().map(|text| Part { text, anchor: None }).collect()
    }

    fn about_people(&self) -> Vec<Part> {
        let material = self.view.material;
        let mut texts: Vec<Vec<&str>> = vec![Vec::new(); material.names.people.len()];
        for block in &material.blocks {
            for number in material.names.mentioned(&block.text) {
                let own = texts.get_mut(number).filter(|own| own.len() < MOST_SENTENCES);
                if let Some(own) = own.filter(|own| own.last() != Some(&block.text.as_str())) {
                    own.push(&block.text);
                }
            }
        }
        let parts = material.names.people.iter().zip(texts).enumerate().map(|(number, (person, texts))| {
            let sentences = texts.iter().flat_map(|text| crate::offline::sentences::split(text));
            let own = sentences.filter(|text| material.names.mentioned(text).contains(&number));
            let text = unique(own.map(str::to_owned)).join("\n\n");
            let anchor = Anchor {
                kind: Kind::Person,
                text: person.name.clone(),
                role: person.role.clone(),
                mentions: person.mentions,
            };
            Part { text, anchor: Some(anchor) }
        });
        parts.collect()
    }

    /// Gives what happens on each date, earliest first.
    fn about_dates(&self) -> Vec<Part> {
        let material = self.view.material;
        let labels = material.blocks.iter().filter(|block| block.kind == BlockKind::Label);
        // `Date: 14 March 2026` tells nothing of what happens then.
        let labels = labels.filter(|block| !is_date_label(block.label.as_deref().unwrap_or_default()));
        let labels =
            labels.map(|block| format!("{}: {}", block.label.as_deref().unwrap_or_default(), block.text));
        let headings = material.blocks.iter().filter(|block| matches!(block.kind, BlockKind::Heading(_)));
        let headings = headings.map(|block| block.text.clone());
        let sentences = material.sentences.iter().map(|sentence| self.part_text(sentence));
        let texts = labels.chain(headings).chain(sentences);
        let mut parts: Vec<Part> = texts
            .flat_map(|text| {
                let mut own = dates::find(&text);
                own.dedup();
                own.into_iter()
                    .map(|date| Part {
                        text: text.clone(),
                        anchor: Some(Anchor {
                            kind: Kind::Date,
                            text: date.to_string(),
                            role: None,
                            mentions: 1,
                        }),
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        parts.sort_by(|a, b| date_of(a).cmp(date_of(b)));
        parts
    }

    fn about(&self, kind: Kind, name: String) -> Part {
        let material = self.view.material;
        let lower = name.to_lowercase();
        let inside: Vec<String> = material
            .sentences
            .iter()
            .filter(|sentence| sentence.text.to_lowercase().contains(&lower))
            .map(|sentence| sentence.text.clone())
            .collect();
        let mentions = inside.len();
        let text = inside.into_iter().take(MOST_SENTENCES).collect::<Vec<_>>().join("\n\n");
        Part { text, anchor: Some(Anchor { kind, text: name, role: None, mentions }) }
    }

    /// Gives the items of the section that says what is wanted, or of a table whose columns do.
    fn section<'b>(&'b self, properties: &Map<String, Value>, by_heading: Vec<&'b Sentence>) -> Vec<Part> {
        let material = self.view.material;
        let fits = |sentence: &&Sentence| {
            let cells =
                material.blocks.get(sentence.block).map(|block| block.cells.as_slice()).unwrap_or_default();
            let named = cells.iter().filter(|(head, _)| {
                properties.keys().any(|name| {
                    let own = Wanted::of(name, "", None).name;
                    own.iter().any(|word| alike(word, &head.to_lowercase()))
                })
            });
            named.count() >= 2
        };
        let chosen: Vec<&Sentence> =
            if by_heading.is_empty() { material.sentences.iter().filter(fits).collect() } else { by_heading };
        chosen.into_iter().map(|sentence| Part { text: self.part_text(sentence), anchor: None }).collect()
    }

    /// Gives a sentence, or a table row as labelled lines.
    fn part_text(&self, sentence: &Sentence) -> String {
        let cells = self.view.material.blocks.get(sentence.block).map(|block| block.cells.as_slice());
        let labelled = |(head, cell): &(String, String)| {
            if head.is_empty() { cell.clone() } else { format!("{head}: {cell}") }
        };
        match cells.filter(|cells| !cells.is_empty() && sentence.kind == BlockKind::Row) {
            Some(cells) => cells.iter().map(labelled).collect::<Vec<_>>().join("\n"),
            None => self.view.piece(sentence),
        }
    }
}

fn date_of(part: &Part) -> &str {
    part.anchor.as_ref().map_or("", |anchor| &anchor.text)
}

fn is_date_label(label: &str) -> bool {
    label.split_whitespace().all(|word| Wanted::of_word(&word.to_lowercase()) == Some(Kind::Date))
}

fn people(wanted: &Wanted, view: &View<'_>) -> Vec<String> {
    let names = &view.material.names;
    let all = || names.people.iter().map(|person| person.name.clone()).collect();
    // `attendees` are those who are listed so; `people` are all.
    let general = ["people", "person", "persons", "names", "name", "personen", "namen", "individuals", "who"];
    if wanted.name.iter().any(|name| general.contains(&name.as_str())) {
        return all();
    }
    let listed = view.label(wanted).map(|value| names.mentioned(value)).unwrap_or_default();
    let listed: Vec<String> = listed
        .into_iter()
        .filter_map(|number| names.people.get(number))
        .map(|person| person.name.clone())
        .collect();
    if listed.is_empty() { all() } else { unique(listed) }
}

fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.to_string())).collect()
}
