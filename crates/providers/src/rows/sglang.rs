//! SGLang on a machine of the user.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "sglang",
    doc: "Open models served by SGLang.",
    base_url: Some("http://localhost:30000/v1"),
    key_names: &["SGLANG_API_KEY"],
    unreachable_hint: Some("is SGLang running? `python -m sglang.launch_server --model MODEL` starts it"),
    profile: Profile::OPEN,
    ..ProviderRow::COMPATIBLE
};
