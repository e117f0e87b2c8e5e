//! The models of a ChatGPT subscription.

use motet_core::request::ReasoningEffort::{High, Low, Medium, None as Off, Xhigh};

use crate::dialect::{Profile, SamplingRule, SystemRole};
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "chatgpt",
    doc: "The models of a ChatGPT subscription, by its access token.",
    dialect: "openai-responses",
    base_url: Some("https://chatgpt.com/backend-api/codex"),
    key_names: &["CHATGPT_ACCESS_TOKEN"],
    key_required: true,
    embeddings: None,
    listing: None,
    profile: Profile {
        system_role: SystemRole::Developer,
        instructions_field: true,
        streams_only: true,
        output_limit: false,
        sampling: SamplingRule::Never,
        top_k: false,
        stop: false,
        efforts: &[Off, Low, Medium, High, Xhigh],
        document_urls: true,
        tool_result_images: true,
        keeps_answers: true,
        encrypted_reasoning: true,
        ..Profile::COMMON
    },
    ..ProviderRow::COMPATIBLE
};
