//! vLLM on a machine of the user.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "vllm",
    doc: "Open models served by vLLM.",
    base_url: Some("http://localhost:8000/v1"),
    key_names: &["VLLM_API_KEY"],
    reranker: Some("cohere-rerank"),
    unreachable_hint: Some("is vLLM running? `vllm serve MODEL` starts it"),
    profile: Profile { embed_base64: true, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
