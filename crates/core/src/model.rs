//! The seam behind which every model stands, and which every layer wraps.

use std::sync::Arc;

use async_trait::async_trait;

use crate::accumulate::fold;
use crate::context::RunContext;
use crate::embedding::Embedder;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventStream;
use crate::model_id::ModelId;
use crate::request::ChatRequest;
use crate::response::ChatResponse;

/// How the answer travels; what it says is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// All at once.
    Plain,
    /// Piece by piece as the model writes.
    Streamed,
}

/// A model that can be called, whatever lies between: provider, layers, or a test double.
#[async_trait]
pub trait Model: Send + Sync {
    /// Starts one call and gives its events; a plain delivery gives them all at once.
    ///
    /// A stream that ends without `Finished` ends with an error.
    ///
    /// # Errors
    /// Whatever kept the answer from starting; later failures come as the stream's last item.
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream>;
}

/// Calls a model and waits for the whole answer.
///
/// # Errors
/// Whatever kept the answer from being complete.
pub async fn chat(model: &dyn Model, context: &RunContext, request: &ChatRequest) -> Result<ChatResponse> {
    fold(request.model.clone(), model.open(context, request, Delivery::Plain).await?).await
}

/// Finds the model for an id; only the facade knows how it is built.
#[async_trait]
pub trait Models: Send + Sync {
    /// Gives the model with all its layers.
    ///
    /// # Errors
    /// `Configuration` when the provider is unknown or its key is missing.
    async fn model(&self, id: &ModelId) -> Result<Arc<dyn Model>>;

    /// Gives the embedding model with all its layers.
    ///
    /// # Errors
    /// As [`model`](Self::model); `Unsupported` when it makes no vectors.
    async fn embedder(&self, id: &ModelId) -> Result<Arc<dyn Embedder>> {
        Err(Error::new(ErrorKind::Unsupported, format!("`{id}` cannot be asked for vectors here")))
    }
}
