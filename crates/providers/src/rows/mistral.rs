//! Mistral.

use motet_core::request::ReasoningEffort::{High, None};

use crate::dialect::schema::SchemaRules;
use crate::dialect::{CallIdRule, DocumentForm, Profile, ReasoningEcho};
use crate::provider::{ModelRule, ProviderRow};

/// Fields that it does not know are refused, and ids of calls have nine characters.
const CHAT: Profile = Profile {
    schema: &SchemaRules::MISTRAL,

    stream_usage_option: false,
    call_ids: CallIdRule { min: 9, max: 9, marks: "" },
    required_word: "any",
    seed_field: Some("random_seed"),
    top_k: false,
    efforts: &[],
    document_form: DocumentForm::Address,
    document_urls: true,
    null_content: false,
    audio_outside_input: true,
    ..Profile::COMMON
};

/// Models that think when they are told to.
const REASONING: Profile = Profile { efforts: &[None, High], reasoning_echo: ReasoningEcho::Content, ..CHAT };

/// Models that always think.
const MAGISTRAL: Profile = Profile { reasoning_echo: ReasoningEcho::Content, ..CHAT };

const TEXT: Profile = Profile { images: false, ..CHAT };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "mistral",
    doc: "Mistral's models.",
    base_url: Some("https://api.mistral.ai/v1"),
    key_names: &["MISTRAL_API_KEY"],
    key_required: true,
    profile: CHAT,
    models: &[
        rule("mistral-small", REASONING),
        rule("mistral-small-2501", CHAT),
        rule("mistral-small-2503", CHAT),
        rule("mistral-small-2506", CHAT),
        rule("mistral-medium", REASONING),
        rule("mistral-medium-2505", CHAT),
        rule("mistral-medium-2508", CHAT),
        rule("mistral-vibe", REASONING),
        rule("magistral", MAGISTRAL),
        rule("magistral-small-latest", REASONING),
        rule("codestral", TEXT),
        rule("devstral", TEXT),
        rule("mistral-code", TEXT),
    ],
    ..ProviderRow::COMPATIBLE
};
