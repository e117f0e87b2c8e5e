//! Anthropic's count of the tokens of a message.

use motet_core::{ChatRequest, Error, ErrorKind, Result};

use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Anthropic;

impl Counting for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Anthropic's count of the tokens of a message."
    }

    fn encode(&self, _request: &ChatRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<u64> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
