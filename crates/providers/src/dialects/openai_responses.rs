//! OpenAI Responses, with reasoning that goes back to the model.
//!
//! Knows no provider by name: who differs says so in a [`Profile`]. A plain answer is read as a stream that restates
//! all its items at its end.

mod input;
mod reading;
mod request;
mod usage;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Method, Origin, Profile};
use crate::framing::FramingKind;
use request::Purpose;

/// The format `openai-responses`.
#[derive(Debug, Clone, Copy)]
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn doc(&self) -> &'static str {
        "OpenAI Responses, with reasoning that goes back to the model."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::Sse
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader { name: "authorization", prefix: "Bearer " }
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile, delivery: Delivery) -> Result<HttpRequest> {
        post("/responses", request, profile, Purpose::Answer(delivery))
    }

    fn decode(&self, body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
        reading::plain(body, origin)
    }

    fn decoder(&self, origin: &Arc<Origin>) -> Box<dyn Decoder> {
        Box::new(reading::StreamDecoder::new(Arc::clone(origin)))
    }
}

/// Writes the request that asks how many tokens the input of a request has.
pub(crate) fn count(request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
    post("/responses/input_tokens", request, profile, Purpose::Count)
}

fn post(
    path: &'static str,
    request: &ChatRequest,
    profile: &Profile,
    purpose: Purpose,
) -> Result<HttpRequest> {
    let (body, warnings) = request::encode(request, profile, purpose)?;
    Ok(HttpRequest {
        method: Method::Post,
        path: Cow::Borrowed(path),
        headers: Vec::new(),
        body: body.into(),
        warnings,
    })
}

#[cfg(test)]
mod tests;
