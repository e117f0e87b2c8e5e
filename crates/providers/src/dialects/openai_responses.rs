//! OpenAI Responses, with reasoning that goes back to the model.
//!
//! Knows no provider by name: who differs says so in a [`Profile`].

use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Origin, Profile};
use crate::framing::{Frame, FramingKind};

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

    fn encode(&self, _request: &ChatRequest, _profile: &Profile, _delivery: Delivery) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _body: &[u8], _origin: &Origin) -> Result<Vec<StreamEvent>> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decoder(&self, _origin: &Arc<Origin>) -> Box<dyn Decoder> {
        Box::new(Unwritten)
    }
}

struct Unwritten;

impl Decoder for Unwritten {
    fn frame(&mut self, _frame: Frame<'_>, _out: &mut Vec<StreamEvent>) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn ended(&self) -> bool {
        false
    }

    fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
