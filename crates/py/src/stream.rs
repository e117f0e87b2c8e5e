//! An answer as it comes: batches of chunks, so that Python wakes once for all that is ready.
//!
//! The stream is read only when Python asks for more, so a slow reader slows the sender and memory stays flat.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use motet::Runtime;
use motet::agents::structured;
use motet::core::accumulate::Accumulator;
use motet::core::request::Output;
use motet::core::{ChatRequest, ChatResponse, Error, EventStream, RunContext, StreamEvent};
use pyo3::prelude::*;
use pyo3::types::PyList;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::awaiting::{Build, awaitable, built, wait};
use crate::response::Response;
use crate::show::show;

/// Most chunks of one batch.
const MAX_BATCH: usize = 512;

/// How often other tasks may run before a batch that has something ends; the connection's own task is one of them.
const PATIENCE: usize = 2;

/// One answer, read in batches.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct Stream {
    answer: Arc<Mutex<Option<Answer>>>,
    cancellation: CancellationToken,
}

impl Stream {
    /// Makes the stream of a request; nothing is sent before the first batch is asked for.
    pub(crate) fn new(runtime: Runtime, context: RunContext, request: ChatRequest) -> Self {
        let cancellation = context.cancellation().clone();
        let answer = Answer {
            folded: Accumulator::new(request.model.clone()),
            source: Source::Waiting(Box::new((runtime, context))),
            request,
            failed: None,
        };
        Self { answer: Arc::new(Mutex::new(Some(answer))), cancellation }
    }
}

#[pymethods]
impl Stream {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, &self.cancellation, next(Arc::clone(&self.answer)))
    }

    fn next_sync<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wait(py, &self.cancellation, next(Arc::clone(&self.answer)))
    }

    fn close(&self) {
        self.cancellation.cancel();
        if let Ok(mut answer) = self.answer.try_lock() {
            *answer = None;
        }
    }
}

/// Gives what is ready, waiting for the first piece; an empty batch is the end.
async fn next(answer: Arc<Mutex<Option<Answer>>>) -> Build {
    let mut answer = answer.lock().await;
    let result = match answer.as_mut() {
        Some(reading) => reading.batch().await,
        None => Ok(Vec::new()),
    };
    if !matches!(&result, Ok(pieces) if pieces.last().is_some_and(|piece| !piece.is_last())) {
        *answer = None;
    }
    built(result, |py, pieces: Vec<Piece>| {
        let chunks = pieces.into_iter().map(|piece| piece.chunk(py)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, chunks)?.into_any())
    })
}

/// Where events come from.
enum Source {
    Waiting(Box<(Runtime, RunContext)>),
    Open(EventStream),
}

/// An answer that is being read.
struct Answer {
    source: Source,
    request: ChatRequest,
    folded: Accumulator,
    /// A failure that comes after pieces already given.
    failed: Option<Error>,
}

impl Answer {
    async fn batch(&mut self) -> Result<Vec<Piece>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut pieces = Vec::new();
        match self.fill(&mut pieces).await {
            Err(error) if pieces.is_empty() => return Err(error),
            Err(error) => self.failed = Some(error),
            Ok(()) => {}
        }
        Ok(pieces)
    }

    async fn fill(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Error> {
        while pieces.len() < MAX_BATCH {
            let events = self.open().await?;
            let next = if pieces.is_empty() {
                events.next().await
            } else {
                match soon(events).await {
                    Some(next) => next,
                    None => return Ok(()),
                }
            };
            match next {
                Some(event) => {
                    let event = event?;
                    pieces.extend(Piece::of(&event));
                    self.folded.push(event)?;
                }
                None => {
                    pieces.push(self.last()?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<&mut EventStream, Error> {
        if let Source::Waiting(waiting) = &self.source {
            let (runtime, context) = &**waiting;
            self.source = Source::Open(runtime.stream(context, self.request.clone()).await?);
        }
        match &mut self.source {
            Source::Open(events) => Ok(events),
            Source::Waiting(_) => Err(Error::new(motet::core::ErrorKind::Internal, "a stream did not open")),
        }
    }

    /// Gives the whole answer, checked against the schema where one was asked for.
    fn last(&mut self) -> Result<Piece, Error> {
        let folded = std::mem::replace(&mut self.folded, Accumulator::new(self.request.model.clone()));
        let response = folded.finish()?;
        let json = match self.request.output {
            Output::JsonSchema(_) => Some(structured::value_of(&self.request, &response)?),
            _ => None,
        };
        Ok(Piece::Last(Box::new(response), json))
    }
}

/// Gives the next event if it comes without waiting for the network.
async fn soon(events: &mut EventStream) -> Option<Option<Result<StreamEvent, Error>>> {
    for _ in 0..PATIENCE {
        if let Some(next) = events.next().now_or_never() {
            return Some(next);
        }
        tokio::task::yield_now().await;
    }
    events.next().now_or_never()
}

/// What one chunk tells.
enum Piece {
    Content(String),
    Reasoning(String),
    Refusal(String),
    Discarded,
    Last(Box<ChatResponse>, Option<Value>),
}

impl Piece {
    fn of(event: &StreamEvent) -> Option<Self> {
        match event {
            StreamEvent::TextDelta { text, .. } if !text.is_empty() => Some(Piece::Content(text.clone())),
            StreamEvent::ReasoningDelta { text, .. } if !text.is_empty() => {
                Some(Piece::Reasoning(text.clone()))
            }
            StreamEvent::RefusalDelta { text, .. } if !text.is_empty() => Some(Piece::Refusal(text.clone())),
            StreamEvent::OutputDiscarded { .. } => Some(Piece::Discarded),
            _ => None,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Piece::Last(..))
    }

    fn chunk(self, py: Python<'_>) -> PyResult<Py<StreamingChunk>> {
        let mut chunk = StreamingChunk::default();
        match self {
            Piece::Content(text) => chunk.content = text,
            Piece::Reasoning(text) => chunk.reasoning = text,
            Piece::Refusal(text) => chunk.refusal = text,
            Piece::Discarded => chunk.discarded = true,
            Piece::Last(response, json) => {
                chunk.done = true;
                chunk.response = Some(Py::new(py, Response::new(*response, json))?);
            }
        }
        Py::new(py, chunk)
    }
}

/// A piece of an answer, or its end.
#[pyclass(frozen, get_all, module = "motet")]
#[derive(Default)]
pub(crate) struct StreamingChunk {
    /// More visible text; empty where the chunk tells something else.
    content: String,
    /// More reasoning text.
    reasoning: String,
    /// More of the model's words when it declines.
    refusal: String,
    /// True when everything before is void and the answer begins anew.
    discarded: bool,
    /// True for the last chunk.
    done: bool,
    /// The whole answer, in the last chunk.
    response: Option<Py<Response>>,
}

#[pymethods]
impl StreamingChunk {
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["content", "reasoning", "refusal", "discarded", "done", "response"])
    }
}
