//! Finds runs of words with capitals, which may be names, and what stands around them.

use super::lexicon;
use crate::offline::{dates, words};

/// A run of words with capitals, without titles and without the first words of sentences.
#[derive(Debug, Clone)]
pub(super) struct Run<'a> {
    pub(super) words: Vec<&'a str>,
    pub(super) title: Option<&'a str>,
    /// Text of the block before the run and its title.
    pub(super) before: &'a str,
    /// Text of the block behind the run.
    pub(super) after: &'a str,
}

#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

impl Run<'_> {
    /// Gives the name with plain spaces.
    pub(super) fn name(&self) -> String {
        self.words.join(" ")
    }
}

/// Gives all runs of a block's text in order.
pub(super) fn find(text: &str) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut group: Vec<Word<'_>> = Vec::new();
    for word in split(text) {
        let joined =
            group.last().is_some_and(|last| joins(*last, text.get(last.end..word.start).unwrap_or_default()));
        let part = is_capital(word.text) || (joined && lexicon::is_particle(word.text));
        if !(joined && part) {
            runs.extend(run(text, std::mem::take(&mut group)));
        }
        if part {
            group.push(word);
        }
    }
    runs.extend(run(text, group));
    runs
}

fn split(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut characters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = characters.by_ref().find(|(_, c)| c.is_alphanumeric())?;
        let mut end = start + first.len_utf8();
        while let Some((at, next)) = characters.peek().copied() {
            let rest = text.get(at + next.len_utf8()..).unwrap_or_default();
            let inner = matches!(next, '-' | '\'' | '’') && rest.starts_with(char::is_alphabetic);
            if !next.is_alphanumeric() && !inner {
                break;
            }
            end = at + next.len_utf8();
            characters.next();
        }
        Some(Word { text: text.get(start..end).unwrap_or_default(), start, end })
    })
}

/// Tells whether a word begins with a capital and is no abbreviation in capitals.
fn is_capital(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    let bare = word.trim_end_matches("'s").trim_end_matches("’s");
    let shouted = bare.chars().count() > 1 && !bare.chars().any(char::is_lowercase);
    first && !shouted && !word.chars().any(char::is_numeric)
}

fn joins(last: Word<'_>, gap: &str) -> bool {
    let initial = last.text.chars().count() == 1 || lexicon::is_title(last.text);
    let possessive = last.text.ends_with("'s") || last.text.ends_with("’s");
    !possessive && (gap == " " || (initial && gap == ". "))
}

fn run<'a>(text: &'a str, group: Vec<Word<'a>>) -> Option<Run<'a>> {
    let mut rest = group.as_slice();
    let mut title = None;
    let mut start = rest.first()?.start;
    while let Some((first, others)) = rest.split_first() {
        if lexicon::is_title(first.text) {
            title = Some(first.text);
        } else if !is_leading_word(first.text, others) {
            break;
        } else {
            start = others.first().map_or(first.end, |next| next.start);
            title = None;
        }
        rest = others;
    }
    while let Some((last, others)) = rest.split_last() {
        if !lexicon::is_particle(last.text) && !lexicon::is_role(last.text) && !dates::is_month(last.text) {
            break;
        }
        rest = others;
    }
    let (first, last) = (rest.first()?, rest.last()?);
    let bare = last.text.trim_end_matches("'s").trim_end_matches("’s");
    let end = first.start.max(last.start) + bare.len();
    let mut words: Vec<&str> = rest.iter().map(|word| word.text).collect();
    words.pop();
    words.push(bare);
    Some(Run {
        words,
        title,
        before: text.get(..start).unwrap_or_default(),
        after: text.get(end..).unwrap_or_default(),
    })
}

/// Tells whether a word only has its capital because it begins a sentence or is a role before the name.
fn is_leading_word(word: &str, others: &[Word<'_>]) -> bool {
    let followed_by_name = others.first().is_some_and(|next| lexicon::is_given_name(next.text));
    words::is_stop_word(word)
        || lexicon::is_greeting(word)
        || lexicon::is_particle(word)
        || dates::is_month(word)
        || lexicon::is_role(word)
        || names_a_role(others)
        || (followed_by_name && others.len() > 1 && !lexicon::is_given_name(word) && word.chars().count() > 1)
}

/// Tells whether the next words end a role before a name, as in `City Clerk Helen Strand`.
fn names_a_role(others: &[Word<'_>]) -> bool {
    let role = others.iter().take(2).position(|word| lexicon::is_role(word.text));
    role.is_some_and(|at| others.len() > at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lose_titles_roles_and_first_words() {
        let names = |text: &str| {
            find(text)
                .iter()
                .map(|run| run.title.map(|title| format!("{title}/")).unwrap_or_default() + &run.name())
                .collect::<Vec<_>>()
        };
        for (text, expected) in [
            ("Dr. Leila Haddad met Ms Tanabe.", vec!["Dr/Leila Haddad", "Ms/Tanabe"]),
            (
                "The City Clerk Helen Strand and Ludwig van Beethoven",
                vec!["Helen Strand", "Ludwig van Beethoven"],
            ),
            ("Tell Miriam Okafor’s team about J. R. Orr", vec!["Miriam Okafor", "J R Orr"]),
            ("Noam Bar-Lev and Zoë Nguyễn", vec!["Noam Bar-Lev", "Zoë Nguyễn"]),
            ("the TLS of EM1 4QA in May", vec![]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }
}
