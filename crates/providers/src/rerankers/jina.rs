//! Reranking as Jina, llama.cpp, and vLLM speak it.

use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{Error, ErrorKind, Result};

use crate::dialect::operations::Reranking;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Jina;

impl Reranking for Jina {
    fn name(&self) -> &'static str {
        "jina-rerank"
    }

    fn doc(&self) -> &'static str {
        "Reranking as Jina, llama.cpp, and vLLM speak it."
    }

    fn encode(&self, _request: &RerankRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<RerankResponse> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
