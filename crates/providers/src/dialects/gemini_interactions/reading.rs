//! Turns answers into events; the steps of a plain answer take the same way as those of a stream.

use std::sync::Arc;

use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent, Usage};
use serde_json::{Map, Value};

use super::steps::Steps;
use super::{taken, text};
use crate::dialect::json::parse;
use crate::dialect::{Decoder, Origin, billing, refusal};
use crate::framing::Frame;

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let mut answer: Value = parse(body, "the answer")?;
    if let Some(error) = refusal::of_value(taken(&mut answer, "error"), origin) {
        return Err(error);
    }
    let Value::Array(steps) = taken(&mut answer, "steps") else {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no steps"));
    };
    let mut out = Vec::with_capacity(8);
    let mut reading = Reading::default();
    reading.take(&answer, &mut out);
    for (index, step) in (0i64..).zip(steps) {
        reading.steps.start(index, step, origin.row.name, &mut out);
        reading.steps.stop(index, origin.row.name, &mut out);
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
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.ended || frame.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let mut event: Value = parse(frame.data, "an event of the streamed answer")?;
        let kind = text(&event, "event_type").or(frame.event).unwrap_or_default().to_owned();
        let index = event.get("index").and_then(Value::as_i64).unwrap_or(0);
        let provider = self.origin.row.name;
        match kind.as_str() {
            "interaction.created" => self.reading.take(&taken(&mut event, "interaction"), out),
            "step.start" => self.reading.steps.start(index, taken(&mut event, "step"), provider, out),
            "step.delta" => self.reading.steps.delta(index, taken(&mut event, "delta"), provider, out),
            "step.stop" => self.reading.steps.stop(index, provider, out),
            "interaction.completed" => {
                self.ended = true;
                self.reading.take(&taken(&mut event, "interaction"), out);
                self.reading.close(&self.origin, out);
            }
            "error" => {
                self.reading.report_usage(out);
                let told = refusal::of_value(taken(&mut event, "error"), &self.origin);
                let unnamed = || Error::new(ErrorKind::Overloaded, "the provider broke off with an error");
                return Err(told.or_else(|| refusal::of_value(event, &self.origin)).unwrap_or_else(unnamed));
            }
            _ => {}
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
        self.ended = true;
        self.reading.steps.stop_all(self.origin.row.name, out);
        self.reading.report_usage(out);
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    has_id: bool,
    has_model: bool,
    steps: Steps,
    status: Option<String>,
    usage: Option<Usage>,
    tier: Option<String>,
}

impl Reading {
    /// Takes what stands beside the steps; a later one completes an earlier one.
    fn take(&mut self, interaction: &Value, out: &mut Vec<StreamEvent>) {
        let text = |name: &str| interaction[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let response_id = text("id").filter(|_| !self.has_id);
        let served_model = text("model").filter(|_| !self.has_model);
        self.has_id |= response_id.is_some();
        self.has_model |= served_model.is_some();
        if let Some(id) = &response_id {
            self.steps.set_seed(id);
        }
        if response_id.is_some() || served_model.is_some() {
            out.push(StreamEvent::ResponseStarted { response_id, request_id: None, served_model });
        }
        self.status = text("status").or(self.status.take());
        self.tier = text("service_tier").or(self.tier.take());
        self.usage = interaction.get("usage").and_then(Value::as_object).and_then(usage).or(self.usage);
    }

    fn report_usage(&self, out: &mut Vec<StreamEvent>) {
        out.extend(self.usage.map(|usage| StreamEvent::Usage { usage }));
    }

    fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.steps.stop_all(origin.row.name, out);
        if let Some(value) = self.steps.take_annotations() {
            out.push(StreamEvent::Metadata { name: "annotations".to_owned(), value });
        }
        out.extend(self.tier.as_deref().and_then(billing::tier_fact));
        self.report_usage(out);
        let raw = self.status.take();
        let reason = match raw.as_deref() {
            Some("completed") | None if self.steps.has_calls() => FinishReason::ToolCalls,
            Some("completed") => FinishReason::Stop,
            Some("requires_action") => FinishReason::ToolCalls,
            Some("incomplete") => FinishReason::Length,
            None => FinishReason::Unknown,
            Some(_) => FinishReason::Other,
        };
        out.push(StreamEvent::Finished { reason, raw });
    }
}

/// Reads token counts: tools' input is counted apart from the input, thoughts apart from the output.
fn usage(counts: &Map<String, Value>) -> Option<Usage> {
    let count = |name: &str| counts.get(name).and_then(Value::as_u64);
    let (input, output) = (count("total_input_tokens"), count("total_output_tokens"));
    input.or(output).or(count("total_tokens"))?;
    let thoughts = count("total_thought_tokens").unwrap_or(0);
    let tools = count("total_tool_use_tokens").unwrap_or(0);
    let mut usage =
        Usage::new(input.unwrap_or(0).saturating_add(tools), output.unwrap_or(0).saturating_add(thoughts));
    usage.cached_input = count("total_cached_tokens").unwrap_or(0);
    usage.reasoning = thoughts;
    Some(usage)
}
