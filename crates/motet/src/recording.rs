//! Single calls that are kept in the store as runs of their own, and what is done with recorded runs.
//!
//! A recorded call has its journal under a lease like a workflow's task, so a crash leaves it to be resumed. A call that is
//! not recorded touches nothing of this.

mod compare;
mod export;
mod redaction;
mod replay;

use std::sync::Arc;

use futures::StreamExt as _;
use motet_agents::call;
use motet_agents::structured::structured_within;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::{EventSink, EventStream, StreamEvent};
use motet_core::model::Model;
use motet_core::run_log::{MemoryLog, StoredLog};
use motet_core::store::{Claim, ClaimRequest, Control, NewRun, NewTask, Outcome, Run, RunState, SharedStore};
use motet_core::{ChatRequest, ChatResponse, RunContext, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use compare::{RunDifference, compare};
pub use redaction::Redaction;
pub use replay::Replayed;

use crate::lease::Lease;
use crate::report;
use crate::runtime::{Runtime, STEP};

/// The kind under which single calls are stored.
pub const KIND: &str = "call";

/// Name of the only task of a recorded call.
const TASK: &str = "call";

/// Queue of recorded calls, which workers of workflows do not look at.
const QUEUE: &str = "calls";

/// What a recorded call does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CallDefinition {
    pub(crate) request: ChatRequest,
    pub(crate) form: Form,
    /// How often a structured answer may be asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_repairs: Option<u32>,
}

/// What a recorded call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// An answer.
    Chat,
    /// A checked JSON value and its answer.
    Structured,
}

impl CallDefinition {
    /// Makes the call as steps of the context's run.
    pub(crate) async fn perform(&self, context: &RunContext, model: &dyn Model) -> Result<Answered> {
        match self.form {
            Form::Chat => {
                let response = call::chat(context, model, &self.request, STEP).await?;
                Ok(Answered { json: None, response })
            }
            Form::Structured => {
                let (request, repairs) = (self.request.clone(), self.max_repairs.unwrap_or_default());
                let (json, response) = structured_within(context, model, request, STEP, repairs).await?;
                Ok(Answered { json: Some(json), response })
            }
        }
    }
}

/// What a recorded call gave.
pub(crate) struct Answered {
    pub(crate) json: Option<Value>,
    pub(crate) response: ChatResponse,
}

impl Answered {
    /// Gives the form in which it is stored as the result of the run.
    pub(crate) fn output(&self) -> Value {
        let mut output = json!({"text": self.response.text(), "response": self.response});
        if let (Some(fields), Some(json)) = (output.as_object_mut(), &self.json) {
            fields.insert("json".to_owned(), json.clone());
        }
        output
    }
}

/// Makes calls that are kept in the store; see [`Runtime::recorder`].
#[derive(Clone)]
pub struct Recorder(Runtime);

impl Runtime {
    /// Gives what makes calls as [`complete`](Self::complete), [`structured`](Self::structured), and
    /// [`stream`](Self::stream) do, and keeps each in the store as a run, whatever the setting `record.calls` says.
    ///
    /// The run has the id of the context, so that each call needs a context of its own; called again with the same
    /// context or id and the same request, it is answered from the store, or goes on where it was interrupted. A call
    /// below a child context is a run with an id of its own.
    ///
    /// ```
    /// use motet::{ChatRequest, Message, RunContext, Runtime};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let runtime = Runtime::with_defaults()?;
    /// # let runtime = runtime.with_store(motet::persistence::open("memory:")?)?;
    /// let question = "Who wrote the letter?\n\nThe letter was written by Ada Brook.";
    /// let request = ChatRequest::new("offline:extract".parse()?, vec![Message::user(question)]);
    /// let context = RunContext::new();
    /// let response = runtime.recorder().complete(&context, &request).await?;
    /// let report = runtime.report(context.run_id()).await?;
    /// assert_eq!(report.outputs["text"], response.text());
    /// # Ok::<(), motet::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder(self.clone())
    }

    /// Gives what keeps calls in the store, where the settings ask for it and the context's run is not kept already.
    pub(crate) fn recorder_for(&self, context: &RunContext) -> Option<Recorder> {
        (self.settings().record.calls && !context.log().keeps_requests()).then(|| self.recorder())
    }
}

impl Recorder {
    /// Asks a model and waits for the whole answer.
    ///
    /// # Errors
    /// As [`Runtime::complete`], `Store` when the call cannot be kept, and `Conflict` when the context's run is kept with
    /// another request.
    pub async fn complete(&self, context: &RunContext, request: &ChatRequest) -> Result<ChatResponse> {
        let definition = CallDefinition { request: request.clone(), form: Form::Chat, max_repairs: None };
        Ok(self.answer(context, definition).await?.response)
    }

    /// Asks a model for JSON by the schema in the request, checks it, and asks again within the settings' bound.
    ///
    /// # Errors
    /// As [`Runtime::structured`] and [`complete`](Self::complete).
    pub async fn structured(
        &self,
        context: &RunContext,
        request: ChatRequest,
    ) -> Result<(Value, ChatResponse)> {
        let max_repairs = Some(self.0.settings().structured.max_repairs);
        let definition = CallDefinition { request, form: Form::Structured, max_repairs };
        let answered = self.answer(context, definition).await?;
        Ok((answered.json.unwrap_or_default(), answered.response))
    }

    /// Asks a model and gives the answer's events as they come; a stream that is not read to its end fails the run.
    ///
    /// # Errors
    /// `Configuration` when the model cannot be found, and `Store` and `Conflict` as [`complete`](Self::complete); every
    /// other failure is the stream's last item.
    pub async fn stream(&self, context: &RunContext, request: ChatRequest) -> Result<EventStream> {
        let model = self.0.models().model(&request.model).await?;
        let definition = CallDefinition { request, form: Form::Chat, max_repairs: None };
        let kept = self.keep(context, &definition).await?;
        let events = call::open(&kept.context, model, definition.request, STEP);
        let state = (events, Some(kept));
        Ok(Box::pin(futures::stream::unfold(state, |(mut events, mut kept)| async move {
            let event = events.next().await;
            let ended = match &event {
                Some(Ok(_)) => return event.map(|event| (event, (events, kept))),
                Some(Err(error)) => Outcome::Failed { error: error.report(), chance: 0.0 },
                None => match kept.as_ref().map(Kept::streamed) {
                    Some(outcome) => outcome,
                    None => return None,
                },
            };
            if let Some(kept) = kept.take() {
                kept.end(ended).await;
            }
            event.map(|event| (event, (events, kept)))
        })))
    }

    async fn answer(&self, context: &RunContext, definition: CallDefinition) -> Result<Answered> {
        let model = self.0.models().model(&definition.request.model).await?;
        let kept = self.keep(context, &definition).await?;
        perform(kept, &definition, model.as_ref()).await
    }

    /// Stores a call that begins, or finds it stored.
    async fn keep(&self, context: &RunContext, definition: &CallDefinition) -> Result<Kept> {
        let store = self.0.store().await?;
        let id = if context.step_name().is_empty() { context.run_id().clone() } else { RunId::new() };
        let run = new_run(id.clone(), definition)?;
        let stored = run.definition.clone();
        match store.submit(run).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let known = store.run(&id).await?.ok_or(error)?;
                if known.summary.kind != KIND || known.definition != stored {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!("run `{id}` is kept with another request"),
                    )
                    .with_hint("make a context of its own for every call"));
                }
                if known.summary.state == RunState::Completed {
                    return Kept::ended(context, store, id).await;
                }
                make_ready(&store, &known).await?;
            }
            Err(error) => return Err(error),
        }
        Kept::begin(&self.0, context, id, definition).await
    }
}

async fn perform(kept: Kept, definition: &CallDefinition, model: &dyn Model) -> Result<Answered> {
    let answered = definition.perform(&kept.context, model).await;
    let outcome = match &answered {
        Ok(answered) => Outcome::Done { output: answered.output() },
        Err(error) => Outcome::Failed { error: error.report(), chance: 0.0 },
    };
    kept.end(outcome).await;
    answered
}

/// Goes on with a stored call that was interrupted or failed.
pub(crate) async fn resume(
    runtime: &Runtime,
    run: Run,
    events: Option<Arc<dyn EventSink>>,
    cancellation: &CancellationToken,
) -> Result<()> {
    if run.summary.state.is_ended() {
        return Ok(());
    }
    let definition: CallDefinition = definition(run.definition)?;
    let mut context = RunContext::with_log(run.summary.id.clone(), Arc::new(MemoryLog::default()))
        .with_cancellation(cancellation.clone());
    if let Some(events) = events {
        context = context.with_events(events);
    }
    let model = runtime.models().model(&definition.request.model).await?;
    let kept = Kept::begin(runtime, &context, run.summary.id, &definition).await?;
    match perform(kept, &definition, model.as_ref()).await {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        // How it failed stands in the run.
        _ => Ok(()),
    }
}

pub(crate) fn definition(value: Value) -> Result<CallDefinition> {
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::Store, "the stored call cannot be read")
            .with_hint("it may come from another version of Motet")
            .with_source(error)
    })
}

fn new_run(id: RunId, definition: &CallDefinition) -> Result<NewRun> {
    let task = NewTask { queue: QUEUE.to_owned(), ..NewTask::named(TASK.to_owned()) };
    let written = serde_json::to_value(definition).map_err(|error| {
        Error::new(ErrorKind::Internal, "a call cannot be written as JSON").with_source(error)
    })?;
    let name = definition.request.model.to_string();
    Ok(NewRun { id, definition: written, ..NewRun::new(KIND, name, vec![task]) })
}

/// Takes back what a dead process held, and makes a failed call ready again.
async fn make_ready(store: &SharedStore, run: &Run) -> Result<()> {
    store.advance().await?;
    if run.summary.state.is_ended() {
        store.control(&run.summary.id, Control::Resume).await?;
    }
    Ok(())
}

/// A call in hand, whose steps go to its journal.
struct Kept {
    context: RunContext,
    /// The lease, while there is one: a call that has ended is only told again.
    lease: Option<Lease>,
}

impl Kept {
    /// Tells an ended call again from its journal.
    async fn ended(context: &RunContext, store: SharedStore, id: RunId) -> Result<Self> {
        let log: MemoryLog = store.task_records(&id, 0).await?.into_iter().collect();
        Ok(Self { context: context.clone().in_run(id, Arc::new(log)), lease: None })
    }

    /// Takes the only task of a stored call.
    async fn begin(
        runtime: &Runtime,
        context: &RunContext,
        id: RunId,
        definition: &CallDefinition,
    ) -> Result<Self> {
        let (store, ttl) = (runtime.store().await?, runtime.settings().worker.lease);
        let request = ClaimRequest {
            worker: runtime.worker_id().clone(),
            queues: vec![QUEUE.to_owned()],
            run: Some(id.clone()),
            limit: 1,
            ttl,
            max_active: None,
            in_hand: 0,
        };
        let Some(Claim { token, task, .. }) = store.claim(request).await?.pop() else {
            return Err(Error::new(ErrorKind::Conflict, format!("run `{id}` is in other hands"))
                .with_hint("wait for its end; `motet workflow status` shows how it stands"));
        };
        let log = StoredLog::open(Arc::clone(&store), token.clone(), task.journal).await?;
        log.hold(&definition.request)?;
        let stop = context.cancellation().child_token();
        let lease = Lease::keep(store, token, ttl, stop.clone());
        let context = runtime.ascribed(context).in_run(id, Arc::new(log)).with_cancellation(stop);
        Ok(Self { context, lease: Some(lease) })
    }

    /// Gives what a stream came to that ended without an error.
    fn streamed(&self) -> Outcome {
        let state = self.context.log().lookup(&self.context.key(STEP));
        let response = state.and_then(|state| state.result).and_then(|result| {
            let response: ChatResponse = serde_json::from_value(result).ok()?;
            Some(Answered { json: None, response })
        });
        match response {
            Some(answered) => Outcome::Done { output: answered.output() },
            None => Outcome::Failed { error: unread().report(), chance: 0.0 },
        }
    }

    /// Stores how the call ended. The answer is worth more than the book-keeping, so a failure of that is only told.
    async fn end(mut self, outcome: Outcome) {
        let Some(lease) = self.lease.take() else { return };
        if let Err(error) = lease.end(outcome).await {
            let message = format!("the end of the recorded call could not be stored: {error}");
            self.context.emit(&StreamEvent::Warning { message });
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        // Without a runtime the lease ends by itself, and the run can be resumed.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let outcome = self.streamed();
            runtime.spawn(lease.end(outcome));
        }
    }
}

fn unread() -> Error {
    Error::new(ErrorKind::Cancelled, "the answer was not read to its end")
        .with_hint("`motet workflow resume` asks again")
}

/// Tells whether a stored run is a recorded call, and gives it.
pub(crate) async fn find(store: &SharedStore, run: &RunId) -> Result<Option<Run>> {
    let found = store.run(run).await?.ok_or_else(|| report::no_such_run(run))?;
    Ok((found.summary.kind == KIND).then_some(found))
}

#[cfg(test)]
mod tests;
