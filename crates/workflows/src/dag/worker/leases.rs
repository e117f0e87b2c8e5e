//! Keeps the leases of a worker alive, and stops the work of those that ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::error::Result;
use motet_core::store::{LeaseState, LeaseToken, SharedStore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

type Held = Arc<Mutex<HashMap<LeaseToken, CancellationToken>>>;

/// The leases that a worker holds.
pub(super) struct Leases {
    store: SharedStore,
    ttl: Duration,
    held: Held,
    /// When the leases were last known to hold.
    renewed: Instant,
}

impl Leases {
    pub(super) fn new(store: SharedStore, ttl: Duration) -> Self {
        Self { store, ttl, held: Held::default(), renewed: Instant::now() }
    }

    /// Keeps a lease alive until the guard is dropped.
    pub(super) fn hold(&self, token: LeaseToken) -> Guard {
        let cancellation = CancellationToken::new();
        lock(&self.held).insert(token.clone(), cancellation.clone());
        Guard { held: Arc::clone(&self.held), token, cancellation }
    }

    /// Waits until a third of the leases' time is over, then renews them all; work whose lease ended is cancelled.
    ///
    /// A store that cannot be reached is tried again; shortly before the leases end without it, all work is cancelled,
    /// because another worker may take it over.
    pub(super) async fn renew_when_due(&mut self) -> Result<()> {
        tokio::time::sleep_until(self.renewed + self.ttl / 3).await;
        let tokens: Vec<LeaseToken> = lock(&self.held).keys().cloned().collect();
        let begun = Instant::now();
        match self.store.renew(&tokens, self.ttl).await {
            Ok(states) => {
                self.renewed = begun;
                let held = lock(&self.held);
                let ended = tokens.iter().zip(states).filter(|(_, state)| *state != LeaseState::Held);
                ended.filter_map(|(token, _)| held.get(token)).for_each(CancellationToken::cancel);
                Ok(())
            }
            Err(error) if self.renewed.elapsed() >= self.ttl.mul_f64(0.8) => {
                self.cancel_all();
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, "leases could not be renewed; trying again");
                tokio::time::sleep(self.ttl / 20).await;
                Ok(())
            }
        }
    }

    /// Stops all work in hand.
    pub(super) fn cancel_all(&self) {
        lock(&self.held).values().for_each(CancellationToken::cancel);
    }
}

/// A lease in hand.
pub(super) struct Guard {
    held: Held,
    token: LeaseToken,
    cancellation: CancellationToken,
}

impl Guard {
    /// Gives the token that fires when the work must stop.
    pub(super) fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.token);
    }
}

fn lock(held: &Held) -> std::sync::MutexGuard<'_, HashMap<LeaseToken, CancellationToken>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
