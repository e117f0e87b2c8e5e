//! OpenAI Chat Completions, and everything that imitates it.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream of one piece.

mod messages;
mod reading;
mod request;
mod thinking;
mod usage;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// Fields of a message that the provider fills with its reasoning and wants back as they came.
const OWN_FIELDS: [&str; 3] = ["reasoning_details", "reasoning_opaque", "reasoning_encrypted"];

/// Name in a payload of the field in which the reasoning's text came.
const CAME_IN: &str = "came_in";

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
}

#[cfg(test)]
mod tests;
