//! Looks at what a model says before anybody sees it: guardrails, and hooks that change answers.
//!
//! Sits between the recorded step and the model, so that log, listeners, and streams only ever hold what passed.

use std::sync::Arc;

use motet_core::{ChatResponse, Error, ErrorKind, Message, Model, Result, RunContext, ToolOutput};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;

/// Name under which a verdict stands in the metadata of an answer, and so in the log.
pub(crate) const VERDICT: &str = "guardrail";

/// Why an answer is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The guardrail that holds it back.
    pub(crate) guardrail: String,
    /// Why, in words that a model may read.
    pub(crate) reason: String,
    /// True to ask the model for another answer, false to end the run.
    pub(crate) ask_again: bool,
}

impl Verdict {
    /// Gives the verdict on an answer; `None` for one that nobody objects to.
    pub(crate) fn of(response: &ChatResponse) -> Option<Self> {
        let verdict = response.metadata.get(VERDICT)?;
        serde_json::from_value(verdict.clone()).ok()
    }

    pub(crate) fn error(&self) -> Error {
        Error::new(
            ErrorKind::Blocked,
            format!("the guardrail `{}` held the answer back: {}", self.guardrail, self.reason),
        )
    }

    pub(crate) fn request_for_rewrite(&self) -> String {
        format!("Your answer was held back: {}. Answer again without that.", self.reason)
    }
}

/// Looks at what a run is given; gives the messages where they must be changed.
pub(crate) async fn reviewed_input(
    _agent: &Agent,
    _context: &RunContext,
    _messages: &[Message],
) -> Result<Option<Vec<Message>>> {
    Ok(None)
}

/// Looks at what a tool answered, before it is recorded and shown to the model.
pub(crate) async fn reviewed_result(
    _agent: &Agent,
    _context: &RunContext,
    _tool: &str,
    output: ToolOutput,
) -> Result<ToolOutput> {
    Ok(output)
}

/// Gives the model as an agent may be heard through it.
pub(crate) fn reviewed(_agent: &Agent, model: Arc<dyn Model>) -> Arc<dyn Model> {
    model
}
