//! Key pools and rate limits by the settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::key_pool::{KeyPool, KeyPoolLayer, Member, PooledKey};
use motet_providers::layers::rate_limit::{Limiter, RateLimitLayer};
use motet_providers::layers::trace::TraceLayer;
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
    ) -> Result<(Vec<Arc<dyn Layer>>, Bottom)> {
        let named: Vec<&Key> = keys.iter().map(|(key, _)| key).collect();
        let limiters = self.limits.limiters(id, &named)?;
        let Some(pool) = self.pool(id.provider(), &named) else {
            let limit = limiters.into_iter().next().flatten();
            let limit =
                limit.map(|limiter| Arc::new(RateLimitLayer::new(limiter, id.provider())) as Arc<dyn Layer>);
            let layers = limit.into_iter().chain([trace(TraceLayer::default())]).collect();
            return Ok((layers, keys.into_iter().next().map_or(Bottom::None, |(_, bottom)| bottom)));
        };
        let member = |((key, bottom), limiter): ((Key, Bottom), Option<Arc<dyn Limiter>>)| {
            let member = Member::new(Chain::new(vec![trace(TraceLayer::for_key(&key.name))], bottom));
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

fn trace(layer: TraceLayer) -> Arc<dyn Layer> {
    Arc::new(layer)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use motet_core::settings::{Settings, Sources};
    use motet_core::{ChatRequest, Message, RunContext};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::runtime::Runtime;

    /// Keeps the names of keys in spans.
    #[derive(Clone, Default)]
    struct Keys(Arc<Mutex<Vec<String>>>);

    impl Visit for &Keys {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "motet.key" {
                self.0.lock().unwrap().push(format!("{value:?}"));
            }
        }
    }

    impl Subscriber for Keys {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_span()
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut &*self);
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn spans_name_the_key_that_a_request_is_sent_with() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let overrides = [
            ("providers.lab.base_url", format!("http://{closed}/v1")),
            ("providers.lab.keys.first.api_key", "sk-0123456789abcdef".to_owned()),
            ("providers.lab.keys.second.api_key", "sk-fedcba9876543210".to_owned()),
            ("retry.max_attempts", "1".to_owned()),
        ];
        let overrides = overrides.map(|(path, value)| (path.to_owned(), value, "test".to_owned())).to_vec();
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
        let request = ChatRequest::new("lab:m".parse().unwrap(), vec![Message::user("hi")]);
        let keys = Keys::default();
        let _guard = tracing::subscriber::set_default(keys.clone());
        assert!(runtime.complete(&RunContext::new(), &request).await.is_err(), "nobody listens there");
        let seen = keys.0.lock().unwrap().clone();
        assert!(matches!(seen.as_slice(), [one] if one == "\"first\"" || one == "\"second\""), "{seen:?}");
    }
}
