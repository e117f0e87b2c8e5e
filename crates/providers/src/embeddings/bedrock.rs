//! Embedding models behind Amazon Bedrock: Titan and Cohere.

use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result};

use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Bedrock;

impl Embedding for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock-invoke-embed"
    }

    fn doc(&self) -> &'static str {
        "Embedding models behind Amazon Bedrock: Titan and Cohere."
    }

    fn batch(&self, _model: &str) -> usize {
        1
    }

    fn encode(&self, _request: &EmbedRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<EmbedResponse> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
