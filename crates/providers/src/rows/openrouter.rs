//! OpenRouter.

use crate::dialect::{EffortForm, Profile};
use crate::provider::ProviderRow;

/// Reasoning goes back by its details, and errors may follow the reason for the end, so that only the end marker counts.
const ANY: Profile =
    Profile { effort_form: EffortForm::Object, document_urls: true, end_marker: true, ..Profile::COMMON };

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "openrouter",
    doc: "Models of many providers behind one key, routed by OpenRouter.",
    base_url: Some("https://openrouter.ai/api/v1"),
    key_names: &["OPENROUTER_API_KEY"],
    key_required: true,
    profile: ANY,
    ..ProviderRow::COMPATIBLE
};
