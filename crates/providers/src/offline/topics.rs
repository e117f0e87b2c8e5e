//! Names the terms that a text is about: words and pairs of words that stand in it more often than others.

use std::collections::{HashMap, HashSet};

use super::blocks::Kind;
use super::material::Material;
use super::{dates, words};

/// Number of topics where none is wished.
pub(super) const USUAL: usize = 5;

/// Words that are frequent in any text and no topic of one.
const DULL: &[&str] = &[
    "able",
    "added",
    "annual",
    "answer",
    "answered",
    "approved",
    "agreed",
    "better",
    "confirmed",
    "director",
    "favour",
    "mayor",
    "member",
    "members",
    "million",
    "moved",
    "needs",
    "nothing",
    "open",
    "show",
    "shows",
    "stay",
    "stays",
    "text",
    "want",
    "wants",
    "works",
    "fall",
    "falls",
    "look",
    "looks",
    "note",
    "notes",
    "asked",
    "back",
    "become",
    "begin",
    "came",
    "cent",
    "come",
    "day",
    "days",
    "end",
    "euro",
    "first",
    "four",
    "gave",
    "get",
    "go",
    "goes",
    "good",
    "half",
    "hour",
    "hours",
    "keep",
    "know",
    "last",
    "long",
    "made",
    "make",
    "man",
    "means",
    "minute",
    "minutes",
    "month",
    "months",
    "never",
    "new",
    "next",
    "night",
    "nights",
    "nobody",
    "number",
    "old",
    "per",
    "put",
    "right",
    "said",
    "say",
    "second",
    "see",
    "set",
    "six",
    "take",
    "tell",
    "ten",
    "thing",
    "things",
    "third",
    "three",
    "time",
    "times",
    "today",
    "took",
    "two",
    "use",
    "used",
    "want",
    "way",
    "week",
    "weeks",
    "well",
    "whole",
    "work",
    "works",
    "year",
    "years",
    "five",
    "eight",
    "seven",
    "nine",
    "part",
    "people",
    "person",
    "place",
    "uhr",
    "jahr",
    "jahre",
    "tag",
    "tage",
    "tagen",
    "neue",
    "neuen",
    "neuer",
    "frau",
    "herr",
    "zwei",
    "drei",
    "ab",
];

/// What a word in a heading counts for.
const HEADING: f32 = 1.5;
/// Number of sentences below which a word need not occur twice.
const SHORT: usize = 8;

struct Term {
    /// Whether it stands in the text and not only in headings.
    texts: bool,
    shown: HashMap<String, usize>,
    score: f32,
    first: usize,
}

/// Gives the strongest terms, best first, as they are written most often.
pub(super) fn top(material: &Material, count: usize) -> Vec<String> {
    let not_topics = name_words(material);
    let mut terms: HashMap<String, Term> = HashMap::new();
    let mut seen = HashSet::new();
    let headings = material.blocks.iter().filter(|block| matches!(block.kind, Kind::Heading(_)));
    let titles =
        headings.filter(|block| seen.insert(&block.text)).map(|block| (block.text.as_str(), HEADING));
    for (at, (text, weight)) in
        material.sentences.iter().map(|s| (s.text.as_str(), 1.0)).chain(titles).enumerate()
    {
        add(&mut terms, text, weight, at, &not_topics);
    }
    let is_german = material.language.is_some_and(|language| language.code == "de");
    let short = material.sentences.len() < SHORT;
    let mut ranked: Vec<(String, Term)> = terms.into_iter().collect();
    ranked.retain(|(stem, term)| {
        let count = term.shown.values().sum::<usize>();
        // German nouns have capitals, and what is no noun is no topic. A pair must occur again to be more than chance.
        let noun = !is_german || term.shown.keys().any(|shown| shown.starts_with(char::is_uppercase));
        noun && (count > 1 || (short && !stem.contains(' '))) && term.texts
    });
    ranked
        .sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then(a.1.first.cmp(&b.1.first)).then(a.0.cmp(&b.0)));
    let mut chosen: Vec<(String, String)> = Vec::new();
    for (stem, term) in ranked {
        if chosen.len() == count {
            break;
        }
        let covered = |other: &String| {
            let (one, two): (HashSet<_>, HashSet<_>) =
                (stem.split(' ').collect(), other.split(' ').collect());
            !one.is_disjoint(&two)
        };
        if !chosen.iter().any(|(other, _)| covered(other)) {
            let shown = usual_form(term);
            chosen.push((stem, shown));
        }
    }
    chosen.into_iter().map(|(_, shown)| shown).collect()
}

fn add(terms: &mut HashMap<String, Term>, text: &str, weight: f32, at: usize, not_topics: &HashSet<String>) {
    let mut previous: Option<(String, String)> = None;
    for word in words::words(text) {
        let Some(stem) = topic_stem(word, not_topics) else {
            previous = None;
            continue;
        };
        note(terms, stem.clone(), word.to_owned(), weight, at);
        if let Some((before, shown)) = &previous
            && *before != stem
            && text.contains(&format!("{shown} {word}"))
        {
            note(terms, format!("{before} {stem}"), format!("{shown} {word}"), weight * 1.6, at);
        }
        previous = Some((stem, word.to_owned()));
    }
}

fn note(terms: &mut HashMap<String, Term>, stem: String, shown: String, weight: f32, at: usize) {
    let stem_is_pair = stem.contains(' ');
    let term = terms.entry(stem).or_insert_with(|| Term {
        texts: false,
        shown: HashMap::new(),
        score: 0.0,
        first: at,
    });
    term.texts |= weight < HEADING || stem_is_pair;
    term.score += weight;
    *term.shown.entry(shown).or_default() += 1;
}

fn topic_stem(word: &str, not_topics: &HashSet<String>) -> Option<String> {
    let lower = word.to_lowercase();
    let long = lower.chars().count() >= if lower.is_ascii() { 3 } else { 2 };
    let fits = long
        && lower.starts_with(char::is_alphabetic)
        && !DULL.contains(&lower.as_str())
        && !dates::is_month(&lower)
        && !not_topics.contains(&lower);
    fits.then(|| words::meaningful_stem(word)).flatten()
}

fn usual_form(term: Term) -> String {
    let mut forms: Vec<(String, usize)> = term.shown.into_iter().collect();
    forms.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.len().cmp(&b.0.len())).then(b.0.cmp(&a.0)));
    forms.into_iter().next().map(|(shown, _)| shown).unwrap_or_default()
}

/// Gives the words of names and roles: who is named is asked for elsewhere.
fn name_words(material: &Material) -> HashSet<String> {
    let names = material.names.people.iter().flat_map(|person| person.name.split(' '));
    let roles =
        material.names.people.iter().filter_map(|person| person.role.as_deref()).flat_map(words::words);
    names.chain(roles).map(|word| word.trim_end_matches('.').to_lowercase()).collect()
}
