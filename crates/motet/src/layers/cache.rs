//! The cache by the settings.

use std::sync::Arc;

use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::cache::CacheLayer;

use super::Task;
use crate::lazy_store::LazyStore;

/// What all models share.
pub(super) struct Parts {}

impl Parts {
    pub(super) fn new(_loaded: &Loaded, _store: &LazyStore) -> Result<Self> {
        Ok(Self {})
    }

    pub(super) fn layer(&self, _task: Task) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(CacheLayer::default()))
    }
}
