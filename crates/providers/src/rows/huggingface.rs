//! Inference providers behind the router of Hugging Face.

use motet_core::request::ReasoningEffort::{High, Low, Medium};

use crate::dialect::{Profile, ReasoningEcho, SystemRole};
use crate::provider::{ModelRule, ProviderRow};

const CHAT: Profile = Profile { top_k: false, efforts: &[Low, Medium, High], ..Profile::OPEN };

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
    name: "huggingface",
    doc: "Open models of many providers, routed by Hugging Face.",
    base_url: Some("https://router.huggingface.co/v1"),
    key_names: &["HF_TOKEN", "HUGGINGFACE_API_KEY"],
    key_required: true,
    embeddings: None,
    profile: CHAT,
    models: &[rule("deepseek-ai/DeepSeek-R1", R1), rule("deepseek-ai/DeepSeek-R1-0528", CHAT)],
    ..ProviderRow::COMPATIBLE
};
