//! Waits until the limits of requests and tokens leave room.
//!
//! Keeps no limit itself: a [`Limiter`] does, in memory or on a server that several processes share.

pub mod book;
mod estimate;
pub mod gcra;
mod layer;
mod memory;
mod patience;
mod queue;
mod redis;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::limits::RateLimits;
use motet_core::{Result, RunContext};

use super::{LayerRow, Where};

pub use book::Limits;
pub use layer::RateLimitLayer;
pub use memory::MemoryLimiter;
pub use queue::LimitQueue;
pub use redis::{RedisLimiter, RedisServer, SCRIPT};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "rate_limit",
    doc: "Waits until the limits of requests and tokens leave room.",
    place: Where::Key,
};

/// Keeps the limits of one key, or of a group of keys that share them.
#[async_trait]
pub trait Limiter: Send + Sync + fmt::Debug {
    /// Waits for room for one request of at most so many tokens, in the order of asking; `scope` says in events and
    /// errors whose limit it is.
    ///
    /// A request of more tokens than can ever be used at once waits until nothing else is taken, and leaves a debt.
    ///
    /// # Errors
    /// `Timeout` when the run ends before there is room, and `RateLimit` when `max_wait` does, both at once where that
    /// is foreseeable and neither worth a retry; `Cancelled`; `Connection` when the limit's server is away and calls
    /// must then fail.
    async fn admit(&self, context: &RunContext, tokens: u64, scope: &str) -> Result<Permit>;

    /// Gives how long a request of so many tokens would wait now, as far as this process knows.
    fn expected_wait(&self, tokens: u64) -> Duration;

    /// Corrects what a permit reserved by what was used; `None` when nothing was sent.
    fn settle(&self, permit: Permit, used: Option<u64>);

    /// Takes over what the provider tells of its limits.
    fn learn(&self, limits: &RateLimits);

    /// Lets nothing through for a while, as the provider asked.
    fn pause(&self, time: Duration);
}

/// Room that a limiter made for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permit {
    /// Tokens reserved.
    pub tokens: u64,
    /// Who made room, and when.
    granted: Granted,
}

/// Who made room, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granted {
    /// Nobody keeps books of it.
    Freely,
    /// This process: of the model's own limits, and of those it shares, each in nanoseconds of its own time.
    Here { own: u64, shared: u64 },
    /// A server: when it was asked, and when the room comes, in microseconds since 1970 by its clock.
    There { booked_at: u64, comes_at: u64 },
}

impl Permit {
    /// Tells of tokens that were reserved.
    #[must_use]
    pub fn new(tokens: u64) -> Self {
        Self { tokens, granted: Granted::Freely }
    }

    /// Gives from when on the room is there, since 1970 by the clock of the server that made it; `None` where this
    /// process did.
    #[must_use]
    pub fn comes_at(&self) -> Option<Duration> {
        match self.granted {
            Granted::There { comes_at, .. } => Some(Duration::from_micros(comes_at)),
            Granted::Freely | Granted::Here { .. } => None,
        }
    }
}
