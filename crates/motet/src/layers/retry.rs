//! The retry layer by the settings.

use std::sync::Arc;

use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::retry::RetryLayer;

/// What all models share.
pub(super) struct Parts {
    layer: Arc<RetryLayer>,
}

impl Parts {
    pub(super) fn new(_loaded: &Loaded) -> Result<Self> {
        Ok(Self { layer: Arc::new(RetryLayer::default()) })
    }

    pub(super) fn layer(&self) -> Arc<dyn Layer> {
        Arc::clone(&self.layer) as Arc<dyn Layer>
    }
}
