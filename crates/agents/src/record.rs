//! Records of what runs were asked, did, and answered, for whoever judges them later.
//!
//! A record is derived from the run log and the result, so that failures keep their tools, tokens, and history too.
//! Judges nothing, and knows no file but those that a store writes.

mod derive;
mod sink;
mod store;

use motet_core::Usage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use sink::{Mask, RecordSink, SinkOptions};
pub use store::{CallbackStore, JsonlStore, MultiStore, RecordStore};

/// One run: what it was given, what it did, and what came of it.
///
/// Texts and JSON of the run stand in fields that are masked whole; numbers are counts of Motet's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EvalRecord {
    /// Id of the record.
    pub id: String,
    /// Id of the run.
    pub run_id: String,
    /// The id by which the caller's own systems know the work; the run's where there is none.
    pub correlation_id: String,
    /// When it began, as RFC 3339 in UTC.
    pub timestamp: String,
    /// Text of the last message of the user before the run.
    pub user_message: String,
    /// The instructions; empty where there were none.
    pub system_prompt: String,
    /// The model that was asked, as `provider:model`.
    pub model: String,
    /// The whole conversation as far as it went, the final answer included.
    pub messages_snapshot: Vec<Value>,
    /// Name of the agent.
    pub agent_name: Option<String>,
    /// What the agent is for.
    pub agent_description: Option<String>,
    /// The model of the agent.
    pub agent_model: Option<String>,
    /// The instructions of the agent.
    pub agent_system_prompt: Option<String>,
    /// Names of the agent's tools.
    pub agent_tools: Vec<String>,
    /// Model calls that a run of the agent may make.
    pub agent_max_tool_iterations: Option<u32>,
    /// The final text; of a run that failed, the last text there was.
    pub final_response: String,
    /// The checked value, where JSON was asked for by a schema.
    pub structured_output: Option<Value>,
    /// The last answer of the model with all its facts.
    pub raw_response: Option<Value>,
    /// How many tool calls were answered.
    pub tool_calls_made: u32,
    /// Every tool call with its arguments and answer, in the order asked.
    pub tool_execution_history: Vec<Value>,
    /// Names of the tools that the model was told of.
    pub tools_available: Vec<String>,
    /// Milliseconds from beginning to end.
    pub latency_ms: f64,
    /// Tokens of all model calls.
    pub tokens_used: Tokens,
    /// What all model calls cost in US dollars; null when a price is unknown.
    pub estimated_cost_usd: Option<f64>,
    /// Whether the run did what it should.
    pub success: bool,
    /// Kind of the error that ended it.
    pub error_type: Option<String>,
    /// The error that ended it.
    pub error_message: Option<String>,
    /// How it ended: `completed`, `failed`, or an agent's outcome.
    pub outcome: String,
    /// Tokens of all model calls by kind.
    pub usage: Usage,
    /// The steps of the run in the order they began.
    pub steps: Vec<RecordedStep>,
    /// Labels of the request, such as the expected answer of a test.
    pub metadata: Map<String, Value>,
}

/// Tokens by the names that evaluation tools use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tokens {
    /// Input, cached input included.
    pub prompt: u64,
    /// Output, reasoning included.
    pub completion: u64,
    /// Both together.
    pub total: u64,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RecordedStep {
    /// Its place in the run.
    pub step: String,
    /// What kind of step: `model`, `tool`, …
    pub kind: String,
    /// What it is, for people: a model, a tool, a method.
    pub label: String,
    /// How it ended: `done`, `failed`, or `unknown`.
    pub status: String,
    /// Milliseconds it took; null where its end is unknown.
    pub duration_ms: Option<u64>,
}

impl EvalRecord {
    /// Masks every text and every piece of JSON of the run; counts, and the names of fields of this type, stay.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "every field stands once, and nothing else does")]
    pub fn masked(self, mask: &dyn Fn(Value) -> Value) -> Self {
        let text = |text: String| match mask(Value::String(text)) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let texts = |list: Vec<String>| list.into_iter().map(text).collect();
        let values = |list: Vec<Value>| list.into_iter().map(mask).collect();
        // Every field is named, so that a new one cannot be forgotten here.
        let Self {
            id,
            run_id,
            correlation_id,
            timestamp,
            user_message,
            system_prompt,
            model,
            messages_snapshot,
            agent_name,
            agent_description,
            agent_model,
            agent_system_prompt,
            agent_tools,
            agent_max_tool_iterations,
            final_response,
            structured_output,
            raw_response,
            tool_calls_made,
            tool_execution_history,
            tools_available,
            latency_ms,
            tokens_used,
            estimated_cost_usd,
            success,
            error_type,
            error_message,
            outcome,
            usage,
            steps,
            metadata,
        } = self;
        let step = |step: RecordedStep| RecordedStep {
            step: text(step.step),
            kind: step.kind,
            label: text(step.label),
            status: step.status,
            duration_ms: step.duration_ms,
        };
        let metadata = match mask(Value::Object(metadata)) {
            Value::Object(fields) => fields,
            other => Map::from_iter([("masked".to_owned(), other)]),
        };
        Self {
            id: text(id),
            run_id: text(run_id),
            correlation_id: text(correlation_id),
            timestamp,
            user_message: text(user_message),
            system_prompt: text(system_prompt),
            model: text(model),
            messages_snapshot: values(messages_snapshot),
            agent_name: agent_name.map(text),
            agent_description: agent_description.map(text),
            agent_model: agent_model.map(text),
            agent_system_prompt: agent_system_prompt.map(text),
            agent_tools: texts(agent_tools),
            agent_max_tool_iterations,
            final_response: text(final_response),
            structured_output: structured_output.map(mask),
            raw_response: raw_response.map(mask),
            tool_calls_made,
            tool_execution_history: values(tool_execution_history),
            tools_available: texts(tools_available),
            latency_ms,
            tokens_used,
            estimated_cost_usd,
            success,
            error_type,
            error_message: error_message.map(text),
            outcome,
            usage,
            steps: steps.into_iter().map(step).collect(),
            metadata,
        }
    }

    /// Adds labels, such as the expected answer of a test.
    #[must_use]
    pub fn with_metadata(mut self, labels: Map<String, Value>) -> Self {
        self.metadata.extend(labels);
        self
    }

    /// Sets the checked value of an answer.
    #[must_use]
    pub fn with_value(mut self, value: Option<Value>) -> Self {
        self.structured_output = value;
        self
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }
}

#[cfg(test)]
mod tests;
