//! Google's Gemini models by their OpenAI-compatible endpoint.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

/// Signatures of thoughts go back with the calls that they came with.
const GEMINI: Profile = Profile {
    top_k: false,
    efforts: &[None, Minimal, Low, Medium, High],
    parallel_tool_calls: false,
    documents: false,
    embed_batch: 100,
    ..Profile::COMMON
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "gemini-openai",
    doc: "Google's Gemini models by their OpenAI-compatible endpoint.",
    base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
    key_names: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    key_required: true,
    profile: GEMINI,
    ..ProviderRow::COMPATIBLE
};
