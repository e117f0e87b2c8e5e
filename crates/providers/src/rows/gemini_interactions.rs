//! Google's Gemini by a key of AI Studio, through its Interactions.

use super::gemini;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "gemini-interactions",
    doc: "Google's Gemini models through their Interactions, by a key of AI Studio.",
    dialect: "gemini-interactions",
    ..gemini::ROW
};
