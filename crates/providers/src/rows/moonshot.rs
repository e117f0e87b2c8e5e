//! Moonshot AI.

use motet_core::request::ReasoningEffort::{High, Low, None, Xhigh};

use crate::dialect::{EffortForm, JsonOutput, MaxTokensField, Profile, ReasoningEcho, SamplingRule};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    json_output: JsonOutput::Object,
    top_k: false,
    seed_field: Option::None,
    efforts: &[],
    ..Profile::OPEN
};

/// Models that always think; a message that calls tools must bring its reasoning back.
const THINKING: Profile = Profile {
    required_tool_choice: false,
    named_tool_choice: false,
    reasoning_echo: ReasoningEcho::WithToolCalls("reasoning_content"),
    ..CHAT
};

/// Models that think unless they are told not to; their sampling is fixed.
const K2_5: Profile = Profile {
    sampling: SamplingRule::Never,
    efforts: &[None, High],
    effort_form: EffortForm::Switch { word: false },
    required_tool_choice: true,
    named_tool_choice: true,
    forced_while_thinking: false,
    ..THINKING
};

const K3: Profile =
    Profile { sampling: SamplingRule::Never, efforts: &[Low, High, Xhigh], xhigh_word: "max", ..THINKING };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "moonshot",
    doc: "The Kimi models of Moonshot AI.",
    base_url: Some("https://api.moonshot.ai/v1"),
    key_names: &["MOONSHOT_API_KEY", "KIMI_API_KEY"],
    key_required: true,
    embeddings: Option::None,
    profile: CHAT,
    models: &[
        rule("kimi-k2-thinking", THINKING),
        rule("kimi-k2.5", K2_5),
        rule("kimi-k2.6", K2_5),
        rule("kimi-k2.7", Profile { sampling: SamplingRule::Never, ..THINKING }),
        rule("kimi-k3", K3),
    ],
    ..ProviderRow::COMPATIBLE
};
