//! Baseten.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "baseten",
    doc: "Open models served by Baseten.",
    base_url: Some("https://inference.baseten.co/v1"),
    key_names: &["BASETEN_API_KEY"],
    key_required: true,
    embeddings: None,
    profile: Profile { efforts: &[Low, Medium, High], ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
