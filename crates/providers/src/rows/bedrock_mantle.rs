//! Amazon Bedrock by its OpenAI-compatible endpoint.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::{MaxTokensField, Profile};
use crate::provider::{ProviderRow, Variable};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "bedrock-mantle",
    doc: "Open models on Amazon Bedrock by its OpenAI-compatible endpoint.",
    base_url: Some("https://bedrock-mantle.{region}.api.aws/v1"),
    key_names: &["AWS_BEARER_TOKEN_BEDROCK"],
    key_required: true,
    variables: &[Variable {
        name: "region",
        sources: &["AWS_REGION", "AWS_DEFAULT_REGION"],
        default: Some("us-east-1"),
    }],
    embeddings: None,
    profile: Profile {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        top_k: false,
        efforts: &[Low, Medium, High],
        ..Profile::OPEN
    },
    ..ProviderRow::COMPATIBLE
};
