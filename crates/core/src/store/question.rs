//! What a task asks people, as a store keeps it with the answer.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::SharedStore;
use crate::decision::{Decision, Decisions, Question};
use crate::error::{Error, ErrorKind, Result};
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

/// Reads answers from a store, and asks somebody else where there is none.
pub struct StoredDecisions {
    store: SharedStore,
    run: RunId,
    others: Option<Arc<dyn Decisions>>,
}

impl StoredDecisions {
    /// Answers the questions of a run.
    #[must_use]
    pub fn new(store: SharedStore, run: RunId, others: Option<Arc<dyn Decisions>>) -> Self {
        Self { store, run, others }
    }
}

#[async_trait]
impl Decisions for StoredDecisions {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        // An answer that was given to another question of this place is none to this one.
        let stored = self.store.questions(Some(&self.run)).await?;
        let stored = stored.into_iter().find(|asked| asked.question == *question);
        if let Some(answer) = stored.and_then(|asked| asked.answer) {
            return Ok(Some(answer));
        }
        match &self.others {
            Some(others) => others.decide(question).await,
            None => Ok(None),
        }
    }
}
