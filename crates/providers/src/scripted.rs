//! `scripted:`: a model that answers from a list, a file, or a function; the test double that users get too.
//!
//! Needs no network and costs nothing. Knows nothing of the layers and agents that are tested with it.

mod answer;
mod file;
mod keys;
mod log;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::event::{failing_stream, ready_stream};
use motet_core::{
    ChatRequest, ChatResponse, Delivery, Error, ErrorKind, EventStream, Model, ModelId, Result, RunContext,
    StreamEvent,
};

pub use self::answer::Answer;
use self::log::CallLog;
use crate::offline::reply::deliver;

/// Name of the provider in model ids such as `scripted:answers.json`.
pub const PROVIDER: &str = "scripted";

/// A model whose answers are written beforehand.
///
/// Answers with a condition are rules: they are looked at first, in order, and serve any number of calls. The others
/// are given once each, in order, whichever thread asks.
///
/// ```
/// use motet_core::{ChatRequest, Message, RunContext, model::chat};
/// use motet_providers::scripted::{Answer, ScriptedModel};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let model = ScriptedModel::answers([Answer::text("Good morning."), Answer::text("Bye.").when_contains("bye")]);
/// let ask = |text: &str| ChatRequest::new("scripted:test".parse().unwrap(), vec![Message::user(text)]);
/// assert_eq!(chat(&model, &RunContext::new(), &ask("bye")).await?.text(), "Bye.");
/// assert_eq!(chat(&model, &RunContext::new(), &ask("hello")).await?.text(), "Good morning.");
/// assert_eq!(model.requests().len(), 2);
/// # Ok::<(), motet_core::Error>(())
/// # }).unwrap();
/// ```
pub struct ScriptedModel {
    source: Source,
    log: Option<CallLog>,
    requests: Option<Mutex<Vec<ChatRequest>>>,
}

type Function = dyn Fn(&ChatRequest) -> Result<ChatResponse> + Send + Sync;

enum Source {
    Script(Script),
    Function(Box<Function>),
}

/// Answers and where the next one stands.
struct Script {
    rules: Vec<Arc<Answer>>,
    sequence: Vec<Arc<Answer>>,
    next: Mutex<usize>,
    on_exhausted: OnExhausted,
}

/// What happens when every answer has been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnExhausted {
    /// The call fails.
    #[default]
    Error,
    /// The last answer is given again.
    RepeatLast,
    /// The answers start over.
    Cycle,
}

impl ScriptedModel {
    /// Makes a model that gives these answers; it keeps every request for [`requests`](Self::requests).
    #[must_use]
    pub fn answers(answers: impl IntoIterator<Item = impl Into<Answer>>) -> Self {
        let script = Script::new(answers.into_iter().map(Into::into).collect(), OnExhausted::Error);
        Self { source: Source::Script(script), log: None, requests: Some(Mutex::default()) }
    }

    /// Makes a model that asks a function; its answer is passed on as it is, usage and cost included.
    ///
    /// [`Answer::respond`] makes an answer with estimated usage. The model keeps every request for
    /// [`requests`](Self::requests).
    #[must_use]
    pub fn from_fn(function: impl Fn(&ChatRequest) -> Result<ChatResponse> + Send + Sync + 'static) -> Self {
        let source = Source::Function(Box::new(function));
        Self { source, log: None, requests: Some(Mutex::default()) }
    }

    /// Reads a script; the id is `scripted:` and the path of a JSON file, relative to `base_dir`.
    ///
    /// The file holds `answers`, and may hold `on_exhausted` (`error`, `repeat_last` or `cycle`) and `log`, a path
    /// relative to the script's own directory, to which one line of JSON is appended before each call is answered.
    /// An answer has `text`, `json`, `"echo": true` or `tool_result`, the name of a tool whose last result is repeated,
    /// and/or `tool_calls`; or it has `error`. Beside that stand `when`, `delay_ms`, `usage`, `reasoning`,
    /// `finish_reason`, and `cut_after`. Requests are not kept in memory.
    ///
    /// # Errors
    /// `Configuration` with file, line and column when the file cannot be read or says something unknown.
    pub fn from_file(id: &ModelId, base_dir: &Path) -> Result<Self> {
        if id.provider() != PROVIDER {
            return Err(Error::new(ErrorKind::Configuration, format!("`{id}` is not a scripted model"))
                .with_hint("write it as `scripted:PATH.json`"));
        }
        let path = base_dir.join(id.model());
        let script = file::read(&path)?;
        let log = script.log.map(|log| CallLog::open(&path.parent().unwrap_or(base_dir).join(log)));
        Ok(Self {
            source: Source::Script(Script::new(script.answers, script.on_exhausted)),
            log: log.transpose()?,
            requests: None,
        })
    }

    /// Sets what happens when every answer has been given; without effect on a function.
    #[must_use]
    pub fn on_exhausted(mut self, on_exhausted: OnExhausted) -> Self {
        if let Source::Script(script) = &mut self.source {
            script.on_exhausted = on_exhausted;
        }
        self
    }

    /// Appends one line of JSON to a file before each call is answered, so that calls can be counted across
    /// processes and crashes: `at_ms`, `step`, `request_hash`, `streamed`.
    ///
    /// # Errors
    /// `Configuration` when the file cannot be opened.
    pub fn with_log(mut self, path: &Path) -> Result<Self> {
        self.log = Some(CallLog::open(path)?);
        Ok(self)
    }

    /// Gives the requests of all calls so far; empty for a model read from a file.
    #[must_use]
    pub fn requests(&self) -> Vec<ChatRequest> {
        let requests = self.requests.as_ref().map(|all| all.lock().unwrap_or_else(PoisonError::into_inner));
        requests.map(|all| all.clone()).unwrap_or_default()
    }

    fn note(&self, context: &RunContext, request: &ChatRequest, delivery: Delivery) -> Result<()> {
        if let Some(requests) = &self.requests {
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        }
        self.log.as_ref().map_or(Ok(()), |log| log.append(context, request, delivery))
    }
}

#[async_trait]
impl Model for ScriptedModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        context.check()?;
        self.note(context, request, delivery)?;
        let script = match &self.source {
            Source::Function(function) => return Ok(ready_stream(deliver(&function(request)?, delivery))),
            Source::Script(script) => script,
        };
        let answer = script.choose(request)?;
        wait(context, answer.delay).await?;
        let events = deliver(&answer.respond(request)?, delivery);
        match answer.cut_after {
            None => Ok(ready_stream(events)),
            Some(characters) => Ok(failing_stream(cut(events, characters), cut_error(request, characters))),
        }
    }
}

impl Script {
    fn new(answers: Vec<Answer>, on_exhausted: OnExhausted) -> Self {
        let (rules, sequence) = answers.into_iter().map(Arc::new).partition(|answer| answer.when.is_some());
        Self { rules, sequence, next: Mutex::new(0), on_exhausted }
    }

    fn choose(&self, request: &ChatRequest) -> Result<Arc<Answer>> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.applies(request)) {
            return Ok(Arc::clone(rule));
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.sequence.len();
        let place = match self.on_exhausted {
            OnExhausted::Error => *next,
            OnExhausted::RepeatLast => (*next).min(count.saturating_sub(1)),
            OnExhausted::Cycle => next.checked_rem(count).unwrap_or(0),
        };
        let answer = self.sequence.get(place).map(Arc::clone).ok_or_else(|| self.exhausted(request))?;
        *next += 1;
        Ok(answer)
    }

    fn exhausted(&self, request: &ChatRequest) -> Error {
        let rules = match self.rules.len() {
            0 => String::new(),
            count => format!(", and none of {count} rules applies"),
        };
        let message = match self.sequence.len() {
            0 => format!("the script has no answer for this call{rules}"),
            count => format!("all {count} answers of the script have been given{rules}"),
        };
        Error::new(ErrorKind::Configuration, message)
            .with_model(request.model.clone())
            .with_hint("add answers, or set `on_exhausted` to `repeat_last` or `cycle`")
    }
}

/// Waits as the answer says, but no longer than the run may last.
async fn wait(context: &RunContext, delay: Duration) -> Result<()> {
    if delay.is_zero() {
        return Ok(());
    }
    let shorter = context.remaining().filter(|remaining| *remaining < delay);
    tokio::select! {
        () = context.cancellation().cancelled() => context.check(),
        () = tokio::time::sleep(shorter.unwrap_or(delay)) => match shorter {
            Some(_) => Err(Error::new(ErrorKind::Timeout, context.deadline_message())),
            None => Ok(()),
        },
    }
}

/// Keeps the events up to this number of visible characters, and nothing that ends the answer.
fn cut(events: Vec<StreamEvent>, characters: usize) -> Vec<StreamEvent> {
    let mut left = characters;
    let mut kept = Vec::new();
    for mut event in events {
        match &mut event {
            StreamEvent::TextDelta { text, .. }
            | StreamEvent::ReasoningDelta { text, .. }
            | StreamEvent::ToolCallDelta { arguments: text, .. } => {
                if let Some((end, _)) = text.char_indices().nth(left) {
                    text.truncate(end);
                    if left > 0 {
                        kept.push(event);
                    }
                    return kept;
                }
                left -= text.chars().count();
            }
            StreamEvent::Finished { .. } => return kept,
            _ => {}
        }
        kept.push(event);
    }
    kept
}

fn cut_error(request: &ChatRequest, characters: usize) -> Error {
    let message = format!("the scripted answer breaks off after {characters} characters");
    Error::new(ErrorKind::Truncated, message).with_provider(PROVIDER).with_model(request.model.clone())
}

#[cfg(test)]
mod tests;
