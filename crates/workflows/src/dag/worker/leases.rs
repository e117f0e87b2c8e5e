//! Keeps the leases of a worker alive, and stops the work of those that ended.
//!
//! Runs beside the worker's loop, so that neither a slow claim nor a store that hangs delays a renewal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::store::{LeaseState, LeaseToken, SharedStore};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A lease in hand: what stops its work, and until when it surely holds.
struct Lease {
    cancellation: CancellationToken,
    until: Instant,
}

type Held = Arc<Mutex<HashMap<LeaseToken, Lease>>>;

/// The leases that a worker holds.
pub(super) struct Leases {
    ttl: Duration,
    held: Held,
    renewal: AbortHandle,
}

impl Leases {
    /// Begins to renew every lease that is held from now on.
    pub(super) fn new(store: SharedStore, ttl: Duration) -> Self {
        let held = Held::default();
        let renewal = tokio::spawn(renew(store, ttl, Arc::clone(&held))).abort_handle();
        Self { ttl, held, renewal }
    }

    /// Keeps a lease alive until the guard is dropped; it was asked for at `asked`.
    pub(super) fn hold(&self, token: LeaseToken, asked: Instant) -> Guard {
        let cancellation = CancellationToken::new();
        let lease = Lease { cancellation: cancellation.clone(), until: asked + self.ttl };
        lock(&self.held).insert(token.clone(), lease);
        Guard { held: Arc::clone(&self.held), token, cancellation }
    }

    /// Stops all work in hand.
    pub(super) fn cancel_all(&self) {
        lock(&self.held).values().for_each(|lease| lease.cancellation.cancel());
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews all leases three times in their time; work whose lease ended is stopped.
///
/// A store that cannot be reached is tried again; work whose lease is about to end without it is stopped, because another
/// worker may take it over then.
async fn renew(store: SharedStore, ttl: Duration, held: Held) {
    let mut pause = ttl / 3;
    loop {
        tokio::time::sleep(pause).await;
        let tokens: Vec<LeaseToken> = lock(&held).keys().cloned().collect();
        pause = ttl / 3;
        if tokens.is_empty() {
            continue;
        }
        let begun = Instant::now();
        let error = match tokio::time::timeout(ttl / 10, store.renew(&tokens, ttl)).await {
            Ok(Ok(states)) => {
                apply(&held, &tokens, &states, begun + ttl);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store does not answer".to_owned(),
        };
        tracing::warn!(%error, "leases could not be renewed; trying again");
        stop_late(&held, Instant::now() + ttl / 5);
        pause = ttl / 20;
    }
}

fn apply(held: &Held, tokens: &[LeaseToken], states: &[LeaseState], until: Instant) {
    let mut held = lock(held);
    for (token, state) in tokens.iter().zip(states) {
        match (held.get_mut(token), state) {
            (Some(lease), LeaseState::Held) => lease.until = until,
            (Some(lease), _) => lease.cancellation.cancel(),
            (None, _) => {}
        }
    }
}

/// Stops work whose lease surely holds no longer than this.
fn stop_late(held: &Held, until: Instant) {
    let held = lock(held);
    held.values().filter(|lease| lease.until <= until).for_each(|lease| lease.cancellation.cancel());
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

fn lock(held: &Held) -> std::sync::MutexGuard<'_, HashMap<LeaseToken, Lease>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
