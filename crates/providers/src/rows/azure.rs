//! OpenAI's models on Azure, where a model is named by its deployment.

use super::openai;
use crate::dialect::KeyHeader;
use crate::provider::{Auth, ProviderRow, Variable};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "azure",
    doc: "OpenAI's models on Azure.",
    base_url: Some("{endpoint}/openai/v1"),
    // The address of a resource may be given whole or by the resource's name.
    variables: &[
        Variable {
            name: "endpoint",
            sources: &["AZURE_OPENAI_ENDPOINT"],
            default: Some("https://{resource}.openai.azure.com"),
        },
        Variable { name: "resource", sources: &["AZURE_OPENAI_RESOURCE"], default: None },
    ],
    key_names: &["AZURE_OPENAI_API_KEY"],
    key_required: true,
    auth: Auth::Header(KeyHeader { name: "api-key", prefix: "" }),
    profile: openai::ROW.profile,
    models: openai::ROW.models,
    ..ProviderRow::COMPATIBLE
};
