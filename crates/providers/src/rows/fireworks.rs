//! Fireworks AI.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "fireworks",
    doc: "Open models served by Fireworks AI.",
    base_url: Some("https://api.fireworks.ai/inference/v1"),
    key_names: &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"],
    key_required: true,
    profile: Profile { efforts: &[None, Low, Medium, High], embed_batch: 256, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
