//! Ollama on this machine, by its own chat; its OpenAI-compatible endpoint is reached by naming that dialect.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None as Off};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{Profile, ReasoningEcho, Thinking};
use crate::provider::{AddressVariable, Alternative, ModelRule, ProviderRow};

/// What its own chat takes, wherever it runs.
pub(super) const PROFILE: Profile = Profile {
    schema: &SchemaRules::OLLAMA,

    thinking: Thinking::Switch,
    reasoning_echo: ReasoningEcho::Always("thinking"),
    required_tool_choice: false,
    named_tool_choice: false,
    none_tool_choice: false,
    parallel_tool_calls: false,
    image_urls: false,
    documents: false,
    ..Profile::COMMON
};

/// What its endpoint that imitates OpenAI takes.
const COMPATIBLE: Profile = Profile {
    top_k: false,
    efforts: &[Off, Low, Medium, High],
    image_urls: false,
    documents: false,
    ..Profile::COMMON
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "ollama",
    doc: "Open models on this machine, served by Ollama.",
    dialect: "ollama-chat",
    base_url: Some("http://localhost:11434"),
    address: Some(AddressVariable { name: "OLLAMA_HOST", port: 11_434 }),
    // A server on this machine asks for none; the one of ollama.com does.
    key_names: &["OLLAMA_API_KEY"],
    embeddings: Some("ollama-embed"),
    listing: Some("ollama-tags"),
    profile: PROFILE,
    models: &[ModelRule {
        prefix: "gpt-oss",
        as_of: "2026-10",
        profile: Profile { thinking: Thinking::Level, efforts: &[Low, Medium, High], ..PROFILE },
    }],
    unknown_model_hint: Some("fetch the model with `ollama pull {model}`"),
    unreachable_hint: Some("is Ollama running? `ollama serve` starts it"),
    alternatives: &[Alternative {
        dialect: "openai-chat",
        base_url: Some("http://localhost:11434/v1"),
        embeddings: Some("openai-embeddings"),
        listing: Some("openai-models"),
        profile: COMPATIBLE,
    }],
    ..ProviderRow::COMPATIBLE
};
