//! Turns answers into events; a plain answer takes the way of a stream's last event, which restates the whole.

mod item;
mod items;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent};
use serde_json::Value;
use serde_json::value::RawValue;

use super::usage;
use super::wire::{Event, Response};
use crate::dialect::json::{Text, parse};
use crate::dialect::{Complaint, Decoder, Origin, billing, call_ids, error_from, refusal};
use crate::framing::Frame;
use items::{Items, Place};

/// Reads a plain answer.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let response: Response<'_> = parse(body, "the answer")?;
    let mut out = Vec::with_capacity(8);
    let mut reading = Reading::default();
    reading.announce(&response, &mut out);
    reading.end(&response, "completed", origin, &mut out)?;
    if response.output.is_none() && response.status.is_none() {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no output"));
    }
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
        let event: Event<'_> = match parse(frame.data, "an event of the streamed answer") {
            Err(_) if is_foreign(frame.event) => return Ok(()),
            result => result?,
        };
        let name = event.event_type.as_ref().map(|name| &*name.0).or(frame.event).unwrap_or_default();
        let (reading, origin) = (&mut self.reading, &*self.origin);
        match name {
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                let response = response(&event)?;
                reading.announce(&response, out);
                self.ended = true;
                let implied = name.strip_prefix("response.").unwrap_or(name);
                return reading.end(&response, implied, origin, out);
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                reading.announce(&response(&event)?, out);
            }
            "response.output_item.added" => reading.items.added(place(&event), event.item, out),
            "response.output_item.done" => {
                reading.items.done(place(&event), event.item, origin, out);
            }
            "error" => return Err(told(parse(frame.data, "an error event")?, origin)),
            _ => match name.strip_prefix("response.").and_then(|name| name.strip_suffix(".delta")) {
                Some(kind) => reading.items.delta(kind, place(&event), &event.delta.0, out),
                None if event.event_type.is_none() && event.error.is_some() => {
                    let error = refusal::of_value(parse(frame.data, "an error event")?, origin);
                    return error.map_or(Ok(()), Err);
                }
                None => {}
            },
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.reading.items.flush(out);
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off before its end"))
    }
}

/// Tells whether an event's name says that it is no piece of the answer.
fn is_foreign(event: Option<&str>) -> bool {
    event.is_some_and(|name| !name.starts_with("response.") && name != "message" && name != "error")
}

fn place<'a>(event: &'a Event<'_>) -> Place<'a> {
    Place { index: event.output_index.0, id: &event.item_id.0, content: event.content_index.0 }
}

fn response<'a>(event: &Event<'a>) -> Result<Response<'a>> {
    match event.response {
        Some(raw) => parse(raw.get().as_bytes(), "the response in an event of the streamed answer"),
        None => Ok(Response::default()),
    }
}

/// Makes the error that a value tells of, or that of a failure that tells nothing.
fn told(value: Value, origin: &Origin) -> Error {
    refusal::of_value(value, origin).unwrap_or_else(|| {
        // The event's own name is all that is known.
        let complaint = Complaint { message: "response.failed".to_owned(), ..Complaint::default() };
        error_from(complaint, None, origin)
    })
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    id: Option<String>,
    model: Option<String>,
    items: Items,
}

impl Reading {
    /// Takes the names of the answer and its model, which the last event may correct.
    fn announce(&mut self, response: &Response<'_>, out: &mut Vec<StreamEvent>) {
        if self.items.seed.is_none() {
            let id = response.id.as_ref().map_or("", |id| &id.0);
            let created = response.created_at.value().to_le_bytes();
            let seed = call_ids::fold(call_ids::fold(call_ids::FOLD_START, id.as_bytes()), &created);
            self.items.seed = Some(seed);
        }
        let response_id = learnt(&mut self.id, response.id.as_ref());
        let served_model = learnt(&mut self.model, response.model.as_ref());
        if response_id.is_some() || served_model.is_some() {
            out.push(StreamEvent::ResponseStarted { response_id, request_id: None, served_model });
        }
    }

    /// Takes the response as it is at the end.
    fn end(
        &mut self,
        response: &Response<'_>,
        implied: &str,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        let status = response.status.as_ref().map(|status| &*status.0).filter(|status| !status.is_empty());
        let error = response.error.map(|raw| parse(raw.get().as_bytes(), "an error")).transpose()?;
        let failed = error.and_then(|value| refusal::of_value(value, origin));
        let failed =
            failed.or_else(|| (status.unwrap_or(implied) == "failed").then(|| told(Value::Null, origin)));
        self.items.restated(response.output, origin, out)?;
        if failed.is_some() {
            self.items.flush(out);
        } else {
            self.items.close(origin, out);
        }
        let usage = response.usage.and_then(|raw| usage::read(raw, &origin.profile));
        out.extend(usage.map(|usage| StreamEvent::Usage { usage }));
        let cost = response.usage.and_then(billing::reported);
        out.extend(cost.map(|cost| StreamEvent::Cost { cost: Some(cost) }));
        out.extend(response.service_tier.as_ref().and_then(|tier| billing::tier_fact(&tier.0)));
        match failed {
            Some(error) => Err(error),
            None => {
                self.finish(status, implied, response.incomplete_details, out);
                Ok(())
            }
        }
    }

    fn finish(
        &self,
        status: Option<&str>,
        implied: &str,
        details: Option<&RawValue>,
        out: &mut Vec<StreamEvent>,
    ) {
        let details = details.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        let detail = details.as_ref().and_then(|details| details.get("reason")).and_then(Value::as_str);
        if let Some(detail) = detail {
            let value = Value::from(detail);
            out.push(StreamEvent::Metadata { name: "incomplete_reason".to_owned(), value });
        }
        if let (Some(state @ ("queued" | "in_progress")), id) = (status, self.id.as_deref()) {
            let id = id.map(|id| format!(" by its id `{id}`")).unwrap_or_default();
            out.push(StreamEvent::Warning {
                message: format!(
                    "the answer is not there yet, but `{state}`; the provider gives it later{id}"
                ),
            });
        }
        let reason = match (status.unwrap_or(implied), detail) {
            ("completed", _) if self.items.has_calls => FinishReason::ToolCalls,
            ("completed", _) if self.items.has_refusal => FinishReason::ContentFilter,
            ("completed", _) => FinishReason::Stop,
            ("incomplete", Some("max_output_tokens" | "max_tokens" | "length")) => FinishReason::Length,
            ("incomplete", Some("content_filter")) => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        };
        out.push(StreamEvent::Finished { reason, raw: status.map(str::to_owned) });
    }
}

/// Gives a name that is new.
fn learnt(known: &mut Option<String>, told: Option<&Text<'_>>) -> Option<String> {
    let told = told.map(|told| &told.0).filter(|told| !told.is_empty())?;
    if known.as_deref() == Some(&**told) {
        return None;
    }
    *known = Some(Cow::clone(told).into_owned());
    known.clone()
}
