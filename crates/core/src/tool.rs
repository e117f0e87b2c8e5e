//! Functions that a model may call.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::RunContext;
use crate::error::Result;
use crate::message::Part;
use crate::request::ToolSpec;

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
}

impl ToolOutput {
    /// Makes an answer of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Part::text(text)], is_error: false }
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
    /// It must not run twice: a resumed run stops and asks.
    #[default]
    AtMostOnce,
}
