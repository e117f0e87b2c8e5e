//! Texts as vectors: what is asked, what comes back, and the seam behind which every embedding model stands.
//!
//! Knows no wire format.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::context::RunContext;
use crate::error::Result;
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

/// A request for the vectors of some texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    /// Which model.
    pub model: ModelId,
    /// The texts, at least one.
    pub inputs: Vec<String>,
    /// Length of the vectors, where the model can shorten them; its own length where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// What the vectors are for, where the model makes a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<EmbedPurpose>,
    /// Fields added to the provider's request body as they are; they win over what the dialect wrote.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl EmbedRequest {
    /// Makes a request with every option at its default.
    #[must_use]
    pub fn new(model: ModelId, inputs: Vec<String>) -> Self {
        Self { model, inputs, dimensions: None, purpose: None, extra: Map::new() }
    }
}

/// What vectors are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmbedPurpose {
    /// To find documents: this is the question.
    Query,
    /// To be found: this is a document.
    Document,
    /// To be compared with its like.
    Similarity,
    /// To be sorted into classes.
    Classification,
    /// To be grouped.
    Clustering,
}

impl EmbedPurpose {
    /// Gives the name used in JSON and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EmbedPurpose::Query => "query",
            EmbedPurpose::Document => "document",
            EmbedPurpose::Similarity => "similarity",
            EmbedPurpose::Classification => "classification",
            EmbedPurpose::Clustering => "clustering",
        }
    }
}

/// The vectors of some texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbedResponse {
    /// One vector for each input, in the order of the inputs.
    pub embeddings: Vec<Vec<f32>>,
    /// Tokens read; `None` where the provider did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that was asked.
    pub model: ModelId,
    /// The model that answered, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// The provider's id of the request, from its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What the call cost; `None` where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Facts about the answer that have no field of their own, and what was left out of the request.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl EmbedResponse {
    /// Makes an answer of vectors, with nothing known beside.
    #[must_use]
    pub fn new(model: ModelId, embeddings: Vec<Vec<f32>>) -> Self {
        Self {
            embeddings,
            usage: None,
            model,
            served_model: None,
            request_id: None,
            cost: None,
            metadata: Map::new(),
        }
    }
}

/// An embedding model that can be called, whatever lies between.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Gives the vectors of the request's texts.
    ///
    /// # Errors
    /// Whatever kept the vectors from coming; `InvalidOutput` when there are fewer or more than texts.
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse>;
}
