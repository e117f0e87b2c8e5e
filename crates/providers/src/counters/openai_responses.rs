//! OpenAI's count of the input of a response.

use motet_core::{ChatRequest, Error, ErrorKind, Result};

use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct OpenAiResponses;

impl Counting for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-input-tokens"
    }

    fn doc(&self) -> &'static str {
        "OpenAI's count of the input of a response."
    }

    fn encode(&self, _request: &ChatRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<u64> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
