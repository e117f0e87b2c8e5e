//! Amazon Bedrock's count of the tokens of a conversation.

use motet_core::{ChatRequest, Error, ErrorKind, Result};

use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Bedrock;

impl Counting for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Amazon Bedrock's count of the tokens of a conversation."
    }

    fn encode(&self, _request: &ChatRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<u64> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
