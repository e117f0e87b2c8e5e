//! Reads how long an answer shall be: sentences, bullet points, words, or characters, in English and German.

use super::words;

/// The length that an instruction asks for; `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wish {
    pub(super) sentences: Option<usize>,
    /// Most words.
    pub(super) words: Option<usize>,
    /// Most characters.
    pub(super) characters: Option<usize>,
    /// Whether the answer is a list.
    pub(super) is_list: bool,
}

const NUMBERS: &[(&str, usize)] = &[
    ("a", 1),
    ("an", 1),
    ("one", 1),
    ("single", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("twelve", 12),
    ("ein", 1),
    ("einem", 1),
    ("einen", 1),
    ("zwei", 2),
    ("drei", 3),
    ("vier", 4),
    ("fünf", 5),
    ("sechs", 6),
    ("sieben", 7),
    ("acht", 8),
    ("neun", 9),
    ("zehn", 10),
];

/// Words that may stand between a number and what it counts, such as in `three short bullet points`.
const BETWEEN: usize = 2;

enum Unit {
    Sentences,
    Items,
    Words,
    Characters,
}

impl Wish {
    /// Reads an instruction; where it names several lengths of one kind, the first counts.
    pub(super) fn read(instruction: &str) -> Self {
        let lower = instruction.to_lowercase();
        let all: Vec<&str> = words::words(&lower).collect();
        let mut wish = Wish::default();
        for (at, word) in all.iter().enumerate() {
            let Some(unit) = unit(word) else { continue };
            let first = at.saturating_sub(BETWEEN + 1);
            let before = all.get(first..at).unwrap_or_default();
            let count = before.iter().rev().find_map(|word| number(word)).filter(|count| *count > 0);
            match unit {
                Unit::Sentences => wish.sentences = wish.sentences.or(count),
                Unit::Items => {
                    wish.is_list |=
                        word.starts_with("bullet") || word.starts_with("stich") || count.is_some();
                    wish.sentences = wish.sentences.or(count);
                }
                Unit::Words => wish.words = wish.words.or(count.filter(|count| *count > 1)),
                Unit::Characters => wish.characters = wish.characters.or(count.filter(|count| *count > 1)),
            }
        }
        wish
    }
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "sentence" | "sentences" | "satz" | "satzes" | "sätze" | "sätzen" => Unit::Sentences,
        "bullet" | "bullets" | "points" | "bulletpoints" | "items" | "stichpunkt" | "stichpunkte"
        | "stichpunkten" | "stichworte" | "punkte" | "punkten" => Unit::Items,
        "word" | "words" | "wörter" | "wörtern" | "worte" | "worten" => Unit::Words,
        "character" | "characters" | "zeichen" => Unit::Characters,
        _ => return None,
    })
}

fn number(word: &str) -> Option<usize> {
    let named = NUMBERS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    named.or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_the_ways_people_ask() {
        let sentences = |count| Wish { sentences: Some(count), ..Wish::default() };
        let list = |count| Wish { sentences: count, is_list: true, ..Wish::default() };
        for (instruction, expected) in [
            ("Summarise this in 2 sentences", sentences(2)),
            ("a one-sentence summary", sentences(1)),
            ("Write three short bullet points", list(Some(3))),
            ("Use bullet points.", list(None)),
            ("At most 50 words, please", Wish { words: Some(50), ..Wish::default() }),
            ("Fasse das in zwei Sätzen zusammen", sentences(2)),
            ("Höchstens 40 Wörter", Wish { words: Some(40), ..Wish::default() }),
            ("in drei Stichpunkten", list(Some(3))),
            ("no more than 280 characters", Wish { characters: Some(280), ..Wish::default() }),
            ("3-5 sentences", sentences(5)),
            ("In other words, explain it", Wish::default()),
            ("Summarise the text", Wish::default()),
        ] {
            assert_eq!(Wish::read(instruction), expected, "{instruction}");
        }
    }
}
