//! Hears of changes by one long poll that all who wait share.
//!
//! Who waits comes and goes many times a second; a call that is dropped on its way would cost a connection each time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::contract;
use super::line::Line;

/// How long one call waits for a change; proxies close what is silent for a minute.
const POLL: Duration = Duration::from_secs(20);
/// Shortest time between two calls, so that a busy store does not answer a call for each change.
const PAUSE: Duration = Duration::from_millis(5);
/// Wait before the next call where the server does not answer.
const OUTAGE: Duration = Duration::from_secs(1);

/// Counts the changes that the server tells of.
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// What polls, as long as its runtime lives.
    poller: Mutex<Option<AbortHandle>>,
}

struct Shared {
    line: Line,
    /// Own count of changes, which a start of the server does not set back; 0 before the server was first asked.
    count: watch::Sender<u64>,
    /// The server's number.
    known: Mutex<u64>,
    waiting: AtomicUsize,
    wanted: Notify,
}

impl Changes {
    pub(super) fn new(line: Line) -> Self {
        let (count, known) = (watch::Sender::new(0), Mutex::new(0));
        let (waiting, wanted) = (AtomicUsize::new(0), Notify::new());
        Self { shared: Arc::new(Shared { line, count, known, waiting, wanted }), poller: Mutex::new(None) }
    }

    /// Waits for a change after the one seen, at most this long; gives the newest count.
    pub(super) async fn wait(&self, seen: u64, at_most: Duration) -> u64 {
        let shared = &self.shared;
        if *shared.count.borrow() == 0 {
            // What happens after this answer is a change for whoever asked.
            let asked = contract::wait(&shared.line, 0, Duration::ZERO);
            match tokio::time::timeout(at_most.max(OUTAGE), asked).await {
                Ok(Ok(newest)) => shared.hear(newest),
                _ => {
                    tokio::time::sleep(at_most.min(OUTAGE)).await;
                    return seen;
                }
            }
        }
        let mut count = shared.count.subscribe();
        let newest = *count.borrow();
        if newest > seen || at_most.is_zero() {
            return newest;
        }
        let _waiting = Waiting::new(shared);
        self.poll();
        match tokio::time::timeout(at_most, count.wait_for(|newest| *newest > seen)).await {
            Ok(Ok(newest)) => *newest,
            _ => seen,
        }
    }

    /// Begins to poll unless that is done already.
    fn poll(&self) {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        if poller.as_ref().is_none_or(AbortHandle::is_finished) {
            *poller = Some(tokio::spawn(poll(Arc::clone(&self.shared))).abort_handle());
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(poller) = self.poller.lock().unwrap_or_else(PoisonError::into_inner).take() {
            poller.abort();
        }
    }
}

impl Shared {
    /// Takes note of the server's number; any other one than before is a change.
    fn hear(&self, newest: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = *self.count.borrow() == 0;
        if is_first || *known != newest {
            *known = newest;
            self.count.send_modify(|count| *count += 1);
        }
    }
}

async fn poll(shared: Arc<Shared>) {
    loop {
        while shared.waiting.load(Ordering::SeqCst) == 0 {
            shared.wanted.notified().await;
        }
        let known = *shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        match contract::wait(&shared.line, known, POLL).await {
            Ok(newest) => {
                shared.hear(newest);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the server does not tell of changes");
                tokio::time::sleep(OUTAGE).await;
            }
        }
    }
}

/// Counts somebody who waits for as long as they do.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        shared.wanted.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
