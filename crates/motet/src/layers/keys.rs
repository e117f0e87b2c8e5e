//! Key pools and rate limits by the settings.

use std::sync::Arc;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::rate_limit::RateLimitLayer;
use motet_providers::layers::{Bottom, Layer};

use super::limits;

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
pub(super) struct Parts {
    limits: limits::Parts,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        Ok(Self { limits: limits::Parts::new(loaded)? })
    }

    /// Gives the layers from the key pool on, and what stands below them.
    pub(super) fn layers(
        &self,
        id: &ModelId,
        keys: Vec<(Key, Bottom)>,
        inmost: &Arc<dyn Layer>,
    ) -> Result<(Vec<Arc<dyn Layer>>, Bottom)> {
        let all: Vec<&Key> = keys.iter().map(|(key, _)| key).collect();
        let limiter = self.limits.limiters(id, &all)?.into_iter().next().flatten();
        let limit =
            limiter.map(|limiter| Arc::new(RateLimitLayer::new(limiter, id.provider())) as Arc<dyn Layer>);
        let layers = limit.into_iter().chain([Arc::clone(inmost)]).collect();
        Ok((layers, keys.into_iter().next().map_or(Bottom::None, |(_, bottom)| bottom)))
    }
}
