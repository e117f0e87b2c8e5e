//! `offline:extract`: a deterministic, extractive model that needs no network and says that it is no language model.
//!
//! It summarises by ranking sentences, answers questions with the best-matching ones, and fills JSON schemas with
//! values drawn from the text. Everything it says stands in the text it was given, except three fixed sentences for
//! when nothing does. Reads no files and no clock, and opens no connection.

mod answer;
mod blocks;
mod clean;
mod dates;
mod embed;
mod facts;
mod material;
mod people;
mod prose;
mod rank;
pub(crate) mod reply;
mod schema;
mod sentences;
mod summary;
mod task;
mod topics;
mod wanted;
mod wish;
mod words;

use async_trait::async_trait;
use motet_core::event::ready_stream;
use motet_core::message::ToolCall;
use motet_core::request::{Output, ToolChoice, ToolSpec};
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, Error, ErrorKind, EventStream, FinishReason, Message, Model,
    ModelId, Part, Result, Role, RunContext, Usage,
};

use self::material::Material;
use self::reply::{answer_tokens, deliver, request_tokens};
use self::task::Task;

/// Name of the provider in model ids.
pub const PROVIDER: &str = "offline";

/// Name of the one model of this provider.
pub const MODEL: &str = "extract";

const NOTE: &str =
    "offline:extract is not a language model; it selects sentences and facts from the text it is given";

/// Characters from which the work is moved off the thread that serves other calls.
const LARGE: u64 = 100_000;

/// The model `offline:extract`.
///
/// The work grows in proportion to the text: on one core and in a release build, 10 MB take about 2 s for a summary or
/// an answer and about 3 s for a schema of seven properties. Usage is an estimate
/// of one token for four characters, rounded up; the cost is zero. Sampling options have no effect, as the same
/// request always has the same answer; `max_tokens` and `stop` are kept. Tools are never called unless the request
/// says that one must be.
///
/// ```
/// use motet_core::{ChatRequest, Message, RunContext, model::chat};
/// use motet_providers::offline::OfflineExtract;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let id = "offline:extract".parse()?;
/// let model = OfflineExtract::new(&id)?;
/// let text = "Who has the key?\n\nThe ferry leaves at noon. Ada Quill has the key.";
/// let answer = chat(&model, &RunContext::new(), &ChatRequest::new(id, vec![Message::user(text)])).await?;
/// assert_eq!(answer.text(), "Ada Quill has the key.");
/// assert_eq!(answer.metadata.get("model_kind"), Some(&"extractive".into()));
/// # Ok::<(), motet_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct OfflineExtract(());

impl OfflineExtract {
    /// Makes the model for an id.
    ///
    /// # Errors
    /// `Configuration` where the id is not `offline:extract`.
    pub fn new(id: &ModelId) -> Result<Self> {
        if id.provider() == PROVIDER && id.model() == MODEL {
            return Ok(Self(()));
        }
        Err(Error::new(ErrorKind::Configuration, format!("`{id}` is not a model that works offline"))
            .with_hint(format!("the only one is `{PROVIDER}:{MODEL}`")))
    }
}

/// Estimates the tokens of a request, as the model's usage does.
#[must_use]
pub fn count_tokens(request: &ChatRequest) -> u64 {
    request_tokens(request)
}

#[async_trait]
impl Model for OfflineExtract {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        context.check()?;
        let response = if request_tokens(request) * 4 < LARGE {
            respond(request)
        } else {
            let request = request.clone();
            let work = tokio::task::spawn_blocking(move || respond(&request));
            work.await.map_err(|error| {
                Error::new(ErrorKind::Internal, "reading the text was interrupted").with_source(error)
            })?
        };
        let response = response.map_err(|error| {
            error.with_provider(PROVIDER).with_model(request.model.clone()).with_operation("chat")
        })?;
        Ok(ready_stream(deliver(&response, delivery)))
    }
}

fn respond(request: &ChatRequest) -> Result<ChatResponse> {
    let task = Task::read(request)?;
    // An instruction without a text is all the text there is, but a question does not answer itself.
    let is_bare = task.material.is_empty() && !task.instruction.trim_end().ends_with('?');
    let material = Material::read(if is_bare { &task.instruction } else { &task.material });
    let (part, reason) = match forced_tool(request, &task)? {
        Some(tool) => (tool_call(tool, &material, &task, request.messages.len())?, FinishReason::ToolCalls),
        None => {
            let (text, reason) = written(request, &task, &material)?;
            (Part::text(text), reason)
        }
    };
    let parts = vec![part];
    let usage = Usage::new(request_tokens(request), answer_tokens(&parts));
    let message = Message { role: Role::Assistant, parts };
    let mut response = ChatResponse::new(request.model.clone(), message, reason);
    response.usage = Some(usage);
    response.cost = Some(Cost::ZERO);
    response.metadata.insert("model_kind".into(), "extractive".into());
    response.metadata.insert("note".into(), NOTE.into());
    Ok(response)
}

/// Gives the tool that must be called: the one named, or the one whose description shares most words with the task.
fn forced_tool<'a>(request: &'a ChatRequest, task: &Task) -> Result<Option<&'a ToolSpec>> {
    let missing = |message: String| {
        Error::new(ErrorKind::InvalidRequest, message).with_hint("list the tool in the request's tools")
    };
    match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::None => Ok(None),
        ToolChoice::Tool(name) => {
            let tool = request.tools.iter().find(|tool| tool.name == *name);
            tool.map(Some)
                .ok_or_else(|| missing(format!("the tool `{name}` must be called but is not offered")))
        }
        ToolChoice::Required => {
            let asked = words::stems(&task.instruction);
            let shared = |tool: &ToolSpec| {
                let own =
                    words::stems(&format!("{} {}", tool.name.replace(['_', '-'], " "), tool.description));
                own.iter().filter(|stem| asked.contains(stem)).count()
            };
            let best = request.tools.iter().rev().max_by_key(|tool| shared(tool));
            best.map(Some).ok_or_else(|| missing("a tool must be called but none is offered".into()))
        }
    }
}

fn tool_call(tool: &ToolSpec, material: &Material, task: &Task, messages: usize) -> Result<Part> {
    let arguments = schema::fill(&tool.parameters, material, &task.instruction)
        .map_err(|error| error.with_context("tool", tool.name.clone()))?;
    Ok(Part::ToolCall(ToolCall {
        id: format!("call_{messages}_1"),
        name: tool.name.clone(),
        arguments: arguments.to_string(),
        minted: false,
        opaque: None,
    }))
}

/// Writes the answer and cuts it where the request says so.
fn written(request: &ChatRequest, task: &Task, material: &Material) -> Result<(String, FinishReason)> {
    let most = request
        .max_tokens
        .map_or(usize::MAX, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(4));
    let (text, reason) = match &request.output {
        Output::JsonSchema(output) => {
            let text = schema::fill(&output.schema, material, &task.instruction)?.to_string();
            cut(text, most)
        }
        _ => {
            let (pieces, wish) = prose::answer(task, material);
            let whole = summary::join(&pieces, wish);
            // Whole sentences are kept as long as they fit; only a single one that is too long is cut inside.
            let fitting = (1..=pieces.len()).rev().filter_map(|count| pieces.get(..count));
            let fitting =
                fitting.map(|pieces| summary::join(pieces, wish)).find(|text| text.chars().count() <= most);
            match fitting {
                Some(text) if text == whole => (text, FinishReason::Stop),
                Some(text) => (text, FinishReason::Length),
                None => cut(whole, most),
            }
        }
    };
    let stop =
        request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min();
    match stop.and_then(|at| text.get(..at)) {
        Some(before) => Ok((before.to_owned(), FinishReason::Stop)),
        None => Ok((text, reason)),
    }
}

fn cut(text: String, most: usize) -> (String, FinishReason) {
    match text.char_indices().nth(most) {
        None => (text, FinishReason::Stop),
        Some((end, _)) => (text.get(..end).unwrap_or_default().trim_end().to_owned(), FinishReason::Length),
    }
}

#[cfg(test)]
mod tests;
