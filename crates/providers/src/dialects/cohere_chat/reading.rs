//! Turns answers into events; a plain answer takes the steps of a streamed one.

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::message::Opaque;
use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent, Usage};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::messages::TOOL_PLAN;
use super::wire::{Answer, Block, Call, Counts, Event, Message, Pair, blocks, each};
use crate::dialect::json::{Text, content_or_raw, parse};
use crate::dialect::{Decoder, Origin, call_ids, refusal};
use crate::framing::Frame;

/// Place of the plan of tool calls in the message.
const PLAN: u32 = 0;
/// Place of the first block's thinking; its text follows, then the next block's.
const FIRST_BLOCK: u32 = 1;
/// Place of the first tool call.
const FIRST_CALL: u32 = 1 << 16;

/// Events that must be readable; others are ignored.
const EVENTS: [&str; 9] = [
    "message-start",
    "tool-plan-delta",
    "content-start",
    "content-delta",
    "tool-call-start",
    "tool-call-delta",
    "citation-start",
    "message-end",
    "error",
];

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let answer: Answer<'_> = parse(body, "the answer")?;
    let Some(message) = answer.message.filter(|raw| raw.get().starts_with('{')) else {
        let told =
            answer.message.is_some().then(|| refusal::of_value(parse(body, "the answer").ok()?, origin));
        let nothing = || Error::new(ErrorKind::InvalidOutput, "the answer has no message");
        return Err(told.flatten().unwrap_or_else(nothing));
    };
    let mut message: Message<'_> = parse(message.get().as_bytes(), "the message")?;
    let (mut out, mut reading) = (Vec::with_capacity(6), Reading::default());
    reading.begin(answer.id, &mut out);
    reading.plan(&mut message);
    for (index, block) in (0..).zip(blocks(message.content).map_err(|error| unreadable(&error))?) {
        reading.block(index, block, &mut out);
    }
    for (index, call) in (0..).zip(each(message.tool_calls).map_err(|error| unreadable(&error))?) {
        reading.call(Some(index), call, true, &mut out);
    }
    reading.facts(answer.logprobs, message.citations);
    let reason = answer.finish_reason.and_then(Text::filled);
    reading.close(reason, answer.usage, origin, &mut out);
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

    fn event(&mut self, kind: &str, event: Event<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        let index = event.index.0;
        let mut delta = event.delta.unwrap_or_default();
        let mut message = delta.message.take().unwrap_or_default();
        let reading = &mut self.reading;
        let unreadable = |error| unreadable(&error);
        match kind {
            "message-start" => reading.begin(event.id, out),
            "tool-plan-delta" => reading.plan(&mut message),
            "content-start" | "content-delta" => {
                for block in blocks(message.content).map_err(unreadable)? {
                    reading.block(index.unwrap_or(0), block, out);
                }
                reading.facts(event.logprobs, None);
            }
            "tool-call-start" | "tool-call-delta" => {
                for call in each(message.tool_calls).map_err(unreadable)? {
                    reading.call(index, call, kind == "tool-call-start", out);
                }
            }
            "tool-call-end" => reading.end_call(index, out),
            "citation-start" => reading.facts(None, message.citations),
            "message-end" => {
                self.ended = true;
                let reason = delta.finish_reason.and_then(Text::filled);
                let failed = delta.error.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
                if let Some(error) = failed.and_then(|value| refusal::of_value(value, &self.origin)) {
                    reading.usage(delta.usage, out);
                    return Err(error);
                }
                reading.close(reason, delta.usage, &self.origin, out);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended || frame.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let event: Event<'_> = match parse(frame.data, "an event of the streamed answer") {
            Err(_) if frame.event.is_some_and(|name| !EVENTS.contains(&name)) => return Ok(()),
            result => result?,
        };
        let kind = event.kind.as_ref().map(|kind| kind.0.to_string()).filter(|kind| !kind.is_empty());
        let kind = kind.as_deref().or(frame.event).unwrap_or("error").to_owned();
        if kind == "error" {
            let told = refusal::of_value(parse(frame.data, "an error event")?, &self.origin);
            return told.map_or(Ok(()), Err);
        }
        self.event(&kind, event, out)
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidOutput, format!("a part of the answer cannot be read: {error}"))
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    /// Tells this answer's minted ids from another's.
    seed: u64,
    plan: String,
    calls: Vec<Slot>,
    citations: Vec<Value>,
    logprobs: Vec<Value>,
}

/// One tool call.
struct Slot {
    index: Option<u64>,
    open: bool,
}

impl Reading {
    fn begin(&mut self, id: Option<Text<'_>>, out: &mut Vec<StreamEvent>) {
        if let Some(id) = id.and_then(Text::filled) {
            self.seed = call_ids::fold(call_ids::FOLD_START, id.as_bytes());
            let response_id = Some(id.into_owned());
            out.push(StreamEvent::ResponseStarted { response_id, request_id: None, served_model: None });
        }
    }

    fn plan(&mut self, message: &mut Message<'_>) {
        self.plan.push_str(&message.tool_plan.take().unwrap_or_default().0);
    }

    fn block(&self, index: u64, block: Block<'_>, out: &mut Vec<StreamEvent>) {
        let last = u64::from((FIRST_CALL - FIRST_BLOCK) / 2 - 1);
        let part = FIRST_BLOCK + 2 * u32::try_from(index.min(last)).unwrap_or(0);
        if let Some(text) = block.thinking.and_then(Text::filled) {
            out.push(StreamEvent::ReasoningDelta { part, text: text.into_owned() });
        }
        if let Some(text) = block.text.and_then(Text::filled) {
            out.push(StreamEvent::TextDelta { part: part + 1, text: text.into_owned() });
        }
    }

    /// Takes a call or a piece of one; a piece of a call that was never begun begins it.
    fn call(&mut self, index: Option<u64>, call: Call<'_>, begins: bool, out: &mut Vec<StreamEvent>) {
        let function = call.function.unwrap_or_default();
        let known = self.place(index).filter(|_| !begins);
        let place = known.unwrap_or(self.calls.len());
        let part = part_of(place);
        if known.is_none() {
            self.calls.push(Slot { index, open: true });
            let sent = call.id.and_then(Text::filled).map(Cow::into_owned);
            let minted = sent.is_none();
            let id = sent.unwrap_or_else(|| call_ids::minted(self.seed, place));
            let name = function.name.unwrap_or_default().0.into_owned();
            out.push(StreamEvent::ToolCallStarted { part, id, name, minted });
        }
        let arguments = content_or_raw(function.arguments);
        if !arguments.is_empty() {
            out.push(StreamEvent::ToolCallDelta { part, arguments: arguments.into_owned() });
        }
    }

    fn end_call(&mut self, index: Option<u64>, out: &mut Vec<StreamEvent>) {
        if let Some(place) = self.place(index)
            && let Some(slot) = self.calls.get_mut(place)
            && std::mem::take(&mut slot.open)
        {
            out.push(StreamEvent::ToolCallEnded { part: part_of(place) });
        }
    }

    /// Finds the last call of an index, or the last one of all where none is given.
    fn place(&self, index: Option<u64>) -> Option<usize> {
        self.calls.iter().rposition(|slot| index.is_none() || slot.index == index)
    }

    fn facts(&mut self, logprobs: Option<&RawValue>, citations: Option<&RawValue>) {
        self.logprobs.extend(each(logprobs).unwrap_or_default());
        self.citations.extend(each(citations).unwrap_or_default());
    }

    /// Tells the tokens that the model saw and wrote, and as a fact those that are paid for, which are fewer.
    fn usage(&self, raw: Option<&RawValue>, out: &mut Vec<StreamEvent>) {
        let Some(counts) = raw.and_then(|raw| serde_json::from_str::<Counts>(raw.get()).ok()) else { return };
        let counted = |pair: &Pair| pair.input_tokens.or(pair.output_tokens).0.is_some();
        let (tokens, billed) = (counts.tokens.filter(counted), counts.billed_units.filter(counted));
        if let Some(seen) = tokens.or(billed) {
            let mut usage = Usage::new(seen.input_tokens.value(), seen.output_tokens.value());
            usage.cached_input = counts.cached_tokens.value();
            out.push(StreamEvent::Usage { usage });
        }
        if let Some(billed) = billed {
            let value = json!({"input": billed.input_tokens.value(), "output": billed.output_tokens.value()});
            out.push(StreamEvent::Metadata { name: "billed_tokens".to_owned(), value });
        }
    }

    /// Gives what was held back until the end.
    fn close(
        &mut self,
        raw: Option<Cow<'_, str>>,
        usage: Option<&RawValue>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        for (place, slot) in self.calls.iter_mut().enumerate() {
            if std::mem::take(&mut slot.open) {
                out.push(StreamEvent::ToolCallEnded { part: part_of(place) });
            }
        }
        if !self.plan.is_empty() {
            let plan = Value::String(std::mem::take(&mut self.plan));
            let opaque = Opaque { provider: origin.row.name.to_owned(), payload: json!({TOOL_PLAN: plan}) };
            out.push(StreamEvent::PartOpaque { part: PLAN, opaque });
            out.push(StreamEvent::Metadata { name: TOOL_PLAN.to_owned(), value: plan });
        }
        for (name, list) in [("citations", &mut self.citations), ("logprobs", &mut self.logprobs)] {
            if !list.is_empty() {
                let value = Value::Array(std::mem::take(list));
                out.push(StreamEvent::Metadata { name: name.to_owned(), value });
            }
        }
        self.usage(usage, out);
        let reason = self.reason(raw.as_deref());
        out.push(StreamEvent::Finished { reason, raw: raw.map(Cow::into_owned) });
    }

    fn reason(&self, raw: Option<&str>) -> FinishReason {
        let called = !self.calls.is_empty();
        match raw {
            None | Some("COMPLETE") if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some("COMPLETE" | "STOP_SEQUENCE") => FinishReason::Stop,
            Some("MAX_TOKENS" | "ERROR_LIMIT") => FinishReason::Length,
            Some("TOOL_CALL") => FinishReason::ToolCalls,
            Some("ERROR_TOXIC") => FinishReason::ContentFilter,
            Some(_) => FinishReason::Other,
        }
    }
}

fn part_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX).saturating_add(FIRST_CALL)
}
