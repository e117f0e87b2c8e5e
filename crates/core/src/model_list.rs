//! What models a provider offers, as far as it says.
//!
//! Knows no wire format.

use serde::{Deserialize, Serialize};

/// One page of a provider's list of models.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelPage {
    /// The models in the provider's order.
    pub models: Vec<ModelInfo>,
    /// What to ask for to get the next page; `None` on the last.
    pub next: Option<String>,
}

/// A model as its provider describes it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Name to ask for, without the provider.
    pub id: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it was made, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Tokens that fit into its context window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens that it can write at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

impl ModelInfo {
    /// Makes an entry of which only the name is known.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }
}
