//! Heroku Managed Inference.

use crate::dialect::{JsonOutput, Profile};
use crate::provider::{ProviderRow, Variable};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "heroku",
    doc: "Models attached to a Heroku app.",
    base_url: Some("{url}/v1"),
    key_names: &["INFERENCE_KEY", "HEROKU_INFERENCE_KEY"],
    key_required: true,
    variables: &[Variable {
        name: "url",
        sources: &["INFERENCE_URL", "HEROKU_INFERENCE_URL"],
        default: Some("https://us.inference.heroku.com"),
    }],
    listing: None,
    profile: Profile {
        json_output: JsonOutput::Tool,
        top_k: false,
        penalties: false,
        seed_field: None,
        efforts: &[],
        parallel_tool_calls: false,
        ..Profile::OPEN
    },
    ..ProviderRow::COMPATIBLE
};
