//! Cohere's reranking.

use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{Error, ErrorKind, Result};

use crate::dialect::operations::Reranking;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};

pub(super) struct Cohere;

impl Reranking for Cohere {
    fn name(&self) -> &'static str {
        "cohere-rerank"
    }

    fn doc(&self) -> &'static str {
        "Cohere's reranking."
    }

    fn encode(&self, _request: &RerankRequest, _profile: &Profile) -> Result<HttpRequest> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }

    fn decode(&self, _answer: &Answer<'_>, _origin: &Origin) -> Result<RerankResponse> {
        Err(Error::new(ErrorKind::Internal, "not written yet"))
    }
}
