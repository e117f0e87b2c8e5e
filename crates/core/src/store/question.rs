//! What a task asks people, as a store keeps it with the answer.

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Question};
use crate::error::{Error, ErrorKind};
use crate::id::{Millis, RunId};

/// A question of a task and, when there is one, its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedQuestion {
    /// The run.
    pub run: RunId,
    /// Number of the task.
    pub task: u32,
    /// What is asked.
    #[serde(flatten)]
    pub question: Question,
    /// The answer; `None` while nobody has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Decision>,
    /// When it was asked.
    pub asked_at: Millis,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Millis>,
}

impl AskedQuestion {
    /// Tells whether nobody has decided yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answer.is_none()
    }
}

pub(super) fn unsupported(store: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("tasks in the store `{store}` cannot wait for people"))
        .with_hint("use `sqlite:PATH`, or `memory:` for one process")
}
