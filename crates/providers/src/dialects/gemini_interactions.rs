//! Gemini's Interactions, sent whole each time and kept by nobody but the caller.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream of its steps.

mod reading;
mod request;
mod steps;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};
use serde_json::Value;

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// The format `gemini-interactions`.
#[derive(Debug, Clone, Copy)]
pub struct GeminiInteractions;

impl Dialect for GeminiInteractions {
    fn name(&self) -> &'static str {
        "gemini-interactions"
    }

    fn doc(&self) -> &'static str {
        "Gemini's Interactions, sent whole each time."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::Sse
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "x-goog-api-key", prefix: "" }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile, delivery)?;
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed(match delivery {
                Delivery::Plain => "/interactions",
                Delivery::Streamed => "/interactions?alt=sse",
            }),
            headers: Vec::new(),
            body: body.into(),
            warnings,
        })
    }

    fn decode(&self, body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
        reading::plain(body, origin)
    }

    fn decoder(&self, origin: &Arc<Origin>) -> Box<dyn Decoder> {
        Box::new(reading::StreamDecoder::new(Arc::clone(origin)))
    }
}

/// Takes a field out of an object; null where there is none.
fn taken(value: &mut Value, name: &str) -> Value {
    value.as_object_mut().and_then(|fields| fields.get_mut(name)).map(Value::take).unwrap_or_default()
}

/// Gives a field that is a text.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
