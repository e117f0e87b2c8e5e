//! Words and patterns that must not stand in a text.

use async_trait::async_trait;
use motet_core::{Result, RunContext};

use super::pattern::Pattern;
use super::spec::Actions;
use super::{Action, Finding, Guardrail, Place, Subject};

/// Looks for words and patterns.
///
/// By default, input with one of them is blocked, and they are redacted everywhere else; case does not matter.
#[derive(Debug, Clone)]
pub struct Blocklist {
    name: String,
    patterns: Vec<Pattern>,
    actions: Actions,
    replacement: String,
}

impl Blocklist {
    /// Looks for patterns.
    #[must_use]
    pub fn of_patterns(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        Self {
            name: "blocklist".to_owned(),
            patterns: patterns.into_iter().collect(),
            actions: Actions::all(Action::Redact).input(Action::Block),
            replacement: "[REDACTED]".to_owned(),
        }
    }

    /// Looks for words, in any case.
    ///
    /// # Errors
    /// `Configuration` when a word is empty.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        Ok(Self::of_patterns(Pattern::words(words.into_iter(), false)?))
    }

    /// Names it, to tell several apart.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Says what is done where.
    #[must_use]
    pub fn actions(mut self, actions: Actions) -> Self {
        self.actions = actions;
        self
    }

    /// Sets what takes the place of what is redacted; `[REDACTED]` where not set.
    #[must_use]
    pub fn replacement(mut self, text: impl Into<String>) -> Self {
        self.replacement = text.into();
        self
    }
}

#[async_trait]
impl Guardrail for Blocklist {
    fn name(&self) -> &str {
        &self.name
    }

    fn holds_at(&self, place: Place) -> bool {
        self.actions.at(place) != Action::Off
    }

    async fn inspect(&self, _: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>> {
        let action = self.actions.at(subject.place);
        let (mut findings, mut from) = (Vec::new(), subject.from);
        let mut next: Vec<_> = self.patterns.iter().map(|pattern| pattern.find(subject.text, from)).collect();
        loop {
            for (pattern, next) in self.patterns.iter().zip(&mut next) {
                if next.as_ref().is_some_and(|found| found.start < from) {
                    *next = pattern.find(subject.text, from);
                }
            }
            let first = next.iter().flatten().min_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
            let Some(found) = first.cloned() else { return Ok(findings) };
            from = found.end;
            findings.extend(Finding::by(
                action,
                found,
                &self.replacement,
                "it has a word that is not allowed",
            ));
        }
    }

    fn settled(&self, subject: Subject<'_>) -> usize {
        let settled = self.patterns.iter().map(|pattern| pattern.settled(subject.text, subject.from));
        settled.min().unwrap_or(subject.text.len())
    }
}
