//! `llm/complete` and `llm/generate`: goes on with one text.
//!
//! The same call as `llm/chat` with one message; knows no provider.

use std::sync::Arc;

use async_trait::async_trait;
use motet_agents::call;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::message::Message;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::model::Models;
use motet_core::request::{ChatRequest, Sampling};
use motet_core::tool::Effect;
use motet_core::{ModelId, RunContext};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::llm_chat::{no_model, result};
use super::{given, result_fields};

/// Goes on with a text.
pub struct LlmComplete {
    name: &'static str,
    models: Arc<dyn Models>,
}

impl LlmComplete {
    /// Makes `llm/complete` over the models of a runtime.
    #[must_use]
    pub fn new(models: Arc<dyn Models>) -> Self {
        Self { name: "llm/complete", models }
    }

    /// Makes `llm/generate`, another name of the same.
    #[must_use]
    pub fn generate(models: Arc<dyn Models>) -> Self {
        Self { name: "llm/generate", models }
    }
}

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    Parameter { name: "prompt", kind: ParameterKind::String, required: true, doc: "the text to go on with" },
    parameter("model", ParameterKind::Model, "model to ask; the workflow's model where it is left out"),
    parameter("system", ParameterKind::String, "instructions that stand before the text"),
    parameter("temperature", ParameterKind::Number, "randomness, usually 0 to 2"),
    parameter("top_p", ParameterKind::Number, "nucleus sampling, 0 to 1"),
    parameter("seed", ParameterKind::Integer, "seed for repeatable answers, where the provider supports it"),
    parameter("max_tokens", ParameterKind::Integer, "upper limit of output tokens"),
    parameter("stop", ParameterKind::Array, "texts that end the answer"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    prompt: String,
    model: Option<ModelId>,
    system: Option<String>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    max_tokens: Option<u32>,
    #[serde(default)]
    stop: Vec<String>,
}

#[async_trait]
impl Method for LlmComplete {
    fn name(&self) -> &str {
        self.name
    }

    fn doc(&self) -> &'static str {
        if self.name == "llm/generate" {
            "Another name of `llm/complete`"
        } else {
            "Asks a model to go on with a text"
        }
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`text`, `content`, and `response` hold the answer; beside them the fields of `llm/chat`."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        let mut fields = result_fields();
        fields.insert("text".to_owned(), json!({"type": "string"}));
        json!({"type": "object", "properties": fields, "additionalProperties": false})
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let params: Params = given(call.params)?;
        if params.prompt.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "`prompt` is empty").with_hint("give a text"));
        }
        let model = params.model.or(call.default_model).ok_or_else(no_model)?;
        let messages = params.system.map(Message::system).into_iter().chain([Message::user(params.prompt)]);
        let mut request = ChatRequest::new(model, messages.collect());
        let mut sampling = Sampling::default();
        (sampling.temperature, sampling.top_p, sampling.seed) =
            (params.temperature, params.top_p, params.seed);
        request.sampling = sampling;
        request.max_tokens = params.max_tokens;
        request.stop = params.stop;
        let model = self.models.model(&request.model).await?;
        let response = call::chat(context, model.as_ref(), &request, "model").await?;
        let mut result = result(&response, &[], None);
        if let Some(fields) = result.as_object_mut() {
            fields.insert("text".to_owned(), response.text().into());
        }
        Ok(result.into())
    }
}
