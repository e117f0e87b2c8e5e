//! Words and regular expressions that are looked for in texts, and how much of a text must be known to find them.

use std::ops::Range;

use motet_core::{Error, ErrorKind, Result};
use regex::Regex;

/// Bytes beyond a match that decide whether it is one: a character at each side.
const EDGE: usize = 4;

/// Something that is looked for in texts.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// Characters of the longest match; `None` where nobody knows.
    longest: Option<usize>,
}

impl Pattern {
    /// Looks for a regular expression. Streams are held back until they are whole, as nobody knows how far it reaches.
    ///
    /// # Errors
    /// `Configuration` when it is not one, or matches the empty text.
    pub fn regex(regex: &str, case_sensitive: bool) -> Result<Self> {
        let wrong = |problem: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Configuration, format!("`{regex}` cannot be looked for: {problem}"))
        };
        let compiled = regex::RegexBuilder::new(regex)
            .case_insensitive(!case_sensitive)
            .build()
            .map_err(|error| wrong(&error))?;
        if compiled.is_match("") {
            return Err(wrong(&"it matches the empty text")
                .with_hint("have it match at least one character, for example by `+` instead of `*`"));
        }
        Ok(Self { regex: compiled, longest: None })
    }

    /// Says how many characters a match has at most; one that is longer is found up to there. Streams are then held back
    /// no longer than needed.
    #[must_use]
    pub fn at_most(mut self, characters: usize) -> Self {
        self.longest = Some(characters.max(1));
        self
    }

    /// Looks for words as such, not within others; of several that begin at one place for the longest.
    ///
    /// # Errors
    /// `Configuration` when a word is empty.
    pub(super) fn words<'a>(
        words: impl Iterator<Item = &'a str>,
        case_sensitive: bool,
    ) -> Result<Option<Self>> {
        let mut words: Vec<&str> = words.map(str::trim).collect();
        if words.is_empty() {
            return Ok(None);
        }
        if words.contains(&"") {
            return Err(Error::new(ErrorKind::Configuration, "an empty word cannot be looked for"));
        }
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let longest = words.iter().map(|word| longest_form(word)).max().unwrap_or(1);
        let alternatives: Vec<_> = words.iter().map(|word| word_regex(word)).collect();
        Self::regex(&alternatives.join("|"), case_sensitive).map(|pattern| Some(pattern.at_most(longest)))
    }

    /// Counts the matches in a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.regex.find_iter(text).count()
    }

    /// Finds the first match at or after a byte.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let mut from = from;
        loop {
            let found = self.regex.find_at(text, from)?.range();
            let Some(longest) = self.longest else { return Some(found) };
            let end = after(text, found.start, longest);
            if found.end <= end {
                return Some(found);
            }
            // What lies far beyond the longest match must not change what is found, or a stream would find otherwise. One
            // character more shows whether a word ends there.
            let within = |end: usize| {
                let seen = self.regex.find_at(text.get(..end)?, found.start)?.range();
                (seen.start == found.start).then_some(seen)
            };
            let near = within(after(text, found.start, longest + 1)).filter(|seen| seen.end <= end);
            match near.or_else(|| within(end)) {
                Some(seen) => return Some(seen),
                None => from = text.ceil_char_boundary(found.start + 1),
            }
        }
    }

    /// Tells up to which byte of an unfinished text nothing more can be found.
    pub(super) fn settled(&self, text: &str, from: usize) -> usize {
        let Some(longest) = self.longest else { return from };
        // A character more than the longest match shows whether a word ends there.
        let held = text.char_indices().rev().take(longest + 1).last().map_or(text.len(), |(at, _)| at);
        let held = held.min(text.floor_char_boundary(text.len().saturating_sub(EDGE)));
        held.max(from)
    }
}

/// Gives the byte that lies so many characters behind another.
fn after(text: &str, start: usize, characters: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    rest.char_indices().nth(characters).map_or(text.len(), |(at, _)| start + at)
}

fn word_regex(word: &str) -> String {
    let pieces: Vec<_> = word.split_whitespace().map(regex::escape).collect();
    let begin = if word.starts_with(is_unspaced) { "" } else { r"\b{start-half}" };
    let end = if word.ends_with(is_unspaced) { "" } else { r"\b{end-half}" };
    format!("{begin}{}{end}", pieces.join(r"\s{1,4}"))
}

/// Gives the characters of the longest form of a word, between whose pieces more than one space may stand.
fn longest_form(word: &str) -> usize {
    let pieces = word.split_whitespace().count();
    word.chars().filter(|letter| !letter.is_whitespace()).count() + 4 * pieces.saturating_sub(1)
}

/// Tells letters of scripts that put no spaces between words.
fn is_unspaced(letter: char) -> bool {
    matches!(
        u32::from(letter),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x4DBF
            | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x2FA1F
    )
}
