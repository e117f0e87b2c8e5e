//! Chooses among several keys the one with most room, and rests those that were refused.
//!
//! Knows keys by their names alone; each has its own chain down to the provider.

mod affinity;
mod choice;
mod journey;
mod keyed;
mod pool;
mod refusal;
mod rest;
mod snapshot;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::Result;

use self::journey::Journey;
use super::rate_limit::RateLimitLayer;
use super::{Answer, Call, Chain, Layer, LayerRow, Next, Where};

pub use self::pool::{KeyPool, PooledKey};
pub use self::snapshot::{KeyCounts, KeyRest, KeySnapshot, KeyStatus};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "key_pool",
    doc: "Chooses among several keys the one with most room, and rests those that were refused.",
    place: Where::Model,
};

/// Name of the fact of an answer that tells by which key it came.
pub const METADATA: &str = "key";

/// Longest time that a call waits for a key to come back where the settings name none.
const PATIENCE: Duration = Duration::from_mins(1);

/// The way of one key to a model.
pub struct Member {
    limit: Option<Arc<RateLimitLayer>>,
    chain: Chain,
}

impl Member {
    /// Makes the way of a key that no limit holds for.
    #[must_use]
    pub fn new(chain: Chain) -> Self {
        Self { limit: None, chain }
    }

    /// Keeps to the limits of the key; calls that still wait for them can move to another key.
    #[must_use]
    pub fn limited(mut self, limit: RateLimitLayer) -> Self {
        self.limit = Some(Arc::new(limit));
        self
    }
}

/// The layer, for one model; it stands at the end of a chain, and the chain of a key follows it.
pub struct KeyPoolLayer {
    pool: Arc<KeyPool>,
    members: Vec<Member>,
    max_wait: Option<Duration>,
}

impl fmt::Debug for KeyPoolLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPoolLayer").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl KeyPoolLayer {
    /// Makes the layer of ways in the order of the pool's keys; a call waits for keys at rest no longer than
    /// `max_wait`, or a minute where there is none.
    #[must_use]
    pub fn new(pool: Arc<KeyPool>, members: Vec<Member>, max_wait: Option<Duration>) -> Self {
        Self { pool, members, max_wait }
    }
}

#[async_trait]
impl Layer for KeyPoolLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, _next: Next) -> Result<Answer> {
        Journey::new(self, &call).travel().await
    }
}

#[cfg(test)]
mod tests;
