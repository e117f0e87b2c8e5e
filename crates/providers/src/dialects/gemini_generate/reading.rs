//! Turns answers into events; a plain answer takes the same way as a streamed one, in one piece.

mod facts;
mod parts;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent};
use serde_json::Value;
use serde_json::value::RawValue;

use super::usage::Counts;
use super::wire::{Answer, Candidate};
use crate::dialect::json::parse;
use crate::dialect::{Decoder, Origin, billing, refusal};
use crate::framing::Frame;

/// Reads a plain answer, or a stream that came as one list of its pieces.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let mut out = Vec::with_capacity(6);
    let mut reading = Reading::default();
    if body.trim_ascii_start().starts_with(b"[") {
        for piece in parse::<Vec<Answer<'_>>>(body, "the answer")? {
            reading.take(piece, origin, &mut out)?;
        }
        reading.end(&mut out)?;
        return Ok(out);
    }
    let answer: Answer<'_> = parse(body, "the answer")?;
    if !answer.is_answer() && answer.error.is_none() {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no candidates"));
    }
    reading.take(answer, origin, &mut out)?;
    reading.close(&mut out);
    Ok(out)
}

/// Reads one streamed answer.
///
/// The stream has no mark at its end: the answer is whole when the bytes end after a reason to finish was told, and not
/// before, as more may follow the first such reason.
pub(super) struct StreamDecoder {
    origin: Arc<Origin>,
    reading: Reading,
    ended: bool,
}

impl StreamDecoder {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self { origin, reading: Reading::default(), ended: false }
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        // Some proxies add the mark of another format.
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let what = "a piece of the streamed answer";
        if frame.data.trim_ascii_start().starts_with(b"[") {
            let pieces = parse::<Vec<Answer<'_>>>(frame.data, what)?;
            return pieces.into_iter().try_for_each(|piece| self.reading.take(piece, &self.origin, out));
        }
        self.reading.take(parse(frame.data, what)?, &self.origin, out)
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.reading.end(out)
    }
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    has_id: bool,
    has_model: bool,
    parts: parts::Parts,
    facts: facts::Facts,
    counts: Counts,
    finish_reason: Option<String>,
    /// The prompt was refused before any answer.
    blocked: bool,
}

impl Reading {
    /// Takes a plain answer or a piece of a streamed one.
    fn take(&mut self, mut answer: Answer<'_>, origin: &Origin, out: &mut Vec<StreamEvent>) -> Result<()> {
        if let Some(error) = answer.error.and_then(|raw| failure(raw, origin)) {
            self.report_usage(out);
            return Err(error);
        }
        self.announce(&mut answer, out);
        if let Some(raw) = answer.usage_metadata {
            self.counts.add(raw);
        }
        if let Some(feedback) = answer.prompt_feedback.and_then(facts::read)
            && feedback.get("blockReason").is_some_and(|reason| !reason.is_null())
        {
            self.blocked = true;
            self.facts.tell("prompt_feedback", feedback);
        }
        for candidate in answer.candidates.into_iter().flatten() {
            // Further candidates come only when the caller's own fields ask for them; an answer is one message.
            if candidate.index.value() == 0 {
                self.candidate(candidate, origin, out)?;
            }
        }
        Ok(())
    }

    fn announce(&mut self, answer: &mut Answer<'_>, out: &mut Vec<StreamEvent>) {
        let id = if self.has_id { None } else { answer.response_id.take().and_then(|id| id.filled()) };
        let model =
            if self.has_model { None } else { answer.model_version.take().and_then(|model| model.filled()) };
        if let Some(id) = &id {
            self.parts.set_seed(id);
        }
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

    fn candidate(
        &mut self,
        mut candidate: Candidate<'_>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        self.facts.add(&candidate);
        if let Some(reason) = candidate.finish_reason.take().and_then(|reason| reason.filled()) {
            self.finish_reason = Some(reason.into_owned());
        }
        let content = candidate.content.and_then(|content| content.parts);
        content.into_iter().flatten().try_for_each(|part| self.parts.add(part, origin.row.name, out))
    }

    fn report_usage(&self, out: &mut Vec<StreamEvent>) {
        out.extend(self.counts.usage().map(|usage| StreamEvent::Usage { usage }));
    }

    /// Takes the end of a stream.
    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.finish_reason.is_some() || self.blocked {
            self.close(out);
            return Ok(());
        }
        self.report_usage(out);
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }

    /// Gives what was held back until the end.
    fn close(&mut self, out: &mut Vec<StreamEvent>) {
        let raw = self.finish_reason.take();
        let reason = self.reason(raw.as_deref());
        self.facts.close(reason == FinishReason::ContentFilter, out);
        out.extend(self.counts.tier().and_then(billing::tier_fact));
        self.report_usage(out);
        out.push(StreamEvent::Finished { reason, raw });
    }

    fn reason(&self, raw: Option<&str>) -> FinishReason {
        let called = self.parts.has_calls();
        match raw {
            _ if self.blocked => FinishReason::ContentFilter,
            Some("STOP") | None if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some("STOP") => FinishReason::Stop,
            Some("MAX_TOKENS") => FinishReason::Length,
            Some(
                "SAFETY"
                | "RECITATION"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "MODEL_ARMOR"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT"
                | "IMAGE_RECITATION",
            ) => FinishReason::ContentFilter,
            Some(_) => FinishReason::Other,
        }
    }
}

/// Reads the error that stands in place of an answer; `None` when it is a harmless filler.
fn failure(raw: &RawValue, origin: &Origin) -> Option<Error> {
    serde_json::from_str::<Value>(raw.get()).ok().and_then(|value| refusal::of_value(value, origin))
}
