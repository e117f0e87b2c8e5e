//! Snowflake Cortex.

use motet_core::request::ReasoningEffort::{High, Low, Medium, Minimal, None};

use crate::dialect::{EffortForm, MaxTokensField, Profile};
use crate::provider::{ProviderRow, Variable};

const CORTEX: Profile = Profile {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    top_k: false,
    efforts: &[None, Minimal, Low, Medium, High],
    effort_form: EffortForm::Object,
    documents: false,
    ..Profile::COMMON
};

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "snowflake",
    doc: "Models inside a Snowflake account.",
    base_url: Some("https://{account}.snowflakecomputing.com/api/v2/cortex/v1"),
    key_names: &["SNOWFLAKE_PAT", "SNOWFLAKE_TOKEN"],
    key_required: true,
    variables: &[Variable {
        name: "account",
        sources: &["SNOWFLAKE_ACCOUNT", "SNOWFLAKE_ACCOUNT_ID"],
        default: Option::None,
    }],
    embeddings: Option::None,
    listing: Option::None,
    profile: CORTEX,
    ..ProviderRow::COMPATIBLE
};
