//! Google's Gemini on Vertex AI, by an access token of Google Cloud.

use super::gemini;
use crate::dialect::KeyHeader;
use crate::provider::{Auth, BaseUrlRule, ProviderRow, Variable};

const fn at(value: &'static str, base_url: &'static str) -> BaseUrlRule {
    BaseUrlRule { variable: "location", value, base_url }
}

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "vertex",
    doc: "Google's Gemini models on Vertex AI, by an access token of Google Cloud.",
    dialect: "gemini-generate",
    base_url: Some(
        "https://{location}-aiplatform.googleapis.com/v1beta1/projects/{project}/locations/{location}/publishers/google",
    ),
    base_url_rules: &[
        at(
            "global",
            "https://aiplatform.googleapis.com/v1beta1/projects/{project}/locations/global/publishers/google",
        ),
        at(
            "us",
            "https://aiplatform.us.rep.googleapis.com/v1beta1/projects/{project}/locations/us/publishers/google",
        ),
        at(
            "eu",
            "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/{project}/locations/eu/publishers/google",
        ),
    ],
    variables: &[
        Variable { name: "project", sources: &["GOOGLE_CLOUD_PROJECT"], default: None },
        Variable { name: "location", sources: &["GOOGLE_CLOUD_LOCATION"], default: Some("global") },
    ],
    key_names: &["VERTEX_ACCESS_TOKEN", "GOOGLE_ACCESS_TOKEN"],
    key_required: true,
    auth: Auth::Header(KeyHeader { name: "authorization", prefix: "Bearer " }),
    embeddings: Some("vertex-embed"),
    listing: None,
    counter: Some("vertex-count-tokens"),
    profile: gemini::LATEST,
    models: gemini::MODELS,
    ..ProviderRow::COMPATIBLE
};
