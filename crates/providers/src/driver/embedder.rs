//! One embedding model behind HTTP: texts in as many requests as the format needs, vectors in the order of the texts.
//!
//! Knows no wire format, and retries nothing; that is a layer's work.

use std::borrow::Cow;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use motet_core::embedding::Embedder;
use motet_core::price::{Price, Tier};
use motet_core::{Cost, EmbedRequest, EmbedResponse, Error, ErrorKind, ModelId, Result, RunContext, Usage};
use serde_json::Value;

use super::operations::{Asking, unsupported};
use super::{Clients, Connection, bill, failure, same_model};
use crate::dialect::Origin;
use crate::dialect::operations::Embedding;
use crate::embeddings;
use crate::provider::{ProviderConfig, ProviderRow};

/// Requests of one call that are under way at the same time.
const AT_ONCE: usize = 4;

/// Name of the operation in errors.
const EMBED: &str = "embed";

/// One embedding model behind HTTP, without any layer.
pub struct HttpEmbedder {
    connection: Connection,
    origin: Origin,
    format: &'static dyn Embedding,
    price: Option<Price>,
}

impl HttpEmbedder {
    /// Prepares calls of one model of a provider.
    ///
    /// # Errors
    /// `Unsupported` when the provider has no embeddings; `Configuration` when the key or base URL is missing, or when
    /// the base URL, a header, or the proxy is malformed.
    pub fn new(
        row: &'static ProviderRow,
        model: ModelId,
        config: &ProviderConfig,
        clients: &Clients,
    ) -> Result<Self> {
        let origin = Origin::new(row, model);
        let unable = || {
            let error = unsupported(&origin, "embed", |row| row.embeddings);
            failure::named(error, &origin, None, EMBED)
        };
        let format = embeddings::find(row.embeddings.ok_or_else(unable)?)?;
        Ok(Self { connection: Connection::new(row, config, clients)?, origin, format, price: None })
    }

    /// Sets the price by which answers tell their cost.
    #[must_use]
    pub fn with_price(mut self, price: Option<Price>) -> Self {
        self.price = price;
        self
    }

    /// Cuts a request into as many as the format needs.
    fn batches<'a>(&self, request: &'a EmbedRequest) -> Vec<Cow<'a, EmbedRequest>> {
        let most = self.format.batch(request.model.model()).min(self.origin.profile.embed_batch).max(1);
        if request.inputs.len() <= most {
            return vec![Cow::Borrowed(request)];
        }
        let batch = |inputs: &[String]| EmbedRequest {
            model: request.model.clone(),
            inputs: inputs.to_vec(),
            dimensions: request.dimensions,
            purpose: request.purpose,
            extra: request.extra.clone(),
        };
        request.inputs.chunks(most).map(|inputs| Cow::Owned(batch(inputs))).collect()
    }

    async fn ask(&self, context: &RunContext, request: Cow<'_, EmbedRequest>) -> Result<Batch> {
        let wire = self.format.encode(&request, &self.origin.profile)?;
        let asking = Asking::new(&self.connection, &self.origin, EMBED, context);
        let came = asking.ask(&wire, |answer| self.format.decode(answer, &self.origin)).await?;
        let (got, asked) = (came.read.embeddings.len(), request.inputs.len());
        if got != asked {
            let message = format!("{got} vectors came for {asked} texts");
            return Err(Error::new(ErrorKind::InvalidOutput, message));
        }
        Ok(Batch { response: came.read, request_id: came.request_id, warnings: wire.warnings })
    }

    async fn all(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        same_model(&request.model, &self.origin)?;
        if request.inputs.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "there is no text to embed")
                .with_hint("give at least one text"));
        }
        let mut asked = Vec::new();
        for batch in self.batches(request) {
            asked.push(self.ask(context, batch));
        }
        let batches: Vec<Batch> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let mut response = joined(request, batches);
        let listed = response.usage.and_then(|usage| self.price?.cost_at(&usage, Tier::Standard));
        bill::settle(response.cost, listed, |name, value| {
            response.metadata.insert(name.to_owned(), value);
        });
        response.cost = response.cost.or(listed);
        Ok(response)
    }
}

#[async_trait]
impl Embedder for HttpEmbedder {
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        let all = self.all(context, request).await;
        all.map_err(|error| failure::named(error, &self.origin, self.connection.key.as_ref(), EMBED))
    }
}

/// What came back for some of the texts.
struct Batch {
    response: EmbedResponse,
    request_id: Option<String>,
    warnings: Vec<String>,
}

/// Puts the answers together in the order of the texts; usage is known only where every answer tells it.
fn joined(request: &EmbedRequest, batches: Vec<Batch>) -> EmbedResponse {
    let mut whole = EmbedResponse::new(request.model.clone(), Vec::with_capacity(request.inputs.len()));
    whole.cost = batches.iter().map(|batch| batch.response.cost).sum::<Option<Cost>>();
    whole.usage = batches.iter().map(|batch| batch.response.usage).sum::<Option<Usage>>();
    let mut warnings: Vec<String> = Vec::new();
    for Batch { response, request_id, warnings: more } in batches {
        whole.embeddings.extend(response.embeddings);
        whole.served_model = whole.served_model.or(response.served_model);
        whole.request_id = whole.request_id.or(response.request_id).or(request_id);
        whole.metadata.extend(response.metadata);
        warnings.extend(more);
    }
    let length = whole.embeddings.first().map(Vec::len);
    if let (Some(wished), Some(length)) = (request.dimensions, length)
        && u32::try_from(length) != Ok(wished)
    {
        warnings.push(format!("the vectors have {length} numbers, although {wished} were asked for"));
    }
    warnings.dedup();
    if !warnings.is_empty() {
        let told = whole.metadata.entry("warnings").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = told {
            list.extend(warnings.into_iter().map(Value::String));
        }
    }
    whole
}

#[cfg(test)]
mod tests;
