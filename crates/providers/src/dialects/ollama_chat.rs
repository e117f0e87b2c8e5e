//! Ollama's own chat.
//!
//! Knows no provider by name: who differs says so in a [`Profile`].

use std::sync::Arc;

use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, HttpRequest, KeyHeader, Origin, Profile};
use crate::framing::{Frame, FramingKind};

/// The format `ollama-chat`.
#[derive(Debug, Clone, Copy)]
pub struct OllamaChat;

impl Dialect for OllamaChat {
    fn name(&self) -> &'static str {
        "ollama-chat"
    }

    fn doc(&self) -> &'static str {
        "Ollama's own chat."
    }

    fn framing(&self) -> FramingKind {
        FramingKind::NdJson
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
