//! Answers in memory, bounded by their bytes; the least recently used go first.
//!
//! Counts time by tokio's clock, so that tests can pause it.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use tokio::time::Instant;

use super::{Key, Limits, kept::Kept};

/// Bytes that an entry takes beside its body.
const OVERHEAD: usize = 160;

pub(super) struct Memory {
    cache: moka::sync::Cache<Key, Entry>,
    max_age: Duration,
}

#[derive(Clone)]
struct Entry {
    kept: Kept,
    until: Instant,
    bytes: u32,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(limits.memory_bytes)
            .weigher(|_, entry: &Entry| entry.bytes)
            .eviction_policy(EvictionPolicy::lru())
            // Only frees the room of what nobody asks for again; what may be given is decided below.
            .time_to_live(limits.max_age.min(Duration::from_hours(24 * 365)))
            .build();
        Self { cache, max_age: limits.max_age }
    }

    /// Gives an answer whose time is not over.
    pub(super) fn find(&self, key: &Key) -> Option<Kept> {
        let entry = self.cache.get(key)?;
        if entry.until <= Instant::now() {
            self.cache.invalidate(key);
            return None;
        }
        Some(entry.kept)
    }

    /// Keeps an answer of so many bytes, which is this old already.
    pub(super) fn keep(&self, key: Key, kept: Kept, bytes: usize, age: Duration) {
        let left = self.max_age.saturating_sub(age);
        // Ages that cannot be counted never end.
        let until = Instant::now()
            .checked_add(left)
            .unwrap_or_else(|| Instant::now() + Duration::from_hours(24 * 365));
        let bytes = u32::try_from(bytes + OVERHEAD).unwrap_or(u32::MAX);
        self.cache.insert(key, Entry { kept, until, bytes });
        // Otherwise what is over the bound stays until later, and answers are large.
        self.cache.run_pending_tasks();
    }

    /// Gives the bytes kept, once everything due is removed.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.weighted_size()
    }
}
