//! Cohere, by the second version of its chat.
//!
//! Sources: docs.cohere.com, "Models", "Reasoning Capabilities", and the reference of `/v2/chat`.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None as Off, Xhigh};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{CallIdRule, Profile, ReasoningEcho, Thinking};
use crate::provider::{ModelRule, ProviderRow};

const AS_OF: &str = "2026-10";

/// What its chat takes, wherever it runs.
pub(super) const CHAT: Profile = Profile {
    schema: &SchemaRules::COHERE,

    // Its own ids begin with the tool's name.
    call_ids: CallIdRule { min: 1, max: 128, marks: "_-" },
    thinking: Thinking::Never,
    efforts: &[],
    images: false,
    documents: false,
    parallel_tool_calls: false,
    schema_with_tools: false,
    ..Profile::COMMON
};

/// Models that think unless told not to.
const REASONING: Profile = Profile {
    // Their whole output is 32,000 tokens, of which the guide leaves 1,000 for the answer.
    thinking: Thinking::Budget { min: 1, max: 31_000, off: true },
    efforts: &[Off, Minimal, Low, Medium, High, Xhigh],
    reasoning_echo: ReasoningEcho::Always("thinking"),
    ..CHAT
};

const VISION: Profile = Profile { images: true, tools: false, ..CHAT };

/// Models of before December 2024, which choose tools as they like.
const EARLY: Profile =
    Profile { required_tool_choice: false, named_tool_choice: false, none_tool_choice: false, ..CHAT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "cohere",
    doc: "Cohere's Command, Embed, and Rerank models.",
    dialect: "cohere-chat",
    base_url: Some("https://api.cohere.com/v2"),
    key_names: &["CO_API_KEY", "COHERE_API_KEY"],
    key_required: true,
    embeddings: Some("cohere-embed"),
    listing: Some("cohere-models"),
    reranker: Some("cohere-rerank"),
    profile: CHAT,
    models: &[
        rule("command-a-plus", Profile { images: true, ..REASONING }),
        rule("command-a-reasoning", REASONING),
        rule("command-a-vision", VISION),
        rule("c4ai-aya-vision", VISION),
        rule("command-r", EARLY),
        rule("command-r7b", CHAT),
    ],
    ..ProviderRow::COMPATIBLE
};
