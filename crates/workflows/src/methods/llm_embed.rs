//! `llm/embed`: gives the vectors of texts.
//!
//! Knows no provider. The vectors are the task's result and are not kept in the run log beside it.

use std::sync::Arc;

use async_trait::async_trait;
use motet_core::embedding::{EmbedPurpose, EmbedRequest};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::StreamEvent;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::model::Models;
use motet_core::tool::Effect;
use motet_core::{ModelId, RunContext};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::given;
use super::llm_chat::no_model;

/// Gives vectors.
pub struct LlmEmbed {
    models: Arc<dyn Models>,
}

impl LlmEmbed {
    /// Makes the method over the models of a runtime.
    #[must_use]
    pub fn new(models: Arc<dyn Models>) -> Self {
        Self { models }
    }
}

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    parameter("text", ParameterKind::String, "one text"),
    parameter("texts", ParameterKind::Array, "several texts, instead of `text`"),
    parameter("prompt", ParameterKind::String, "another name of `text`"),
    parameter("model", ParameterKind::Model, "model to ask; the workflow's model where it is left out"),
    parameter(
        "dimensions",
        ParameterKind::Integer,
        "length of the vectors, where the model can shorten them",
    ),
    parameter("purpose", ParameterKind::String, "query, document, similarity, classification, or clustering"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    text: Option<String>,
    texts: Option<Vec<String>>,
    prompt: Option<String>,
    model: Option<ModelId>,
    dimensions: Option<u32>,
    purpose: Option<EmbedPurpose>,
}

#[async_trait]
impl Method for LlmEmbed {
    fn name(&self) -> &'static str {
        "llm/embed"
    }

    fn doc(&self) -> &'static str {
        "Gives the vectors of texts"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`embeddings` holds one vector for each text, `embedding` the first of them; beside them `dimensions`, `model`, `provider_id`, `usage`, `tokens_used`, and `cost` in dollars, `null` when unknown."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        let vector = || json!({"type": "array", "items": {"type": "number"}});
        json!({
            "type": "object",
            "properties": {
                "embedding": vector(),
                "embeddings": {"type": "array", "items": vector()},
                "dimensions": {"type": "integer"},
                "model": {"type": "string"},
                "provider_id": {"type": "string"},
                "usage": {"type": ["object", "null"]},
                "tokens_used": {"type": "integer"},
                "cost": {"type": ["number", "null"]},
            },
            "additionalProperties": false,
        })
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        context.check()?;
        let params: Params = given(call.params)?;
        let inputs = match (params.text.or(params.prompt), params.texts) {
            (Some(text), None) => vec![text],
            (None, Some(texts)) if !texts.is_empty() => texts,
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorKind::InvalidRequest, "both `text` and `texts` are given")
                    .with_hint("keep one of them"));
            }
            _ => {
                return Err(Error::new(ErrorKind::InvalidRequest, "there is no text")
                    .with_hint("give `text`, or several as `texts`"));
            }
        };
        let mut request =
            EmbedRequest::new(params.model.or(call.default_model).ok_or_else(no_model)?, inputs);
        (request.dimensions, request.purpose) = (params.dimensions, params.purpose);
        let embedder = self.models.embedder(&request.model).await?;
        let (step, model) = (context.key("embed"), request.model.clone());
        context.emit(&StreamEvent::ModelCallStarted { step: step.clone(), model: model.clone() });
        let response = embedder.embed(context, &request).await?;
        let (usage, cost) = (response.usage.map(Box::new), response.cost);
        context.emit(&StreamEvent::ModelCallEnded { step, model, usage, cost, replayed: false });
        let vectors: Vec<Value> = response.embeddings.iter().map(|vector| written(vector)).collect();
        let first = vectors.first().cloned().unwrap_or_default();
        Ok(json!({
            "dimensions": first.as_array().map_or(0, Vec::len),
            "embedding": first,
            "embeddings": vectors,
            "model": response.model,
            "provider_id": response.model.provider(),
            "usage": response.usage,
            "tokens_used": response.usage.unwrap_or_default().total(),
            "cost": response.cost.map(motet_core::Cost::dollars),
        })
        .into())
    }
}

/// Writes a vector with as few digits as tell its numbers apart: widening them first would write twice as many.
fn written(vector: &[f32]) -> Value {
    let number = |number: &f32| number.to_string().parse::<f64>().map_or(Value::Null, Value::from);
    vector.iter().map(number).collect()
}
