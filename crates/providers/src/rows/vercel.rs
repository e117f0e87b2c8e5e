//! Vercel AI Gateway.

use crate::dialect::{EffortForm, Profile, ReasoningEcho};
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "vercel",
    doc: "Models of many providers behind one key, routed by Vercel.",
    base_url: Some("https://ai-gateway.vercel.sh/v1"),
    key_names: &["AI_GATEWAY_API_KEY"],
    key_required: true,
    profile: Profile {
        effort_form: EffortForm::Object,
        reasoning_echo: ReasoningEcho::AsSent,
        ..Profile::COMMON
    },
    ..ProviderRow::COMPATIBLE
};
