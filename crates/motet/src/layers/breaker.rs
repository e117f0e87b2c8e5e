//! Circuit breakers by the settings, one for each model.

use std::sync::Arc;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::breaker::BreakerLayer;

use super::Task;

/// What all models share.
pub(super) struct Parts {
    enabled: bool,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        Ok(Self { enabled: loaded.settings.breaker.enabled })
    }

    pub(super) fn layer(&self, _id: &ModelId, _task: Task) -> Option<Arc<dyn Layer>> {
        self.enabled.then(|| Arc::new(BreakerLayer::default()) as Arc<dyn Layer>)
    }
}
