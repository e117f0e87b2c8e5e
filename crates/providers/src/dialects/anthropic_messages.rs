//! Anthropic Messages.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream whose blocks each
//! come whole.

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

/// The version of the format that is written and read here, as its servers know it.
const VERSION: &str = "2023-06-01";

/// The format `anthropic-messages`.
#[derive(Debug, Clone, Copy)]
pub struct AnthropicMessages;

impl Dialect for AnthropicMessages {
    fn name(&self) -> &'static str {
        "anthropic-messages"
    }

    fn doc(&self) -> &'static str {
        "Anthropic Messages, which Claude speaks at Anthropic and behind several gateways."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::Sse
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "x-api-key", prefix: "" }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile, delivery)?;
        Ok(post("/messages", body, warnings))
    }

    fn decode(&self, body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
        reading::plain(body, origin)
    }

    fn decoder(&self, origin: &Arc<Origin>) -> Box<dyn Decoder> {
        Box::new(reading::StreamDecoder::new(Arc::clone(origin)))
    }
}

/// Writes the request that counts the tokens of another.
///
/// # Errors
/// As when the request itself is written.
pub(crate) fn encode_count(request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
    let (body, warnings) = request::encode_count(request, profile)?;
    Ok(post("/messages/count_tokens", body, warnings))
}

/// Gives the headers that every request of this format carries.
pub(crate) fn headers() -> Vec<(&'static str, String)> {
    vec![("anthropic-version", VERSION.to_owned())]
}

fn post(path: &'static str, body: Vec<u8>, warnings: Vec<String>) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        path: Cow::Borrowed(path),
        headers: headers(),
        body: body.into(),
        warnings,
    }
}

#[cfg(test)]
mod tests;
