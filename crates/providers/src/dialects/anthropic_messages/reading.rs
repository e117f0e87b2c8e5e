//! Turns answers into events; a plain answer takes the same way as a streamed one, each block beginning whole.

mod blocks;
mod facts;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::message::Opaque;
use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent};
use serde_json::Value;
use serde_json::value::RawValue;

use super::usage::Counts;
use super::wire::{Event, Message};
use crate::dialect::json::{Text, parse};
use crate::dialect::{Decoder, Origin};
use crate::dialect::{call_ids, refusal};
use crate::framing::Frame;

/// Type of the block that this reader makes of what is told of the place where the provider ran code.
pub(super) const CONTAINER: &str = "container";

/// Place of that block, which belongs to the whole message.
const LAST: u32 = u32::MAX;

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let mut message: Message<'_> = parse(body, "the answer")?;
    let mut out = Vec::with_capacity(8);
    if let Some(error) = message.error.and_then(|raw| failure(raw, origin)) {
        return Err(error);
    }
    let Some(content) = message.content.take() else {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no content"));
    };
    let mut reading = Reading::default();
    reading.begin(&mut message, &mut out);
    for (index, raw) in (0..).zip(content) {
        reading.blocks.start(Some(index), raw, &mut out)?;
        reading.blocks.stop(Some(index), origin, &mut out);
    }
    reading.close(origin, &mut out);
    Ok(out)
}

/// Reads one streamed answer.
pub(super) struct StreamDecoder {
    origin: Arc<Origin>,
    reading: Reading,
    ended: bool,
}

impl StreamDecoder {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self { origin, reading: Reading::default(), ended: false }
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) {
        self.ended = true;
        self.reading.close(&self.origin, out);
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        // Routers end every stream like this; it is an end only where the answer's own was lost on the way.
        if frame.data.trim_ascii() == b"[DONE]" {
            if self.reading.stop_reason.is_some() {
                self.end(out);
            }
            return Ok(());
        }
        let mut event: Event<'_> = match parse(frame.data, "a piece of the streamed answer") {
            Err(_) if is_foreign(frame.event) => return Ok(()),
            result => result?,
        };
        let kind = event.kind.take().and_then(Text::filled);
        match kind.as_deref().or(frame.event).unwrap_or_default() {
            "message_stop" => self.end(out),
            "error" => return Err(self.failed(&event, frame.data)),
            _ if event.error.is_some_and(|raw| failure(raw, &self.origin).is_some()) => {
                return Err(self.failed(&event, frame.data));
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    self.reading.blocks.add(event.index.0, *delta, frame.data, out);
                }
            }
            name => self.reading.event(name, event, &self.origin, out)?,
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if self.reading.stop_reason.is_some() {
            self.end(out);
            return Ok(());
        }
        self.ended = true;
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

impl StreamDecoder {
    /// Makes the error that an event tells of.
    fn failed(&self, event: &Event<'_>, data: &[u8]) -> Error {
        let told = event.error.and_then(|raw| failure(raw, &self.origin));
        let told = told.or_else(|| refusal::of_value(serde_json::from_slice(data).ok()?, &self.origin));
        told.unwrap_or_else(|| {
            Error::new(ErrorKind::Overloaded, "the provider reported an error without a message")
        })
    }
}

/// Tells whether an event's name says that it is no piece of the answer.
fn is_foreign(event: Option<&str>) -> bool {
    event.is_some_and(|name| {
        let known = ["error", "data", "message"].contains(&name);
        !known && !name.starts_with("message_") && !name.starts_with("content_block_")
    })
}

/// Reads the error that stands beside an answer; `None` when it is a harmless filler.
fn failure(raw: &RawValue, origin: &Origin) -> Option<Error> {
    serde_json::from_str::<Value>(raw.get()).ok().and_then(|value| refusal::of_value(value, origin))
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    has_id: bool,
    has_model: bool,
    blocks: blocks::Blocks,
    facts: facts::Facts,
    counts: Counts,
    container: Option<Value>,
    stop_reason: Option<String>,
}

impl Reading {
    /// Takes one of the rarer events of a stream; unknown ones say nothing.
    fn event(
        &mut self,
        name: &str,
        event: Event<'_>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        match name {
            "message_start" => {
                if let Some(mut message) = event.message {
                    self.begin(&mut message, out);
                    for (index, raw) in (0..).zip(message.content.take().into_iter().flatten()) {
                        self.blocks.given(index, raw, out)?;
                    }
                }
                self.report_usage(out);
            }
            "content_block_start" => {
                if let Some(raw) = event.content_block {
                    self.blocks.start(event.index.0, raw, out)?;
                }
            }
            "content_block_stop" => self.blocks.stop(event.index.0, origin, out),
            "message_delta" => {
                if let Some(delta) = event.delta {
                    self.stop(delta.stop_reason);
                    self.container(delta.container);
                    self.facts.set("stop_sequence", delta.stop_sequence);
                    self.facts.set("stop_details", delta.stop_details);
                }
                self.facts.set("context_management", event.context_management);
                self.usage(event.usage);
                self.report_usage(out);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes what stands beside the content.
    fn begin(&mut self, message: &mut Message<'_>, out: &mut Vec<StreamEvent>) {
        let id = if self.has_id { None } else { message.id.take().and_then(Text::filled) };
        let model = if self.has_model { None } else { message.model.take().and_then(Text::filled) };
        self.has_id |= id.is_some();
        self.has_model |= model.is_some();
        if let Some(id) = &id {
            self.blocks.seed = call_ids::fold(call_ids::FOLD_START, id.as_bytes());
        }
        if id.is_some() || model.is_some() {
            out.push(StreamEvent::ResponseStarted {
                response_id: id.map(Cow::into_owned),
                request_id: None,
                served_model: model.map(Cow::into_owned),
            });
        }
        self.stop(message.stop_reason.take());
        self.container(message.container);
        self.facts.set("stop_sequence", message.stop_sequence);
        self.facts.set("stop_details", message.stop_details);
        self.facts.set("context_management", message.context_management);
        self.usage(message.usage);
    }

    fn stop(&mut self, reason: Option<Text<'_>>) {
        if let Some(reason) = reason.and_then(Text::filled) {
            self.stop_reason = Some(reason.into_owned());
        }
    }

    fn container(&mut self, raw: Option<&RawValue>) {
        let Some(Ok(Value::Object(mut told))) = raw.map(|raw| serde_json::from_str(raw.get())) else {
            return;
        };
        told.insert("type".to_owned(), Value::from(CONTAINER));
        self.container = Some(Value::Object(told));
    }

    fn usage(&mut self, raw: Option<&RawValue>) {
        if let Some(raw) = raw {
            self.counts.add(raw);
            self.facts.add_usage(raw);
        }
    }

    fn report_usage(&self, out: &mut Vec<StreamEvent>) {
        out.extend(self.counts.usage().map(|usage| StreamEvent::Usage { usage }));
    }

    /// Gives what was held back until the end.
    fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.blocks.close(origin, out);
        if let Some(payload) = self.container.take() {
            let opaque = Opaque { provider: origin.row.name.to_owned(), payload };
            out.push(StreamEvent::NativePart { part: LAST, opaque });
        }
        self.facts.set_list("citations", self.blocks.citations());
        self.facts.report(out);
        self.report_usage(out);
        let raw = self.stop_reason.take();
        out.push(StreamEvent::Finished { reason: self.reason(raw.as_deref()), raw });
    }

    fn reason(&self, raw: Option<&str>) -> FinishReason {
        let called = self.blocks.called();
        match raw {
            Some("end_turn" | "stop_sequence") | None if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some("end_turn" | "stop_sequence") => FinishReason::Stop,
            Some("tool_use") => FinishReason::ToolCalls,
            Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
            Some("pause_turn" | "compaction") => FinishReason::Paused,
            Some("refusal") => FinishReason::ContentFilter,
            Some(_) => FinishReason::Other,
        }
    }
}
