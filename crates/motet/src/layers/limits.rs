//! Rate limits by the settings, shared by all that they hold for.
//!
//! Configured limits hold for a group of keys over all models of a provider; what a provider tells holds for one model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::ModelId;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::{Learning, Loaded};
use motet_providers::layers::rate_limit::{
    LimitQueue, Limiter, Limits, MemoryLimiter, RedisLimiter, RedisServer,
};

use super::Key;

/// What all models share.
pub(super) struct Parts {
    learning: Learning,
    max_wait: Option<Duration>,
    /// What keeps the limits for all processes that share them; `None` where each keeps its own.
    server: Option<Arc<RedisServer>>,
    made: Mutex<Made>,
}

/// What was made once and is shared from then on.
#[derive(Default)]
struct Made {
    /// By provider and group.
    shared: HashMap<(String, String), Arc<LimitQueue>>,
    /// By model and group.
    limiters: HashMap<(ModelId, String), Arc<dyn Limiter>>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        let settings = &loaded.settings.rate_limit;
        let server = match settings.store.as_str() {
            "memory:" => None,
            url => Some(RedisServer::new(url, settings.on_outage)?),
        };
        Ok(Self { learning: settings.learn, max_wait: settings.max_wait, server, made: Mutex::default() })
    }

    /// Gives a limiter for each of a provider's keys, the same one for keys of one group; `None` where nothing limits
    /// them.
    ///
    /// # Errors
    /// `Configuration` when keys of one group have different limits, or a burst has no limit of requests.
    pub(super) fn limiters(&self, id: &ModelId, keys: &[&Key]) -> Result<Vec<Option<Arc<dyn Limiter>>>> {
        let limits = keys.iter().map(|key| limits(id.provider(), key)).collect::<Result<Vec<_>>>()?;
        for (key, own) in keys.iter().zip(&limits) {
            let other =
                keys.iter().zip(&limits).find(|(other, limits)| other.group == key.group && *limits != own);
            if let Some((other, _)) = other {
                return Err(differ(id.provider(), key, other));
            }
        }
        Ok(keys.iter().zip(limits).map(|(key, limits)| self.limiter(id, key, limits)).collect())
    }

    fn limiter(&self, id: &ModelId, key: &Key, limits: Limits) -> Option<Arc<dyn Limiter>> {
        if limits.is_empty() && self.learning != Learning::Adopt {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let Made { shared, limiters } = &mut *made;
        let limiter = limiters.entry((id.clone(), key.group.clone())).or_insert_with(|| {
            let place = (id.provider().to_owned(), key.group.clone());
            let shared = shared.entry(place).or_insert_with(|| Arc::new(LimitQueue::new(limits)));
            let local = MemoryLimiter::new(Arc::clone(shared), self.learning, self.max_wait);
            match &self.server {
                None => Arc::new(local) as Arc<dyn Limiter>,
                Some(server) => {
                    let sharers = format!("{}/{}", id.provider(), key.group);
                    Arc::new(RedisLimiter::new(Arc::clone(server), &sharers, id.model(), local))
                }
            }
        });
        Some(Arc::clone(limiter))
    }
}

fn limits(provider: &str, key: &Key) -> Result<Limits> {
    if key.burst.is_some() && key.requests_per_minute.is_none() {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("`{provider}` has a `burst` and no `requests_per_minute` that it belongs to"),
        )
        .with_hint(format!("set `providers.{provider}.requests_per_minute`, or remove the burst")));
    }
    Ok(Limits::per_minute(key.requests_per_minute, key.tokens_per_minute, key.burst))
}

fn differ(provider: &str, one: &Key, other: &Key) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!(
            "the keys `{}` and `{}` of `{provider}` share the limits of `{}` and have different ones",
            one.name, other.name, one.group
        ),
    )
    .with_hint("give all keys of a group the same limits, or each a group of its own")
}

#[cfg(test)]
mod tests {
    use motet_core::settings::{Settings, Sources};

    use super::*;

    fn parts(learn: &str) -> Parts {
        let overrides = vec![("rate_limit.learn".to_owned(), learn.to_owned(), "test".to_owned())];
        Parts::new(&Settings::load(&Sources { overrides, ..Sources::default() }).unwrap()).unwrap()
    }

    fn key(name: &str, group: &str, requests_per_minute: Option<u32>) -> Key {
        Key { name: name.to_owned(), group: group.to_owned(), requests_per_minute, ..Key::none() }
    }

    #[test]
    fn without_limits_there_is_no_limiter_unless_they_are_adopted() {
        let (id, key) = ("acme:m".parse().unwrap(), key("a", "a", None));
        assert!(parts("tighten").limiters(&id, &[&key]).unwrap()[0].is_none());
        assert!(parts("adopt").limiters(&id, &[&key]).unwrap()[0].is_some());
    }

    #[tokio::test]
    async fn keys_of_a_group_share_one_limit_over_all_models() {
        let parts = parts("tighten");
        let keys = [key("a", "team", Some(1)), key("b", "team", Some(1)), key("c", "c", Some(1))];
        let keys: Vec<&Key> = keys.iter().collect();
        let of = |model: &str| -> Vec<Arc<dyn Limiter>> {
            let limiters = parts.limiters(&model.parse().unwrap(), &keys).unwrap();
            limiters.into_iter().map(Option::unwrap).collect()
        };
        let (one, other) = (of("acme:one"), of("acme:other"));
        one[0].admit(&motet_core::RunContext::new(), 1, "acme").await.unwrap();
        let waits = |limiters: &[Arc<dyn Limiter>]| {
            limiters.iter().map(|limiter| !limiter.expected_wait(1).is_zero()).collect::<Vec<_>>()
        };
        assert_eq!((waits(&one), waits(&other)), (vec![true, true, false], vec![true, true, false]));
        assert!(waits(&of("else:one")).iter().all(|waits| !waits), "another provider");
        one[2].pause(Duration::from_secs(9));
        assert_eq!(waits(&of("acme:one")), [true, true, true], "asked for again, it is the same one");
        assert_eq!(waits(&other), [true, true, false], "a pause is for one model");
    }

    #[test]
    fn keys_of_a_group_must_have_the_same_limits() {
        let (one, other) = (key("a", "team", Some(1)), key("b", "team", Some(2)));
        let error = parts("tighten").limiters(&"acme:m".parse().unwrap(), &[&one, &other]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(
            error.to_string(),
            "the keys `a` and `b` of `acme` share the limits of `team` and have different ones"
        );
        let burst = Key { burst: Some(3), ..key("a", "a", None) };
        let error = parts("tighten").limiters(&"acme:m".parse().unwrap(), &[&burst]).err().unwrap();
        assert!(error.hint().unwrap().contains("providers.acme.requests_per_minute"), "{error:?}");
    }
}
