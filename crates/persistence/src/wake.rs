//! Wakes those who wait for a store to change.

use std::time::Duration;

use tokio::sync::watch;

/// Counts changes; whoever waits learns of the next one.
#[derive(Debug)]
pub(crate) struct Wake(watch::Sender<u64>);

impl Default for Wake {
    fn default() -> Self {
        Self(watch::Sender::new(1))
    }
}

impl Wake {
    /// Tells of a change.
    pub(crate) fn notify(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Waits for a change after the one seen, at most this long; gives the newest count.
    pub(crate) async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        let mut receiver = self.0.subscribe();
        let changed = receiver.wait_for(|count| *count > seen);
        // Neither a timeout nor a closed channel matters: the caller looks at the store in any case.
        let newest =
            tokio::time::timeout(at_most, changed).await.ok().and_then(|seen| seen.ok().map(|count| *count));
        newest.unwrap_or(seen)
    }
}
