//! Perplexity.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal};

use crate::dialect::Profile;
use crate::provider::{ModelRule, ProviderRow};

/// Users and the model must take turns, and there are no tools but the provider's own.
const SONAR: Profile = Profile {
    stream_usage_option: false,
    seed_field: Option::None,
    stop: false,
    efforts: &[],
    tools: false,
    documents: false,
    merge_system: true,
    merge_neighbours: true,
    ..Profile::COMMON
};

const REASONING: Profile = Profile { efforts: &[Minimal, Low, Medium, High], ..SONAR };

const fn rule(prefix: &'static str, profile: Profile) -> ModelRule {
    ModelRule { prefix, as_of: "2026-10", profile }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "perplexity",
    doc: "Answers with sources from the web, by Perplexity.",
    base_url: Some("https://api.perplexity.ai"),
    key_names: &["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
    key_required: true,
    embeddings: None,
    listing: None,
    profile: SONAR,
    models: &[rule("sonar-reasoning", REASONING), rule("sonar-deep-research", REASONING)],
    ..ProviderRow::COMPATIBLE
};
