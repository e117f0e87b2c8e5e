//! Turns answers into events; a plain answer takes the steps of a streamed one, block by block.

mod blocks;

use std::sync::Arc;

use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent, Usage};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::blocks::Blocks;
use super::wire::{Answer, BlockEvent, Counts};
use crate::dialect::json::parse;
use crate::dialect::{Decoder, Origin, refusal};
use crate::framing::Frame;

/// What stands before the type of an error in the name of a frame's event.
const EXCEPTION: &str = "exception:";

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let answer: Answer<'_> = parse(body, "the answer")?;
    let message = answer.output.as_ref().and_then(|output| output.message.as_ref());
    let Some(content) = message.and_then(|message| message.content.as_deref()) else {
        return Err(complaint_of(body, origin)
            .unwrap_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer has no message")));
    };
    let mut out = Vec::with_capacity(content.len() * 3 + 4);
    let mut reading = Reading::default();
    for (index, raw) in (0..).zip(content) {
        reading.blocks.whole(index, raw, origin, &mut out)?;
    }
    reading.take(answer);
    reading.close(origin, &mut out);
    Ok(out)
}

/// Reads what stands in the place of an answer, if it is an error.
fn complaint_of(body: &[u8], origin: &Origin) -> Option<Error> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let told = ["message", "Message", "__type", "error"].iter().any(|name| value.get(name).is_some());
    if told { refusal::of_value(value, origin) } else { None }
}

/// Reads one streamed answer.
pub(super) struct StreamDecoder {
    origin: Arc<Origin>,
    reading: Reading,
    /// The message is complete; counts may follow.
    stopped: bool,
    ended: bool,
}

impl StreamDecoder {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self { origin, reading: Reading::default(), stopped: false, ended: false }
    }

    fn close(&mut self, out: &mut Vec<StreamEvent>) {
        self.ended = true;
        self.reading.close(&self.origin, out);
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        const WHAT: &str = "a piece of the streamed answer";
        let Some(event) = frame.event.filter(|_| !self.ended) else { return Ok(()) };
        let origin = &*self.origin;
        match event {
            "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" => {
                let piece: BlockEvent<'_> = parse(frame.data, WHAT)?;
                let index = piece.content_block_index.value();
                if let Some(start) = piece.start {
                    self.reading.blocks.start(index, start, out);
                }
                if let Some(delta) = piece.delta {
                    self.reading.blocks.delta(index, delta, origin, out)?;
                }
                if event == "contentBlockStop" {
                    self.reading.blocks.end(index, origin, out);
                }
            }
            "messageStop" => {
                self.reading.take(parse(frame.data, WHAT)?);
                self.stopped = true;
            }
            "metadata" => {
                self.reading.take(parse(frame.data, WHAT)?);
                if self.stopped {
                    self.close(out);
                }
            }
            _ => {
                if let Some(kind) = event.strip_prefix(EXCEPTION) {
                    self.reading.report_usage(out);
                    return Err(failure(kind, frame.data, origin));
                }
            }
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
        if self.stopped {
            self.close(out);
            return Ok(());
        }
        self.ended = true;
        self.reading.report_usage(out);
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

/// Reads the error that a frame tells of.
fn failure(kind: &str, data: &[u8], origin: &Origin) -> Error {
    let mut body = match serde_json::from_slice(data) {
        Ok(Value::Object(fields)) => fields,
        _ => {
            let text = String::from_utf8_lossy(data).into_owned();
            [("message".to_owned(), Value::String(text))].into_iter().collect()
        }
    };
    if body.get("message").is_none_or(Value::is_null)
        && let Some(original) = body.remove("originalMessage")
    {
        body.insert("message".to_owned(), original);
    }
    body.insert("type".to_owned(), json!(kind));
    refusal::of_value(Value::Object(body), origin)
        .unwrap_or_else(|| Error::new(ErrorKind::Overloaded, format!("the answer ended with `{kind}`")))
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    blocks: Blocks,
    facts: Vec<(&'static str, Value)>,
    usage: Option<Usage>,
    stop_reason: Option<String>,
}

impl Reading {
    /// Takes what stands beside the message.
    fn take(&mut self, answer: Answer<'_>) {
        if let Some(reason) = answer.stop_reason.and_then(|reason| reason.filled()) {
            self.stop_reason = Some(reason.into_owned());
        }
        self.usage = answer.usage.and_then(usage).or(self.usage);
        for (name, raw) in [
            ("metrics", answer.metrics),
            ("trace", answer.trace),
            ("performanceConfig", answer.performance_config),
            ("serviceTier", answer.service_tier),
            ("additionalModelResponseFields", answer.additional_model_response_fields),
        ] {
            let value = raw.map(RawValue::get).and_then(|raw| serde_json::from_str::<Value>(raw).ok());
            if let Some(value) = value.filter(|value| !value.is_null()) {
                self.facts.push((name, value));
            }
        }
    }

    fn report_usage(&self, out: &mut Vec<StreamEvent>) {
        out.extend(self.usage.map(|usage| StreamEvent::Usage { usage }));
    }

    /// Gives what was held back until the end.
    fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.blocks.end_all(origin, out);
        let citations = self.blocks.take_citations().map(|list| ("citations", Value::Array(list)));
        let facts = std::mem::take(&mut self.facts).into_iter().chain(citations);
        out.extend(facts.map(|(name, value)| StreamEvent::Metadata { name: name.to_owned(), value }));
        self.report_usage(out);
        let raw = self.stop_reason.take();
        out.push(StreamEvent::Finished { reason: self.reason(raw.as_deref()), raw });
    }

    fn reason(&self, raw: Option<&str>) -> FinishReason {
        let called = self.blocks.called();
        match raw {
            None | Some("end_turn" | "stop_sequence") if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some("end_turn" | "stop_sequence") => FinishReason::Stop,
            Some("tool_use") => FinishReason::ToolCalls,
            Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
            Some("guardrail_intervened" | "content_filtered" | "refusal") => FinishReason::ContentFilter,
            Some("pause_turn") => FinishReason::Paused,
            Some(_) => FinishReason::Other,
        }
    }
}

/// Brings counts to one meaning: the wire's input leaves out what the cache gave and took.
fn usage(counts: Counts) -> Option<Usage> {
    counts.input_tokens.or(counts.output_tokens).or(counts.total_tokens).0?;
    let cached = counts.cache_read_input_tokens.or(counts.cache_read_input_token_count).value();
    let written = counts.cache_write_input_tokens.or(counts.cache_write_input_token_count).value();
    let input = counts.input_tokens.value().saturating_add(cached).saturating_add(written);
    let mut usage = Usage::new(input, counts.output_tokens.value());
    (usage.cached_input, usage.cache_write) = (cached, written);
    let details = counts.cache_details.iter().flatten().filter(|detail| detail.ttl == "1h");
    usage.cache_write_1h = details.map(|detail| detail.input_tokens.value()).sum();
    Some(usage)
}
