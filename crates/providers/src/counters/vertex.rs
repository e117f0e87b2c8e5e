//! Vertex AI's count of the tokens of a request, which takes the request's own fields.

use motet_core::{ChatRequest, Result};

use super::gemini::{read, written};
use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};
use crate::dialects::gemini_generate::Form;

pub(super) struct Vertex;

impl Counting for Vertex {
    fn name(&self) -> &'static str {
        "vertex-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Vertex AI's count of the tokens of a request."
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
        written(request, profile, Form::CountAlone)
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<u64> {
        read(answer, origin)
    }
}
