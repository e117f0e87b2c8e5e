//! Gemini's count of the tokens of a request.

use motet_core::{ChatRequest, Error, ErrorKind, Result};

use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Gemini;

impl Counting for Gemini {
    fn name(&self) -> &'static str {
        "gemini-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Gemini's count of the tokens of a request."
    }

    fn encode(&self, _request: &ChatRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<u64> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
