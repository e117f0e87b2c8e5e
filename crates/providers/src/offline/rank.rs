//! Ranks sentences by how well they stand for the whole text, and chooses some that say different things.
//!
//! A sentence scores by its closeness to the text's centre (TF-IDF), its place, its length, and a few cues.

use super::blocks::Kind;
use super::material::{Material, Sentence};
use super::words;

/// Weight of every stem of a material, by number, and the score of every sentence.
pub(super) struct Ranking {
    weights: Vec<f32>,
    norms: Vec<f32>,
    pub(super) scores: Vec<f32>,
}

/// What a chosen sentence loses for saying the same as one that is chosen already.
const REDUNDANCY: f32 = 0.6;

/// What it loses for standing in the same section, so that a summary goes through the text.
const SAME_SECTION: f32 = 0.06;

const KEY_SECTIONS: &[&str] = &[
    "abstract",
    "beschluss",
    "brief",
    "conclusion",
    "conclusions",
    "decisions",
    "ergebnis",
    "ergebnisse",
    "fazit",
    "kurzfassung",
    "outcome",
    "overview",
    "recommendation",
    "recommendations",
    "summary",
    "takeaways",
    "überblick",
    "zusammenfassung",
];

const CUES: &[&str] = &[
    "abgelehnt",
    "abgeschlossen",
    "agreed",
    "approved",
    "authorised",
    "authorized",
    "because",
    "beschlossen",
    "concluded",
    "confirmed",
    "decided",
    "expired",
    "main",
    "must",
    "recommend",
    "recommended",
    "replaces",
    "resolved",
    "stattfindet",
    "therefore",
    "vereinbart",
    "will",
    "zugesagt",
];

/// First words that lean on a sentence before.
const LEANING: &[&str] = &[
    "and",
    "auch",
    "aber",
    "außerdem",
    "but",
    "das",
    "diese",
    "dieser",
    "dieses",
    "er",
    "es",
    "he",
    "her",
    "his",
    "it",
    "its",
    "she",
    "sie",
    "so",
    "that",
    "their",
    "then",
    "these",
    "they",
    "this",
    "those",
    "und",
];

/// First words of greetings, requests, and of notes about the text itself.
const POLITE: &[&str] = &[
    "bitte",
    "collected",
    "compiled",
    "danke",
    "dear",
    "edited",
    "interviewer",
    "minutes",
    "no",
    "please",
    "questions",
    "recorded",
    "thank",
    "thanks",
    "yes",
];

/// First words of sentences that settle something.
const SETTLING: &[&str] =
    &["beschlossen", "breaking", "decided", "decision", "important", "resolved", "security", "wichtig"];

/// What sentences about the course of a meeting say, which nobody asks for.
const PROCEDURE: &[&str] = &[
    "apologies",
    "closed the meeting",
    "eröffnete die sitzung",
    "left the room",
    "minutes of the",
    "opened the meeting",
    "protokoll der",
    "quorum",
    "returned at",
    "welcomed",
];

impl Ranking {
    /// Ranks the sentences of a material.
    pub(super) fn of(material: &Material) -> Self {
        let weights = weights(material);
        let norm = |sentence: &Sentence| {
            let squares = sentence.terms.iter().map(|term| weigh(&weights, term).powi(2));
            squares.sum::<f32>().sqrt()
        };
        let norms: Vec<f32> = material.sentences.iter().map(norm).collect();
        let mut ranking = Self { weights, norms, scores: Vec::new() };
        ranking.scores = ranking.score(material);
        ranking
    }

    /// Gives the weight of a stem; a stem that the material does not have weighs as much as its rarest.
    pub(super) fn weight(&self, material: &Material, stem: &str) -> f32 {
        let number = material.stems.get(stem).and_then(|number| usize::try_from(*number).ok());
        let rarest = || idf(material.sentences.len(), 1.0);
        number.and_then(|number| self.weights.get(number)).copied().unwrap_or_else(rarest)
    }

    /// Chooses the best sentences that differ from each other, by score, best first.
    pub(super) fn choose(
        &self,
        material: &Material,
        count: usize,
        allowed: impl Fn(&Sentence) -> bool,
    ) -> Vec<usize> {
        let mut open: Vec<(usize, f32)> = material
            .sentences
            .iter()
            .enumerate()
            .filter(|(_, sentence)| allowed(sentence))
            .map(|(at, _)| (at, self.score_of(at)))
            .collect();
        // Far more candidates than places need not be compared with each other.
        open.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        open.truncate(count.saturating_mul(8).saturating_add(64));
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let best = open.iter().enumerate().max_by(|(a, x), (b, y)| x.1.total_cmp(&y.1).then(b.cmp(a)));
            let Some((place, _)) = best else { break };
            let (next, _) = open.swap_remove(place);
            open.sort_by_key(|(at, _)| *at);
            chosen.push(next);
            let section = |at: usize| material.sentences.get(at).and_then(|sentence| sentence.section);
            for (at, score) in &mut open {
                let neighbour =
                    if section(*at).is_some() && section(*at) == section(next) { SAME_SECTION } else { 0.0 };
                *score -= REDUNDANCY * self.similarity(material, *at, next) + neighbour;
            }
        }
        chosen
    }

    /// Gives the cosine of two sentences.
    fn similarity(&self, material: &Material, one: usize, two: usize) -> f32 {
        let (Some(a), Some(b)) = (material.sentences.get(one), material.sentences.get(two)) else {
            return 0.0;
        };
        let norms = self.norms.get(one).copied().unwrap_or(0.0) * self.norms.get(two).copied().unwrap_or(0.0);
        let mut product = 0.0;
        let mut other = b.terms.iter().peekable();
        for term in &a.terms {
            while other.next_if(|next| next.0 < term.0).is_some() {}
            if let Some(same) = other.next_if(|next| next.0 == term.0) {
                product += weigh(&self.weights, term) * weigh(&self.weights, same);
            }
        }
        if norms > 0.0 { product / norms } else { 0.0 }
    }

    pub(super) fn score_of(&self, at: usize) -> f32 {
        self.scores.get(at).copied().unwrap_or(0.0)
    }

    fn score(&self, material: &Material) -> Vec<f32> {
        let mut centre = vec![0.0_f32; self.weights.len()];
        for (sentence, norm) in material.sentences.iter().zip(&self.norms) {
            for term in &sentence.terms {
                if let Some(sum) = index(term.0).and_then(|at| centre.get_mut(at)) {
                    *sum += weigh(&self.weights, term) / norm.max(1.0);
                }
            }
        }
        let length = centre.iter().map(|sum| sum * sum).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let closeness = |sentence: &Sentence, norm: f32| {
            let product = sentence.terms.iter().map(|term| {
                weigh(&self.weights, term)
                    * index(term.0).and_then(|at| centre.get(at)).copied().unwrap_or(0.0)
            });
            product.sum::<f32>() / (length * norm.max(f32::MIN_POSITIVE))
        };
        let title = words::stems(&material.title().unwrap_or_default());
        let total = material.sentences.len();
        let mut block = None;
        let mut section = None;
        let mut scores = Vec::with_capacity(total);
        for (at, (sentence, norm)) in material.sentences.iter().zip(&self.norms).enumerate() {
            let opens_block = block != Some(sentence.block);
            let opens_section = section != Some(sentence.section);
            (block, section) = (Some(sentence.block), Some(sentence.section));
            let opening = if opens_section { 0.06 } else { 0.0 } + if opens_block { 0.05 } else { 0.0 };
            let place = early(at, total) + opening;
            let key = key_section(material.heading(sentence));
            let shared = title.iter().filter(|stem| has_stem(material, sentence, stem)).count();
            let title = if title.is_empty() { 0.0 } else { 0.12 * ratio(shared, title.len()) };
            scores.push(
                (closeness(sentence, *norm) + place + key + title + cues(sentence)) * fitness(sentence),
            );
        }
        scores
    }
}

fn weights(material: &Material) -> Vec<f32> {
    let mut frequency = vec![0.0_f32; material.stems.len()];
    for term in material.sentences.iter().flat_map(|sentence| &sentence.terms) {
        if let Some(count) = index(term.0).and_then(|at| frequency.get_mut(at)) {
            *count += 1.0;
        }
    }
    frequency.into_iter().map(|count| idf(material.sentences.len(), count)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a weight needs no more than a float holds")]
fn idf(total: usize, count: f32) -> f32 {
    (1.0 + total as f32 / count.max(1.0)).ln()
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

fn weigh(weights: &[f32], term: &(u32, f32)) -> f32 {
    index(term.0).and_then(|at| weights.get(at)).copied().unwrap_or(0.0) * (1.0 + term.1.ln())
}

pub(super) fn has_stem(material: &Material, sentence: &Sentence, stem: &str) -> bool {
    let Some(number) = material.stems.get(stem) else { return false };
    sentence.terms.binary_search_by_key(number, |term| term.0).is_ok()
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than a float holds")]
pub(super) fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// Early sentences tell what a text is about.
fn early(at: usize, total: usize) -> f32 {
    // A long text has a beginning of its own in every section.
    let weight = if total > 60 { 0.1 } else { 0.18 };
    weight * (1.0 - ratio(at, total.clamp(1, 40))).max(0.0)
}

fn key_section(heading: &str) -> f32 {
    let is_key = words::words(heading).any(|word| KEY_SECTIONS.contains(&word.to_lowercase().as_str()));
    if is_key { 0.22 } else { 0.0 }
}

fn cues(sentence: &Sentence) -> f32 {
    let lower = sentence.text.to_lowercase();
    let first = words::words(&lower).next().unwrap_or_default().to_owned();
    let mut score = 0.0;
    if words::words(&lower).any(|word| CUES.contains(&word)) {
        score += 0.08;
    }
    if sentence.text.chars().any(char::is_numeric) {
        score += 0.05;
    }
    if LEANING.contains(&first.as_str()) {
        score -= 0.16;
    }
    if sentence.kind == Kind::Paragraph && sentence.text.starts_with(char::is_lowercase) {
        // A piece of a sentence, such as the second line of a heading.
        score -= 0.3;
    }
    if POLITE.contains(&first.as_str()) || PROCEDURE.iter().any(|course| lower.contains(course)) {
        score -= 0.25;
    }
    if SETTLING.contains(&first.as_str())
        || lower.starts_with("i recommend")
        || lower.starts_with("we recommend")
    {
        score += 0.2;
    }
    if sentence.text.ends_with(['?', ':', '؟', '？']) {
        score -= 0.35;
    }
    match sentence.kind {
        Kind::Row => score - 0.3,
        Kind::Item => score - 0.05,
        _ => score,
    }
}

/// Very short sentences say little, and very long ones cost too much of the space.
fn fitness(sentence: &Sentence) -> f32 {
    match sentence.words {
        0..=3 => 0.35,
        4..=6 => 0.7,
        7..=9 => 0.9,
        10..=34 => 1.0,
        35..=50 => 0.85,
        _ => 0.65,
    }
}
