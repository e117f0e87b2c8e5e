//! `llm/vision`: asks a model about images.
//!
//! Knows no provider. What was read of files is a step of the run log, so that a resumed run shows the same images.

use std::sync::Arc;

use async_trait::async_trait;
use motet_agents::call;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::message::{Media, Message, Part, Role};
use motet_core::method::{FileScope, Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::model::Models;
use motet_core::request::{ChatRequest, Sampling};
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{ModelId, RunContext};
use motet_providers::images;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::llm_chat::{content_text, no_model, result};
use super::{given, result_fields};

/// What is asked where nothing is.
const QUESTION: &str = "Describe this image";

/// Asks a model about images.
pub struct LlmVision {
    models: Arc<dyn Models>,
}

impl LlmVision {
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
    parameter("model", ParameterKind::Model, "model to ask; the workflow's model where it is left out"),
    parameter(
        "messages",
        ParameterKind::Array,
        "the conversation: objects with `role`, `content`, and optionally `images`",
    ),
    parameter("prompt", ParameterKind::String, "the question, instead of or after `messages`"),
    parameter("system", ParameterKind::String, "instructions that stand before the conversation"),
    parameter(
        "image_path",
        ParameterKind::String,
        "image file that goes with the last user message; at most 20 MiB",
    ),
    parameter("image_paths", ParameterKind::Array, "several image files, shown in order in one question"),
    parameter(
        "images",
        ParameterKind::Array,
        "images as base64, data URLs, or addresses that the provider fetches",
    ),
    parameter("temperature", ParameterKind::Number, "randomness, usually 0 to 2"),
    parameter("max_tokens", ParameterKind::Integer, "upper limit of output tokens"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    model: Option<ModelId>,
    messages: Vec<WrittenMessage>,
    prompt: Option<String>,
    system: Option<String>,
    image_path: Option<String>,
    image_paths: Vec<String>,
    images: Vec<String>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMessage {
    role: Role,
    content: Value,
    #[serde(default)]
    images: Vec<String>,
}

#[async_trait]
impl Method for LlmVision {
    fn name(&self) -> &'static str {
        "llm/vision"
    }

    fn doc(&self) -> &'static str {
        "Asks a model about images"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`content` and `response` hold the text, `files` the images read from files; beside them the fields of `llm/chat`."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({"type": "object", "properties": result_fields(), "additionalProperties": false})
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let params: Params = given(call.params)?;
        let files: Vec<String> = params.image_path.iter().chain(&params.image_paths).cloned().collect();
        let shown = read(context, &files, &call.files).await?;
        let request = request(params, call.default_model, shown)?;
        let model = self.models.model(&request.model).await?;
        let response = call::chat(context, model.as_ref(), &request, "model").await?;
        Ok(result(&response, &files, None).into())
    }
}

/// Reads image files as a step of the run.
async fn read(context: &RunContext, files: &[String], scope: &FileScope) -> Result<Vec<Media>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let request_hash = &content_hash(&files)?;
    let (kind, effect) = (StepKind::Value, Effect::Pure);
    let step = Step { name: "read", kind, request_hash, effect, label: "images" };
    let (scope, files) = (scope.clone(), files.to_vec());
    let look = || async {
        let read = tokio::task::spawn_blocking(move || {
            files.iter().map(|file| images::from_file(&scope, file)).collect()
        });
        read.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "reading an image broke off").with_source(error)
        })?
    };
    context.observe(step, look).await
}

fn request(params: Params, default_model: Option<ModelId>, files: Vec<Media>) -> Result<ChatRequest> {
    let model = params.model.or(default_model).ok_or_else(no_model)?;
    let mut messages: Vec<Message> = params.system.map(Message::system).into_iter().collect();
    for written in params.messages {
        let mut message = Message::text(written.role, content_text(written.content));
        add(&mut message, decoded(&written.images)?);
        messages.push(message);
    }
    messages.extend(params.prompt.map(Message::user));
    let mut shown = files;
    shown.extend(decoded(&params.images)?);
    if messages.last().is_none_or(|last| last.role != Role::User) {
        messages.push(Message::user(QUESTION));
    }
    if let Some(last) = messages.last_mut() {
        add(last, shown);
    }
    if !messages.iter().flat_map(|message| &message.parts).any(|part| matches!(part, Part::Image(_))) {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is no image to look at")
            .with_hint("give `image_path`, `image_paths`, or `images`"));
    }
    let mut request = ChatRequest::new(model, messages);
    let mut sampling = Sampling::default();
    sampling.temperature = params.temperature;
    request.sampling = sampling;
    request.max_tokens = params.max_tokens;
    Ok(request)
}

fn decoded(written: &[String]) -> Result<Vec<Media>> {
    written.iter().map(|image| images::from_text(image)).collect()
}

/// Puts images before the text of a message, as most models want it.
fn add(message: &mut Message, shown: Vec<Media>) {
    let parts = std::mem::take(&mut message.parts);
    message.parts = shown.into_iter().map(Part::Image).chain(parts).collect();
}
