//! Key pools and rate limits by the settings.

use std::sync::Arc;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::{Bottom, Layer};

/// One of a provider's keys, without the key itself, and what holds for it.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "the key pool reads them")]
pub(crate) struct Key {
    /// Its name, which may be shown.
    pub(crate) name: String,
    pub(crate) weight: u32,
    /// Name of those that share its limits; its own where it shares them with none.
    pub(crate) group: String,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) tokens_per_minute: Option<u32>,
    pub(crate) burst: Option<u32>,
}

impl Key {
    /// Stands where no key is needed.
    pub(crate) fn none() -> Self {
        let name = "none".to_owned();
        let (requests_per_minute, tokens_per_minute, burst) = (None, None, None);
        Self { group: name.clone(), name, weight: 1, requests_per_minute, tokens_per_minute, burst }
    }
}

/// What all models share.
pub(super) struct Parts {}

impl Parts {
    pub(super) fn new(_loaded: &Loaded) -> Result<Self> {
        Ok(Self {})
    }

    /// Gives the layers from the key pool on, and what stands below them.
    pub(super) fn layers(
        &self,
        _id: &ModelId,
        keys: Vec<(Key, Bottom)>,
        inmost: &Arc<dyn Layer>,
    ) -> Result<(Vec<Arc<dyn Layer>>, Bottom)> {
        let bottom = keys.into_iter().next().map_or(Bottom::None, |(_, bottom)| bottom);
        Ok((vec![Arc::clone(inmost)], bottom))
    }
}
