//! Turns answers into events; a plain answer takes the same way as a streamed one, in one piece.

mod alike;
mod calls;
mod media;
mod reasoning;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{Cost, Error, ErrorKind, FinishReason, Result, StreamEvent, Usage};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::usage;
use super::wire::{Answer, Call, Choice, Content, ContentPart, Message, text_part};
use crate::dialect::json::{Text, parse};
use crate::dialect::{Decoder, Origin};
use crate::dialect::{billing, call_ids, refusal};
use crate::framing::Frame;

/// Place of the reasoning in the message.
const REASONING: u32 = 0;
/// Place of the text.
const TEXT: u32 = 1;
/// Place of the refusal.
const REFUSAL: u32 = 2;
/// Place of the first tool call.
const FIRST_CALL: u32 = 3;
/// Place of the first image, after all calls.
const FIRST_IMAGE: u32 = 1 << 16;
/// Place of the spoken answer.
const AUDIO: u32 = 1 << 17;

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let mut answer: Answer<'_> = parse(body, "the answer")?;
    let mut out = Vec::with_capacity(6);
    let mut reading = Reading::default();
    if let Some(error) = answer.error.and_then(|raw| failure(raw, origin)) {
        return Err(error);
    }
    let mut choices: Vec<Choice<'_>> = std::mem::take(&mut answer.choices).into_iter().collect();
    let first = choices.iter().position(|choice| choice.index.value() == 0).unwrap_or(0);
    if choices.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no choices"));
    }
    let mut choice = choices.swap_remove(first);
    reading.begin(&mut answer, origin, &mut out);
    let message = choice.message.take();
    if message.is_none() && choice.error.is_none() {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no message"));
    }
    match reading.choice(message, choice, origin, &mut out) {
        Some(error) => Err(error),
        None => {
            reading.close(origin, &mut out);
            Ok(out)
        }
    }
}

/// Reads one streamed answer.
pub(super) struct StreamDecoder {
    origin: Arc<Origin>,
    reading: Reading,
    envelope: alike::Envelope,
    ended: bool,
}

impl StreamDecoder {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self { origin, reading: Reading::default(), envelope: alike::Envelope::default(), ended: false }
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if frame.event.is_none()
            && let Some(text) = self.envelope.text(frame.data)
        {
            push_text(text, out);
            return Ok(());
        }
        if frame.data.trim_ascii() == b"[DONE]" {
            self.ended = true;
            self.reading.close(&self.origin, out);
            return Ok(());
        }
        let mut answer: Answer<'_> = match parse(frame.data, "a piece of the streamed answer") {
            Err(_) if is_foreign(frame.event) => return Ok(()),
            result => result?,
        };
        if let Some(text) = alike::only_text(&answer).filter(|_| frame.event.is_none()) {
            self.envelope.keep(frame.data, text);
        }
        let origin = &*self.origin;
        let is_whole = self.reading.is_whole();
        self.reading.begin(&mut answer, origin, out);
        let mut failed = None;
        for mut choice in std::mem::take(&mut answer.choices) {
            if choice.index.value() == 0 {
                let piece = choice.delta.take();
                failed = self.reading.choice(piece, choice, origin, out).or(failed);
            }
        }
        let beside = answer.error.or(answer.x_groq.and_then(|extension| extension.error));
        let failed = beside.and_then(|raw| failure(raw, origin)).or(failed);
        let failed = match frame.event {
            Some("error") if failed.is_none() => {
                refusal::of_value(parse(frame.data, "an error event")?, origin)
            }
            _ => failed,
        };
        match failed {
            // What fails after the end takes nothing from a whole answer, whose events come before the error.
            Some(error) if is_whole => {
                self.ended = true;
                self.reading.close(origin, out);
                Err(error)
            }
            Some(error) => {
                self.reading.calls.flush(out);
                self.reading.report_usage(out);
                Err(error)
            }
            None => Ok(()),
        }
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        // The counts come last, so that with them the answer is whole.
        let is_last = !self.origin.profile.end_marker || self.reading.usage.is_some();
        if self.reading.finish_reason.is_some() && is_last {
            self.reading.close(&self.origin, out);
            return Ok(());
        }
        self.reading.calls.flush(out);
        self.reading.report_usage(out);
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

/// Tells whether an event's name says that it is no piece of the answer.
fn is_foreign(event: Option<&str>) -> bool {
    event.is_some_and(|name| name != "message" && name != "error" && name != "data")
}

/// Reads the error that stands beside an answer; `None` when it is a harmless filler.
fn failure(raw: &RawValue, origin: &Origin) -> Option<Error> {
    serde_json::from_str::<Value>(raw.get()).ok().and_then(|value| refusal::of_value(value, origin))
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    /// Tells this answer's minted ids from another's.
    seed: Option<u64>,
    has_id: bool,
    has_model: bool,
    has_refusal: bool,
    calls: calls::Calls,
    hidden: reasoning::Hidden,
    media: media::Made,
    facts: Vec<(&'static str, Value)>,
    usage: Option<Usage>,
    /// What the answer cost, as the provider tells.
    reported: Option<Cost>,
    finish_reason: Option<String>,
}

impl Reading {
    /// Takes what stands beside the choices.
    fn begin(&mut self, answer: &mut Answer<'_>, origin: &Origin, out: &mut Vec<StreamEvent>) {
        if !self.has_id || !self.has_model {
            self.announce(answer, out);
        }
        let beside = answer.x_groq.as_ref().and_then(|extension| extension.usage);
        if let Some(raw) = answer.usage.or(beside) {
            self.usage = usage::read(raw, &origin.profile).or(self.usage);
            self.reported = billing::reported(raw).or(self.reported);
        }
        let tier = answer.service_tier.as_ref().and_then(|tier| billing::unusual_tier(&tier.0));
        if let Some(tier) = tier {
            self.set_fact("service_tier", Value::from(tier), Joining::Replace);
        }
        for (name, raw) in [("citations", answer.citations), ("search_results", answer.search_results)] {
            if let Some(raw) = raw {
                self.fact(name, raw, Joining::Replace);
            }
        }
    }

    fn announce(&mut self, answer: &mut Answer<'_>, out: &mut Vec<StreamEvent>) {
        if self.seed.is_none() {
            let id = answer.id.as_ref().map_or("", |id| &id.0);
            let created = answer.created.0.unwrap_or_default().to_le_bytes();
            let seed = call_ids::fold(call_ids::fold(call_ids::FOLD_START, id.as_bytes()), &created);
            self.seed = Some(seed);
            self.calls.seed = seed;
        }
        let id = if self.has_id { None } else { answer.id.take().and_then(|id| id.filled()) };
        let model = if self.has_model { None } else { answer.model.take().and_then(|model| model.filled()) };
        self.has_id |= id.is_some();
        self.has_model |= model.is_some();
        if id.is_some() || model.is_some() {
            out.push(StreamEvent::ResponseStarted {
                response_id: id.map(Cow::into_owned),
                request_id: None,
                served_model: model.map(Cow::into_owned),
            });
        }
    }

    /// Takes the candidate and its message; gives the error that it tells of.
    fn choice(
        &mut self,
        message: Option<Box<Message<'_>>>,
        choice: Choice<'_>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Option<Error> {
        if let Some(mut message) = message {
            self.message(&mut message, out);
        }
        if let Some(reason) = choice.finish_reason.and_then(|reason| reason.filled()) {
            self.finish_reason = Some(reason.into_owned());
        }
        if let Some(native) = choice.native_finish_reason.and_then(|native| native.filled()) {
            self.set_fact("native_finish_reason", Value::String(native.into_owned()), Joining::Replace);
        }
        if let Some(list) = choice.logprobs.and_then(logprobs) {
            self.set_fact("logprobs", list, Joining::Append);
        }
        choice.error.and_then(|raw| failure(raw, origin))
    }

    fn message(&mut self, message: &mut Message<'_>, out: &mut Vec<StreamEvent>) {
        self.thought(message, out);
        self.content(std::mem::take(&mut message.content), out);
        if let Some(text) = message.refusal.take().and_then(|text| text.filled()) {
            self.has_refusal = true;
            out.push(StreamEvent::RefusalDelta { part: REFUSAL, text: text.into_owned() });
        }
        let calls = message.tool_calls.take().unwrap_or_default();
        let single = message.function_call.take().filter(|call| calls.is_empty() && call.says_something());
        for call in calls.into_iter().chain(single.map(Call::single)) {
            self.calls.add(call, out);
        }
        if let Some(raw) = message.images {
            self.media.add_images(raw, out);
        }
        if let Some(raw) = message.audio {
            self.media.add_audio(raw);
        }
        for (name, raw) in [("annotations", message.annotations), ("executed_tools", message.executed_tools)]
        {
            if let Some(raw) = raw {
                self.fact(name, raw, Joining::Append);
            }
        }
    }

    /// Takes the reasoning, whose text may stand in two fields and in the details at once.
    fn thought(&mut self, message: &mut Message<'_>, out: &mut Vec<StreamEvent>) {
        let shown = named("reasoning_content", message.reasoning_content.take());
        let shown = shown.or_else(|| named("reasoning", message.reasoning.take()));
        let told = message.reasoning_details.map(|raw| self.hidden.add_details(raw));
        match (shown, told) {
            (Some((name, text)), _) => {
                self.hidden.note_field(name);
                push_reasoning(text, out);
            }
            (None, Some(told)) => push_reasoning(Cow::Owned(told), out),
            (None, None) => {}
        }
        self.hidden.add_field("reasoning_opaque", message.reasoning_opaque);
        self.hidden.add_field("reasoning_encrypted", message.reasoning_encrypted);
    }

    fn content(&mut self, content: Content<'_>, out: &mut Vec<StreamEvent>) {
        match content {
            Content::Nothing => {}
            Content::Text(text) => push_text(text, out),
            Content::Parts(parts) => {
                for part in parts {
                    self.part(part, out);
                }
            }
        }
    }

    fn part(&mut self, part: ContentPart<'_>, out: &mut Vec<StreamEvent>) {
        match &*part.part_type.0 {
            "text" | "output_text" => push_text(part.text.unwrap_or_default().0, out),
            "thinking" => {
                let parts = match part.thinking {
                    Content::Nothing => Vec::new(),
                    Content::Text(text) => vec![text_part(text)],
                    Content::Parts(parts) => parts,
                };
                for part in parts {
                    self.thinking(part, out);
                }
            }
            "image_url" => {
                if let Some(raw) = part.image_url {
                    self.media.add_images(raw, out);
                }
            }
            "reference" | "tool_reference" => self.set_fact("annotations", reference(part), Joining::Append),
            _ => {}
        }
    }

    /// Takes a part of the thinking.
    fn thinking(&mut self, part: ContentPart<'_>, out: &mut Vec<StreamEvent>) {
        match &*part.part_type.0 {
            "text" => {
                if let Some(text) = part.text.and_then(Text::filled) {
                    self.hidden.note_field("content");
                    push_reasoning(text, out);
                }
            }
            "reference" | "tool_reference" => self.set_fact("annotations", reference(part), Joining::Append),
            _ => {}
        }
    }

    fn fact(&mut self, name: &'static str, raw: &RawValue, joining: Joining) {
        if let Ok(value) = serde_json::from_str::<Value>(raw.get())
            && value.as_array().is_none_or(|list| !list.is_empty())
        {
            self.set_fact(name, value, joining);
        }
    }

    fn set_fact(&mut self, name: &'static str, value: Value, joining: Joining) {
        match self.facts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Value::Array(list))) if joining == Joining::Append => match value {
                Value::Array(more) => list.extend(more),
                other => list.push(other),
            },
            Some((_, known)) => *known = value,
            None => self.facts.push((name, value)),
        }
    }

    fn report_usage(&self, out: &mut Vec<StreamEvent>) {
        out.extend(self.usage.map(|usage| StreamEvent::Usage { usage }));
        out.extend(self.reported.map(|cost| StreamEvent::Cost { cost: Some(cost) }));
    }

    /// Gives what was held back until the end.
    fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.calls.close(origin, out);
        if let Some(opaque) = self.hidden.take(origin) {
            out.push(StreamEvent::PartOpaque { part: REASONING, opaque });
        }
        self.media.close(origin, out);
        let facts = std::mem::take(&mut self.facts).into_iter();
        out.extend(facts.map(|(name, value)| StreamEvent::Metadata { name: name.to_owned(), value }));
        self.report_usage(out);
        let raw = self.finish_reason.take();
        out.push(StreamEvent::Finished { reason: self.reason(raw.as_deref()), raw });
    }

    /// Tells whether the answer said of itself that it is at its end, and why.
    fn is_whole(&self) -> bool {
        let reason = self.finish_reason.as_deref();
        reason.is_some() && !matches!(self.reason(reason), FinishReason::Other | FinishReason::Unknown)
    }

    fn reason(&self, raw: Option<&str>) -> FinishReason {
        let called = !self.calls.is_empty();
        match raw {
            None if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some(
                "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" | "end" | "complete"
                | "completed",
            ) => {
                if called {
                    FinishReason::ToolCalls
                } else if self.has_refusal {
                    FinishReason::ContentFilter
                } else {
                    FinishReason::Stop
                }
            }
            Some(
                "length"
                | "max_tokens"
                | "max_output_tokens"
                | "model_length"
                | "model_context_window_exceeded"
                | "context_length_exceeded",
            ) => FinishReason::Length,
            Some("tool_calls" | "tool_call" | "function_call" | "tool_use") => FinishReason::ToolCalls,
            Some("content_filter" | "refusal" | "sensitive" | "safety") => FinishReason::ContentFilter,
            Some(_) => FinishReason::Other,
        }
    }
}

/// What becomes of a fact that is told again.
#[derive(Clone, Copy, PartialEq)]
enum Joining {
    Replace,
    Append,
}

fn named<'a>(name: &'static str, text: Option<Text<'a>>) -> Option<(&'static str, Cow<'a, str>)> {
    Some((name, text?.filled()?))
}

/// Gives a list of the one reference that a part is, as it came.
fn reference(part: ContentPart<'_>) -> Value {
    let ids = part.reference_ids.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let mut fields = Map::from_iter([("type".to_owned(), Value::from(part.part_type.0.as_ref()))]);
    fields.extend(ids.map(|ids| ("reference_ids".to_owned(), ids)));
    for (name, text) in [("tool", part.tool), ("title", part.title), ("url", part.url)] {
        fields.extend(text.and_then(Text::filled).map(|text| (name.to_owned(), Value::from(text.as_ref()))));
    }
    Value::Array(vec![Value::Object(fields)])
}

/// Gives the probabilities of an answer's or a piece's tokens; `None` where there are none.
fn logprobs(raw: &RawValue) -> Option<Value> {
    let mut value = serde_json::from_str::<Value>(raw.get()).ok()?;
    let content = value.get_mut("content").map(Value::take)?;
    content.as_array().is_some_and(|list| !list.is_empty()).then_some(content)
}

fn push_text(text: Cow<'_, str>, out: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        out.push(StreamEvent::TextDelta { part: TEXT, text: text.into_owned() });
    }
}

fn push_reasoning(text: Cow<'_, str>, out: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        out.push(StreamEvent::ReasoningDelta { part: REASONING, text: text.into_owned() });
    }
}
