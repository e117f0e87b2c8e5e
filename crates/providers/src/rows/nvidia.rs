//! NVIDIA NIM.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::{JsonOutput, Profile};
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "nvidia",
    doc: "Open models served by NVIDIA.",
    base_url: Some("https://integrate.api.nvidia.com/v1"),
    key_names: &["NVIDIA_API_KEY", "NGC_API_KEY"],
    key_required: true,
    profile: Profile {
        json_output: JsonOutput::Object,
        top_k: false,
        efforts: &[Low, Medium, High],
        ..Profile::OPEN
    },
    ..ProviderRow::COMPATIBLE
};
