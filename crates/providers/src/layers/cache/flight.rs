//! Calls on their way, so that of several identical ones at once only one is sent.
//!
//! Knows nothing of what is asked. Whoever leads and ends without an answer, in whatever way, makes room for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use motet_core::{Error, ErrorKind, Result, RunContext};
use tokio::sync::watch;

use super::Key;
use super::kept::Kept;

/// What the leader of a flight came back with.
#[derive(Debug, Clone)]
pub(super) struct Landed {
    pub(super) kept: Kept,
    /// True when it is worth being given later too, and nobody has kept it.
    pub(super) unkept: bool,
}

/// Every call on its way, by its key.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, watch::Receiver<Option<Landed>>>>);

/// Who asks.
pub(super) enum Seat {
    /// This call.
    Lead(Lead),
    /// Another call, which this one waits for.
    Wait(Wait),
}

impl Flights {
    /// Leads a flight, or waits for the one that is on its way.
    pub(super) fn join(self: &Arc<Self>, key: Key) -> Seat {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flights.get(&key) {
            return Seat::Wait(Wait(receiver.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(key, receiver);
        Seat::Lead(Lead { flights: Arc::clone(self), key, sender })
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The duty to come back with an answer; dropped without one, whoever waits takes over.
#[derive(Debug)]
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    sender: watch::Sender<Option<Landed>>,
}

impl Lead {
    /// Gives the answer to all who wait.
    pub(super) fn land(self, landed: Landed) {
        self.sender.send_replace(Some(landed));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // The flight ends before the channel closes, so that whoever is woken by that can lead.
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// A wait for another call's answer.
pub(super) struct Wait(watch::Receiver<Option<Landed>>);

impl Wait {
    /// Waits for the answer; `None` when the leader ended without one.
    ///
    /// # Errors
    /// `Cancelled` and `Timeout` when the own run ends first.
    pub(super) async fn landed(mut self, context: &RunContext) -> Result<Option<Landed>> {
        let landing = async {
            let landed = self.0.wait_for(Option::is_some).await;
            landed.ok().and_then(|landed| landed.clone())
        };
        unless_ended(context, landing).await
    }
}

/// Waits for work unless the run ends first.
///
/// # Errors
/// `Cancelled` and `Timeout`.
pub(super) async fn unless_ended<T>(context: &RunContext, work: impl Future<Output = T>) -> Result<T> {
    let over = async {
        match context.remaining() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let ended = || {
        let passed = || Error::new(ErrorKind::Timeout, "the run's deadline passed").with_unsent();
        Err(context.check().err().unwrap_or_else(passed))
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = context.cancellation().cancelled() => ended(),
        () = over => ended(),
    }
}
