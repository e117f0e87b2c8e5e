//! A model for this crate's tests: its turns are written beforehand, and it knows which turn it is by the transcript,
//! so that it answers a resumed run as it would have answered the first.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use motet_core::accumulate::unfold;
use motet_core::event::{failing_stream, ready_stream};
use motet_core::message::ToolCall;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, Error, ErrorKind, EventStream, FinishReason, Message, Model,
    ModelId, Part, Result, Role, RunContext, StreamEvent, Usage,
};

/// What the model does when it is asked.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Answer(ChatResponse),
    /// The answer starts and never ends.
    CutOff(ChatResponse),
    Fail(ErrorKind),
    /// The answer starts, and nothing more comes.
    Hang(ChatResponse),
    /// The answer comes at the second attempt, of which a layer tells.
    Retried(ChatResponse),
    /// Half of the answer is void, and it comes again from its beginning.
    Discarded(ChatResponse),
}

impl Turn {
    /// Sets the tokens and nano-dollars of the answer.
    pub(crate) fn spending(mut self, input: u64, output: u64, nanos: impl Into<Option<u64>>) -> Self {
        if let Turn::Answer(response) | Turn::CutOff(response) = &mut self {
            response.usage = Some(Usage::new(input, output));
            response.cost = nanos.into().map(Cost::from_nanos);
        }
        self
    }

    pub(crate) fn finishing(mut self, reason: FinishReason) -> Self {
        if let Turn::Answer(response) = &mut self {
            response.finish_reason = reason;
        }
        self
    }

    pub(crate) fn cut_off(self) -> Self {
        match self {
            Turn::Answer(response) => Turn::CutOff(response),
            other => other,
        }
    }

    pub(crate) fn retried(self) -> Self {
        match self {
            Turn::Answer(response) => Turn::Retried(response),
            other => other,
        }
    }

    pub(crate) fn begun_anew(self) -> Self {
        match self {
            Turn::Answer(response) => Turn::Discarded(response),
            other => other,
        }
    }

    /// Puts a part in front of the answer.
    pub(crate) fn beginning(mut self, part: Part) -> Self {
        if let Turn::Answer(response) = &mut self {
            response.message.parts.insert(0, part);
        }
        self
    }

    pub(crate) fn hanging(self) -> Self {
        match self {
            Turn::Answer(response) => Turn::Hang(response),
            other => other,
        }
    }
}

pub(crate) fn model_id() -> ModelId {
    "scripted:test".parse().unwrap()
}

/// An answer of text.
pub(crate) fn says(text: &str) -> Turn {
    let mut message = Message::assistant(text);
    // An answer without text has no part of text, streamed or not.
    message.parts.retain(|part| part.as_text() != Some(""));
    Turn::Answer(ChatResponse::new(model_id(), message, FinishReason::Stop))
}

/// An answer that calls tools, each with id, name, and arguments.
pub(crate) fn calls(calls: &[(&str, &str, &str)]) -> Turn {
    let parts = calls.iter().map(|(id, name, arguments)| {
        Part::ToolCall(ToolCall {
            id: (*id).into(),
            name: (*name).into(),
            arguments: (*arguments).into(),
            minted: false,
            opaque: None,
        })
    });
    let message = Message { role: Role::Assistant, parts: parts.collect() };
    Turn::Answer(ChatResponse::new(model_id(), message, FinishReason::ToolCalls))
}

pub(crate) struct TestModel {
    turns: Vec<Turn>,
    requests: Mutex<Vec<ChatRequest>>,
}

impl TestModel {
    pub(crate) fn new(turns: &[Turn]) -> Arc<Self> {
        Arc::new(Self { turns: turns.to_vec(), requests: Mutex::default() })
    }

    pub(crate) fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().unwrap().clone()
    }
}

#[async_trait]
impl Model for TestModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        self.requests.lock().unwrap().push(request.clone());
        let answered = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let named = number_of(context.step_name()).filter(|number| *number < self.turns.len());
        match &self.turns[named.unwrap_or(answered)] {
            Turn::Retried(response) => {
                context.emit(&StreamEvent::Retrying {
                    attempt: 2,
                    delay_ms: 5,
                    error: Box::new(Error::new(ErrorKind::Overloaded, "too busy").report()),
                });
                Ok(ready_stream(events(response, delivery)))
            }
            Turn::Answer(response) => Ok(ready_stream(events(response, delivery))),
            Turn::Discarded(response) => {
                let mut half = unfinished(response, delivery);
                half.truncate(half.len().div_ceil(2));
                let error = Error::new(ErrorKind::Connection, "the line went dead").report();
                half.push(StreamEvent::OutputDiscarded { error: Box::new(error) });
                half.extend(events(response, delivery));
                Ok(ready_stream(half))
            }
            Turn::Fail(kind) => Err(Error::new(*kind, "the model is out of order")),
            Turn::CutOff(response) => Ok(ready_stream(unfinished(response, delivery))),
            Turn::Hang(response) => {
                let shown = ready_stream(unfinished(response, delivery));
                Ok(Box::pin(futures::StreamExt::chain(shown, futures::stream::pending())))
            }
        }
    }
}

/// Gives the number of the turn where the step's name tells it.
fn number_of(step: &str) -> Option<usize> {
    let (before, number) = step.rsplit_once('/')?;
    let kind = before.rsplit('/').next()?;
    if matches!(kind, "model" | "repair") { number.parse().ok() } else { None }
}

/// A model whose stream breaks with an error after what it has said.
pub(crate) struct BrokenModel(pub(crate) Turn);

#[async_trait]
impl Model for BrokenModel {
    async fn open(&self, _: &RunContext, _: &ChatRequest, delivery: Delivery) -> Result<EventStream> {
        let Turn::Answer(response) = &self.0 else { unreachable!() };
        let error = Error::new(ErrorKind::Connection, "the line went dead");
        Ok(failing_stream(unfinished(response, delivery), error))
    }
}

fn events(response: &ChatResponse, delivery: Delivery) -> Vec<StreamEvent> {
    match delivery {
        Delivery::Plain => unfold(response),
        Delivery::Streamed => unfold(response).into_iter().flat_map(pieces).collect(),
    }
}

fn unfinished(response: &ChatResponse, delivery: Delivery) -> Vec<StreamEvent> {
    let ends = |event: &StreamEvent| matches!(event, StreamEvent::Finished { .. } | StreamEvent::Cost { .. });
    events(response, delivery).into_iter().filter(|event| !ends(event)).collect()
}

fn pieces(event: StreamEvent) -> Vec<StreamEvent> {
    let letters = |text: String| text.chars().map(String::from).collect::<Vec<_>>().into_iter();
    match event {
        StreamEvent::TextDelta { part, text } => {
            letters(text).map(|text| StreamEvent::TextDelta { part, text }).collect()
        }
        StreamEvent::ToolCallDelta { part, arguments } => {
            letters(arguments).map(|arguments| StreamEvent::ToolCallDelta { part, arguments }).collect()
        }
        other => vec![other],
    }
}
