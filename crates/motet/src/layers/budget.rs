//! The budget layer by the settings.

use std::sync::Arc;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::budget::BudgetLayer;

use super::Layers;
use crate::lazy_store::LazyStore;

/// What all models share.
pub(super) struct Parts {}

impl Parts {
    pub(super) fn new(_loaded: &Loaded, _store: &LazyStore) -> Result<Self> {
        Ok(Self {})
    }

    pub(super) fn layer(&self, _layers: &Layers, _id: &ModelId) -> Result<Option<Arc<dyn Layer>>> {
        Ok(Some(Arc::new(BudgetLayer::default())))
    }
}
