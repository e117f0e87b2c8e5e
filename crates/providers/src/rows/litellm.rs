//! A LiteLLM proxy.

use crate::dialect::{Profile, ReasoningEcho};
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "litellm",
    doc: "Whatever models a LiteLLM proxy offers.",
    base_url: Some("http://localhost:4000/v1"),
    key_names: &["LITELLM_API_KEY", "LITELLM_PROXY_API_KEY"],
    reranker: Some("cohere-rerank"),
    unreachable_hint: Some("is the proxy running? `litellm --config FILE` starts it"),
    profile: Profile { reasoning_echo: ReasoningEcho::AsSent, ..Profile::COMMON },
    ..ProviderRow::COMPATIBLE
};
