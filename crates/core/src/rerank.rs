//! Documents ordered by how well they answer a question: what is asked and what comes back.
//!
//! Knows no wire format.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

/// A request to order documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankRequest {
    /// Which model.
    pub model: ModelId,
    /// The question.
    pub query: String,
    /// The documents, at least one.
    pub documents: Vec<String>,
    /// How many of the best to give; all where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_n: Option<u32>,
    /// Fields added to the provider's request body as they are; they win over what the dialect wrote.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Documents by relevance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RerankResponse {
    /// The documents in the order that the provider gave, usually the best first.
    pub results: Vec<Ranked>,
    /// Tokens read; `None` where the provider did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the call cost; `None` where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The model that was asked.
    pub model: ModelId,
    /// The model that answered, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
}

impl RerankResponse {
    /// Makes an answer of results, with nothing known beside.
    #[must_use]
    pub fn new(model: ModelId, results: Vec<Ranked>) -> Self {
        Self { results, usage: None, cost: None, model, served_model: None }
    }
}

/// One document's place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Place among the request's documents, the first being 0.
    pub index: usize,
    /// Relevance in the provider's own scale.
    pub score: f64,
}
