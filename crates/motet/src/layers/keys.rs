//! Key pools and rate limits by the settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::key_pool::{KeyPool, KeyPoolLayer, Member, PooledKey};
use motet_providers::layers::rate_limit::{Limiter, RateLimitLayer};
use motet_providers::layers::{Bottom, Chain, Layer};

use super::limits;

/// One of a provider's keys, without the key itself, and what holds for it.
#[derive(Debug, Clone)]
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
    max_wait: Option<Duration>,
    /// By provider.
    pools: Mutex<HashMap<String, Arc<KeyPool>>>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        let max_wait = loaded.settings.rate_limit.max_wait;
        Ok(Self { limits: limits::Parts::new(loaded)?, max_wait, pools: Mutex::default() })
    }

    /// Gives the pool of a provider's keys, the same for all its models; `None` where it has but one.
    pub(super) fn pool(&self, provider: &str, keys: &[&Key]) -> Option<Arc<KeyPool>> {
        if keys.len() < 2 {
            return None;
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(provider.to_owned()).or_insert_with(|| {
            let pooled = |key: &&Key| PooledKey::new(&key.name).in_group(&key.group).with_weight(key.weight);
            Arc::new(KeyPool::new(provider, keys.iter().map(pooled).collect()))
        });
        Some(Arc::clone(pool))
    }

    /// Gives the layers from the key pool on, and what stands below them.
    ///
    /// # Errors
    /// `Configuration` when the limits of the keys do not fit together.
    pub(super) fn layers(
        &self,
        id: &ModelId,
        keys: Vec<(Key, Bottom)>,
        inmost: &Arc<dyn Layer>,
    ) -> Result<(Vec<Arc<dyn Layer>>, Bottom)> {
        let named: Vec<&Key> = keys.iter().map(|(key, _)| key).collect();
        let limiters = self.limits.limiters(id, &named)?;
        let Some(pool) = self.pool(id.provider(), &named) else {
            let limit = limiters.into_iter().next().flatten();
            let limit =
                limit.map(|limiter| Arc::new(RateLimitLayer::new(limiter, id.provider())) as Arc<dyn Layer>);
            let layers = limit.into_iter().chain([Arc::clone(inmost)]).collect();
            return Ok((layers, keys.into_iter().next().map_or(Bottom::None, |(_, bottom)| bottom)));
        };
        let member = |((key, bottom), limiter): ((Key, Bottom), Option<Arc<dyn Limiter>>)| {
            let member = Member::new(Chain::new(vec![Arc::clone(inmost)], bottom));
            match limiter {
                Some(limiter) => {
                    let scope = format!("{}/{}", id.provider(), key.name);
                    member.limited(RateLimitLayer::new(limiter, scope))
                }
                None => member,
            }
        };
        let members = keys.into_iter().zip(limiters).map(member).collect();
        Ok((vec![Arc::new(KeyPoolLayer::new(pool, members, self.max_wait))], Bottom::None))
    }
}
