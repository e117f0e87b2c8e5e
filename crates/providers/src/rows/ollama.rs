//! Ollama on this machine, by its OpenAI-compatible endpoint.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::Profile;
use crate::dialect::schema::SchemaRules;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "ollama",
    doc: "Open models on this machine, served by Ollama.",
    base_url: Some("http://localhost:11434/v1"),
    profile: Profile {
        top_k: false,
        efforts: &[None, Low, Medium, High],
        documents: false,
        schema: &SchemaRules::OLLAMA,
        ..Profile::COMMON
    },
    unknown_model_hint: Some("fetch the model with `ollama pull {model}`"),
    unreachable_hint: Some("is Ollama running? `ollama serve` starts it"),
    ..ProviderRow::COMPATIBLE
};
