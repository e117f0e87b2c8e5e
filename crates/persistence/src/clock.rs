//! The time that a store on a disk counts in: it never runs backward, not even when the system's clock does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use motet_core::id::Millis;

/// Gives the later of the system's time and the newest time seen, which goes on with the monotonic clock.
///
/// After a jump backward, leases and delays end when they should instead of when the old time has come again.
#[derive(Debug)]
pub(crate) struct Clock {
    anchor: Mutex<Anchor>,
    /// How far the system's time was set in a test, in milliseconds.
    #[cfg(test)]
    jumped: std::sync::atomic::AtomicI64,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Millis,
    at: Instant,
}

impl Anchor {
    fn now(self) -> Millis {
        self.time.after(self.at.elapsed())
    }
}

impl Clock {
    /// Starts with the system's time.
    pub(crate) fn new() -> Self {
        Self {
            anchor: Mutex::new(Anchor { time: Millis::now(), at: Instant::now() }),
            #[cfg(test)]
            jumped: std::sync::atomic::AtomicI64::new(0),
        }
    }

    #[cfg(not(test))]
    fn system(&self) -> Millis {
        Millis::now()
    }

    #[cfg(test)]
    fn system(&self) -> Millis {
        Millis(Millis::now().0 + self.jumped.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Sets the system's time ahead or back.
    #[cfg(test)]
    pub(crate) fn jump(&self, milliseconds: i64) {
        self.jumped.fetch_add(milliseconds, std::sync::atomic::Ordering::Relaxed);
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Millis {
        self.at_least(Millis::default())
    }

    /// Learns of a time that another process, or an earlier one, has seen; gives the time now.
    pub(crate) fn at_least(&self, seen: Millis) -> Millis {
        let seen = seen.max(self.system());
        let mut anchor = self.anchor();
        if seen > anchor.now() {
            *anchor = Anchor { time: seen, at: Instant::now() };
        }
        anchor.now()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_seen_in_the_future_is_kept_and_goes_on() {
        let clock = Clock::new();
        let future = Millis::now().after(Duration::from_secs(3600));
        assert!(clock.at_least(future) >= future);
        assert!(clock.now() >= future);
    }

    #[test]
    fn a_time_seen_in_the_past_changes_nothing() {
        let clock = Clock::new();
        let before = clock.now();
        assert!(clock.at_least(Millis(5)) >= before);
    }
}
