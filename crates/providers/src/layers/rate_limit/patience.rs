//! How long a call may wait for its turn, and what it is told when that is too long.
//!
//! Keeps no limit.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use motet_core::event::StreamEvent;
use motet_core::{Error, ErrorKind, Result, Retry, RunContext};
use tokio::time::{Instant, sleep};

use crate::layers::held_back::held_back;

/// The end of one call's waiting.
pub(super) struct Patience<'a> {
    context: &'a RunContext,
    scope: &'a str,
    begun: Instant,
    max_wait: Option<Duration>,
    told: AtomicBool,
}

impl<'a> Patience<'a> {
    /// Begins to wait; `scope` says whose limit it is.
    pub(super) fn new(context: &'a RunContext, scope: &'a str, max_wait: Option<Duration>) -> Self {
        Self { context, scope, begun: Instant::now(), max_wait, told: AtomicBool::new(false) }
    }

    /// Gives up at once where the wait would outlast the run, or the longest that is allowed.
    pub(super) fn check(&self, wait: Duration) -> Result<()> {
        if let Some(left) = self.context.remaining().filter(|left| wait > *left) {
            return Err(self.too_late(wait, left));
        }
        let waited = self.begun.elapsed();
        match self.max_wait.filter(|most| wait > most.saturating_sub(waited)) {
            Some(most) => Err(self.too_long(waited.saturating_add(wait), most)),
            None => Ok(()),
        }
    }

    /// Gives how long it lasts; `None` for ever.
    pub(super) fn left(&self) -> Option<Duration> {
        let most = self.max_wait.map(|most| most.saturating_sub(self.begun.elapsed()));
        self.context.remaining().into_iter().chain(most).min()
    }

    /// Makes the error for a wait that outlasts it.
    pub(super) fn too_short_for(&self, wait: Duration) -> Error {
        match self.check(wait) {
            Err(error) => error,
            // What is left grew no longer in between, but rounding may have made it seem so.
            Ok(()) => self.too_long(wait, self.left().unwrap_or(wait)),
        }
    }

    /// Tells the run's listener of a wait, the first one only.
    pub(super) fn tell(&self, wait: Duration) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        self.context.emit(&StreamEvent::Waiting {
            reason: "rate_limit".to_owned(),
            delay_ms: u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
            scope: self.scope.to_owned(),
        });
    }

    /// Waits for something, and no longer than until the run is cancelled or ends.
    pub(super) async fn while_running<T>(&self, something: impl Future<Output = T>) -> Result<T> {
        let ends = async {
            match self.context.remaining() {
                Some(left) => sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.context.cancellation().cancelled() => {
                Err(held_back(Error::new(ErrorKind::Cancelled, "the run was cancelled")))
            }
            something = something => Ok(something),
            () = ends => {
                let passed = Error::new(ErrorKind::Timeout, "the run's deadline passed");
                Err(held_back(passed.with_retry(Retry::Never)))
            }
        }
    }

    /// Waits for a turn, and no longer than until the run is cancelled or patience ends.
    pub(super) async fn wait<T>(&self, turn: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(most) = self.max_wait else { return self.while_running(turn).await? };
        let turn = async {
            tokio::select! {
                biased;
                turn = turn => turn,
                () = sleep(most.saturating_sub(self.begun.elapsed())) => {
                    Err(self.too_long(self.begun.elapsed(), most))
                }
            }
        };
        self.while_running(turn).await?
    }

    fn too_late(&self, wait: Duration, left: Duration) -> Error {
        let message = format!(
            "the rate limit of `{}` leaves no room for {}, and the run's deadline is in {}",
            self.scope,
            shown(wait),
            shown(left)
        );
        let error = Error::new(ErrorKind::Timeout, message)
            .with_retry(Retry::Never)
            .with_hint("give the run more time, make fewer calls at once, or raise the provider's limits in the settings");
        held_back(error)
    }

    fn too_long(&self, wait: Duration, most: Duration) -> Error {
        let message = format!(
            "the rate limit of `{}` leaves no room for {}, longer than the {} that `rate_limit.max_wait` allows",
            self.scope,
            shown(wait),
            shown(most)
        );
        let error = Error::new(ErrorKind::RateLimit, message)
            .with_retry(Retry::Never)
            .with_hint("raise `rate_limit.max_wait`, make fewer calls at once, or raise the provider's limits in the settings");
        held_back(error)
    }
}

/// Shows a duration in whole milliseconds, rounded up.
fn shown(time: Duration) -> String {
    let milliseconds = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    format!("{:?}", Duration::from_millis(milliseconds))
}
