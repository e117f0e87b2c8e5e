//! `agent/run`: an agent's whole run as one task, whose steps are steps of the task.
//!
//! The loop is that of `motet_agents`; its journal is the task's, so a task that starts again goes on where it stopped.

use std::sync::Arc;

use async_trait::async_trait;
use motet_agents::{Outcome, Prompt};
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{FileScope, Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::model::Models;
use motet_core::tool::Effect;
use serde_json::{Map, Value, json};

use crate::agent::{AgentFile, bounded};
use crate::runtime::Runtime;

/// Runs agents.
pub(super) struct AgentRun {
    runtime: Runtime,
    models: Arc<dyn Models>,
}

impl AgentRun {
    pub(super) fn new(runtime: Runtime, models: Arc<dyn Models>) -> Self {
        Self { runtime, models }
    }

    /// Gives the agent that is meant; its relative paths start in the directory of its file, or in the workflow's.
    async fn agent(&self, params: &Map<String, Value>, scope: &FileScope) -> Result<AgentFile> {
        let given = |name: &str| params.get(name).filter(|value| !value.is_null());
        match (given("file").and_then(Value::as_str), given("agent")) {
            (Some(file), None) => {
                let (scope, file, runtime) = (scope.clone(), file.to_owned(), self.runtime.clone());
                let read = tokio::task::spawn_blocking(move || {
                    runtime.read_agent_within(&scope, file.as_ref()).map_err(Error::from)
                });
                read.await.map_err(|error| {
                    Error::new(ErrorKind::Internal, "reading the agent broke off").with_source(error)
                })?
            }
            (None, Some(written)) => {
                let file = Runtime::read_agent_value(written).map_err(Error::from)?;
                Ok(AgentFile { path: scope.base.join("agent"), ..file })
            }
            (Some(_), Some(_)) => {
                Err(invalid("both `file` and `agent` are given").with_hint("keep one of them"))
            }
            (None, None) => {
                Err(invalid("there is no agent")
                    .with_hint("name its file as `file`, or write it out as `agent`"))
            }
        }
    }
}

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    parameter("file", ParameterKind::String, "file of the agent, relative to the workflow's directory"),
    parameter(
        "agent",
        ParameterKind::Definition,
        "the agent itself, instead of `file`, with the keys of such a file; no value is filled in there",
    ),
    Parameter {
        name: "input",
        kind: ParameterKind::Any,
        required: true,
        doc: "what it is asked: a text, or anything else as JSON",
    },
    parameter(
        "variables",
        ParameterKind::Object,
        "values for the template of its instructions; they win over the file's",
    ),
    parameter("model", ParameterKind::Model, "model in the place of the one that its file names"),
];

#[async_trait]
impl Method for AgentRun {
    fn name(&self) -> &'static str {
        "agent/run"
    }

    fn doc(&self) -> &'static str {
        "Runs an agent to its end, or until a person must decide"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "The result of the agent: `text` (also `content` and `response`) holds the answer, `value` the checked value where its file asks for one; beside them `outcome`, `messages`, `tool_history`, `model_calls`, `model`, `usage`, and `cost` in dollars, `null` when unknown."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        let text = || json!({"type": "string"});
        json!({
            "type": "object",
            "properties": {
                "text": text(), "content": text(), "response": text(), "outcome": text(), "value": true,
                "messages": {"type": "array"}, "tool_history": {"type": "array"}, "model_calls": {"type": "integer"},
                "model": text(), "usage": {"type": "object"}, "cost": {"type": ["number", "null"]},
            },
            "required": ["text", "content", "response", "outcome"],
        })
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let params = call.params;
        let mut file = self.agent(&params, &call.files).await?;
        let model = params.get("model").filter(|model| !model.is_null());
        if let Some(model) = model.and_then(Value::as_str) {
            file.spec.model = Some(model.parse()?);
        }
        if file.spec.model.is_none() {
            file.spec.model = call.default_model;
        }
        if let Some(Value::Object(variables)) = params.get("variables") {
            file.spec.variables.extend(variables.clone());
        }
        let input = match params.get("input") {
            Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
            None | Some(Value::Null | Value::String(_)) => {
                return Err(invalid("`input` is empty").with_hint("give what the agent is asked"));
            }
            Some(other) => other.to_string(),
        };
        let (spec, surroundings) = self.runtime.whole_within(&file, Some(&call.files))?;
        let agent = self.runtime.build_agent(context, &spec, &surroundings).await?;
        let model = self.models.model(agent.model()).await?;
        let context = bounded(context.clone(), Some(&spec));
        let result = motet_agents::run(&context, &agent, model, Prompt::from(input)).await;
        match (&result.outcome, result.error()) {
            (Outcome::Waiting, _) if !result.questions.is_empty() => {
                Ok(MethodOutcome::Waiting { questions: result.questions, at_most: None })
            }
            (Outcome::Cancelled, error) => {
                Err(error.unwrap_or_else(|| Error::new(ErrorKind::Cancelled, "the agent was cancelled")))
            }
            // What it did so far is paid for: it is not tried again by itself, and goes on when a person resumes the run.
            (_, Some(error)) => Ok(MethodOutcome::GivenUp(error)),
            (_, None) => {
                let cost = result.cost.map(motet_core::Cost::dollars);
                let text = result.text.clone();
                let mut written = serde_json::to_value(result).map_err(|error| {
                    Error::new(ErrorKind::Internal, "a result cannot be written as JSON").with_source(error)
                })?;
                if let Some(fields) = written.as_object_mut() {
                    fields.insert("content".to_owned(), text.clone().into());
                    fields.insert("response".to_owned(), text.into());
                    fields.insert("cost".to_owned(), json!(cost));
                }
                Ok(written.into())
            }
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
