//! Amazon Bedrock, by its endpoint that speaks as OpenAI does.

use crate::dialect::{CallIdRule, Profile};
use crate::provider::{Auth, ProviderRow};

use super::bedrock::REGION;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "bedrock-mantle",
    doc: "Amazon Bedrock, by its endpoint that speaks as OpenAI does.",
    dialect: "openai-responses",
    base_url: Some("https://bedrock-mantle.{region}.api.aws/openai/v1"),
    key_names: &["AWS_BEARER_TOKEN_BEDROCK"],
    key_required: true,
    auth: Auth::AwsSigV4 { service: "bedrock-mantle" },
    variables: &[REGION],
    embeddings: None,
    // Ids of calls hold the id of their answer, and a colon.
    profile: Profile {
        top_k: false,
        call_ids: CallIdRule { min: 1, max: 256, marks: "_-:" },
        ..Profile::COMMON
    },
    unknown_model_hint: Some(
        "if `{model}` is an open model such as `openai.gpt-oss-120b`, set `base_url` to \
         `https://bedrock-mantle.{region}.api.aws/v1`",
    ),
    ..ProviderRow::COMPATIBLE
};
