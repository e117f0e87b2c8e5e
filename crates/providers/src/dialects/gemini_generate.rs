//! Gemini generateContent, of Google AI Studio and Vertex AI.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream of one piece.

mod contents;
mod options;
mod reading;
mod request;
mod usage;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

pub(crate) use options::{small_seed, warn_of_lost};
pub(crate) use request::{Form, encode};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// The format `gemini-generate`.
#[derive(Debug, Clone, Copy)]
pub struct GeminiGenerate;

impl Dialect for GeminiGenerate {
    fn name(&self) -> &'static str {
        "gemini-generate"
    }

    fn doc(&self) -> &'static str {
        "Gemini generateContent, of Google AI Studio and Vertex AI."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::Sse
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "x-goog-api-key", prefix: "" }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile, Form::Answer)?;
        let method = match delivery {
            Delivery::Plain => "generateContent",
            // Without the option the stream is one JSON list, which can be read only when it is whole.
            Delivery::Streamed => "streamGenerateContent?alt=sse",
        };
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Owned(path(request.model.model(), method)),
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

/// Gives the name of a model's resource: names with a folder, such as tuned models', are taken as they are.
pub(crate) fn resource(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

/// Gives the path of a method of a model.
pub(crate) fn path(model: &str, method: &str) -> String {
    let resource = resource(model).replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("/{resource}:{method}")
}

#[cfg(test)]
mod tests;
