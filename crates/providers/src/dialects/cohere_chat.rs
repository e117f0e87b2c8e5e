//! Cohere's chat, second version.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read by the steps of a streamed one.

mod messages;
mod reading;
mod request;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// The format `cohere-chat`.
#[derive(Debug, Clone, Copy)]
pub struct CohereChat;

impl Dialect for CohereChat {
    fn name(&self) -> &'static str {
        "cohere-chat"
    }

    fn doc(&self) -> &'static str {
        "Cohere's chat, with its citations and plans of tool calls."
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
            path: Cow::Borrowed("/chat"),
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
