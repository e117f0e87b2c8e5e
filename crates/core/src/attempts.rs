//! The one budget of attempts and time of a logical call, which retries, changes of key, fallbacks, and repairs share.
//!
//! Sends nothing and sleeps never; layers ask it before they send again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often, and until when, the requests of one logical call may be sent again.
///
/// The first send of each turn is free; every further one, whichever layer asks for it, is counted.
#[derive(Debug)]
pub struct Attempts {
    /// Sends so far, first ones included.
    sent: AtomicU32,
    /// Resends that are left.
    left: AtomicU32,
    /// Resends kept for models that have not been tried yet.
    kept: AtomicU32,
    begun: Instant,
    time: Option<Duration>,
}

impl Attempts {
    /// Begins a logical call of at most `most` sends, which may begin during `time`; its clock starts now.
    #[must_use]
    pub fn new(most: u32, time: Option<Duration>) -> Self {
        Self {
            sent: AtomicU32::new(0),
            left: AtomicU32::new(most.saturating_sub(1)),
            kept: AtomicU32::new(0),
            begun: Instant::now(),
            time,
        }
    }

    /// Counts the first send of a turn.
    pub fn first(&self) -> u32 {
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes one resend that would begin after `delay`; gives its number among all sends, or `None` when attempts or
    /// time are used up.
    #[must_use]
    pub fn again(&self, delay: Duration) -> Option<u32> {
        self.take(self.kept.load(Ordering::Relaxed), delay)
    }

    /// Takes a resend that was kept for a model that has not been tried, even when no other is left.
    #[must_use]
    pub fn kept(&self, delay: Duration) -> Option<u32> {
        if self.is_over_after(delay) {
            return None;
        }
        let lower = |count: u32| count.checked_sub(1);
        if self.kept.try_update(Ordering::Relaxed, Ordering::Relaxed, lower).is_err() {
            return self.take(0, delay);
        }
        // More models than attempts are still tried once each.
        let _ = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, lower);
        Some(self.first())
    }

    /// Tells whether a resend can be taken now.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.left.load(Ordering::Relaxed) > self.kept.load(Ordering::Relaxed)
            && !self.is_over_after(Duration::ZERO)
    }

    /// Keeps so many resends for models that have not been tried yet.
    pub fn keep(&self, resends: u32) {
        self.kept.store(resends, Ordering::Relaxed);
    }

    /// Tells whether another model is asked when this one fails.
    #[must_use]
    pub fn keeps_any(&self) -> bool {
        self.kept.load(Ordering::Relaxed) > 0
    }

    /// Takes back a send that was counted and not made; the attempt stays used, so that nobody asks without end.
    pub fn not_sent(&self) {
        let _ = self.sent.try_update(Ordering::Relaxed, Ordering::Relaxed, |sent| sent.checked_sub(1));
    }

    fn is_over_after(&self, delay: Duration) -> bool {
        self.remaining().is_some_and(|remaining| remaining.is_zero() || remaining < delay)
    }

    fn take(&self, keep: u32, delay: Duration) -> Option<u32> {
        if self.is_over_after(delay) {
            return None;
        }
        let lower = |left: u32| if left > keep { left.checked_sub(1) } else { None };
        self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, lower).ok()?;
        Some(self.first())
    }

    /// Gives the number of sends so far.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Gives the time left in which a resend may begin; `None` when it is unlimited.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.time.map(|time| time.saturating_sub(self.begun.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resends_come_out_of_one_budget_and_leave_what_is_kept() {
        let attempts = Attempts::new(4, None);
        assert_eq!(attempts.first(), 1);
        attempts.keep(1);
        assert!(attempts.has_more());
        assert_eq!(attempts.again(Duration::ZERO), Some(2));
        assert_eq!(attempts.again(Duration::ZERO), Some(3));
        assert_eq!(attempts.again(Duration::ZERO), None, "the last one is kept");
        assert!(!attempts.has_more());
        assert_eq!(attempts.kept(Duration::ZERO), Some(4));
        assert_eq!(attempts.kept(Duration::ZERO), None);
        assert_eq!(attempts.first(), 5, "a repair turn's first send is its own");
        assert_eq!(attempts.again(Duration::ZERO), None);
    }

    #[test]
    fn no_resend_begins_after_the_time_is_over() {
        let attempts = Attempts::new(9, Some(Duration::from_secs(10)));
        attempts.first();
        assert_eq!(attempts.again(Duration::from_secs(11)), None);
        assert_eq!(attempts.again(Duration::from_secs(9)), Some(2));
        let over = Attempts::new(9, Some(Duration::ZERO));
        over.keep(1);
        assert_eq!(over.again(Duration::ZERO), None, "nothing fits into no time");
        assert_eq!(over.kept(Duration::ZERO), None);
    }

    #[test]
    fn a_send_that_was_not_made_is_not_counted_and_its_attempt_is_used() {
        let attempts = Attempts::new(2, None);
        attempts.first();
        attempts.not_sent();
        assert_eq!(attempts.again(Duration::ZERO), Some(1));
        assert_eq!((attempts.again(Duration::ZERO), attempts.sent()), (None, 1));
    }
}
