//! xAI.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None as Off};

use crate::dialect::Profile;
use crate::provider::{Alternative, ModelRule, ProviderRow};

const AS_OF: &str = "2026-07";

/// Models that always reason and let the effort be chosen.
const REASONING: Profile = Profile {
    top_k: false,
    stop: false,
    efforts: &[Low, Medium, High],
    image_types: &["image/jpeg", "image/png"],
    image_limit: 20 << 20,
    keeps_answers: true,
    encrypted_reasoning: true,
    ..Profile::COMMON
};

/// Models whose reasoning can be turned off.
const OPTIONAL: Profile = Profile { efforts: &[Off, Low, Medium, High], ..REASONING };

/// Models that always reason, as much as they like.
const FIXED: Profile = Profile { efforts: &[], ..REASONING };

const SILENT: Profile = Profile { efforts: &[], encrypted_reasoning: false, ..REASONING };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: AS_OF, profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "xai",
    doc: "xAI's Grok models.",
    dialect: "openai-responses",
    base_url: Some("https://api.x.ai/v1"),
    key_names: &["XAI_API_KEY"],
    key_required: true,
    embeddings: None,
    profile: REASONING,
    models: &[
        rule("grok-2", SILENT),
        rule("grok-3", SILENT),
        rule("grok-3-mini", Profile { efforts: &[Low, High], ..REASONING }),
        rule("grok-4", FIXED),
        rule("grok-4-fast-non-reasoning", SILENT),
        rule("grok-4-1-fast-non-reasoning", SILENT),
        rule("grok-4.20-non-reasoning", SILENT),
        rule("grok-4.20-0309-non-reasoning", SILENT),
        rule("grok-4.3", OPTIONAL),
        rule("grok-4.5", REASONING),
        rule("grok-4.7", REASONING),
        rule("grok-code", FIXED),
    ],
    alternatives: &[Alternative {
        dialect: "openai-chat",
        base_url: Some("https://api.x.ai/v1"),
        embeddings: None,
        listing: Some("openai-models"),
        // Chat counts reasoning beside the output and wants every message to have content.
        profile: Profile { reasoning_outside_output: true, null_content: false, ..REASONING },
    }],
    ..ProviderRow::COMPATIBLE
};
