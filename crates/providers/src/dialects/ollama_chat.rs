//! Ollama's own chat: lines of JSON, arguments as objects, options in a field of their own.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream of one piece.

mod messages;
mod reading;
mod refused;
mod request;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Error, Result, StreamEvent};

use crate::dialect::{Answer, Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// The format `ollama-chat`.
#[derive(Debug, Clone, Copy)]
pub struct OllamaChat;

impl Dialect for OllamaChat {
    fn name(&self) -> &'static str {
        "ollama-chat"
    }

    fn doc(&self) -> &'static str {
        "Ollama's own chat, which reaches all of its options."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::NdJson
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "authorization", prefix: "Bearer " }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile, delivery)?;
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/api/chat"),
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

    fn classify(&self, answer: &Answer<'_>, origin: &Origin) -> Error {
        refused::classify(answer, origin)
    }
}

#[cfg(test)]
mod tests;
