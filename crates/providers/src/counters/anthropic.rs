//! Anthropic's count of the tokens of a message.
//!
//! Writes what the chat format writes; knows no provider by name.

use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde::Deserialize;

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile, refusal};
use crate::dialects::anthropic_messages;

pub(super) struct Anthropic;

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

impl Counting for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Anthropic's count of the tokens of a message."
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
        anthropic_messages::encode_count(request, profile)
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<u64> {
        let counted: Counted = parse(answer.body, "the count of tokens")?;
        if let Some(error) = counted.error.and_then(|error| refusal::of_value(error, origin)) {
            return Err(error);
        }
        counted
            .input_tokens
            .0
            .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer holds no count of tokens"))
    }
}

#[cfg(test)]
mod tests;
