//! SiliconFlow.

use motet_core::request::ReasoningEffort::{High, None};

use crate::dialect::{EffortForm, JsonOutput, Profile};
use crate::provider::ProviderRow;

const CHAT: Profile = Profile {
    json_output: JsonOutput::Object,
    efforts: &[None, High],
    effort_form: EffortForm::Flag("enable_thinking"),
    embed_batch: 32,
    ..Profile::OPEN
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "siliconflow",
    doc: "Open models served by SiliconFlow.",
    base_url: Some("https://api.siliconflow.com/v1"),
    key_names: &["SILICONFLOW_API_KEY"],
    key_required: true,
    reranker: Some("cohere-rerank"),
    profile: CHAT,
    ..ProviderRow::COMPATIBLE
};
