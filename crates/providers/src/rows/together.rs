//! Together AI.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::{Profile, ReasoningEcho, SystemRole};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile =
    Profile { efforts: &[], required_tool_choice: false, none_tool_choice: false, ..Profile::OPEN };

const GPT_OSS: Profile = Profile { efforts: &[Low, Medium, High], ..CHAT };

/// The first R1, which knows no instructions above the user's and wants roles to alternate; its thoughts never go back.
const R1: Profile = Profile {
    system_role: SystemRole::User,
    merge_neighbours: true,
    tools: false,
    reasoning_echo: ReasoningEcho::Never,
    ..CHAT
};

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "together",
    doc: "Open models served by Together AI.",
    base_url: Some("https://api.together.xyz/v1"),
    key_names: &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"],
    key_required: true,
    reranker: Some("cohere-rerank"),
    profile: CHAT,
    models: &[
        rule("openai/gpt-oss", GPT_OSS),
        rule("deepseek-ai/DeepSeek-R1", R1),
        rule("deepseek-ai/DeepSeek-R1-0528", CHAT),
    ],
    ..ProviderRow::COMPATIBLE
};
