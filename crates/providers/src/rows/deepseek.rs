//! DeepSeek.

use motet_core::request::ReasoningEffort::{High, Low, None, Xhigh};

use crate::dialect::{EffortForm, JsonOutput, Profile, ReasoningEcho};
use crate::provider::ProviderRow;

/// The models think unless they are told not to; a message that calls tools must bring its reasoning back then.
const V4: Profile = Profile {
    json_output: JsonOutput::Object,
    top_k: false,
    efforts: &[None, Low, High, Xhigh],
    effort_form: EffortForm::Switch { word: true },
    xhigh_word: "max",
    forced_while_thinking: false,
    null_content: false,
    images: false,
    documents: false,
    reasoning_echo: ReasoningEcho::WithToolCalls("reasoning_content"),
    ..Profile::COMMON
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "deepseek",
    doc: "DeepSeek's models.",
    base_url: Some("https://api.deepseek.com"),
    key_names: &["DEEPSEEK_API_KEY"],
    key_required: true,
    embeddings: Option::None,
    profile: V4,
    ..ProviderRow::COMPATIBLE
};
