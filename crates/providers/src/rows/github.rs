//! GitHub Models.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal};

use crate::dialect::{MaxTokensField, Profile, SamplingRule, SystemRole};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile { top_k: false, efforts: &[], documents: false, ..Profile::COMMON };

/// Models of OpenAI that always reason.
const REASONING: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    system_role: SystemRole::Developer,
    sampling: SamplingRule::Never,
    stop: false,
    efforts: &[Low, Medium, High],
    ..CHAT
};

const GPT_5: Profile = Profile { efforts: &[Minimal, Low, Medium, High], ..REASONING };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "github",
    doc: "Models of many makers behind a GitHub token.",
    base_url: Some("https://models.github.ai/inference"),
    key_names: &["GITHUB_TOKEN", "GITHUB_MODELS_TOKEN"],
    key_required: true,
    headers: &[("x-github-api-version", "2022-11-28")],
    listing: None,
    profile: CHAT,
    models: &[
        rule("openai/o1", REASONING),
        rule("openai/o3", REASONING),
        rule("openai/o4", REASONING),
        rule("openai/gpt-5", GPT_5),
        rule("openai/gpt-5-chat", CHAT),
    ],
    ..ProviderRow::COMPATIBLE
};
