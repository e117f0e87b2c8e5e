//! OpenAI Chat Completions, and everything that imitates it.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream of one piece.

mod call_ids;
mod error;
mod messages;
mod reading;
mod request;
mod strict;
mod usage;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Result, StreamEvent};

use crate::dialect::{
    Decoder, Dialect, ErrorAnswer, HttpRequest, KeyHeader, Method, Origin, Profile, shortened,
};
use crate::framing::FramingKind;

/// The format `openai-chat`.
#[derive(Debug, Clone, Copy)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn doc(&self) -> &'static str {
        "OpenAI Chat Completions, which most providers and local servers speak."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::Sse
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "authorization", prefix: "Bearer " }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile, delivery)?;
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/chat/completions"),
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

    fn classify(&self, answer: &ErrorAnswer<'_>, origin: &Origin) -> Error {
        error::of_answer(answer, origin)
    }
}

/// Reads one JSON text of the provider; one that ends too early is truncated, any other defect makes it invalid.
fn parse<'a, T: serde::Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T> {
    // Checking the encoding once is cheaper than checking each text in it.
    let parsed = match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(text),
    };
    parsed.map_err(|error| {
        let start = String::from_utf8_lossy(text.get(..800).unwrap_or(text));
        let start = shortened(start.trim(), 200);
        if error.is_eof() {
            return Error::new(
                ErrorKind::Truncated,
                format!("{what} broke off before its end; it begins with `{start}`"),
            );
        }
        Error::new(
            ErrorKind::InvalidOutput,
            format!("{what} cannot be read: {error}; it begins with `{start}`"),
        )
    })
}

#[cfg(test)]
mod tests;
