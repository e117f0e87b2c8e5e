//! Cerebras.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::{MaxTokensField, Profile};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    top_k: false,
    penalties: false,
    efforts: &[],
    images: false,
    ..Profile::OPEN
};

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "cerebras",
    doc: "Open models on Cerebras, very fast.",
    base_url: Some("https://api.cerebras.ai/v1"),
    key_names: &["CEREBRAS_API_KEY"],
    key_required: true,
    embeddings: None,
    profile: CHAT,
    models: &[
        rule("gpt-oss", Profile { efforts: &[Low, Medium, High], ..CHAT }),
        rule("gemma-4", Profile { images: true, ..CHAT }),
    ],
    ..ProviderRow::COMPATIBLE
};
