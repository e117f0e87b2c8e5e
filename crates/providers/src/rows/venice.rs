//! Venice.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "venice",
    doc: "Models served by Venice without keeping what is said.",
    base_url: Some("https://api.venice.ai/api/v1"),
    key_names: &["VENICE_API_KEY"],
    key_required: true,
    // Its own instructions had up to 2,300 tokens in answers of 2026.
    profile: Profile { efforts: &[None, Low, Medium, High], hidden_input: 4_000, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
