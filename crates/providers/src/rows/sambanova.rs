//! SambaNova.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "sambanova",
    doc: "Open models on SambaNova, very fast.",
    base_url: Some("https://api.sambanova.ai/v1"),
    key_names: &["SAMBANOVA_API_KEY"],
    key_required: true,
    profile: Profile { penalties: false, efforts: &[Low, Medium, High], ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
