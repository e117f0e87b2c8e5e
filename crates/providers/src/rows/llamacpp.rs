//! llama.cpp on this machine.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "llamacpp",
    doc: "Open models on this machine, served by llama.cpp.",
    base_url: Some("http://localhost:8080/v1"),
    key_names: &["LLAMA_API_KEY"],
    reranker: Some("cohere-rerank"),
    unreachable_hint: Some("is the server running? `llama-server -m MODEL.gguf` starts it"),
    profile: Profile { named_tool_choice: false, embed_base64: true, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
