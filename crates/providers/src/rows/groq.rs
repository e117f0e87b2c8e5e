//! Groq.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{EffortForm, JsonOutput, MaxTokensField, Profile};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile {
    schema: &SchemaRules::GROQ,

    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    json_output: JsonOutput::Object,
    top_k: false,
    efforts: &[],
    images: false,
    schema_with_tools: false,
    schema_streamed: false,
    ..Profile::OPEN
};

const GPT_OSS: Profile = Profile { json_output: JsonOutput::Schema, efforts: &[Low, Medium, High], ..CHAT };

/// Models that think or do not, without degrees.
const QWEN: Profile =
    Profile { efforts: &[None, Medium], effort_form: EffortForm::OneWord("default"), ..CHAT };

const LLAMA_4: Profile = Profile { json_output: JsonOutput::Schema, images: true, ..CHAT };

/// Systems that bring tools of their own and take no others.
const COMPOUND: Profile = Profile { tools: false, ..CHAT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "groq",
    doc: "Open models on Groq, very fast.",
    base_url: Some("https://api.groq.com/openai/v1"),
    key_names: &["GROQ_API_KEY"],
    key_required: true,
    embeddings: Option::None,
    profile: CHAT,
    models: &[
        rule("openai/gpt-oss", GPT_OSS),
        rule("qwen/qwen3", QWEN),
        rule("qwen/qwen3.6", Profile { images: true, ..QWEN }),
        rule("meta-llama/llama-4", LLAMA_4),
        rule("moonshotai/kimi-k2", Profile { json_output: JsonOutput::Schema, ..CHAT }),
        rule("groq/compound", COMPOUND),
        rule("compound", COMPOUND),
        rule("allam", COMPOUND),
    ],
    ..ProviderRow::COMPATIBLE
};
