//! What a worker does while its store cannot be reached: it waits longer and longer, and tries again.

use std::future::Future;
use std::time::Duration;

use motet_core::error::{Error, ErrorKind};
use motet_core::store::{Applied, LeaseToken, Outcome, SharedStore};
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);

const LONGEST: Duration = Duration::from_secs(5);

/// Tells whether an error is about the store as such, and may be over later.
pub(super) fn is_outage(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Store => error.retry().is_retryable(),
        kind => matches!(kind, ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Overloaded),
    }
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Outage(u32);

impl Outage {
    /// Notes that the store answered.
    pub(super) fn over(&mut self) {
        self.0 = 0;
    }

    /// Gives the wait before the store is tried again.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1u32.checked_shl(self.0).unwrap_or(u32::MAX)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        pause
    }
}

/// Asks a store, and asks it again while it cannot be reached, for as long as the lease may hold.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Error> {
    let begun = Instant::now();
    let mut outage = Outage::default();
    loop {
        match ask().await {
            Err(error) if is_outage(&error) => {
                let pause = outage.pause();
                if begun.elapsed() + pause > patience {
                    return Err(error);
                }
                tracing::warn!(%error, "the store did not answer a task; trying again");
                tokio::time::sleep(pause).await;
            }
            ended => return ended,
        }
    }
}

/// Stores an outcome.
pub(super) async fn complete(
    store: &SharedStore,
    token: &LeaseToken,
    outcome: Outcome,
    patience: Duration,
) -> Result<Applied, Error> {
    if patience.is_zero() {
        // Nothing is tried again, and an outcome can be large.
        return store.complete(token, outcome).await;
    }
    patiently(patience, || store.complete(token, outcome.clone())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut outage = Outage::default();
        let pauses: Vec<u128> = (0..8).map(|_| outage.pause().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        outage.over();
        assert_eq!(outage.pause(), FIRST);
        assert!((0..100).all(|_| outage.pause() <= LONGEST));
    }
}
