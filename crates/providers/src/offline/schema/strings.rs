//! Fills texts: dates, names, addresses, titles, summaries, and what labels, sections, and sentences say.

use motet_core::Result;
use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::view::View;
use super::{Filled, check, impossible};
use crate::offline::summary::cut_characters;
use crate::offline::wanted::{Kind, Wanted};
use crate::offline::wish::Wish;
use crate::offline::{answer, dates, facts, summary, topics, words};

/// A text that may be taken, and whether the material speaks for it.
pub(super) type Candidate = (String, bool);

/// Words that are tried, one by one, where a pattern wants something special.
const MOST_TRIED: usize = 20_000;

/// Sentences up to which a part of a text is its own summary.
const WHOLE_PART: usize = 3;

/// Fills a schema of type string.
pub(super) fn fill(schema: &Map<String, Value>, wanted: &Wanted, view: &View<'_>) -> Result<Filled> {
    let kind = kind(schema, wanted);
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        Pattern::read(pattern)?;
    }
    if let Some((text, found)) = scalar(kind, wanted, view)
        && let Some(text) = fitted(schema, kind, &text)
    {
        return Ok(Filled { value: text.into(), found });
    }
    if schema.contains_key("pattern") {
        return special(schema, view);
    }
    if let Some(text) = long_enough(schema, kind, view) {
        return Ok(Filled::found(text));
    }
    match check::string(schema, "", "") {
        Ok(()) => Ok(Filled::default("")),
        Err(_) => Err(impossible(&format!("the text has nothing for `{}`", wanted.name.join("_")))),
    }
}

/// Gives what is looked for, also where only the format says it.
pub(super) fn kind(schema: &Map<String, Value>, wanted: &Wanted) -> Kind {
    match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "date" | "date-time" => Kind::Date,
        "email" => Kind::Email,
        "uri" => Kind::Url,
        _ => wanted.kind,
    }
}

/// Cuts and adapts a text until it satisfies the schema, if that is possible without making it wrong.
pub(super) fn fitted(schema: &Map<String, Value>, kind: Kind, text: &str) -> Option<String> {
    let most = check::most_of(schema, "maxLength");
    let mut text = text.to_owned();
    if schema.get("format").and_then(Value::as_str) == Some("date-time") {
        text.push_str("T00:00:00Z");
    }
    if text.chars().count() > most {
        if matches!(kind, Kind::Date | Kind::Email | Kind::Url | Kind::Money | Kind::Person) {
            return None;
        }
        text = cut_characters(&text, most);
    }
    check::string(schema, &text, "").is_ok().then_some(text)
}

/// Gives the one text of a kind that suits best.
fn scalar(kind: Kind, wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    let material = view.material;
    if let Some(anchor) = view.anchor.as_ref().filter(|anchor| anchor.kind == kind) {
        return Some((anchor.text.clone(), true));
    }
    let found = |text: String| Some((text, true));
    match kind {
        Kind::Date => date(wanted, view),
        Kind::Person => person(wanted, view),
        Kind::Organisation => organisation(wanted, view),
        Kind::Place => {
            let named = || material.names.places.first().map(|place| (place.clone(), true));
            labelled(wanted, view).or_else(named)
        }
        Kind::Role => {
            view.anchor.as_ref().map_or_else(|| labelled(wanted, view), |anchor| found(anchor.role.clone()?))
        }
        Kind::Email => facts::emails(&material.text).into_iter().next().and_then(found),
        Kind::Url => facts::urls(&material.text).into_iter().next().and_then(found),
        Kind::Money | Kind::Number => amount(kind, wanted, view),
        Kind::Title => material.title().and_then(found),
        Kind::Language => {
            let language = material.language?;
            let code = wanted.words.to_lowercase();
            let short = words::words(&code).any(|word| ["code", "iso", "lang", "locale"].contains(&word));
            found(if short { language.code } else { language.name }.to_owned())
        }
        Kind::Topic => topics::top(material, 1).into_iter().next().and_then(found),
        Kind::Summary if view.is_part => other(wanted, view),
        Kind::Summary => found(summarised(wanted, view, 2)).filter(|(text, _)| !text.is_empty()),
        Kind::Answer => {
            let pieces = answer::answer(material, view.instruction, Wish::read(&wanted.words));
            let is_answer = pieces.first().is_some_and(|piece| piece != answer::NOTHING);
            Some((summary::join(&pieces, Wish::default()), is_answer))
        }
        Kind::Point => found(summarised(wanted, view, 1)).filter(|(text, _)| !text.is_empty()),
        Kind::Other => other(wanted, view),
    }
}

fn summarised(wanted: &Wanted, view: &View<'_>, usual: usize) -> String {
    let mut wish = Wish::read(&wanted.words);
    if wish == Wish::default() {
        wish.sentences = Some(usual);
    }
    summary::join(&summary::summarise(view.material, wish), wish)
}

fn labelled(wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    view.label(wanted).map(|value| (value.to_owned(), true))
}

fn date(wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    let first = |text: &str| dates::find(text).first().map(ToString::to_string);
    if let Some(date) = view.label(wanted).and_then(first) {
        return Some((date, true));
    }
    let generic = wanted.name.iter().all(|word| Wanted::of_word(word) == Some(Kind::Date));
    let (text, shares) = view.best_with(wanted, |text| !dates::find(text).is_empty()).or_else(|| {
        let all = &view.material.text;
        (!dates::find(all).is_empty()).then_some((all.as_str(), false))
    })?;
    let only = dates::find(&view.material.text).len() == 1;
    if generic && !shares {
        return first(&view.material.text).map(|date| (date, true));
    }
    first(text).map(|date| (date, shares || only))
}

fn person(wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    let names = &view.material.names;
    let named = |text: &str| {
        let number = names.mentioned(text).into_iter().next()?;
        names.people.get(number).map(|person| person.name.clone())
    };
    if let Some(name) = view.label(wanted).and_then(named) {
        return Some((name, true));
    }
    let has_role = |role: &String| {
        let lower = role.to_lowercase();
        wanted.name.iter().any(|name| words::words(&lower).any(|word| word == name))
    };
    if let Some(person) = names.people.iter().find(|person| person.role.as_ref().is_some_and(has_role)) {
        return Some((person.name.clone(), true));
    }
    if ["author", "sender", "writer", "from"].iter().any(|word| wanted.name.iter().any(|name| name == word))
        && let Some(signed) = view.material.signature()
    {
        return Some((signed, true));
    }
    let most = names.people.iter().map(|person| person.mentions).max()?;
    let person = names.people.iter().find(|person| person.mentions == most)?;
    let generic = wanted.name.iter().all(|word| ["name", "person", "who", "full"].contains(&word.as_str()));
    Some((person.name.clone(), generic || names.people.len() == 1 || view.is_part))
}

fn organisation(wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    labelled(wanted, view).or_else(|| {
        view.material.names.organisations.first().map(|organisation| (organisation.clone(), true))
    })
}

fn amount(kind: Kind, wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    let fits = |number: &facts::Amount| kind != Kind::Money || number.is_money;
    let first = |text: &str| facts::numbers(text).into_iter().find(fits).map(|number| number.text);
    if let Some(text) = view.label(wanted).and_then(first) {
        return Some((text, true));
    }
    let (text, shares) = view.best_with(wanted, |text| facts::numbers(text).iter().any(fits))?;
    first(text).map(|text| (text, shares || kind == Kind::Money))
}

/// Looks for a label, a section, and a sentence, in this order.
fn other(wanted: &Wanted, view: &View<'_>) -> Option<Candidate> {
    if let Some(labelled) = labelled(wanted, view) {
        return Some(labelled);
    }
    if view.is_part && !view.material.sentences.is_empty() {
        // All of a part is to the point, and its first sentence says most.
        let count = if wanted.kind == Kind::Summary { WHOLE_PART } else { 1 };
        let first = view.material.sentences.iter().take(count).map(|sentence| view.material.shown(sentence));
        return Some((first.collect::<Vec<_>>().join(" "), true));
    }
    let pieces: Vec<String> =
        view.pieces(wanted).into_iter().take(2).map(|sentence| view.piece(sentence)).collect();
    if !pieces.is_empty() && !wanted.name.is_empty() {
        return Some((pieces.join(" "), true));
    }
    if let Some(sentence) = view.best_sentence(wanted) {
        return Some((view.material.shown(sentence), true));
    }
    let cells = view.material.labels().map(|(_, value)| value).max_by_key(|value| value.chars().count());
    let whole = summary::summarise(view.material, Wish { sentences: Some(1), ..Wish::default() });
    let cell = cells.filter(|_| view.material.sentences.is_empty()).map(str::to_owned);
    cell.or_else(|| whole.into_iter().next()).map(|text| (text, view.is_part))
}

/// Looks for a piece of the text that a pattern allows.
fn special(schema: &Map<String, Value>, view: &View<'_>) -> Result<Filled> {
    let material = view.material;
    let title = material.title().unwrap_or_default();
    let slug: Vec<String> = words::words(&title).map(str::to_lowercase).collect();
    let facts = dates::find(&material.text).into_iter().map(|date| date.to_string());
    let facts = facts.chain(facts::emails(&material.text)).chain(facts::urls(&material.text));
    let people = material.names.people.iter().map(|person| person.name.clone());
    let labels = material.labels().map(|(_, value)| value.to_owned());
    let pieces = material.text.split(|c: char| c.is_whitespace() || "()[]{}<>|\"“”„,;".contains(c));
    let pieces = pieces.map(|piece| piece.trim_matches(['.', ':', '!', '?', '*', '`', '#', '\'']));
    let pieces = pieces.filter(|piece| !piece.is_empty()).take(MOST_TRIED).map(str::to_owned);
    let whole = facts.chain(people).chain(labels).chain([title.clone(), slug.join("-"), slug.join("_")]);
    let small: Vec<String> = words::words(&material.text).take(MOST_TRIED).map(str::to_lowercase).collect();
    let large = small.iter().map(|word| word.to_uppercase());
    let mut candidates = whole.chain(pieces).chain(small.iter().cloned()).chain(large);
    let first = candidates.find(|text| check::string(schema, text, "").is_ok());
    first.map(Filled::found).ok_or_else(|| {
        let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
        impossible(&format!("nothing in the text has the form `{pattern}`"))
    })
}

/// Takes more of the text where a text must have a certain length.
fn long_enough(schema: &Map<String, Value>, kind: Kind, view: &View<'_>) -> Option<String> {
    let least = check::least_of(schema, "minLength");
    if least == 0
        || !matches!(
            kind,
            Kind::Other | Kind::Summary | Kind::Point | Kind::Answer | Kind::Title | Kind::Topic
        )
    {
        return None;
    }
    let mut text = String::new();
    for block in &view.material.blocks {
        if text.chars().count() >= least {
            break;
        }
        let space = if text.is_empty() { "" } else { " " };
        text = text + space + &block.text;
    }
    fitted(schema, kind, &text)
}
