//! Anthropic.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None, Xhigh};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{CallIdRule, JsonOutput, NameRule, Profile, SamplingRule, Thinking};
use crate::provider::{ModelRule, ProviderRow};

const AS_OF: &str = "2026-10";

/// What all models accept: the first ones, which did not think.
const FIRST: Profile = Profile {
    json_output: JsonOutput::Tool,
    call_ids: CallIdRule { min: 1, max: 64, marks: "_-" },
    tool_names: NameRule { max: 128, marks: "_-" },
    efforts: &[],
    thinking: Thinking::Never,
    document_urls: true,
    image_types: &["image/jpeg", "image/png", "image/gif", "image/webp"],
    image_limit: 5 << 20,
    document_types: &["application/pdf"],
    document_limit: 32 << 20,
    tool_result_images: true,
    schema: &SchemaRules::ANTHROPIC,
    tool_schema: &SchemaRules::ANTHROPIC,
    max_output: 4_096,
    ..Profile::COMMON
};

const CLAUDE_3_5: Profile = Profile { max_output: 8_192, ..FIRST };

/// Models that think within a budget.
const BUDGET: Profile = Profile {
    sampling: SamplingRule::WithoutReasoning,
    efforts: &[None, Minimal, Low, Medium, High, Xhigh],
    thinking: Thinking::Budget { min: 1_024, max: 63_999, off: true },
    forced_while_thinking: false,
    max_output: 64_000,
    ..FIRST
};

const OPUS_4: Profile = Profile {
    thinking: Thinking::Budget { min: 1_024, max: 31_999, off: true },
    max_output: 32_000,
    ..BUDGET
};

const OPUS_4_1: Profile = Profile { temperature_or_top_p: true, ..OPUS_4 };

/// The first models that answer by a schema.
const CLAUDE_4_5: Profile = Profile { json_output: JsonOutput::Schema, temperature_or_top_p: true, ..BUDGET };

/// The first models that decide themselves how much to think.
const CLAUDE_4_6: Profile = Profile {
    efforts: &[None, Low, Medium, High],
    thinking: Thinking::Adaptive,
    max_output: 128_000,
    ..CLAUDE_4_5
};

const OPUS_4_7: Profile =
    Profile { sampling: SamplingRule::Never, efforts: &[None, Low, Medium, High, Xhigh], ..CLAUDE_4_6 };

const OPUS_4_8: Profile = Profile { system_in_place: true, ..OPUS_4_7 };

/// Models that think unless that is turned off.
const CLAUDE_5: Profile = Profile { thinking_off: Some("disabled"), ..OPUS_4_8 };

/// Models that always think, and yet can be made to call a tool.
const FABLE_5: Profile =
    Profile { efforts: &[Low, Medium, High, Xhigh], forced_while_thinking: true, ..OPUS_4_8 };

/// Models that always think and cannot be made to call a tool.
const ALWAYS: Profile = Profile { required_tool_choice: false, named_tool_choice: false, ..FABLE_5 };

const HAIKU_5_5: Profile = Profile { required_tool_choice: false, named_tool_choice: false, ..CLAUDE_5 };

/// Turns off all thinking but that between the calls of tools.
const SONNET_5_5: Profile = Profile { thinking_off: Some("between_tools"), ..HAIKU_5_5 };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "anthropic",
    doc: "Anthropic's Claude models.",
    dialect: "anthropic-messages",
    base_url: Some("https://api.anthropic.com/v1"),
    key_names: &["ANTHROPIC_API_KEY"],
    key_required: true,
    embeddings: Option::None,
    listing: Some("anthropic-models"),
    counter: Some("anthropic-count-tokens"),
    // A model without a rule is newer than the rules, so it is taken for one like the latest.
    profile: ALWAYS,
    models: &[
        rule("claude-3-", FIRST),
        rule("claude-3-5-", CLAUDE_3_5),
        rule("claude-3-7-", BUDGET),
        rule("claude-sonnet-4-", BUDGET),
        rule("claude-opus-4-", OPUS_4),
        rule("claude-opus-4-1", OPUS_4_1),
        rule("claude-sonnet-4-5", CLAUDE_4_5),
        rule("claude-haiku-4-5", CLAUDE_4_5),
        rule("claude-opus-4-5", CLAUDE_4_5),
        rule("claude-sonnet-4-6", CLAUDE_4_6),
        rule("claude-opus-4-6", CLAUDE_4_6),
        rule("claude-opus-4-7", OPUS_4_7),
        rule("claude-opus-4-8", OPUS_4_8),
        rule("claude-sonnet-5", CLAUDE_5),
        rule("claude-opus-5", CLAUDE_5),
        rule("claude-fable-5", FABLE_5),
        rule("claude-mythos-5", FABLE_5),
        rule("claude-fable-5-", ALWAYS),
        rule("claude-mythos-5-", ALWAYS),
        rule("claude-opus-5-5", ALWAYS),
        rule("claude-sonnet-5-5", SONNET_5_5),
        rule("claude-haiku-5-5", HAIKU_5_5),
    ],
    ..ProviderRow::COMPATIBLE
};
