//! Crusoe.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "crusoe",
    doc: "Open models served by Crusoe.",
    base_url: Some("https://api.inference.crusoecloud.com/v1"),
    key_names: &["CRUSOE_API_KEY"],
    key_required: true,
    profile: Profile { efforts: &[Low, Medium, High], ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
