//! What a part of a schema sees of the text: all of it, or the sentence, row, or person that it is about.

use std::cell::OnceCell;

use serde_json::Value;

use crate::offline::answer;
use crate::offline::blocks::Kind as BlockKind;
use crate::offline::material::{Material, Sentence};
use crate::offline::rank::{Ranking, has_stem};
use crate::offline::wanted::{Kind, Wanted};
use crate::offline::{dates, words};

/// A text or a part of one, with the fact that the part is about.
pub(super) struct View<'a> {
    pub(super) material: &'a Material,
    pub(super) instruction: &'a str,
    pub(super) anchor: Option<Anchor>,
    /// Whether this is a part of a greater text, so that all of it is to the point.
    pub(super) is_part: bool,
    ranking: OnceCell<Ranking>,
}

/// The fact that an object of a list is about.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// A person's role.
    pub(super) role: Option<String>,
    /// How often the text names it.
    pub(super) mentions: usize,
}

/// Column headings and property names that mean the same.
const SYNONYMS: &[&[&str]] = &[
    &["who", "owner", "responsible", "assignee", "person", "name", "wer", "verantwortlich", "zuständig"],
    &["what", "task", "action", "description", "todo", "event", "item", "was", "aufgabe", "title"],
    &["by", "due", "deadline", "until", "date", "bis", "frist", "termin"],
    &["date", "datum", "day"],
    &["place", "location", "venue", "where", "ort", "room"],
    &["present", "attendees", "participants", "attending", "teilnehmer"],
    &["actions", "todo", "todos", "tasks", "steps", "next", "do", "aufgaben", "change", "tun"],
    &["decisions", "resolutions", "decided", "resolved", "beschlüsse"],
    &["time", "when", "uhrzeit"],
    &["author", "from", "writer", "sender", "von"],
    &["recipient", "to", "an"],
    &["subject", "betreff", "title"],
];

/// Names of lists, and the words that show a sentence to belong there where no heading does.
const CUES: &[(&[&str], &[&str])] = &[
    (
        &["action", "actions", "todo", "todos", "task", "tasks", "steps", "aufgaben", "obligations"],
        &["must", "shall", "please", "muss", "müssen", "bitte", "soll", "sollen"],
    ),
    (
        &["decision", "decisions", "resolution", "resolutions", "beschlüsse", "agreements"],
        &[
            "resolved",
            "decided",
            "decides",
            "approved",
            "agreed",
            "beschlossen",
            "abgelehnt",
            "zugesagt",
            "vereinbart",
        ],
    ),
    (
        &["risk", "risks", "problem", "problems", "issues", "concerns", "risiken", "probleme"],
        &[
            "risk", "risks", "warned", "warns", "failed", "fails", "problem", "trouble", "wrong", "threat",
            "gefahr", "risiko",
        ],
    ),
    (&["question", "questions", "fragen"], &["?"]),
];

impl<'a> View<'a> {
    /// Sees the whole text.
    pub(super) fn whole(material: &'a Material, instruction: &'a str) -> Self {
        Self { material, instruction, anchor: None, is_part: false, ranking: OnceCell::new() }
    }

    /// Sees a part of it that is about one fact.
    pub(super) fn about(material: &'a Material, instruction: &'a str, anchor: Option<Anchor>) -> Self {
        Self { material, instruction, anchor, is_part: true, ranking: OnceCell::new() }
    }

    pub(super) fn ranking(&self) -> &Ranking {
        self.ranking.get_or_init(|| Ranking::of(self.material))
    }

    /// Gives the value of the label that says what is wanted.
    pub(super) fn label(&self, wanted: &Wanted) -> Option<&str> {
        let mut best: Option<(&str, usize)> = None;
        for (label, value) in self.material.labels() {
            let lower = label.to_lowercase();
            let parts: Vec<&str> = words::words(&lower).collect();
            let shared = wanted.name.iter().filter(|name| parts.iter().any(|part| alike(name, part))).count();
            let score = (shared * 4).saturating_sub(parts.len());
            if shared > 0 && score > best.map_or(0, |(_, score)| score) && !value.is_empty() {
                best = Some((value, score));
            }
        }
        best.map(|(value, _)| value)
    }

    /// Gives a list item as a whole, any other sentence by itself.
    pub(super) fn piece(&self, sentence: &Sentence) -> String {
        let block = self.material.blocks.get(sentence.block).filter(|_| sentence.kind == BlockKind::Item);
        block.map_or_else(|| self.material.shown(sentence), |block| block.text.clone())
    }

    /// Gives what stands below the heading that says what is wanted, or else the sentences whose words say it: one
    /// sentence for each item, row, or sentence of running text.
    pub(super) fn pieces(&self, wanted: &Wanted) -> Vec<&Sentence> {
        let mut found = self.section(wanted);
        if found.is_empty() {
            found = self.by_cue(wanted);
        }
        found.dedup_by_key(|sentence| {
            (sentence.block, if sentence.kind == BlockKind::Item { "" } else { &sentence.text })
        });
        found
    }

    /// Gives the sentences with a word that shows what they are: an action, a decision, a risk.
    fn by_cue(&self, wanted: &Wanted) -> Vec<&Sentence> {
        let Some(cues) = cues(wanted) else { return Vec::new() };
        let has = |sentence: &&Sentence| {
            let lower = sentence.text.to_lowercase();
            words::words(&lower).any(|word| cues.contains(&word))
                || cues.iter().any(|cue| cue.len() == 1 && lower.ends_with(cue))
        };
        let opens = |sentence: &&&Sentence| {
            let first = words::words(&sentence.text).next().map(str::to_lowercase);
            first.is_some_and(|first| cues.contains(&first.as_str()))
        };
        let all: Vec<&Sentence> = self.material.sentences.iter().filter(has).collect();
        // Minutes begin their decisions with the word; then what only mentions it is none.
        let opening: Vec<&Sentence> = all.iter().filter(opens).copied().collect();
        if opening.len() > 1 { opening } else { all }
    }

    fn section(&self, wanted: &Wanted) -> Vec<&Sentence> {
        let matches = |heading: &str| {
            let lower = heading.to_lowercase().replace("to-do", "todo").replace("to do", "todo");
            let parts: Vec<&str> = words::words(&lower).filter(|word| !words::is_stop_word(word)).collect();
            parts.len() <= 6 && wanted.name.iter().any(|name| parts.iter().any(|part| alike(name, part)))
        };
        let inside =
            self.material.sentences.iter().filter(|sentence| matches(self.material.heading(sentence)));
        let all: Vec<&Sentence> = inside.collect();
        let listed = |sentence: &&&Sentence| matches!(sentence.kind, BlockKind::Item | BlockKind::Row);
        // Where a section has a list, the list is meant, and not the words that introduce it.
        let items: Vec<&Sentence> = all.iter().filter(listed).copied().collect();
        if items.is_empty() { all } else { items }
    }

    /// Gives the sentence that shares most words with what is wanted.
    pub(super) fn best_sentence(&self, wanted: &Wanted) -> Option<&Sentence> {
        answer::best_sentence(self.material, self.ranking(), &wanted.words)
    }

    /// Gives the best sentence for which something holds; the first such one where none shares a word.
    pub(super) fn best_with(&self, wanted: &Wanted, holds: impl Fn(&str) -> bool) -> Option<(&str, bool)> {
        let stems = words::stems(&wanted.words);
        let material = self.material;
        let mut best: Option<(&str, usize)> = None;
        let mut offer = |text: &'a str, score: usize| {
            if best.is_none_or(|(_, best)| score > best) {
                best = Some((text, score));
            }
        };
        for sentence in material.sentences.iter().filter(|sentence| holds(&sentence.text)) {
            offer(&sentence.text, stems.iter().filter(|stem| has_stem(material, sentence, stem)).count());
        }
        for (label, value) in material.labels().filter(|(_, value)| holds(value)) {
            let own = words::stems(label);
            offer(value, stems.iter().filter(|stem| own.contains(stem)).count());
        }
        best.map(|(text, score)| (text, score > 0))
    }

    /// Tells whether a sentence says what a yes-or-no property asks, and does not deny it.
    pub(super) fn speaks_for(&self, wanted: &Wanted) -> bool {
        let asking =
            ["is", "has", "have", "are", "was", "contains", "mentions", "includes", "any", "does", "needs"];
        let own: Vec<&String> = wanted.name.iter().filter(|word| !asking.contains(&word.as_str())).collect();
        let holds = |kind: Kind| match kind {
            Kind::Date => {
                let general = own.iter().any(|word| {
                    ["date", "dates", "datum", "daten", "termin", "termine"].contains(&word.as_str())
                });
                let lower = self.material.text.to_lowercase();
                let named = || {
                    ["deadline", "due ", "frist", "spätestens", "no later than"]
                        .iter()
                        .any(|cue| lower.contains(cue))
                };
                !dates::find(&lower).is_empty() && (general || named())
            }
            Kind::Person => !self.material.names.people.is_empty(),
            Kind::Email => !crate::offline::facts::emails(&self.material.text).is_empty(),
            Kind::Url => !crate::offline::facts::urls(&self.material.text).is_empty(),
            Kind::Money => {
                crate::offline::facts::numbers(&self.material.text).iter().any(|number| number.is_money)
            }
            _ => false,
        };
        let asks_presence = wanted.name.len() > own.len();
        if let ([only], true) = (own.as_slice(), asks_presence)
            && Wanted::of_word(only).is_some_and(holds)
        {
            return true;
        }
        let stems: Vec<String> = own.iter().map(|word| words::stem(word)).collect();
        let denied = |text: &str| {
            let lower = text.to_lowercase();
            words::words(&lower).any(|word| {
                ["no", "not", "never", "nobody", "none", "without", "cannot", "kein", "keine", "nicht", "nie"]
                    .contains(&word)
            })
        };
        !stems.is_empty()
            && self.material.sentences.iter().any(|sentence| {
                stems.iter().all(|stem| has_stem(self.material, sentence, stem)) && !denied(&sentence.text)
            })
    }

    /// Gives the option of a fixed choice that a label names, or that stands in the text most often.
    pub(super) fn best_option<'b>(&self, options: &[&'b Value], wanted: &Wanted) -> Option<&'b Value> {
        let text = |option: &Value| option.as_str().map(|text| text.replace(['_', '-'], " ").to_lowercase());
        if let Some(label) = self.label(wanted).map(str::to_lowercase) {
            let named = |option: &&&'b Value| {
                text(option).is_some_and(|text| !text.is_empty() && label.contains(&text))
            };
            if let Some(option) = options.iter().find(named) {
                return Some(option);
            }
        }
        if wanted.kind == Kind::Language
            && let Some(language) = self.material.language
        {
            let named = |option: &&&'b Value| {
                text(option).is_some_and(|text| text == language.code || text == language.name.to_lowercase())
            };
            if let Some(option) = options.iter().find(named) {
                return Some(option);
            }
        }
        let mut best: Option<(&'b Value, usize)> = None;
        for option in options {
            let stems = text(option).map(|text| words::stems(&text)).unwrap_or_default();
            let all = |sentence: &&Sentence| stems.iter().all(|stem| has_stem(self.material, sentence, stem));
            let count = if stems.is_empty() { 0 } else { self.material.sentences.iter().filter(all).count() };
            if count > best.map_or(0, |(_, best)| best) {
                best = Some((option, count));
            }
        }
        best.map(|(option, _)| option)
    }
}

/// Tells whether what is wanted is known by the words of its sentences, so that sentences without them are none.
pub(super) fn has_cues(wanted: &Wanted) -> bool {
    cues(wanted).is_some()
}

fn cues(wanted: &Wanted) -> Option<&'static [&'static str]> {
    let names = |names: &[&str]| wanted.name.iter().any(|name| names.contains(&name.as_str()));
    CUES.iter().find(|(group, _)| names(group)).map(|(_, cues)| *cues)
}

/// Tells whether two words, both in lower case, mean the same as names of facts.
pub(super) fn alike(one: &str, other: &str) -> bool {
    one == other
        || words::stem(one) == words::stem(other)
        || SYNONYMS.iter().any(|group| group.contains(&one) && group.contains(&other))
}
