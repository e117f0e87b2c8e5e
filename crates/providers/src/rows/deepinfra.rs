//! DeepInfra.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "deepinfra",
    doc: "Open models served by DeepInfra.",
    base_url: Some("https://api.deepinfra.com/v1/openai"),
    key_names: &["DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"],
    key_required: true,
    profile: Profile { efforts: &[None, Low, Medium, High], embed_batch: 1_024, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
