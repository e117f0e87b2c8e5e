//! Personal data: e-mail addresses, phone numbers, payment cards, bank accounts, social security numbers, IP addresses,
//! and patterns of the user's own.
//!
//! What has a checksum is checked by it, and numbers that are dates, amounts, versions, or parts of longer numbers are
//! left alone.

mod iban;
mod internet;
mod numbers;

use std::ops::Range;

use async_trait::async_trait;
use motet_core::{Result, RunContext};
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::spec::Actions;
use super::{Action, Finding, Guardrail, Place, Subject};

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PiiKind {
    /// An e-mail address.
    Email,
    /// A phone number: `+CC …`, `00CC …`, or a national one with separators, of 7 to 15 digits.
    Phone,
    /// A number of 13 to 19 digits that is a payment card's by its first digits and its Luhn checksum.
    Card,
    /// An international bank account number, by the length of its country and its checksum.
    Iban,
    /// A social security number of the United States, within the ranges that are given out.
    Ssn,
    /// An IP address, of version 4 or 6; not looked for unless asked for.
    Ip,
}

impl PiiKind {
    /// Every kind; what may be of two kinds is of the one that comes first.
    pub const ALL: [PiiKind; 6] =
        [PiiKind::Email, PiiKind::Iban, PiiKind::Card, PiiKind::Ssn, PiiKind::Ip, PiiKind::Phone];

    /// Gives the name used in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PiiKind::Email => "email",
            PiiKind::Phone => "phone",
            PiiKind::Card => "card",
            PiiKind::Iban => "iban",
            PiiKind::Ssn => "ssn",
            PiiKind::Ip => "ip",
        }
    }

    /// Finds the first at or after a byte.
    fn find(self, text: &str, from: usize) -> Option<Range<usize>> {
        match self {
            PiiKind::Email => internet::email(text, from),
            PiiKind::Phone => numbers::find(text, from, numbers::phone),
            PiiKind::Card => numbers::find(text, from, numbers::card),
            PiiKind::Ssn => numbers::find(text, from, numbers::ssn),
            PiiKind::Iban => iban::find(text, from),
            PiiKind::Ip => internet::address(text, from),
        }
    }

    /// Tells where the end of a text begins that may become one, if more text follows.
    fn settled(self, text: &str, from: usize) -> usize {
        match self {
            PiiKind::Email => internet::email_settled(text, from),
            PiiKind::Phone | PiiKind::Card | PiiKind::Ssn => numbers::settled(text, from),
            PiiKind::Iban => iban::settled(text, from),
            PiiKind::Ip => internet::address_settled(text, from),
        }
    }
}

/// Looks for personal data and redacts it everywhere, where nothing else is said.
#[derive(Debug, Clone)]
pub struct Pii {
    kinds: Vec<PiiKind>,
    patterns: Vec<(String, Pattern)>,
    actions: Actions,
    replacement: String,
}

impl Default for Pii {
    fn default() -> Self {
        Self::of_kinds(PiiKind::ALL.into_iter().filter(|kind| *kind != PiiKind::Ip))
    }
}

impl Pii {
    /// Looks for these kinds only.
    #[must_use]
    pub fn of_kinds(kinds: impl IntoIterator<Item = PiiKind>) -> Self {
        let wanted: Vec<_> = kinds.into_iter().collect();
        Self {
            kinds: PiiKind::ALL.into_iter().filter(|kind| wanted.contains(kind)).collect(),
            patterns: Vec::new(),
            actions: Actions::all(Action::Redact),
            replacement: "[REDACTED]".to_owned(),
        }
    }

    /// Looks for a pattern too, which is a kind of its own.
    #[must_use]
    pub fn pattern(mut self, kind: impl Into<String>, pattern: Pattern) -> Self {
        self.patterns.push((kind.into(), pattern));
        self
    }

    /// Says what is done where.
    #[must_use]
    pub fn actions(mut self, actions: Actions) -> Self {
        self.actions = actions;
        self
    }

    /// Sets what takes the place of what is redacted, in which `{kind}` stands for its kind; `[REDACTED]` where not set.
    #[must_use]
    pub fn replacement(mut self, text: impl Into<String>) -> Self {
        self.replacement = text.into();
        self
    }

    /// Replaces what it finds in a whole text; `None` where there is nothing.
    #[must_use]
    pub fn redacted(&self, text: &str) -> Option<String> {
        let (mut whole, mut at) = (String::new(), 0);
        for (span, kind) in self.found(text, 0) {
            whole.push_str(text.get(at..span.start).unwrap_or_default());
            whole.push_str(&self.replacement.replace("{kind}", kind));
            at = span.end;
        }
        (at > 0).then(|| whole + text.get(at..).unwrap_or_default())
    }

    /// Gives all there is from a byte on. Where two kinds overlap, what they cover together is one.
    fn found<'a>(&'a self, text: &str, from: usize) -> Vec<(Range<usize>, &'a str)> {
        let (mut all, mut from) = (Vec::new(), from);
        let mut next: Vec<_> = self.find_each(text, from).collect();
        loop {
            for (place, (found, _)) in next.iter_mut().enumerate() {
                if found.as_ref().is_some_and(|found| found.start < from) {
                    *found = self.find_at(place, text, from);
                }
            }
            let known = next.iter().filter_map(|(found, kind)| Some((found.clone()?, *kind)));
            let first = known.min_by_key(|(found, _)| (found.start, std::cmp::Reverse(found.end)));
            let Some((mut span, kind)) = first else { return all };
            self.widen(text, &mut span);
            from = span.end;
            all.push((span, kind));
        }
    }

    /// Makes a finding as long as those that begin within it.
    fn widen(&self, text: &str, span: &mut Range<usize>) {
        let mut start = text.ceil_char_boundary(span.start + 1);
        for place in 0..self.kinds.len() + self.patterns.len() {
            while let Some(found) = self.find_at(place, text, start) {
                if found.start >= span.end {
                    break;
                }
                span.end = span.end.max(found.end);
                start = text.ceil_char_boundary(found.start + 1);
            }
            start = text.ceil_char_boundary(span.start + 1);
        }
    }

    fn find_each<'a>(
        &'a self,
        text: &str,
        from: usize,
    ) -> impl Iterator<Item = (Option<Range<usize>>, &'a str)> {
        let names = self.kinds.iter().map(|kind| kind.as_str());
        let names = names.chain(self.patterns.iter().map(|(name, _)| name.as_str()));
        names.enumerate().map(move |(place, name)| (self.find_at(place, text, from), name))
    }

    fn find_at(&self, place: usize, text: &str, from: usize) -> Option<Range<usize>> {
        match self.kinds.get(place) {
            Some(kind) => kind.find(text, from),
            None => self.patterns.get(place - self.kinds.len())?.1.find(text, from),
        }
    }
}

#[async_trait]
impl Guardrail for Pii {
    fn name(&self) -> &str {
        "pii"
    }

    fn holds_at(&self, place: Place) -> bool {
        self.actions.at(place) != Action::Off
    }

    async fn inspect(&self, _: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>> {
        let action = self.actions.at(subject.place);
        let found = self.found(subject.text, subject.from).into_iter();
        let finding = |(span, kind): (Range<usize>, &str)| {
            let replacement = self.replacement.replace("{kind}", kind);
            Finding::by(action, span, &replacement, &format!("it has personal data of the kind `{kind}`"))
        };
        Ok(found.filter_map(finding).collect())
    }

    fn settled(&self, subject: Subject<'_>) -> usize {
        let (text, from) = (subject.text, subject.from);
        let kinds = self.kinds.iter().map(|kind| kind.settled(text, from));
        let patterns = self.patterns.iter().map(|(_, pattern)| pattern.settled(text, from));
        kinds.chain(patterns).min().unwrap_or(text.len())
    }
}

/// Gives the character before a byte.
fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// Gives the character at a byte.
fn following(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Gives the start of the longest end of a text that holds only such characters, looking back so many bytes at most.
fn tail(text: &str, from: usize, most: usize, holds: impl Fn(char) -> bool) -> usize {
    let start = text.floor_char_boundary(text.len().saturating_sub(most)).max(from);
    let rest = text.get(start..).unwrap_or_default();
    let other = rest.char_indices().rev().find(|(_, letter)| !holds(*letter));
    other.map_or(start, |(at, letter)| start + at + letter.len_utf8())
}

#[cfg(test)]
mod tests;
