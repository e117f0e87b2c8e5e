//! Google's Gemini by the key of AI Studio, and what is known of its models.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None as Off, Xhigh};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{JsonOutput, NameRule, Profile, SystemRole, Thinking};
use crate::provider::{ModelRule, ProviderRow};

const AS_OF: &str = "2026-10";

/// What all models have in common; those without a rule are taken for the newest, as names such as `-latest` are.
pub(super) const LATEST: Profile = Profile {
    schema: &SchemaRules::GEMINI_JSON,

    efforts: &[Minimal, Low, Medium, High],
    thinking: Thinking::Level,
    placeholder_signature: Some("skip_thought_signature_validator"),
    penalties: false,
    parallel_tool_calls: false,
    image_types: &["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"],
    document_types: &["application/pdf"],
    document_limit: 50 << 20,
    document_urls: true,
    tool_result_images: true,
    tool_names: NameRule { max: 63, marks: "_-." },
    max_output: 8_192,
    ..Profile::COMMON
};

/// The third generation's large models, which always think at length or little.
const PRO_3: Profile = Profile { efforts: &[Low, High], ..LATEST };

const PRO_3_1: Profile = Profile { efforts: &[Low, Medium, High], ..LATEST };

/// Models that think by a number of tokens, or not at all.
const FLASH_2_5: Profile = Profile {
    efforts: &[Off, Minimal, Low, Medium, High, Xhigh],
    thinking: Thinking::Budget { min: 1, max: 24_576, off: true },
    placeholder_signature: None,
    tool_result_images: false,
    schema_with_tools: false,
    ..LATEST
};

const LITE_2_5: Profile =
    Profile { thinking: Thinking::Budget { min: 512, max: 24_576, off: true }, ..FLASH_2_5 };

const PRO_2_5: Profile = Profile {
    efforts: &[Minimal, Low, Medium, High, Xhigh],
    thinking: Thinking::Budget { min: 128, max: 32_768, off: false },
    ..FLASH_2_5
};

/// Models before there was thinking.
const FLASH_2: Profile = Profile { efforts: &[], thinking: Thinking::Never, penalties: true, ..FLASH_2_5 };

/// Models before there were fields for JSON schema.
const FIRST: Profile = Profile {
    schema: &SchemaRules::GEMINI_OPENAPI,
    tool_schema: &SchemaRules::GEMINI_OPENAPI,
    json_schema_fields: false,
    ..FLASH_2
};

/// Models that draw or speak, which neither call tools nor answer by a schema.
const DRAWING: Profile = Profile {
    efforts: &[],
    thinking: Thinking::Never,
    tools: false,
    json_output: JsonOutput::Instructions,
    ..LATEST
};

/// Open models that know no instructions above the user's.
const GEMMA_3: Profile = Profile {
    system_role: SystemRole::User,
    documents: false,
    penalties: true,
    placeholder_signature: None,
    ..DRAWING
};

/// Models of vectors that know what they are for by a field.
const EMBEDDING: Profile = Profile { embed_purpose_in_text: false, ..LATEST };

/// Models of vectors that take what they are for as part of the text.
const EMBEDDING_2: Profile = Profile { embed_purpose_in_text: true, ..LATEST };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

pub(super) const MODELS: &[ModelRule] = &[
    rule("gemini-1", FIRST),
    rule("gemini-2.0", FLASH_2),
    rule("gemini-2.5-flash", FLASH_2_5),
    rule("gemini-2.5-flash-lite", LITE_2_5),
    rule("gemini-2.5-pro", PRO_2_5),
    rule("gemini-2.5-flash-image", DRAWING),
    rule("gemini-2.5-flash-preview-tts", DRAWING),
    rule("gemini-2.5-pro-preview-tts", DRAWING),
    rule("gemini-3", LATEST),
    rule("gemini-3-pro", PRO_3),
    rule("gemini-3-pro-image", DRAWING),
    rule("gemini-3.1-pro", PRO_3_1),
    rule("gemini-3.1-flash-image", DRAWING),
    rule("gemini-pro", PRO_3_1),
    rule("gemini-embedding", EMBEDDING),
    rule("gemini-embedding-2", EMBEDDING_2),
    rule("gemma-3", GEMMA_3),
];

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "gemini",
    doc: "Google's Gemini models, by a key of AI Studio.",
    dialect: "gemini-generate",
    base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
    key_names: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    key_required: true,
    embeddings: Some("gemini-embed"),
    listing: Some("gemini-models"),
    counter: Some("gemini-count-tokens"),
    profile: LATEST,
    models: MODELS,
    ..ProviderRow::COMPATIBLE
};
