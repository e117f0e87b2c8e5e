//! Folds events into the whole answer: the only place where pieces become a [`ChatResponse`].
//!
//! Knows no wire and does no waiting; streaming and blocking calls both end here.

mod parts;

use futures::StreamExt as _;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventStream, StreamEvent};
use crate::message::{Message, Opaque, Part, Reasoning, Role, ToolCall};
use crate::model_id::ModelId;
use crate::response::{ChatResponse, FinishReason};
use crate::usage::{Cost, Usage};
use parts::Parts;

/// Collects the events of one model call.
#[derive(Debug, Clone)]
pub struct Accumulator {
    model: ModelId,
    parts: Parts,
    finish: Option<(FinishReason, Option<String>)>,
    usage: Option<Usage>,
    cost: Option<Cost>,
    response_id: Option<String>,
    request_id: Option<String>,
    served_model: Option<String>,
    metadata: Map<String, Value>,
}

impl Accumulator {
    /// Starts an answer of a model.
    #[must_use]
    pub fn new(model: ModelId) -> Self {
        Self {
            model,
            parts: Parts::default(),
            finish: None,
            usage: None,
            cost: None,
            response_id: None,
            request_id: None,
            served_model: None,
            metadata: Map::new(),
        }
    }

    /// Takes one event; run events leave the answer as it is, except that discarded output is forgotten.
    ///
    /// # Errors
    /// `Internal` when a piece does not fit what already stands at its place, which is a defect of a dialect.
    pub fn push(&mut self, event: StreamEvent) -> Result<()> {
        match event {
            StreamEvent::ResponseStarted { response_id, request_id, served_model } => {
                self.response_id = response_id.or(self.response_id.take());
                self.request_id = request_id.or(self.request_id.take());
                self.served_model = served_model.or(self.served_model.take());
            }
            StreamEvent::AnsweredBy { model } => self.model = model,
            StreamEvent::TextDelta { part, text } => match self.parts.get_mut(part) {
                Some(there) => append(part, there, &text)?,
                None => self.whole(part, Part::text(text))?,
            },
            StreamEvent::ReasoningDelta { part, text } => {
                match self.part(part, || Part::Reasoning(Reasoning::default())) {
                    Part::Reasoning(reasoning) => reasoning.text.push_str(&text),
                    other => return Err(misplaced("reasoning", part, other)),
                }
            }
            StreamEvent::RefusalDelta { part, text } => {
                match self.part(part, || Part::Refusal { text: String::new() }) {
                    Part::Refusal { text: whole } => whole.push_str(&text),
                    other => return Err(misplaced("refusal", part, other)),
                }
            }
            StreamEvent::PartOpaque { part, opaque } => self.add_opaque(part, opaque)?,
            StreamEvent::NativePart { part, opaque } => self.whole(part, Part::Native { opaque })?,
            StreamEvent::ImagePart { part, image } => self.whole(part, Part::Image(image))?,
            StreamEvent::ToolCallStarted { part, id, name, minted } => {
                let call = ToolCall { id, name, arguments: String::new(), minted, opaque: None };
                self.whole(part, Part::ToolCall(call))?;
            }
            StreamEvent::ToolCallDelta { part, arguments } => match self.parts.get_mut(part) {
                Some(Part::ToolCall(call)) => call.arguments.push_str(&arguments),
                Some(other) => return Err(misplaced("tool arguments", part, other)),
                None => {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        format!("arguments for no tool call at part {part}"),
                    ));
                }
            },
            StreamEvent::Usage { usage } => self.usage = Some(usage),
            StreamEvent::Cost { cost } => self.cost = cost,
            StreamEvent::Metadata { name, value } => {
                self.metadata.insert(name, value);
            }
            StreamEvent::Finished { reason, raw } => self.finish = Some((reason, raw)),
            StreamEvent::OutputDiscarded { .. } => *self = Self::new(self.model.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Takes one event that somebody else keeps, as [`push`](Self::push) does.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn note(&mut self, event: &StreamEvent) -> Result<()> {
        match event {
            // Almost every event is one of these, and its text is copied to where it belongs in any case.
            StreamEvent::TextDelta { part, text } => match self.parts.get_mut(*part) {
                Some(there) => append(*part, there, text),
                None => self.push(event.clone()),
            },
            StreamEvent::Limits { .. } | StreamEvent::Warning { .. } => Ok(()),
            other => self.push(other.clone()),
        }
    }

    /// Gives the tokens counted so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Gives what has arrived, even when the answer is not complete.
    #[must_use]
    pub fn partial(&self) -> Message {
        message_of(&self.model, self.parts.iter().cloned())
    }

    /// Gives the whole answer.
    ///
    /// # Errors
    /// `Truncated` when the answer never finished.
    pub fn finish(self) -> Result<ChatResponse> {
        let Some((reason, raw)) = self.finish else {
            return Err(Error::new(ErrorKind::Truncated, "the answer ended before it was complete")
                .with_model(self.model));
        };
        let message = message_of(&self.model, self.parts.into_iter());
        Ok(ChatResponse {
            raw_finish_reason: raw,
            usage: self.usage,
            served_model: self.served_model,
            response_id: self.response_id,
            request_id: self.request_id,
            cost: self.cost,
            metadata: self.metadata,
            ..ChatResponse::new(self.model, message, reason)
        })
    }

    fn part(&mut self, place: u32, make: impl FnOnce() -> Part) -> &mut Part {
        self.parts.get_or_insert_with(place, make)
    }

    /// Sets a part that comes whole.
    fn whole(&mut self, place: u32, part: Part) -> Result<()> {
        match self.parts.insert(place, part) {
            Some(other) => Err(misplaced("a new part", place, &other)),
            None => Ok(()),
        }
    }

    fn add_opaque(&mut self, place: u32, opaque: Opaque) -> Result<()> {
        let slot = match self.part(place, || Part::Reasoning(Reasoning::default())) {
            Part::Reasoning(reasoning) => &mut reasoning.opaque,
            Part::ToolCall(call) => &mut call.opaque,
            Part::Text { opaque, .. } => opaque,
            other => return Err(misplaced("an opaque payload", place, other)),
        };
        match (slot, opaque) {
            (
                Some(Opaque { payload: Value::Array(list), .. }),
                Opaque { payload: Value::Array(more), .. },
            ) => {
                list.extend(more);
            }
            (slot, opaque) => *slot = Some(opaque),
        }
        Ok(())
    }
}

/// Makes the message, whose reasoning always says whose it is: another provider must not take it for its own.
fn message_of(model: &ModelId, parts: impl Iterator<Item = Part>) -> Message {
    let labelled = parts.map(|part| match part {
        Part::Reasoning(Reasoning { text, opaque: None }) => {
            let opaque = Some(Opaque { provider: model.provider().to_owned(), payload: Value::Null });
            Part::Reasoning(Reasoning { text, opaque })
        }
        part => part,
    });
    Message { role: Role::Assistant, parts: labelled.collect() }
}

/// Adds visible text to what stands at its place.
fn append(place: u32, there: &mut Part, text: &str) -> Result<()> {
    match there {
        Part::Text { text: whole, .. } => {
            whole.push_str(text);
            Ok(())
        }
        other => Err(misplaced("text", place, other)),
    }
}

fn misplaced(what: &str, place: u32, there: &Part) -> Error {
    let there = match there {
        Part::Text { .. } => "text",
        Part::Reasoning(_) => "reasoning",
        Part::ToolCall(_) => "a tool call",
        Part::Refusal { .. } => "a refusal",
        _ => "another part",
    };
    Error::new(ErrorKind::Internal, format!("{what} arrived for part {place}, which is {there}"))
}

/// Folds a stream into the whole answer.
///
/// # Errors
/// The stream's own error, or `Truncated` when it ends without a finish.
pub async fn fold(model: ModelId, mut events: EventStream) -> Result<ChatResponse> {
    let mut accumulator = Accumulator::new(model);
    while let Some(event) = events.next().await {
        accumulator.push(event?)?;
    }
    accumulator.finish()
}

/// Gives the events that fold into an answer again: how a recorded answer is shown as a stream.
#[must_use]
pub fn unfold(response: &ChatResponse) -> Vec<StreamEvent> {
    let mut events = vec![
        StreamEvent::AnsweredBy { model: response.model.clone() },
        StreamEvent::ResponseStarted {
            response_id: response.response_id.clone(),
            request_id: response.request_id.clone(),
            served_model: response.served_model.clone(),
        },
    ];
    for (place, part) in (0u32..).zip(&response.message.parts) {
        unfold_part(place, part, &mut events);
    }
    let facts = response.metadata.iter();
    events.extend(
        facts.map(|(name, value)| StreamEvent::Metadata { name: name.clone(), value: value.clone() }),
    );
    events.extend(response.usage.map(|usage| StreamEvent::Usage { usage }));
    events.push(StreamEvent::Finished {
        reason: response.finish_reason,
        raw: response.raw_finish_reason.clone(),
    });
    events.push(StreamEvent::Cost { cost: response.cost });
    events
}

fn unfold_part(part: u32, content: &Part, events: &mut Vec<StreamEvent>) {
    let opaque = match content {
        Part::Text { text, opaque } => {
            events.push(StreamEvent::TextDelta { part, text: text.clone() });
            opaque
        }
        Part::Reasoning(reasoning) => {
            events.push(StreamEvent::ReasoningDelta { part, text: reasoning.text.clone() });
            &reasoning.opaque
        }
        Part::ToolCall(call) => {
            let ToolCall { id, name, arguments, minted, opaque } = call.clone();
            events.push(StreamEvent::ToolCallStarted { part, id, name, minted });
            events.push(StreamEvent::ToolCallDelta { part, arguments });
            events.extend(opaque.map(|opaque| StreamEvent::PartOpaque { part, opaque }));
            events.push(StreamEvent::ToolCallEnded { part });
            &None
        }
        Part::Refusal { text } => {
            events.push(StreamEvent::RefusalDelta { part, text: text.clone() });
            &None
        }
        Part::Native { opaque } => {
            events.push(StreamEvent::NativePart { part, opaque: opaque.clone() });
            &None
        }
        Part::Image(image) => {
            events.push(StreamEvent::ImagePart { part, image: image.clone() });
            &None
        }
        Part::Document(_) | Part::ToolResult(_) => &None,
    };
    events.extend(opaque.clone().map(|opaque| StreamEvent::PartOpaque { part, opaque }));
}

#[cfg(test)]
mod tests;
