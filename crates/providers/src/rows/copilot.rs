//! GitHub Copilot.
//!
//! Its endpoint wants to know the integration that calls, by the headers `copilot-integration-id` and `editor-version`.
//! They say who the caller is, so they stand in the settings and not here.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None, Xhigh};

use crate::dialect::{JsonOutput, MaxTokensField, Profile, SamplingRule};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile { top_k: false, efforts: &[], documents: false, ..Profile::COMMON };

/// Models of OpenAI that reason.
const GPT_5: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    sampling: SamplingRule::Never,
    efforts: &[Low, Medium, High],
    ..CHAT
};

const GPT_5_4: Profile =
    Profile { sampling: SamplingRule::WithoutReasoning, efforts: &[None, Low, Medium, High, Xhigh], ..GPT_5 };

/// Models that think and whose answers are not held to a schema.
const GEMINI: Profile =
    Profile { json_output: JsonOutput::Tool, efforts: &[Minimal, Low, Medium, High], ..CHAT };

const CLAUDE: Profile = Profile { efforts: &[Low, Medium, High, Xhigh], ..CHAT };

const CLAUDE_4_5: Profile = Profile { json_output: JsonOutput::Tool, ..CHAT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "copilot",
    doc: "The models of a GitHub Copilot subscription; its settings need the integration's headers.",
    base_url: Some("https://api.githubcopilot.com"),
    key_names: &["COPILOT_GITHUB_TOKEN", "GITHUB_COPILOT_TOKEN"],
    key_required: true,
    // Images are refused without this header.
    headers: &[("copilot-vision-request", "true")],
    profile: CHAT,
    models: &[
        rule("gpt-5", GPT_5),
        rule("gpt-5.4", GPT_5_4),
        rule("gpt-5.5", GPT_5_4),
        rule("gemini-3", GEMINI),
        rule("gemini-2", Profile { efforts: &[], ..GEMINI }),
        rule("claude", CLAUDE),
        rule("claude-opus-4.5", CLAUDE_4_5),
        rule("claude-sonnet-4.5", CLAUDE_4_5),
        rule("claude-haiku-4.5", CLAUDE_4_5),
    ],
    ..ProviderRow::COMPATIBLE
};
