//! A provider that is not there: quotas for each key, delays, and faults of every kind at every stage.
//!
//! [`Simulation`] decides and does no I/O. [`SimulatedModel`] answers from it inside the process, under whatever clock
//! tokio has, so that minutes of quota pass in no time in tests; [`Server`] answers over HTTP on loopback.

pub mod chance;
pub mod fault;
pub mod model;
pub mod quota;
pub mod script;
pub mod server;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use motet_core::limits::RateLimits;
use serde::Serialize;

pub use chance::Chance;
pub use fault::{Fault, Stage};
pub use model::SimulatedModel;
pub use quota::Quota;
pub use server::Server;

use quota::Bucket;

/// What a simulated provider allows, and what goes wrong with it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Rules {
    /// What each key is allowed; `None` for no limit.
    pub quota: Option<Quota>,
    /// Keys that share one quota, by key; a key that is not named has one of its own.
    pub groups: HashMap<String, String>,
    /// Keys that are refused, and since when after the start.
    pub revoked: HashMap<String, Duration>,
    /// Time until the answer begins.
    pub latency: Duration,
    /// Time between two pieces of a streamed answer.
    pub between: Duration,
    /// Words of an answer.
    pub words: usize,
    /// What goes wrong, by the number of the request, the first being 0.
    pub faults: HashMap<u64, Fault>,
    /// What goes wrong with every request that is not named above.
    pub always: Option<Fault>,
    /// Further time until the answer begins, by the number of the request.
    pub slow: HashMap<u64, Duration>,
    /// What happens now and then to requests that are not named above; the first that happens counts.
    pub chances: Vec<Chance>,
    /// What chance begins with: the same requests meet the same with the same seed.
    pub seed: u64,
}

impl Rules {
    /// A provider without limits that answers twenty words at once.
    #[must_use]
    pub fn new() -> Self {
        Self { words: 20, ..Self::default() }
    }
}

/// What happens to one request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is answered.
    Answered {
        /// What the key is still allowed.
        limits: RateLimits,
    },
    /// It is one too many.
    TooMany {
        /// When it would be allowed.
        retry_after: Duration,
        /// What the key is still allowed.
        limits: RateLimits,
    },
    /// The key is not taken.
    Revoked,
    /// Something goes wrong.
    Broken(Fault),
}

/// The state of a simulated provider.
#[derive(Debug)]
pub struct Simulation {
    rules: Rules,
    arrived: u64,
    buckets: HashMap<String, (Bucket, Bucket)>,
    counts: BTreeMap<String, Counts>,
}

/// What became of the requests of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Requests that came.
    pub arrived: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests over the quota.
    pub too_many: u64,
    /// Requests with a revoked key.
    pub revoked: u64,
    /// Requests that something went wrong with.
    pub broken: u64,
}

impl Simulation {
    /// Opens a provider; its buckets are full.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, arrived: 0, buckets: HashMap::new(), counts: BTreeMap::new() }
    }

    /// Gives the rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Gives what became of a key's requests so far.
    #[must_use]
    pub fn counts(&self, key: &str) -> Counts {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// Gives what became of the requests of every key so far.
    #[must_use]
    pub fn all_counts(&self) -> &BTreeMap<String, Counts> {
        &self.counts
    }

    /// Gives the number of requests so far, which is that of the one that comes next.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Gives what goes wrong with the request that comes next.
    #[must_use]
    pub fn next_fault(&self) -> Option<&Fault> {
        let number = &self.arrived;
        let chance = || self.rules.chance(*number)?.fault.as_ref();
        self.rules.faults.get(number).or_else(chance).or(self.rules.always.as_ref())
    }

    /// Gives the time until the answer to the request that comes next begins.
    #[must_use]
    pub fn next_latency(&self) -> Duration {
        let own = self.rules.slow.get(&self.arrived).copied();
        let chance = || self.rules.chance(self.arrived).map(|chance| chance.delay);
        self.rules.latency + own.or_else(chance).unwrap_or_default()
    }

    /// Decides about a request of so many tokens, input and output together, that comes at a time after the start.
    pub fn arrive(&mut self, now: Duration, key: &str, tokens: u64) -> Verdict {
        let verdict = self.decide(now, key, tokens);
        self.arrived += 1;
        let counts = self.counts.entry(key.to_owned()).or_default();
        counts.arrived += 1;
        match verdict {
            Verdict::Answered { .. } => counts.answered += 1,
            Verdict::TooMany { .. } => counts.too_many += 1,
            Verdict::Revoked => counts.revoked += 1,
            Verdict::Broken(_) => counts.broken += 1,
        }
        verdict
    }

    fn decide(&mut self, now: Duration, key: &str, tokens: u64) -> Verdict {
        if self.rules.revoked.get(key).is_some_and(|since| *since <= now) {
            return Verdict::Revoked;
        }
        if let Some(fault) = self.next_fault() {
            return Verdict::Broken(fault.clone());
        }
        let Some(quota) = self.rules.quota else {
            return Verdict::Answered { limits: RateLimits::default() };
        };
        let group = self.rules.groups.get(key).map_or(key, String::as_str);
        let (requests, all_tokens) = self.buckets.entry(group.to_owned()).or_insert_with(|| {
            (Bucket::new(quota.requests_per_minute, now), Bucket::new(quota.tokens_per_minute, now))
        });
        let wait = requests.wait(1, now).max(all_tokens.wait(tokens, now));
        if wait.is_zero() {
            requests.take(1, now);
            all_tokens.take(tokens, now);
        }
        let mut limits = RateLimits::default();
        limits.requests = requests.allowance(now);
        limits.tokens = all_tokens.allowance(now);
        if wait.is_zero() {
            Verdict::Answered { limits }
        } else {
            Verdict::TooMany { retry_after: wait, limits }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_over_its_quota_is_told_when_to_come_again() {
        let quota = Quota { requests_per_minute: 2, tokens_per_minute: 1_000 };
        let mut simulation = Simulation::new(Rules { quota: Some(quota), ..Rules::new() });
        let second = Duration::from_secs;
        assert!(matches!(simulation.arrive(second(0), "a", 10), Verdict::Answered { .. }));
        assert!(matches!(simulation.arrive(second(0), "a", 10), Verdict::Answered { .. }));
        let Verdict::TooMany { retry_after, limits } = simulation.arrive(second(10), "a", 10) else {
            panic!()
        };
        assert_eq!(retry_after, second(20));
        assert_eq!(limits.requests.unwrap().remaining, Some(0));
        assert!(
            matches!(simulation.arrive(second(10), "b", 10), Verdict::Answered { .. }),
            "a key of its own"
        );
        assert!(matches!(simulation.arrive(second(30), "a", 10), Verdict::Answered { .. }));
        assert_eq!(
            simulation.counts("a"),
            Counts { arrived: 4, answered: 3, too_many: 1, ..Counts::default() }
        );
        assert!(
            matches!(simulation.arrive(second(60), "b", 1_001), Verdict::TooMany { .. }),
            "tokens count too"
        );
    }
}
