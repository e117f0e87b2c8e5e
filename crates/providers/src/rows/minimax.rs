//! MiniMax.

use crate::dialect::{JsonOutput, MaxTokensField, Profile};
use crate::provider::ProviderRow;

/// The models think in their text, which goes back as it is, and decide themselves about calls.
const M2: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    json_output: JsonOutput::Instructions,
    top_k: false,
    penalties: false,
    seed_field: None,
    stop: false,
    efforts: &[],
    required_tool_choice: false,
    named_tool_choice: false,
    parallel_tool_calls: false,
    images: false,
    ..Profile::OPEN
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "minimax",
    doc: "MiniMax's models.",
    base_url: Some("https://api.minimax.io/v1"),
    key_names: &["MINIMAX_API_KEY"],
    key_required: true,
    embeddings: None,
    profile: M2,
    ..ProviderRow::COMPATIBLE
};
