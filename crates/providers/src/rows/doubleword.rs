//! Doubleword.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "doubleword",
    doc: "Open models served by Doubleword.",
    base_url: Some("https://api.doubleword.ai/v1"),
    key_names: &["DOUBLEWORD_API_KEY"],
    key_required: true,
    profile: Profile { efforts: &[None, Low, Medium, High], ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
