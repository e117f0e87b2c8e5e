//! Functions that a model may call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::RunContext;
use crate::error::Result;
use crate::message::Part;
use crate::request::ToolSpec;
use crate::usage::{Cost, Usage};

/// A function that a model may call: a Rust closure, a Python callable, an MCP tool, an agent, or a program.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Gives the name, description, and schema that the model sees.
    fn spec(&self) -> &ToolSpec;

    /// Runs the tool.
    ///
    /// # Errors
    /// Any error becomes a result that tells the model what went wrong; `Cancelled` ends the run instead.
    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput>;

    /// Tells what happens when the tool runs twice; see [`Effect`].
    fn effect(&self) -> Effect {
        Effect::AtMostOnce
    }

    /// Gives the longest time the tool may take; the agent's own limit where `None`.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Tells whether a person must agree before this call is made.
    fn needs_approval(&self, _arguments: &Value) -> bool {
        false
    }

    /// Finds out what became of a call that began before a crash; asked only of tools whose effect is
    /// [`Effect::Reconcile`].
    ///
    /// # Errors
    /// Any error counts as not knowing.
    async fn reconcile(&self, _arguments: &Value, _context: &ToolContext<'_>) -> Result<Reconciled> {
        Ok(Reconciled::Unknown)
    }
}

/// Where tools come from that may change, such as a server.
#[async_trait]
pub trait ToolSource: Send + Sync {
    /// Gives its name, for people and errors.
    fn name(&self) -> &str;

    /// Gives the tools that there are now.
    ///
    /// # Errors
    /// Whatever keeps the source from telling.
    async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>>;
}

/// What became of a call that began before a crash.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reconciled {
    /// It took effect, and this is its result.
    Done(ToolOutput),
    /// It did not take effect, so that it may be made.
    NotDone,
    /// Nobody knows but a person.
    Unknown,
}

/// What a tool knows about the call it answers.
#[derive(Debug, Clone, Copy)]
pub struct ToolContext<'a> {
    /// The run it belongs to.
    pub run: &'a RunContext,
    /// The id of the call.
    pub call_id: &'a str,
    /// A key that is the same for every attempt at this call, for other services to recognise repeats by.
    pub idempotency_key: &'a str,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Parts shown to the model.
    pub content: Vec<Part>,
    /// True when the answer tells of a failure.
    #[serde(default)]
    pub is_error: bool,
    /// What models used to make the answer, where the tool is an agent; it counts for the agent that called it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
}

/// What models used together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens.
    pub usage: Usage,
    /// Price; `None` as soon as one is unknown.
    pub cost: Option<Cost>,
}

impl ToolOutput {
    /// Makes an answer of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Part::text(text)], is_error: false, spent: None }
    }

    /// Makes an answer of a value: a text as it is, anything else as JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::text(text.clone()),
            other => Self::text(other.to_string()),
        }
    }

    /// Makes an answer that tells of a failure.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }
}

/// What happens when an effect runs twice, which decides what a resumed run does after a crash in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It changes nothing outside; it is simply run again.
    Pure,
    /// It recognises a repeat by its idempotency key; it is run again with the same key.
    Idempotent,
    /// The tool can find out itself whether it took effect; see [`Tool::reconcile`].
    Reconcile,
    /// It must not run twice: a resumed run stops and asks.
    #[default]
    AtMostOnce,
}
