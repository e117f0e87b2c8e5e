//! Z.ai.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::{EffortForm, JsonOutput, Profile};
use crate::provider::{ModelRule, ProviderRow};

/// The model alone decides about calls.
const GLM: Profile = Profile {
    json_output: JsonOutput::Object,
    stream_usage_option: false,
    top_k: false,
    penalties: false,
    seed_field: Option::None,
    efforts: &[None, High],
    effort_form: EffortForm::Switch { word: false },
    required_tool_choice: false,
    none_tool_choice: false,
    named_tool_choice: false,
    parallel_tool_calls: false,
    images: false,
    ..Profile::OPEN
};

const GLM_5_2: Profile =
    Profile { efforts: &[None, Low, Medium, High], effort_form: EffortForm::Switch { word: true }, ..GLM };

const VISION: Profile = Profile { images: true, ..GLM };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "zai",
    doc: "The GLM models of Z.ai.",
    base_url: Some("https://api.z.ai/api/paas/v4"),
    key_names: &["ZAI_API_KEY", "Z_AI_API_KEY"],
    key_required: true,
    embeddings: Option::None,
    profile: GLM,
    models: &[
        rule("glm-5.2", GLM_5_2),
        rule("glm-4.5v", VISION),
        rule("glm-4.6v", VISION),
        rule("glm-5v", VISION),
    ],
    ..ProviderRow::COMPATIBLE
};
