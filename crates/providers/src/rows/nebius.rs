//! Nebius Token Factory.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "nebius",
    doc: "Open models served by Nebius.",
    base_url: Some("https://api.tokenfactory.nebius.com/v1"),
    key_names: &["NEBIUS_API_KEY"],
    key_required: true,
    profile: Profile { efforts: &[Low, Medium, High], ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
