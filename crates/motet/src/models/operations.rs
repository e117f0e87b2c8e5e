//! What the table's providers do beside answering, and whether they answer at all.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model_list::ModelInfo;
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{ChatRequest, RunContext, Secret};
use motet_providers::driver::Operations;
use motet_providers::layers::key_pool::KeySnapshot;
use motet_providers::provider::{ProviderConfig, ProviderRow, Timeouts};

use super::configured::Provider;
use super::{Table, built_in};
use crate::health::{Health, HealthStatus};
use crate::layers::Key;

impl Table {
    pub(crate) async fn list_models(&self, context: &RunContext, provider: &str) -> Result<Vec<ModelInfo>> {
        if let Some(built_in) = built_in::find(provider) {
            let models = built_in.models.ok_or_else(|| unable(provider, "list its models"))?;
            return Ok(models.iter().map(|name| ModelInfo::new(*name)).collect());
        }
        self.operations(provider)?.list_models(context).await
    }

    pub(crate) async fn count_tokens(&self, context: &RunContext, request: &ChatRequest) -> Result<u64> {
        let provider = request.model.provider();
        if let Some(built_in) = built_in::find(provider) {
            return built_in
                .count
                .map(|count| count(request))
                .ok_or_else(|| unable(provider, "count tokens"));
        }
        self.operations(provider)?.count_tokens(context, request).await
    }

    pub(crate) async fn rerank(
        &self,
        context: &RunContext,
        request: &RerankRequest,
    ) -> Result<RerankResponse> {
        self.reranker(&request.model)?.rerank(context, request).await
    }

    /// Gives the names of the providers behind a network that are ready to be called.
    pub(crate) fn ready(&self) -> Vec<&'static str> {
        self.providers
            .iter()
            .filter(|provider| provider.is_ready())
            .map(|provider| provider.row.name)
            .collect()
    }

    /// Asks a provider for as little as possible, and waits no longer than given for it.
    ///
    /// # Errors
    /// `Configuration` when there is no such provider; what is wrong with one that there is stands in the answer.
    pub(crate) async fn check(
        &self,
        context: &RunContext,
        provider: &str,
        patience: Duration,
    ) -> Result<Health> {
        if built_in::find(provider).is_some() {
            return Ok(Health::works(provider, Duration::ZERO, None));
        }
        let Provider { row, config, keys } = self.provider(provider)?;
        let checks = keys.iter().map(|(key, secret)| async move {
            let config = ProviderConfig { api_key: secret.clone(), ..config.clone() };
            Ok::<_, Error>((key.name.clone(), self.check_key(context, row, config, patience).await?))
        });
        let mut found = try_join_all(checks).await?;
        if found.len() == 1 {
            return found.pop().map(|(_, health)| health).ok_or_else(|| unable(provider, "be checked"));
        }
        Health::of_keys(found).ok_or_else(|| unable(provider, "be checked"))
    }

    async fn check_key(
        &self,
        context: &RunContext,
        row: &'static ProviderRow,
        config: ProviderConfig,
        patience: Duration,
    ) -> Result<Health> {
        if config.lacks_key(row) {
            let error = motet_providers::driver::check(row, &config).err();
            return Ok(Health::fails(row.name, HealthStatus::MissingKey, None, error.as_ref()));
        }
        let limit = Some(patience);
        let timeouts = Timeouts { connect: limit, first_byte: limit, idle: limit, total: limit };
        let hasty = ProviderConfig { timeouts, ..config };
        let started = Instant::now();
        let answer = match Operations::new(row, &hasty, &self.clients) {
            Ok(operations) => operations.check(context).await,
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        match answer {
            Ok(models) => Ok(Health::works(row.name, took, models)),
            Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
            Err(error) => Ok(Health::fails(row.name, HealthStatus::of(&error), Some(took), Some(&error))),
        }
    }

    /// Shows how a provider's keys do; none for those built in.
    ///
    /// # Errors
    /// `Configuration` when there is no such provider.
    pub(crate) fn keys(&self, provider: &str) -> Result<Vec<KeySnapshot>> {
        if built_in::find(provider).is_some() {
            return Ok(Vec::new());
        }
        let Provider { keys, .. } = self.provider(provider)?;
        Ok(self.layers.key_snapshots(provider, &named(keys)))
    }

    fn operations(&self, provider: &str) -> Result<Operations> {
        let Provider { row, config, .. } = self.provider(provider)?;
        Operations::new(row, config, &self.clients)
    }
}

/// Gives keys without the keys themselves.
pub(super) fn named(keys: &[(Key, Option<Secret>)]) -> Vec<&Key> {
    keys.iter().map(|(key, _)| key).collect()
}

/// Tells that a built-in provider cannot do something.
pub(super) fn unable(provider: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("provider `{provider}` cannot {what}"))
        .with_provider(provider)
        .with_hint("`motet provider list` shows what each can do")
}
