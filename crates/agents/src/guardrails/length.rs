//! How long a text may be.

use async_trait::async_trait;
use motet_core::{Result, RunContext};

use super::spec::Actions;
use super::{Action, Finding, Guardrail, Place, Subject};

/// Bounds the characters of each text: a message's text, a visible answer, an argument, a tool's result.
///
/// Redacting cuts what is too much and says so. Streams that are cut show each piece at once; those that are blocked are
/// held back until they are whole.
#[derive(Debug, Clone)]
pub struct Length {
    characters: usize,
    actions: Actions,
}

impl Length {
    /// Allows so many characters; longer input is blocked, and everything else is cut.
    #[must_use]
    pub fn of_characters(characters: usize) -> Self {
        Self { characters, actions: Actions::all(Action::Redact).input(Action::Block) }
    }

    /// Says what is done where.
    #[must_use]
    pub fn actions(mut self, actions: Actions) -> Self {
        self.actions = actions;
        self
    }
}

#[async_trait]
impl Guardrail for Length {
    fn name(&self) -> &str {
        "length"
    }

    fn holds_at(&self, place: Place) -> bool {
        self.actions.at(place) != Action::Off
    }

    async fn inspect(&self, _: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>> {
        let (rest, left) = (subject.rest(), self.characters.checked_sub(subject.passed));
        let Some((at, _)) = rest.char_indices().nth(left.unwrap_or(0)) else { return Ok(Vec::new()) };
        let notice = match left {
            Some(_) => format!("[cut after {} characters]", self.characters),
            None => String::new(),
        };
        let span = subject.from + at..subject.text.len();
        let reason = format!("it is longer than {} characters", self.characters);
        Ok(Finding::by(self.actions.at(subject.place), span, &notice, &reason).into_iter().collect())
    }

    fn settled(&self, subject: Subject<'_>) -> usize {
        match self.actions.at(subject.place) {
            Action::Redact | Action::Off => subject.text.len(),
            Action::Block | Action::AskAgain => subject.from,
        }
    }
}
