//! Wakes those who wait for a store to change.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts changes; whoever waits learns of the next one.
#[derive(Debug)]
pub(crate) struct Wake {
    count: AtomicU64,
    /// Telling of a change costs next to nothing where nobody waits.
    waiting: AtomicUsize,
    changed: Notify,
}

impl Default for Wake {
    fn default() -> Self {
        Self { count: AtomicU64::new(1), waiting: AtomicUsize::new(0), changed: Notify::new() }
    }
}

impl Wake {
    /// Tells of a change.
    pub(crate) fn notify(&self) {
        // One total order of the four accesses: either who waits sees the count, or this sees who waits.
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Waits for a change after the one seen, at most this long; gives the newest count.
    pub(crate) async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        let newest = self.count.load(Ordering::SeqCst);
        if newest > seen {
            return newest;
        }
        let _waiting = Waiting::new(&self.waiting);
        let changed = async {
            loop {
                // It hears of every change from here on, polled or not.
                let next = self.changed.notified();
                let newest = self.count.load(Ordering::SeqCst);
                if newest > seen {
                    return newest;
                }
                next.await;
            }
        };
        // A timeout does not matter: the caller looks at the store in any case.
        tokio::time::timeout(at_most, changed).await.unwrap_or(seen)
    }
}

/// Counts somebody who waits for as long as they do.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
