//! Alibaba Cloud Model Studio.

use motet_core::request::ReasoningEffort::{High, None};

use crate::dialect::{EffortForm, JsonOutput, Profile};
use crate::provider::ProviderRow;

/// Models think or do not, and cannot be made to call a tool while they do.
const QWEN: Profile = Profile {
    json_output: JsonOutput::Object,
    efforts: &[None, High],
    effort_form: EffortForm::Flag("enable_thinking"),
    forced_while_thinking: false,
    embed_batch: 10,
    ..Profile::OPEN
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "alibaba",
    doc: "The Qwen models of Alibaba Cloud.",
    base_url: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    key_names: &["DASHSCOPE_API_KEY", "ALIBABA_API_KEY"],
    key_required: true,
    profile: QWEN,
    ..ProviderRow::COMPATIBLE
};
