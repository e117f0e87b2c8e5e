//! Answers a question with the sentences and labelled facts of a text that share most of its words.

use super::material::{Material, Sentence, shortened};
use super::rank::{Ranking, has_stem};
use super::wish::Wish;
use super::{dates, facts, summary, words};

/// What is said where nothing in the text matches.
pub(super) const NOTHING: &str = "No sentence of the text matches the question.";

/// Share of the best score that a further sentence needs.
const NEARLY: f32 = 0.85;
/// What a word counts for that is only related to one of the question.
const RELATED: f32 = 0.6;
/// What a word of the question counts for in the heading above a sentence.
const UNDER_HEADING: f32 = 0.55;
/// Length from which stems with the same beginning count as related.
const SHARED_START: usize = 5;

const PLACES: &[&str] = &["place", "location", "venue", "where", "ort", "room"];

/// What kind of fact a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Person,
    Date,
    Number,
    Reason,
    Place,
    Other,
}

/// Answers a question; gives [`NOTHING`] where no sentence shares a word with it.
pub(super) fn answer(material: &Material, question: &str, wish: Wish) -> Vec<String> {
    let ranking = Ranking::of(material);
    let matcher = Matcher::new(material, &ranking, question);
    let fact = matcher.best_fact();
    let mut scored: Vec<(usize, f32)> = material
        .sentences
        .iter()
        .enumerate()
        .map(|(at, sentence)| (at, matcher.score(at, sentence)))
        .collect();
    scored.retain(|(_, score)| *score > 0.0);
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let best = scored.first().map_or(0.0, |(_, score)| *score);
    if let Some((text, _)) = fact.filter(|(_, score)| *score > best) {
        let most = wish.words.unwrap_or(usize::MAX);
        return vec![shortened(&text, most)];
    }
    if scored.is_empty() {
        return vec![NOTHING.to_owned()];
    }
    let count = wish.sentences.unwrap_or(2);
    let needed = if wish.sentences.is_some() { 0.0 } else { best * NEARLY };
    let chosen: Vec<usize> =
        scored.iter().filter(|(_, score)| *score >= needed).take(count).map(|(at, _)| *at).collect();
    summary::within(material, &chosen, wish)
}

/// Gives the sentence that shares most words with a question or a description, if one does.
pub(super) fn best_sentence<'a>(
    material: &'a Material,
    ranking: &Ranking,
    question: &str,
) -> Option<&'a Sentence> {
    let matcher = Matcher::new(material, ranking, question);
    let scored =
        material.sentences.iter().enumerate().map(|(at, sentence)| (sentence, matcher.score(at, sentence)));
    let mut best: Option<(&Sentence, f32)> = None;
    for (sentence, score) in scored {
        if score > best.map_or(0.0, |(_, best)| best) {
            best = Some((sentence, score));
        }
    }
    best.map(|(sentence, _)| sentence)
}

struct Matcher<'a> {
    material: &'a Material,
    ranking: &'a Ranking,
    /// Stems of the question with their weights, and which stems of the material are related to each.
    stems: Vec<(String, f32, Vec<u32>)>,
    total: f32,
    asked: Asked,
}

impl<'a> Matcher<'a> {
    fn new(material: &'a Material, ranking: &'a Ranking, question: &str) -> Self {
        let mut seen = std::collections::HashSet::new();
        let own = words::stems(question).into_iter().filter(|stem| seen.insert(stem.clone()));
        let stems: Vec<_> = own
            .map(|stem| {
                let weight = ranking.weight(material, &stem);
                let known = material.stems.iter().filter(|(other, _)| related(&stem, other));
                let near: Vec<u32> = known.map(|(_, number)| *number).collect();
                (stem, weight, near)
            })
            .collect();
        let total = stems.iter().map(|(_, weight, _)| weight).sum::<f32>().max(f32::MIN_POSITIVE);
        Self { material, ranking, stems, total, asked: asked(question) }
    }

    fn score(&self, at: usize, sentence: &Sentence) -> f32 {
        let heading = self.material.heading(sentence);
        let heading: Vec<String> = words::stems(heading);
        let share = |(stem, weight, near): &(String, f32, Vec<u32>)| {
            let has = |number: &u32| sentence.terms.binary_search_by_key(number, |term| term.0).is_ok();
            let own = if has_stem(self.material, sentence, stem) {
                1.0
            } else if near.iter().any(has) {
                RELATED
            } else {
                0.0
            };
            weight * if heading.contains(stem) { (own + UNDER_HEADING).min(1.2) } else { own }
        };
        let shared: f32 = self.stems.iter().map(share).sum();
        if shared == 0.0 {
            return 0.0;
        }
        let standing = self.ranking.scores.get(at).copied().unwrap_or(0.0);
        let is_question = if sentence.text.ends_with('?') { 0.5 } else { 1.0 };
        (shared / self.total * self.suits(&sentence.text) + 0.12 * standing) * is_question
    }

    /// Gives the labelled fact that matches best, as `Label: value`.
    fn best_fact(&self) -> Option<(String, f32)> {
        let mut best: Option<(String, f32)> = None;
        for (label, value) in self.material.labels() {
            let stems: Vec<String> = words::stems(label);
            let shared: f32 = self
                .stems
                .iter()
                .filter(|(stem, ..)| stems.contains(stem))
                .map(|(_, weight, _)| weight)
                .sum();
            let text = format!("{label}: {value}");
            let names_place = self.asked == Asked::Place && PLACES.contains(&label.to_lowercase().as_str());
            let score = shared / self.total * self.suits(value) * if names_place { 1.6 } else { 1.0 };
            if score > best.as_ref().map_or(0.0, |(_, score)| *score) {
                best = Some((text, score));
            }
        }
        best
    }

    /// Tells how well a text suits the kind of fact asked for.
    fn suits(&self, text: &str) -> f32 {
        let suits = match self.asked {
            Asked::Other | Asked::Place => return 1.0,
            Asked::Person => !self.material.names.mentioned(text).is_empty(),
            Asked::Date => {
                !dates::find(text).is_empty() || text.contains(':') && text.contains(char::is_numeric)
            }
            Asked::Number => !facts::numbers(text).is_empty(),
            Asked::Reason => {
                let lower = text.to_lowercase();
                [
                    "because",
                    "since",
                    "so that",
                    "cause",
                    "therefore",
                    "weil",
                    "wegen",
                    "grund",
                    "anlass",
                    "damit",
                ]
                .iter()
                .any(|cue| lower.contains(cue))
            }
        };
        if suits { 1.35 } else { 0.8 }
    }
}

fn asked(question: &str) -> Asked {
    let lower = question.to_lowercase();
    let all: Vec<&str> = words::words(&lower).collect();
    let has = |word: &str| all.contains(&word);
    let how = all.windows(2).any(|pair| {
        matches!(
            pair,
            ["how", "much" | "many" | "long" | "large" | "high"]
                | ["wie", "viel" | "viele" | "hoch" | "lange"]
        )
    });
    if has("who") || has("whose") || has("wer") || has("wem") || has("wen") {
        Asked::Person
    } else if has("when") || has("wann") || has("date") || has("datum") {
        Asked::Date
    } else if how || has("wieviel") || has("wieviele") {
        Asked::Number
    } else if has("why") || has("warum") || has("wieso") {
        Asked::Reason
    } else if has("where") || has("wo") {
        Asked::Place
    } else {
        Asked::Other
    }
}

/// Tells whether two different stems begin alike, such as those of `payment` and `pay`, or of a German compound.
fn related(one: &str, other: &str) -> bool {
    let shared = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let shorter = one.chars().count().min(other.chars().count());
    one != other && shared >= SHARED_START && shared + 1 >= shorter
}
