//! What providers do beside answering: they list their models, count tokens, and order documents.
//!
//! Everything goes the way that chat goes, with the same key, headers, limits, and reading of refusals. Embeddings are
//! a model's and have a place of their own.

mod asking;
mod listing;

use motet_core::price::{Price, Tier};
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, ModelId, Result, RunContext, Usage};

pub(super) use asking::Asking;

use super::{Clients, Connection, failure};
use crate::dialect::operations::{Counting, Reranking};
use crate::dialect::{Origin, content, lowering};
use crate::provider::{ProviderConfig, ProviderRow};
use crate::{counters, rerankers, rows};

const COUNT: &str = "count_tokens";
const RERANK: &str = "rerank";

/// The operations of one provider.
pub struct Operations {
    connection: Connection,
    price: Option<Price>,
}

impl Operations {
    /// Prepares calls of one provider.
    ///
    /// # Errors
    /// `Configuration` when the key or base URL is missing, or when the base URL, a header, or the proxy is malformed.
    pub fn new(row: &'static ProviderRow, config: &ProviderConfig, clients: &Clients) -> Result<Self> {
        Ok(Self { connection: Connection::new(row, config, clients)?, price: None })
    }

    /// Sets the price by which rankings tell their cost.
    #[must_use]
    pub fn with_price(mut self, price: Option<Price>) -> Self {
        self.price = price;
        self
    }

    /// Asks the provider how many tokens of input a request has.
    ///
    /// # Errors
    /// `Unsupported` when the provider does not count, and whatever kept the count from coming.
    pub async fn count_tokens(&self, context: &RunContext, request: &ChatRequest) -> Result<u64> {
        let origin = self.origin(&request.model)?;
        let count = async {
            let named = self.connection.row.counter;
            let counter = named.ok_or_else(|| unsupported(&origin, "count tokens", |row| row.counter))?;
            self.count(context, counters::find(counter)?, &origin, request).await
        };
        count.await.map_err(|error| self.named(error, &origin, COUNT))
    }

    async fn count(
        &self,
        context: &RunContext,
        counter: &dyn Counting,
        origin: &Origin,
        request: &ChatRequest,
    ) -> Result<u64> {
        content::check(request, origin)?;
        let lowered = lowering::lower(request, &origin.profile, Delivery::Plain);
        let wire = counter.encode(&lowered.request, &origin.profile)?;
        let asking = Asking::new(&self.connection, origin, COUNT, context);
        Ok(asking.ask(&wire, |answer| counter.decode(answer, origin)).await?.read)
    }

    /// Asks the provider to order documents by how well they answer a question.
    ///
    /// # Errors
    /// `Unsupported` when the provider does not rerank, `InvalidRequest` without documents, `InvalidOutput` when the
    /// answer speaks of documents that were not given, and whatever kept the answer from coming.
    pub async fn rerank(&self, context: &RunContext, request: &RerankRequest) -> Result<RerankResponse> {
        let origin = self.origin(&request.model)?;
        let rank = async {
            let named = self.connection.row.reranker;
            let reranker = named.ok_or_else(|| unsupported(&origin, "rerank", |row| row.reranker))?;
            self.rank(context, rerankers::find(reranker)?, &origin, request).await
        };
        rank.await.map_err(|error| self.named(error, &origin, RERANK))
    }

    async fn rank(
        &self,
        context: &RunContext,
        reranker: &dyn Reranking,
        origin: &Origin,
        request: &RerankRequest,
    ) -> Result<RerankResponse> {
        if request.documents.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "there is no document to order")
                .with_hint("give at least one document"));
        }
        let wire = reranker.encode(request, &origin.profile)?;
        let asking = Asking::new(&self.connection, origin, RERANK, context);
        let mut response = asking.ask(&wire, |answer| reranker.decode(answer, origin)).await?.read;
        let listed = |usage: Usage| self.price?.cost_at(&usage, Tier::Standard);
        response.cost = response.cost.or(response.usage.and_then(listed));
        let given = request.documents.len();
        match response.results.iter().find(|ranked| ranked.index >= given) {
            Some(stray) => Err(Error::new(
                ErrorKind::InvalidOutput,
                format!("the answer ranks document {} of {given}, counted from 0", stray.index),
            )),
            None => Ok(response),
        }
    }

    fn origin(&self, model: &ModelId) -> Result<Origin> {
        let row = self.connection.row;
        if model.provider() != row.name {
            let message = format!("a request for `{model}` was given to provider `{}`", row.name);
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(Origin::new(row, model.clone()))
    }

    fn named(&self, error: Error, origin: &Origin, operation: &'static str) -> Error {
        failure::named(error, origin, self.connection.key.as_ref(), operation)
    }
}

/// Tells that a provider cannot do something, and which ones can.
pub(super) fn unsupported(
    origin: &Origin,
    what: &str,
    format: impl Fn(&ProviderRow) -> Option<&'static str>,
) -> Error {
    let able: Vec<String> = rows::ALL
        .iter()
        .filter(|row| format(row).is_some())
        .take(8)
        .map(|row| format!("`{}`", row.name))
        .collect();
    let error = Error::new(ErrorKind::Unsupported, format!("provider `{}` cannot {what}", origin.row.name));
    if able.is_empty() { error } else { error.with_hint(format!("some that can are {}", able.join(", "))) }
}

#[cfg(test)]
mod tests;
