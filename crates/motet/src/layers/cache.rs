//! The cache by the settings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::ModelId;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::{CacheMode, CachePlace, Loaded};
use motet_core::store::Store;
use motet_providers::layers::Layer;
use motet_providers::layers::cache::{Cache, CacheLayer, Limits};

use super::Layers;
use crate::lazy_store::LazyStore;

/// What all models share.
pub(super) struct Parts {
    cache: Arc<Cache>,
    mode: CacheMode,
    tenant: Option<String>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded, store: &LazyStore) -> Result<Self> {
        let settings = &loaded.settings.cache;
        let cache =
            Cache::new(Limits::new(settings.max_age, bytes(settings.max_mb), bytes(settings.store_mb)));
        let cache = match settings.place {
            CachePlace::Store => cache.with_store(Arc::new(StoredAnswers(store.clone()))),
            _ => cache,
        };
        let tenant = loaded.settings.budget.tenant.clone();
        Ok(Self { cache: Arc::new(cache), mode: settings.mode, tenant })
    }

    /// Gives the layer of a model, which is there even where the mode is off: a run may say otherwise.
    pub(super) fn layer(&self, layers: &Layers, id: &ModelId) -> Arc<dyn Layer> {
        let server = layers.table.upgrade().and_then(|table| table.server(id));
        let layer = CacheLayer::new(Arc::clone(&self.cache), self.mode).with_tenant(self.tenant.clone());
        Arc::new(layer.with_server(server.map(Into::into)))
    }
}

/// Gives the bytes of so many megabytes.
pub(crate) fn bytes(megabytes: u32) -> u64 {
    u64::from(megabytes) << 20
}

/// The answers in the store that the settings name, which is opened when the first is looked for.
pub(crate) struct StoredAnswers(pub(crate) LazyStore);

fn answers(store: &dyn Store) -> Result<&dyn AnswerStore> {
    store.answers().ok_or_else(|| {
        let name = store.capabilities().name;
        Error::new(ErrorKind::Unsupported, format!("the store `{name}:` keeps no answers"))
            .with_hint("set `cache.place` to `memory`, or use a `sqlite:` store")
    })
}

#[async_trait]
impl AnswerStore for StoredAnswers {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        answers(&*self.0.get().await?)?.find(keys).await
    }

    async fn keep(&self, new: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        answers(&*self.0.get().await?)?.keep(new, rules).await
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        answers(&*self.0.get().await?)?.lease(key, holder, ttl).await
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        answers(&*self.0.get().await?)?.release(key, holder).await
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        answers(&*self.0.get().await?)?.prune(most_bytes).await
    }

    async fn clear(&self) -> Result<Removed> {
        answers(&*self.0.get().await?)?.clear().await
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        answers(&*self.0.get().await?)?.counts().await
    }
}
