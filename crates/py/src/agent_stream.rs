//! A run as it goes on: batches of events, and the result at the end.
//!
//! Reading drives the run, so a slow reader slows it, and memory stays flat.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use motet::Runtime;
use motet::agent::{AgentEvents, Extended, Keeping};
use motet::agents::{AgentResult as CoreResult, Prompt};
use motet::core::{Error, ErrorKind, RunContext, StreamEvent};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::agent_result::Finish;
use crate::awaiting::{Build, awaitable, built, wait};
use crate::callback::Caller;
use crate::conversation::Turn;
use crate::convert::map_to_python;
use crate::show::show;

/// Most events of one batch.
const MAX_BATCH: usize = 256;

/// What is read.
pub(crate) enum Source {
    /// A run that did not begin.
    Run {
        /// Where it runs.
        runtime: Runtime,
        /// Its context.
        context: RunContext,
        /// Who works.
        agent: Box<Extended>,
        /// What is asked.
        prompt: Prompt,
        /// Whether it is kept.
        keeping: Keeping,
    },
    /// A turn of a conversation that did not begin.
    Turn {
        /// Where it runs.
        runtime: Runtime,
        /// What is said, and where.
        turn: Turn,
    },
    /// A run that goes on.
    Running(Box<AgentEvents>),
    /// A turn that goes on.
    Talking(Box<motet::agents::AgentStream>, Turn),
    /// Nothing any more.
    Ended,
}

impl Source {
    async fn open(&mut self) -> Result<(), Error> {
        *self = match std::mem::replace(self, Source::Ended) {
            Source::Run { runtime, context, agent, prompt, keeping } => {
                Source::Running(Box::new(runtime.stream_agent(&context, *agent, prompt, keeping).await?))
            }
            Source::Turn { runtime, turn } => Source::Talking(Box::new(turn.begin(&runtime).await?), turn),
            open => open,
        };
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<StreamEvent, Error>> {
        match self {
            Source::Running(events) => events.next().await,
            Source::Talking(events, _) => events.next().await,
            _ => None,
        }
    }

    async fn finish(&mut self) -> Result<CoreResult, Error> {
        match std::mem::replace(self, Source::Ended) {
            Source::Running(events) => events.finish().await,
            Source::Talking(events, turn) => {
                let result = events.finish().await;
                turn.ended(&result);
                Ok(result)
            }
            _ => Err(Error::new(ErrorKind::Internal, "a run did not begin")),
        }
    }
}

/// One run, read in batches.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct AgentStream {
    source: Arc<Mutex<Option<Source>>>,
    cancellation: CancellationToken,
    finish: Arc<Finish>,
}

impl AgentStream {
    /// Makes the stream of a run; nothing is sent before the first batch is asked for.
    pub(crate) fn new(source: Source, cancellation: CancellationToken, finish: Finish) -> Self {
        Self { source: Arc::new(Mutex::new(Some(source))), cancellation, finish: Arc::new(finish) }
    }
}

#[pymethods]
impl AgentStream {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let work = next(Arc::clone(&self.source), Arc::clone(&self.finish));
        awaitable(py, &self.cancellation, Caller::here(py, false)?.during(work))
    }

    fn next_sync<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let work = next(Arc::clone(&self.source), Arc::clone(&self.finish));
        wait(py, &self.cancellation, Caller::here(py, true)?.during(work))
    }

    fn close(&self) {
        self.cancellation.cancel();
        if let Ok(mut source) = self.source.try_lock() {
            *source = None;
        }
    }
}

/// What one batch holds: events, and the result when the run ended.
type Batch = (Vec<StreamEvent>, Option<CoreResult>);

/// Gives what is ready, waiting for the first event; an empty batch is the end.
async fn next(source: Arc<Mutex<Option<Source>>>, finish: Arc<Finish>) -> Build {
    let mut held = source.lock().await;
    let result = match held.as_mut() {
        Some(source) => batch(source).await,
        None => Ok((Vec::new(), None)),
    };
    if !matches!(result, Ok((_, None))) {
        *held = None;
    }
    built(result, move |py, (events, result): Batch| {
        let list = PyList::empty(py);
        for event in events {
            list.append(AgentEvent::of(py, &event)?)?;
        }
        if let Some(result) = result {
            let result = match finish.result(py, result) {
                Ok(result) => result,
                // What came before is told first.
                Err(error) if list.is_empty() => return Err(error),
                Err(error) => return Ok((list, error.into_value(py)).into_pyobject(py)?.into_any()),
            };
            list.append(AgentEvent::last(py, &result)?)?;
        }
        Ok((list, py.None()).into_pyobject(py)?.into_any())
    })
}

async fn batch(source: &mut Source) -> Result<Batch, Error> {
    source.open().await?;
    let mut events = Vec::new();
    while events.len() < MAX_BATCH {
        let next = if events.is_empty() {
            source.next().await
        } else {
            match source.next().now_or_never() {
                Some(next) => next,
                None => return Ok((events, None)),
            }
        };
        match next {
            Some(Ok(event)) => events.push(event),
            // The error of a run that did not complete stands in its result.
            Some(Err(_)) | None => return Ok((events, Some(source.finish().await?))),
        }
    }
    Ok((events, None))
}

/// Something that happened in a run.
#[pyclass(frozen, get_all, module = "motet")]
pub(crate) struct AgentEvent {
    /// What happened: `text_delta`, `tool_started`, `tool_ended`, `model_call_ended`, `retrying`, `warning`, and others; the
    /// last one is `result`.
    kind: String,
    /// More visible text, of a `text_delta`; empty in others.
    text: String,
    /// Name of the tool, where the event is about one.
    tool: Option<String>,
    /// All facts of the event.
    data: Py<PyDict>,
    /// The result of the run, in the last event.
    result: Option<Py<PyAny>>,
}

impl AgentEvent {
    fn of(py: Python<'_>, event: &StreamEvent) -> PyResult<Py<Self>> {
        let mut fields = match serde_json::to_value(event) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let kind = match fields.shift_remove("event") {
            Some(Value::String(kind)) => kind,
            _ => String::new(),
        };
        let data = map_to_python(py, &fields)?;
        let text = match event {
            StreamEvent::TextDelta { text, .. } => text.clone(),
            _ => String::new(),
        };
        let tool = match event {
            StreamEvent::ToolStarted { name, .. }
            | StreamEvent::ToolEnded { name, .. }
            | StreamEvent::ToolCallStarted { name, .. } => Some(name.clone()),
            StreamEvent::DecisionNeeded { question } => Some(question.tool.clone()),
            _ => None,
        };
        Py::new(py, Self { kind, text, tool, data: data.unbind(), result: None })
    }

    fn last(py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                kind: "result".to_owned(),
                text: String::new(),
                tool: None,
                data: PyDict::new(py).unbind(),
                result: Some(result.clone().unbind()),
            },
        )
    }
}

#[pymethods]
impl AgentEvent {
    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, _item: &Bound<'py, PyAny>) -> Bound<'py, PyType> {
        class.clone()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["kind", "data", "result"])
    }
}
