//! Any server that speaks a wire format we have, OpenAI Chat Completions unless told otherwise, by its base URL.

use super::{cohere, ollama};
use crate::dialect::{Profile, ReasoningEcho};
use crate::provider::{Alternative, ProviderRow};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "custom",
    doc: "Any server that speaks OpenAI Chat Completions, by its base URL.",
    reranker: Some("cohere-rerank"),
    profile: Profile { reasoning_echo: ReasoningEcho::AsSent, ..Profile::COMMON },
    unreachable_hint: Some("check the base URL and that the server is running"),
    alternatives: &[
        Alternative {
            dialect: "ollama-chat",
            base_url: None,
            embeddings: Some("ollama-embed"),
            listing: Some("ollama-tags"),
            profile: ollama::PROFILE,
        },
        Alternative {
            dialect: "cohere-chat",
            base_url: None,
            embeddings: Some("cohere-embed"),
            listing: Some("cohere-models"),
            profile: cohere::CHAT,
        },
    ],
    ..ProviderRow::COMPATIBLE
};
