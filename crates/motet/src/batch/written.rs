//! Reads requests of a batch as people and other programs write them: one JSON object each.
//!
//! Sends nothing.

use std::time::Duration;

use motet_agents::batch::BatchRequest;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::request::{ReasoningEffort, Sampling};
use motet_core::settings::duration;
use motet_core::{ChatRequest, Message, ModelId, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::written;

/// What requests have that do not say it themselves.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Defaults {
    /// The model.
    pub model: Option<ModelId>,
    /// Instructions above the conversation.
    pub system: Option<String>,
    /// JSON schema of the answer.
    pub schema: Option<Value>,
}

/// A request as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Option<Value>,
    model: Option<ModelId>,
    prompt: Option<String>,
    messages: Option<Value>,
    system: Option<String>,
    tools: Option<Value>,
    tool_choice: Option<Value>,
    schema: Option<Value>,
    timeout: Option<Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
    key: Option<String>,
    max_tokens: Option<u32>,
    #[serde(default)]
    stop: Vec<String>,
    reasoning_effort: Option<ReasoningEffort>,
    #[serde(default)]
    extra: Map<String, Value>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    seed: Option<i64>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
}

/// Reads a request: `prompt` or `messages`, and beside them any of `id`, `model`, `system`, `schema`, `tools`,
/// `tool_choice`, `timeout`, `metadata`, `key`, `max_tokens`, `stop`, `reasoning_effort`, `extra`, and sampling options.
///
/// # Errors
/// `InvalidRequest` with what is wrong; `Configuration` when no model is named.
pub fn request(written: Value, defaults: &Defaults) -> Result<BatchRequest> {
    let mut written: Written = serde_json::from_value(written).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("the request cannot be read: {error}"))
    })?;
    let model = written.model.take().or_else(|| defaults.model.clone()).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "the request names no `model`")
            .with_hint("write it as `provider:model`, or give a model for all requests")
    })?;
    let mut request = ChatRequest::new(model, messages(&mut written, defaults)?);
    if let Some(schema) = written.schema.take().or_else(|| defaults.schema.clone()) {
        request.output = written::schema(schema);
    }
    if let Some(tools) = written.tools.take() {
        request.tools = written::tools(tools)?;
    }
    if let Some(choice) = &written.tool_choice {
        request.tool_choice = written::tool_choice(choice)?;
    }
    request.sampling = sampling(&written);
    request.max_tokens = written.max_tokens;
    request.stop = written.stop;
    request.reasoning_effort = written.reasoning_effort;
    request.extra = written.extra;
    let mut item = BatchRequest::new(request);
    item.id = written.id.map(id).transpose()?;
    item.timeout = written.timeout.as_ref().map(timeout).transpose()?;
    item.metadata = written.metadata;
    item.key = written.key;
    Ok(item)
}

fn sampling(written: &Written) -> Sampling {
    let mut sampling = Sampling::default();
    sampling.temperature = written.temperature;
    sampling.top_p = written.top_p;
    sampling.top_k = written.top_k;
    sampling.seed = written.seed;
    sampling.frequency_penalty = written.frequency_penalty;
    sampling.presence_penalty = written.presence_penalty;
    sampling
}

fn messages(written: &mut Written, defaults: &Defaults) -> Result<Vec<Message>> {
    let mut messages = match (written.prompt.take(), written.messages.take()) {
        (Some(prompt), None) => vec![Message::user(prompt)],
        (None, Some(messages)) => written::messages(messages)?,
        (Some(_), Some(_)) => return Err(wrong("the request has both `prompt` and `messages`")),
        (None, None) => return Err(wrong("the request has neither `prompt` nor `messages`")),
    };
    let has_own = messages.iter().any(|message| message.role == Role::System);
    let system = written.system.take().or_else(|| defaults.system.clone().filter(|_| !has_own));
    if let Some(system) = system {
        messages.insert(0, Message::system(system));
    }
    Ok(messages)
}

fn id(written: Value) -> Result<String> {
    match written {
        Value::String(id) if !id.is_empty() => Ok(id),
        Value::Number(id) => Ok(id.to_string()),
        other => Err(wrong(format!("`{other}` cannot be the `id` of a request"))),
    }
}

fn timeout(written: &Value) -> Result<Duration> {
    let text = match written {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match duration::parse(&text) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong(format!("`{text}` cannot be the `timeout` of a request"))
            .with_hint("write seconds as a number, or a text such as `30s` or `2m`")),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use motet_core::request::Output;
    use serde_json::json;

    use super::*;

    fn defaults() -> Defaults {
        Defaults { model: Some("offline:extract".parse().unwrap()), ..Defaults::default() }
    }

    #[test]
    fn every_field_of_a_request_has_its_effect() {
        let written = json!({
            "id": 7, "model": "openai:gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "system": "Be short.",
            "tools": [{"name": "look", "parameters": {"type": "object"}}], "tool_choice": "look",
            "schema": {"type": "object"}, "timeout": "1.5s", "metadata": {"a": 1}, "key": "k", "max_tokens": 9,
            "stop": ["\n"], "reasoning_effort": "low", "extra": {"user": "u"}, "temperature": 0.5, "top_p": 0.4,
            "top_k": 3, "seed": 2, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        });
        let item = request(written, &defaults()).unwrap();
        let asked = &item.request;
        assert_eq!((item.id.as_deref(), item.key.as_deref()), (Some("7"), Some("k")));
        assert_eq!(
            (item.timeout, item.metadata["a"].clone()),
            (Some(Duration::from_millis(1_500)), json!(1))
        );
        assert_eq!(asked.model.to_string(), "openai:gpt-4o");
        assert_eq!(asked.messages, [Message::system("Be short."), Message::user("Hi")]);
        assert_eq!((asked.tools[0].name.as_str(), asked.max_tokens, asked.stop.len()), ("look", Some(9), 1));
        assert!(matches!(asked.output, Output::JsonSchema(_)));
        assert_eq!(asked.reasoning_effort, Some(ReasoningEffort::Low));
        assert_eq!(asked.extra["user"], "u");
        let sampling = serde_json::to_value(&asked.sampling).unwrap();
        let expected = json!({"temperature": 0.5, "top_p": 0.4, "top_k": 3, "seed": 2, "frequency_penalty": 0.1, "presence_penalty": 0.2});
        assert_eq!(sampling, expected);
    }

    #[test]
    fn what_a_request_does_not_say_is_said_for_all() {
        let mut all = defaults();
        all.system = Some("Be kind.".to_owned());
        all.schema = Some(json!({"type": "object"}));
        let item = request(json!({"prompt": "Hi"}), &all).unwrap();
        assert_eq!(item.request.messages, [Message::system("Be kind."), Message::user("Hi")]);
        assert!(matches!(item.request.output, Output::JsonSchema(_)));
        let own =
            json!({"messages": [{"role": "system", "content": "No."}, {"role": "user", "content": "Hi"}]});
        assert_eq!(request(own, &all).unwrap().request.messages[0], Message::system("No."));
    }

    #[test]
    fn a_request_that_makes_no_sense_is_refused_with_the_reason() {
        for (written, message) in [
            (json!({"prompt": "Hi", "promt": 1}), "unknown field `promt`"),
            (json!([1]), "the request cannot be read: "),
            (json!({}), "neither `prompt` nor `messages`"),
            (json!({"prompt": "a", "messages": []}), "both `prompt` and `messages`"),
            (json!({"prompt": "a", "timeout": "soon"}), "`soon` cannot be the `timeout`"),
            (json!({"prompt": "a", "timeout": 0}), "`0` cannot be the `timeout`"),
            (json!({"prompt": "a", "id": {}}), "`{}` cannot be the `id`"),
            (json!({"messages": [{"role": "user"}]}), "message 1 cannot be read"),
        ] {
            let error = request(written, &defaults()).unwrap_err();
            assert!(error.message().contains(message), "{error}");
        }
        let error = request(json!({"prompt": "a"}), &Defaults::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}
