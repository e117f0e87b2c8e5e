//! mistral.rs on this machine.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "mistralrs",
    doc: "Open models on this machine, served by mistral.rs.",
    base_url: Some("http://localhost:1234/v1"),
    key_names: &["MISTRALRS_API_KEY"],
    unreachable_hint: Some("is the server running? `mistralrs serve MODEL` starts it"),
    profile: Profile { named_tool_choice: false, ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
