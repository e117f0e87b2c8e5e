//! Conversations with an agent: turns one after the other, in memory or in the store.

use std::sync::{Arc, PoisonError};

use motet::Runtime;
use motet::agent::bounded;
use motet::agents::conversation::{to_json, to_markdown};
use motet::agents::{AgentResult, AgentStream as Events, Outcome, Prompt, Session};
use motet::core::conversation::ConversationId;
use motet::core::{Cost, Error, ErrorKind, RunContext};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::agent::{Begun, Definition, finished};
use crate::agent_stream::{AgentStream, Source};
use crate::awaiting::built;
use crate::callback::Caller;
use crate::convert::to_python;
use crate::engine::{Engine, Mode};
use crate::error::raise;
use crate::request::messages;

/// A conversation, opened when it is first used.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct Conversation(Arc<Inner>);

struct Inner {
    agent: Arc<Definition>,
    /// The conversation of the store to go on with.
    id: Option<ConversationId>,
    session: OnceCell<Session>,
    /// The context of the newest turn that waits for a person, from whose log it goes on.
    waiting: std::sync::Mutex<Option<RunContext>>,
}

impl Inner {
    fn of(agent: Arc<Definition>, id: Option<ConversationId>) -> Self {
        Self { agent, id, session: OnceCell::new(), waiting: std::sync::Mutex::new(None) }
    }

    async fn session(&self, runtime: &Runtime) -> Result<&Session, Error> {
        let open = async {
            let agent = runtime.build_extended(&RunContext::new(), &self.agent.extended()).await?;
            match &self.id {
                Some(id) => runtime.open_session(id, agent).await,
                None => runtime.session(agent).await,
            }
        };
        self.session.get_or_try_init(|| open).await
    }

    /// Puts the agent's bounds around a turn.
    fn bounded(&self, context: RunContext) -> RunContext {
        bounded(context, Some(&self.agent.file.spec))
    }

    /// Remembers a turn that waits for a person.
    fn ended(&self, context: &RunContext, result: &AgentResult) {
        if result.outcome == Outcome::Waiting {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.clone());
        }
    }
}

/// A turn whose events are read.
pub(crate) struct Turn {
    conversation: Arc<Inner>,
    context: RunContext,
    prompt: Prompt,
}

impl Turn {
    /// Begins it, when those before it have ended.
    pub(crate) async fn begin(&self, runtime: &Runtime) -> Result<Events, Error> {
        Ok(self.conversation.session(runtime).await?.stream(&self.context, self.prompt.clone()))
    }

    /// Takes down how it ended.
    pub(crate) fn ended(&self, result: &AgentResult) {
        self.conversation.ended(&self.context, result);
    }
}

impl Conversation {
    /// Begins a conversation, or goes on with one of the store.
    pub(crate) fn new(py: Python<'_>, agent: Arc<Definition>, id: Option<String>) -> PyResult<Self> {
        let id = id.map(|id| conversation_id(py, &id)).transpose()?;
        Ok(Self(Arc::new(Inner::of(agent, id))))
    }

    /// Does something with the open session.
    fn with_session<'py, T: Send + 'static, W>(
        &self,
        engine: &Bound<'py, Engine>,
        blocking: bool,
        work: impl FnOnce(Session, Runtime) -> W + Send + 'static,
        build: impl for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let runtime = engine.get().runtime(engine.py(), None)?;
        let inner = Arc::clone(&self.0);
        Mode::of(blocking).finish(engine.py(), &CancellationToken::new(), async move {
            let done = async {
                let session = inner.session(&runtime).await?.clone();
                work(session, runtime).await
            };
            built(done.await, build)
        })
    }
}

/// What a turn did is known only where its end was seen, and must not be done again.
fn elsewhere() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the turn that waits for a person is not the one that ended here as waiting",
    )
    .with_hint("read the events of a turn to their end before it is resumed, or say it again")
}

fn conversation_id(py: Python<'_>, id: &str) -> PyResult<ConversationId> {
    id.parse().map_err(|error: Error| raise(py, &error))
}

#[pymethods]
impl Conversation {
    #[pyo3(signature = (engine, prompt, options, *, blocking))]
    fn send<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        prompt: &Bound<'py, PyAny>,
        options: &Bound<'py, PyDict>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = Prompt(messages(prompt)?);
        let caller = Caller::here(engine.py(), blocking)?;
        let begun = self.0.agent.begin(engine, options, None)?;
        let cancellation = begun.cancellation();
        let Begun { runtime, context, finish, .. } = begun;
        let (inner, context) = (Arc::clone(&self.0), self.0.bounded(context));
        let work = async move {
            let result = async {
                let result = inner.session(&runtime).await?.send(&context, prompt).await;
                inner.ended(&context, &result);
                Ok(result)
            };
            finished(result.await, finish)
        };
        Mode::of(blocking).finish(engine.py(), &cancellation, caller.during(work))
    }

    fn stream(
        &self,
        engine: &Bound<'_, Engine>,
        prompt: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<AgentStream> {
        let prompt = Prompt(messages(prompt)?);
        let begun = self.0.agent.begin(engine, options, None)?;
        let cancellation = begun.cancellation();
        let Begun { runtime, context, finish, .. } = begun;
        let turn = Turn { conversation: Arc::clone(&self.0), context: self.0.bounded(context), prompt };
        Ok(AgentStream::new(Source::Turn { runtime, turn }, cancellation, finish))
    }

    #[pyo3(signature = (engine, options, *, blocking))]
    fn resume<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        options: &Bound<'py, PyDict>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let caller = Caller::here(engine.py(), blocking)?;
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let begun = self.0.agent.begin(engine, options, waiting.as_ref().map(RunContext::run_id))?;
        let cancellation = begun.cancellation();
        let Begun { runtime, context, finish, .. } = begun;
        let context = match waiting {
            Some(waiting) => context.in_run(waiting.run_id().clone(), Arc::clone(waiting.log())),
            None => context,
        };
        let (inner, context) = (Arc::clone(&self.0), self.0.bounded(context));
        let work = async move {
            let result = async {
                let session = inner.session(&runtime).await?;
                let parked = session.parked().await.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "no turn of the conversation waits for a person")
                })?;
                if parked.run != *context.run_id() {
                    return Err(elsewhere());
                }
                let result = session.resume(&context, parked).await;
                inner.ended(&context, &result);
                Ok(result)
            };
            finished(result.await, finish)
        };
        Mode::of(blocking).finish(engine.py(), &cancellation, caller.during(work))
    }

    #[pyo3(signature = (engine, *, blocking))]
    fn head<'py>(&self, engine: &Bound<'py, Engine>, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        self.with_session(
            engine,
            blocking,
            |session, _| async move {
                let head = session.head().await;
                let cost = head.cost.map(|cost| (Cost::dollars(cost), Cost::nanos(cost)));
                Ok(json!({
                    "id": head.id.as_str(),
                    "title": head.title,
                    "turns": head.turns,
                    "messages": head.messages,
                    "input_tokens": head.usage.input,
                    "output_tokens": head.usage.output,
                    "cost": cost.map(|(dollars, _)| dollars),
                    "cost_nanos": cost.map(|(_, nanos)| nanos),
                }))
            },
            |py, head: Value| to_python(py, &head),
        )
    }

    #[pyo3(signature = (engine, *, blocking))]
    fn messages<'py>(&self, engine: &Bound<'py, Engine>, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        self.with_session(
            engine,
            blocking,
            |session, _| async move {
                let conversation = session.conversation().await?;
                let messages =
                    conversation.messages().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
                messages.map_err(|error| {
                    Error::new(ErrorKind::Internal, "a message cannot be written").with_source(error)
                })
            },
            |py, messages: Vec<Value>| {
                let messages = messages.iter().map(|message| to_python(py, message));
                Ok(PyList::new(py, messages.collect::<PyResult<Vec<_>>>()?)?.into_any())
            },
        )
    }

    #[pyo3(signature = (engine, format, *, blocking))]
    fn export<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        format: &str,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let is_json = match format {
            "json" => true,
            "markdown" => false,
            other => {
                let message = format!("`format` must be `json` or `markdown`, not `{other}`");
                return Err(PyValueError::new_err(message));
            }
        };
        self.with_session(
            engine,
            blocking,
            move |session, _| async move {
                let conversation = session.conversation().await?;
                if is_json { to_json(&conversation) } else { Ok(to_markdown(&conversation)) }
            },
            |py, text: String| Ok(text.into_pyobject(py)?.into_any()),
        )
    }

    #[pyo3(signature = (engine, id, *, blocking))]
    fn save<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        id: &str,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let id = conversation_id(engine.py(), id)?;
        self.with_session(
            engine,
            blocking,
            |session, runtime| async move { session.save(runtime.store().await?, id).await },
            |py, ()| Ok(py.None().into_bound(py)),
        )
    }

    #[pyo3(signature = (engine, keep, *, blocking))]
    fn take_back<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        keep: u32,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_session(
            engine,
            blocking,
            move |session, _| async move { session.take_back(keep).await },
            |py, ()| Ok(py.None().into_bound(py)),
        )
    }

    #[pyo3(signature = (engine, id, keep, *, blocking))]
    fn fork<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        id: Option<&str>,
        keep: Option<u32>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let id = id.map(|id| conversation_id(engine.py(), id)).transpose()?;
        let agent = Arc::clone(&self.0.agent);
        self.with_session(
            engine,
            blocking,
            move |session, _| async move { session.fork(keep, id.unwrap_or_else(ConversationId::new)).await },
            move |py, session: Session| {
                let inner = Inner { session: OnceCell::new_with(Some(session)), ..Inner::of(agent, None) };
                Ok(Bound::new(py, Conversation(Arc::new(inner)))?.into_any())
            },
        )
    }
}
