//! Any server that speaks OpenAI Chat Completions, by its base URL.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "custom",
    doc: "Any server that speaks OpenAI Chat Completions, by its base URL.",
    dialect: "openai-chat",
    base_url: None,
    key_names: &[],
    key_required: false,
    profile: Profile::COMMON,
    models: &[],
    unknown_model_hint: None,
    unreachable_hint: Some("check the base URL and that the server is running"),
};
