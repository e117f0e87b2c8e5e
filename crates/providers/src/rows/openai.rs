//! OpenAI.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None, Xhigh};

use crate::dialect::{JsonOutput, MaxTokensField, Profile, SamplingRule, SystemRole};
use crate::provider::{ModelRule, ProviderRow};

const AS_OF: &str = "2026-10";

/// Models that do not reason.
pub(super) const CHAT: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    top_k: false,
    efforts: &[],
    document_types: &["application/pdf"],
    embed_base64: true,
    ..Profile::COMMON
};

/// The models before GPT-4o, which know no schemas of answers.
const FIRST: Profile = Profile { json_output: JsonOutput::Tool, images: false, documents: false, ..CHAT };

/// Models that look things up on the web before each answer.
const SEARCH: Profile = Profile { sampling: SamplingRule::Never, tools: false, ..CHAT };

/// The `o` models, which take no sampling options and always reason.
const REASONING: Profile = Profile {
    system_role: SystemRole::Developer,
    sampling: SamplingRule::Never,
    stop: false,
    efforts: &[Low, Medium, High],
    parallel_tool_calls: false,
    encrypted_reasoning: true,
    ..CHAT
};

const GPT_5: Profile =
    Profile { efforts: &[Minimal, Low, Medium, High], parallel_tool_calls: true, ..REASONING };

/// Models that reason only when an effort is asked for.
const GPT_5_1: Profile =
    Profile { sampling: SamplingRule::WithoutReasoning, efforts: &[None, Low, Medium, High], ..GPT_5 };

const GPT_5_2: Profile = Profile { efforts: &[None, Low, Medium, High, Xhigh], ..GPT_5_1 };

/// The first `o` models, which know no instructions above the user's.
const O1_FIRST: Profile = Profile {
    system_role: SystemRole::User,
    efforts: &[],
    tools: false,
    images: false,
    encrypted_reasoning: false,
    ..REASONING
};

/// Models that no rule knows, which are sent what was asked.
pub(super) const UNKNOWN: Profile = Profile { efforts: Profile::COMMON.efforts, ..CHAT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

/// The models that differ, for every row that leads to them.
pub(super) const MODELS: [ModelRule; 22] = [
    rule("gpt-3.5", FIRST),
    rule("gpt-4", FIRST),
    rule("gpt-4-turbo", Profile { images: true, ..FIRST }),
    rule("gpt-4o", CHAT),
    rule("gpt-4o-search", SEARCH),
    rule("gpt-4o-mini-search", SEARCH),
    rule("gpt-4.", CHAT),
    rule("o1", REASONING),
    rule("o1-mini", O1_FIRST),
    rule("o1-preview", O1_FIRST),
    rule("o3", REASONING),
    rule("o4", REASONING),
    rule("gpt-5", GPT_5),
    rule("gpt-5-chat", CHAT),
    rule("gpt-5.1", GPT_5_1),
    rule("gpt-5.1-chat", CHAT),
    rule("gpt-5.2", GPT_5_2),
    rule("gpt-5.2-chat", CHAT),
    rule("gpt-5.3", GPT_5_2),
    rule("gpt-5.3-chat", CHAT),
    rule("gpt-5.4", GPT_5_2),
    rule("gpt-5.5", GPT_5_2),
];

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "openai",
    doc: "OpenAI's models.",
    base_url: Some("https://api.openai.com/v1"),
    key_names: &["OPENAI_API_KEY"],
    key_required: true,
    counter: Some("openai-input-tokens"),
    profile: UNKNOWN,
    models: &MODELS,
    ..ProviderRow::COMPATIBLE
};
