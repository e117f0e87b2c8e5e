//! `llm/chat`: asks a model.
//!
//! Knows no provider; every model call is a step of the run log, so a resumed task does not pay for it again.

use std::sync::Arc;

use async_trait::async_trait;
use motet_agents::call;
use motet_agents::structured::structured_within;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::message::{Message, Role};
use motet_core::method::{
    FileScope, Method, MethodCall, MethodOutcome, ModelCalls, Parameter, ParameterKind,
};
use motet_core::model::Models;
use motet_core::request::{ChatRequest, JsonSchemaOutput, Output, ReasoningEffort, Sampling};
use motet_core::response::ChatResponse;
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{ModelId, RunContext};
use motet_providers::files;
use motet_providers::layers::cache::CACHED;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The largest text file that is put into a prompt: 4 MiB.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Name of the model call's step below the task's own.
const STEP: &str = "model";

/// Name of the step that reads files.
const FILES: &str = "read";

/// Asks a model with messages, files, and an optional schema of the answer.
pub struct LlmChat {
    models: Arc<dyn Models>,
    max_repairs: u32,
}

impl LlmChat {
    /// Makes the method over the models of a runtime; a structured answer is asked for again at most `max_repairs` times.
    #[must_use]
    pub fn new(models: Arc<dyn Models>, max_repairs: u32) -> Self {
        Self { models, max_repairs }
    }
}

const PARAMETERS: &[Parameter] = &[
    parameter(
        "model",
        ParameterKind::Model,
        "model to ask, as `provider:model`; the workflow's model where it is left out",
    ),
    parameter("messages", ParameterKind::Array, "the conversation: objects with `role` and `content`"),
    parameter("prompt", ParameterKind::String, "one user message, instead of or after `messages`"),
    parameter("system", ParameterKind::String, "instructions that stand before the conversation"),
    parameter("file_path", ParameterKind::String, "text file that is added to the last user message"),
    parameter("files", ParameterKind::Array, "text files that are added to the last user message, in order"),
    parameter(
        "schema",
        ParameterKind::Object,
        "JSON schema that the answer must satisfy; the value is the field `json`",
    ),
    parameter("temperature", ParameterKind::Number, "randomness, usually 0 to 2"),
    parameter("top_p", ParameterKind::Number, "nucleus sampling, 0 to 1"),
    parameter("seed", ParameterKind::Integer, "seed for repeatable answers, where the provider supports it"),
    parameter("max_tokens", ParameterKind::Integer, "upper limit of output tokens"),
    parameter("stop", ParameterKind::Array, "texts that end the answer"),
    parameter("reasoning_effort", ParameterKind::String, "none, minimal, low, medium, high, or xhigh"),
];

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

/// The parameters as they are written in a workflow.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    model: Option<ModelId>,
    messages: Vec<WrittenMessage>,
    prompt: Option<String>,
    system: Option<String>,
    file_path: Option<String>,
    files: Vec<String>,
    schema: Option<Value>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    max_tokens: Option<u32>,
    stop: Vec<String>,
    reasoning_effort: Option<ReasoningEffort>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMessage {
    role: Role,
    content: Value,
}

#[async_trait]
impl Method for LlmChat {
    fn name(&self) -> &'static str {
        "llm/chat"
    }

    fn doc(&self) -> &'static str {
        "Asks a model"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`content` and `response` hold the text, `json` the checked value when there is a `schema`, `files` the files read; beside them `role`, `model`, `provider` and `provider_id`, which are the same, `done`, `total_duration` in nanoseconds where the provider tells it, `finish_reason`, `reasoning`, `usage`, `tokens_used`, and `cost` in dollars, `null` when unknown; `cached` is true where a kept answer was given, which cost nothing."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, params: &Map<String, Value>) -> Value {
        result_schema(params)
    }

    fn model_calls(&self, params: &Map<String, Value>) -> ModelCalls {
        let repairs = if is_given(params, "schema") { u64::from(self.max_repairs) } else { 0 };
        ModelCalls { expected: 1, most: Some(1 + repairs) }
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let given: Map<String, Value> =
            call.params.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let params: Params = serde_json::from_value(Value::Object(given)).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("the parameters do not fit: {error}"))
        })?;
        let files: Vec<String> = params.file_path.iter().chain(&params.files).cloned().collect();
        let texts = read(context, &files, &call.files).await?;
        let request = request(params, call.default_model, &files, texts)?;
        let model = self.models.model(&request.model).await?;
        if matches!(request.output, Output::Text) {
            let response = call::chat(context, model.as_ref(), &request, STEP).await?;
            return Ok(result(&response, &files, None).into());
        }
        let (value, response) =
            structured_within(context, model.as_ref(), request, STEP, self.max_repairs).await?;
        Ok(result(&response, &files, Some(value)).into())
    }
}

/// Reads files; their texts are a step of the run, so that a resumed or replayed run asks the same.
pub(super) async fn read(context: &RunContext, files: &[String], scope: &FileScope) -> Result<Vec<String>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let request_hash = &content_hash(&files)?;
    let (kind, effect) = (StepKind::Value, Effect::Pure);
    let step = Step { name: FILES, kind, request_hash, effect, label: "texts of files" };
    let (scope, files) = (scope.clone(), files.to_vec());
    let look = || async {
        let read = tokio::task::spawn_blocking(move || {
            files.iter().map(|file| files::read_text(&scope, file, MAX_FILE_BYTES)).collect()
        });
        read.await
            .map_err(|error| Error::new(ErrorKind::Internal, "reading a file broke off").with_source(error))?
    };
    context.observe(step, look).await
}

fn request(
    params: Params,
    default_model: Option<ModelId>,
    files: &[String],
    texts: Vec<String>,
) -> Result<ChatRequest> {
    let model = params.model.or(default_model).ok_or_else(no_model)?;
    let mut messages = Vec::new();
    messages.extend(params.system.map(Message::system));
    for written in params.messages {
        messages.push(Message::text(written.role, content_text(written.content)));
    }
    messages.extend(params.prompt.map(Message::user));
    for (path, text) in files.iter().zip(texts) {
        add_file(&mut messages, path, &text);
    }
    if messages.iter().all(|message| message.role == Role::System) {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is nothing to ask")
            .with_hint("give `messages`, `prompt`, or `file_path`"));
    }
    let mut request = ChatRequest::new(model, messages);
    let mut sampling = Sampling::default();
    (sampling.temperature, sampling.top_p, sampling.seed) = (params.temperature, params.top_p, params.seed);
    request.sampling = sampling;
    request.max_tokens = params.max_tokens;
    request.stop = params.stop;
    request.reasoning_effort = params.reasoning_effort;
    if let Some(schema) = params.schema {
        request.output =
            Output::JsonSchema(JsonSchemaOutput { name: "answer".to_owned(), schema, strict: true });
    }
    Ok(request)
}

pub(super) fn no_model() -> Error {
    Error::new(
        ErrorKind::Configuration,
        "the task names no model, and neither does the workflow nor the settings",
    )
    .with_hint("write `model:` in the workflow, or give `--model`, for example `--model offline:extract`")
}

/// A message's content is a text, or anything that is shown to the model as JSON.
pub(super) fn content_text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

pub(super) fn add_file(messages: &mut Vec<Message>, path: &str, text: &str) {
    let material = format!("File content from {path}:\n{text}");
    match messages.last_mut() {
        Some(last) if last.role == Role::User => {
            let asked = last.visible_text();
            *last = Message::user(format!("{asked}\n\n{material}"));
        }
        _ => messages.push(Message::user(material)),
    }
}

/// The shape of the result: `response` and `content` hold the text, `json` the structured answer, `files` what was read.
pub(super) fn result(response: &ChatResponse, files: &[String], value: Option<Value>) -> Value {
    let text = response.text();
    let usage = response.usage.unwrap_or_default();
    let mut result = json!({
        "response": text,
        "content": text,
        "role": "assistant",
        "model": response.model,
        "provider": response.model.provider(),
        "provider_id": response.model.provider(),
        "done": true,
        "total_duration": response.metadata.get("total_duration"),
        "finish_reason": response.finish_reason,
        "usage": response.usage,
        "tokens_used": usage.total(),
        "cost": response.cost.map(motet_core::Cost::dollars),
        "files": files,
    });
    if let Some(fields) = result.as_object_mut() {
        let reasoning = response.message.reasoning_text();
        if !reasoning.is_empty() {
            fields.insert("reasoning".to_owned(), json!(reasoning));
        }
        if let Some(cached) = response.metadata.get(CACHED) {
            fields.insert(CACHED.to_owned(), cached.clone());
        }
        if let Some(value) = value {
            fields.insert("json".to_owned(), value);
        }
    }
    result
}

fn is_given(params: &Map<String, Value>, name: &str) -> bool {
    params.get(name).is_some_and(|value| !value.is_null())
}

/// Gives the schema of [`result`]; a `schema` that is a reference says nothing of the field `json`.
fn result_schema(params: &Map<String, Value>) -> Value {
    let text = || json!({"type": "string"});
    let count = || json!({"type": "integer"});
    let mut fields = json!({
        "response": text(),
        "content": text(),
        "role": text(),
        "model": text(),
        "provider": text(),
        "provider_id": text(),
        "done": {"type": "boolean"},
        "total_duration": {"type": ["integer", "null"]},
        "finish_reason": true,
        "usage": {"type": ["object", "null"]},
        "tokens_used": count(),
        "cost": {"type": ["number", "null"]},
        "files": {"type": "array", "items": text()},
        "reasoning": text(),
        CACHED: {"type": "boolean"},
    });
    if let (Some(fields), true) = (fields.as_object_mut(), is_given(params, "schema")) {
        let wanted = params.get("schema").filter(|schema| schema.is_object());
        fields.insert("json".to_owned(), wanted.cloned().unwrap_or(Value::Bool(true)));
    }
    json!({"type": "object", "properties": fields, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use motet_core::message::Message;
    use motet_core::response::{ChatResponse, FinishReason};

    use super::*;

    #[test]
    fn the_schema_of_the_result_names_exactly_the_fields_that_results_have() {
        let params = json!({"schema": {"type": "object", "properties": {"a": {"type": "integer"}}}});
        let schema = result_schema(params.as_object().unwrap());
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties["json"], params["schema"]);
        let response = ChatResponse::new(
            "offline:extract".parse().unwrap(),
            Message::assistant("hello"),
            FinishReason::Stop,
        );
        let result = result(&response, &["a.txt".to_owned()], Some(json!({"a": 1})));
        let unnamed: Vec<_> =
            result.as_object().unwrap().keys().filter(|name| !properties.contains_key(*name)).collect();
        assert_eq!(unnamed, Vec::<&String>::new());
        let plain = result_schema(&Map::new());
        assert!(plain["properties"].get("json").is_none());
    }
}
