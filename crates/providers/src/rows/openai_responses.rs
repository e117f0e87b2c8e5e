//! OpenAI, by the interface that gives reasoning back and runs hosted tools.

use crate::dialect::Profile;
use crate::provider::{ModelRule, ProviderRow};

use super::openai;

/// What the interface adds to what a model can do by Chat Completions.
const fn responding(profile: Profile) -> Profile {
    Profile {
        stop: false,
        document_urls: true,
        tool_result_images: true,
        labels: true,
        keeps_answers: true,
        ..profile
    }
}

const MODELS: [ModelRule; openai::MODELS.len()] = {
    let mut rules = openai::MODELS;
    let mut rest: &mut [ModelRule] = &mut rules;
    while let Some((rule, others)) = rest.split_first_mut() {
        rule.profile = responding(rule.profile);
        rest = others;
    }
    rules
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "openai-responses",
    doc: "OpenAI's models by Responses, which gives reasoning back to the model and runs hosted tools.",
    dialect: "openai-responses",
    profile: responding(openai::UNKNOWN),
    models: &MODELS,
    ..openai::ROW
};
