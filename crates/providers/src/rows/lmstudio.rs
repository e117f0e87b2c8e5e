//! LM Studio on this machine.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "lmstudio",
    doc: "Open models on this machine, served by LM Studio.",
    base_url: Some("http://localhost:1234/v1"),
    key_names: &["LM_API_TOKEN", "LMSTUDIO_API_KEY"],
    unknown_model_hint: Some("load the model with `lms load {model}`"),
    unreachable_hint: Some("is LM Studio's server running? `lms server start` starts it"),
    profile: Profile { named_tool_choice: false, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
