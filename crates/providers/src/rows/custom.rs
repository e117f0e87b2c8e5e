//! Any server that speaks OpenAI Chat Completions, by its base URL.

use crate::dialect::{Profile, ReasoningEcho};
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "custom",
    doc: "Any server that speaks OpenAI Chat Completions, by its base URL.",
    reranker: Some("jina-rerank"),
    profile: Profile { reasoning_echo: ReasoningEcho::AsSent, ..Profile::COMMON },
    unreachable_hint: Some("check the base URL and that the server is running"),
    ..ProviderRow::COMPATIBLE
};
