//! Limits that one process keeps for itself.
//!
//! Knows no server; whoever shares limits among processes falls back to this one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::limits::RateLimits;
use motet_core::settings::Learning;
use motet_core::{Result, RunContext};

use super::book::{Limits, Told};
use super::patience::Patience;
use super::queue::{LimitQueue, Place};
use super::{Granted, Limiter, Permit};

/// Keeps the limits of one model in memory: those that it shares with others, and those that its provider tells.
///
/// What the provider tells, and its wish to be left alone for a while, holds for this model only: a call that waits for
/// that keeps no other model's calls waiting.
///
/// ```
/// use std::sync::Arc;
///
/// use motet_core::{RunContext, settings::Learning};
/// use motet_providers::layers::rate_limit::{LimitQueue, Limiter, Limits, MemoryLimiter};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let limits = Limits::per_minute(Some(500), Some(200_000), Some(20));
/// let limiter = MemoryLimiter::new(Arc::new(LimitQueue::new(limits)), Learning::Off, None);
/// let permit = limiter.admit(&RunContext::new(), 1_200, "my service").await?;
/// // The call goes here.
/// limiter.settle(permit, Some(950));
/// # Ok::<(), motet_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct MemoryLimiter {
    own: LimitQueue,
    shared: Arc<LimitQueue>,
    /// The limits that were configured, which say what may be learnt.
    configured: Limits,
    learning: Learning,
    max_wait: Option<Duration>,
}

impl MemoryLimiter {
    /// Keeps to limits that may be shared with other models, and to what `learning` lets it learn; a call waits no
    /// longer than `max_wait` for its turn.
    #[must_use]
    pub fn new(shared: Arc<LimitQueue>, learning: Learning, max_wait: Option<Duration>) -> Self {
        let configured = shared.limits();
        Self { own: LimitQueue::new(Limits::default()), shared, configured, learning, max_wait }
    }

    /// Gives what was learnt.
    #[must_use]
    pub fn learnt(&self) -> Limits {
        self.own.limits()
    }

    pub(super) fn shared(&self) -> &LimitQueue {
        &self.shared
    }

    /// Begins to be patient with one call.
    pub(super) fn patience<'a>(&self, context: &'a RunContext, scope: &'a str) -> Patience<'a> {
        Patience::new(context, scope, self.max_wait)
    }

    pub(super) async fn admit_within(&self, patience: &Patience<'_>, tokens: u64) -> Result<Permit> {
        patience.check(self.expected_wait(tokens))?;
        let own = self.own.admit(patience, tokens).await?;
        let mut held = Held { queue: &self.own, taken: Some((own, tokens)) };
        let shared = self.shared.admit(patience, tokens).await?;
        held.taken = None;
        Ok(Permit { granted: Granted::Here { own, shared }, ..Permit::new(tokens) })
    }

    /// Stands in both lines, so that those who come later know of it.
    pub(super) fn places(&self, tokens: u64) -> (Place<'_>, Place<'_>) {
        (Place::take(&self.own, tokens), Place::take(&self.shared, tokens))
    }

    /// Takes over what somebody else who keeps the limits knows: the time until each is whole again, and of the pause.
    pub(super) fn note(&self, shared: [Duration; 2], own: [Duration; 2], pause: Duration) {
        self.shared.note(shared, Duration::ZERO);
        self.own.note(own, pause);
    }

    /// Reads what a provider told, as far as it is to be learnt.
    pub(super) fn told(&self, limits: &RateLimits) -> Told {
        Told::read(limits, self.configured, self.learning)
    }

    pub(super) fn mirror(&self, told: &Told) {
        self.own.mirror(told);
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn admit(&self, context: &RunContext, tokens: u64, scope: &str) -> Result<Permit> {
        context.check()?;
        self.admit_within(&self.patience(context, scope), tokens).await
    }

    fn expected_wait(&self, tokens: u64) -> Duration {
        self.own.expected_wait(tokens).max(self.shared.expected_wait(tokens))
    }

    fn settle(&self, permit: Permit, used: Option<u64>) {
        if let Granted::Here { own, shared } = permit.granted {
            self.own.settle(own, permit.tokens, used);
            self.shared.settle(shared, permit.tokens, used);
        }
    }

    fn learn(&self, limits: &RateLimits) {
        let told = self.told(limits);
        if told != Told::default() {
            self.mirror(&told);
        }
    }

    fn pause(&self, time: Duration) {
        self.own.pause(time);
    }
}

/// What was taken of one limit, given back unless the other left room too.
struct Held<'a> {
    queue: &'a LimitQueue,
    taken: Option<(u64, u64)>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some((at, tokens)) = self.taken.take() {
            self.queue.settle(at, tokens, None);
        }
    }
}

#[cfg(test)]
mod tests;
