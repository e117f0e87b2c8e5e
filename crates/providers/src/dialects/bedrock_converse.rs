//! Amazon Bedrock Converse.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as the steps of a stream.

mod messages;
mod reading;
mod request;
mod thinking;
mod tools;
mod wire;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;

/// The format `bedrock-converse`.
#[derive(Debug, Clone, Copy)]
pub struct BedrockConverse;

impl Dialect for BedrockConverse {
    fn name(&self) -> &'static str {
        "bedrock-converse"
    }

    fn doc(&self) -> &'static str {
        "Amazon Bedrock Converse."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::AwsEventStream
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "authorization", prefix: "Bearer " }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        let (body, warnings) = request::encode(request, profile)?;
        let operation = match delivery {
            Delivery::Plain => "converse",
            Delivery::Streamed => "converse-stream",
        };
        Ok(post(request.model.model(), operation, body, warnings))
    }

    fn decode(&self, body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
        reading::plain(body, origin)
    }

    fn decoder(&self, origin: &Arc<Origin>) -> Box<dyn Decoder> {
        Box::new(reading::StreamDecoder::new(Arc::clone(origin)))
    }
}

/// Writes the request that counts the tokens of a conversation; names that say where a model runs are not counted by.
pub(crate) fn encode_count(request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
    let (body, warnings) = request::encode_count(request, profile)?;
    Ok(post(profile.bare(request.model.model()), "count-tokens", body, warnings))
}

/// Makes the request of an operation of a model.
pub(crate) fn post(model: &str, operation: &str, body: Vec<u8>, warnings: Vec<String>) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        path: Cow::Owned(format!("/model/{}/{operation}", percent_encoded(model))),
        headers: Vec::new(),
        body: body.into(),
        warnings,
    }
}

/// Writes a name as one segment of a path.
fn percent_encoded(name: &str) -> String {
    let mut segment = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            segment.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests;
