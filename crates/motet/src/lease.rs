//! The lease of a task that this process works on: renewed while it lasts, and given up when dropped.
//!
//! Knows nothing of what the task does.

use std::time::Duration;

use motet_core::error::Result;
use motet_core::store::{Applied, LeaseState, LeaseToken, Outcome, SharedStore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// A task in hand.
pub(crate) struct Lease {
    store: SharedStore,
    token: LeaseToken,
    renewal: AbortHandle,
}

impl Lease {
    /// Keeps a lease alive from now on, and stops the work when it is lost or the run is cancelled.
    pub(crate) fn keep(
        store: SharedStore,
        token: LeaseToken,
        ttl: Duration,
        stop: CancellationToken,
    ) -> Self {
        let renewal = tokio::spawn(renew(SharedStore::clone(&store), token.clone(), ttl, stop));
        Self { store, token, renewal: renewal.abort_handle() }
    }

    /// Gives what proves it.
    #[cfg(test)]
    pub(crate) fn token(&self) -> &LeaseToken {
        &self.token
    }

    /// Stores how the work ended.
    ///
    /// # Errors
    /// `Conflict` when somebody else has the task by now; `Store` when it cannot be stored.
    pub(crate) async fn end(self, outcome: Outcome) -> Result<Applied> {
        self.renewal.abort();
        self.store.complete(&self.token, outcome).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews a lease as long as it is held, and stops the work when it is not.
pub(crate) async fn renew(store: SharedStore, token: LeaseToken, ttl: Duration, stop: CancellationToken) {
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(ttl / 3).await;
        let begun = tokio::time::Instant::now();
        match store.renew(std::slice::from_ref(&token), ttl).await {
            Ok(states) if states.first() == Some(&LeaseState::Held) => renewed = begun,
            Err(error) if renewed.elapsed() < ttl.mul_f64(0.8) => {
                tracing::warn!(%error, "a lease could not be renewed; trying again");
            }
            Ok(_) | Err(_) => return stop.cancel(),
        }
    }
}
