//! Patterns: the ways in which agents work together, as rows.
//!
//! A pattern is one file below this one and one row in [`rows`]. It knows no store: its model calls are steps of the run
//! log that it is given, so every pattern resumes and replays alike.

use std::sync::Arc;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{Method, MethodCall, MethodOutcome, ModelCalls, Parameter, ParameterKind};
use motet_core::model::Models;
use motet_core::tool::Effect;
use motet_core::usage::{Cost, Usage};
use motet_core::{ModelId, RunContext};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub mod pipeline;

/// One way in which agents work together.
#[async_trait]
pub trait Pattern: Send + Sync {
    /// Gives the name, such as `pipeline`; its method is `pattern/<name>`.
    fn name(&self) -> &'static str;

    /// Gives one line for lists and help.
    fn doc(&self) -> &'static str;

    /// Gives the options it takes beside `input` and `model`.
    fn options(&self) -> &'static [Parameter];

    /// Tells how often it asks a model with these options; unless it says so, only that it asks at least once.
    fn model_calls(&self, _options: &Map<String, Value>) -> ModelCalls {
        ModelCalls { expected: 1, most: None }
    }

    /// Runs it.
    ///
    /// # Errors
    /// `InvalidRequest` when the options do not fit; `Cancelled` and `Timeout` as the context says. A failing agent is no
    /// error: the result's outcome tells it and keeps what was reached.
    async fn run(&self, context: &RunContext, call: PatternCall) -> Result<PatternResult>;
}

/// What one run of a pattern is given.
pub struct PatternCall {
    /// The task in words.
    pub input: String,
    /// The pattern's options.
    pub options: Map<String, Value>,
    /// Model of the agents that name none.
    pub model: Option<ModelId>,
    /// Finds models.
    pub models: Arc<dyn Models>,
}

/// What a pattern gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatternResult {
    /// The answer; what was reached when the outcome is not `completed`.
    pub final_output: String,
    /// Rounds made.
    pub iterations: u32,
    /// Who said what, in order.
    pub interactions: Vec<Interaction>,
    /// Facts of the pattern's own.
    pub metadata: Map<String, Value>,
    /// Tokens of all model calls.
    pub usage: Usage,
    /// Money of all model calls; `None` when a price is unknown.
    pub cost: Option<Cost>,
    /// How it ended: `completed`, `limit_reached`, or `failed`.
    pub outcome: PatternOutcome,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<motet_core::error::ErrorReport>,
}

/// How a pattern ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatternOutcome {
    /// It reached its end.
    Completed,
    /// A limit ended it.
    LimitReached,
    /// An agent failed.
    Failed,
}

/// One agent's turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Which agent.
    pub agent: String,
    /// What it was given.
    pub input: String,
    /// What it said.
    pub output: String,
}

/// One row: how a pattern is made.
pub struct PatternRow {
    /// Makes the pattern.
    pub make: fn() -> Arc<dyn Pattern>,
}

/// Every pattern.
const ROWS: &[PatternRow] = &[PatternRow { make: || Arc::new(pipeline::Pipeline) }];

/// Gives every pattern.
#[must_use]
pub fn rows() -> &'static [PatternRow] {
    ROWS
}

/// A pattern as a method of workflows, `pattern/<name>`.
pub struct PatternMethod {
    name: String,
    parameters: Vec<Parameter>,
    pattern: Arc<dyn Pattern>,
    models: Arc<dyn Models>,
}

const COMMON: [Parameter; 2] = [
    Parameter { name: "input", kind: ParameterKind::String, required: true, doc: "the task in words" },
    Parameter {
        name: "model",
        kind: ParameterKind::Model,
        required: false,
        doc: "model of the agents that name none",
    },
];

impl PatternMethod {
    /// Makes the method over the models of a runtime.
    #[must_use]
    pub fn new(pattern: Arc<dyn Pattern>, models: Arc<dyn Models>) -> Self {
        let parameters = COMMON.iter().chain(pattern.options()).copied().collect();
        Self { name: format!("pattern/{}", pattern.name()), parameters, pattern, models }
    }
}

#[async_trait]
impl Method for PatternMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn doc(&self) -> &str {
        self.pattern.doc()
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn result(&self) -> &str {
        "`final_output` (also `content` and `response`) holds the answer; beside it `outcome`, `iterations`, `interactions`, `metadata`, `usage`, and `cost` in dollars, `null` when unknown."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        let text = || json!({"type": "string"});
        let interaction = json!({
            "type": "object",
            "properties": {"agent": text(), "input": text(), "output": text()},
            "additionalProperties": false,
        });
        json!({
            "type": "object",
            "properties": {
                "final_output": text(),
                "content": text(),
                "response": text(),
                "outcome": text(),
                "iterations": {"type": "integer"},
                "interactions": {"type": "array", "items": interaction},
                "metadata": {"type": "object"},
                "usage": {"type": "object"},
                "cost": {"type": ["number", "null"]},
                "error": {"type": "object"},
            },
            "additionalProperties": false,
        })
    }

    fn model_calls(&self, params: &Map<String, Value>) -> ModelCalls {
        self.pattern.model_calls(params)
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let mut options = call.params;
        let input = match options.remove("input") {
            Some(Value::String(text)) => text,
            Some(other) if !other.is_null() => other.to_string(),
            _ => {
                return Err(Error::new(ErrorKind::InvalidRequest, "`input` is missing")
                    .with_hint("say what is to be done"));
            }
        };
        let model = match options.remove("model") {
            Some(Value::String(text)) => Some(text.parse()?),
            _ => call.default_model,
        };
        let call = PatternCall { input, options, model, models: Arc::clone(&self.models) };
        let result = self.pattern.run(context, call).await?;
        if let (PatternOutcome::Failed, Some(error)) = (result.outcome, &result.error) {
            return Err(Error::from(error.clone()).with_context("pattern", self.pattern.name()));
        }
        let mut value = serde_json::to_value(&result).map_err(|error| {
            Error::new(ErrorKind::Internal, "a result cannot be written as JSON").with_source(error)
        })?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("response".to_owned(), json!(result.final_output));
            fields.insert("content".to_owned(), json!(result.final_output));
            fields.insert("cost".to_owned(), json!(result.cost.map(Cost::dollars)));
        }
        Ok(value.into())
    }
}
