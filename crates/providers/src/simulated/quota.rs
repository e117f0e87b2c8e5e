//! Quotas as providers keep them: a bucket for each that fills evenly and holds a minute's worth.
//!
//! Knows no request; it is told amounts and times.

use std::time::Duration;

use motet_core::limits::Allowance;

/// No limit, for the one of the two that does not matter.
pub const UNLIMITED: u64 = u64::MAX;

/// What one key is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests a minute.
    pub requests_per_minute: u64,
    /// Tokens a minute, input and output together.
    pub tokens_per_minute: u64,
}

/// A bucket that fills evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    per_minute: u64,
    /// What is in it, in parts of which a whole one has sixty thousand million, so that time adds up exactly.
    parts: u128,
    at: Duration,
}

/// Parts of one unit: nanoseconds of a minute.
const PARTS: u128 = 60_000_000_000;

impl Bucket {
    pub(super) fn new(per_minute: u64, now: Duration) -> Self {
        Self { per_minute, parts: u128::from(per_minute) * PARTS, at: now }
    }

    fn filled(&self, now: Duration) -> u128 {
        let passed = now.saturating_sub(self.at).as_nanos();
        let most = u128::from(self.per_minute) * PARTS;
        (self.parts + passed * u128::from(self.per_minute)).min(most)
    }

    /// Gives the time until so much is in it; a minute for more than it ever holds.
    pub(super) fn wait(&self, amount: u64, now: Duration) -> Duration {
        if amount > self.per_minute {
            return Duration::from_mins(1);
        }
        let missing = (u128::from(amount) * PARTS).saturating_sub(self.filled(now));
        let nanos = missing.div_ceil(u128::from(self.per_minute.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) fn take(&mut self, amount: u64, now: Duration) {
        self.parts = self.filled(now).saturating_sub(u128::from(amount) * PARTS);
        self.at = now;
    }

    /// Gives what is allowed still; `None` where there is no limit.
    pub(super) fn allowance(&self, now: Duration) -> Option<Allowance> {
        if self.per_minute == UNLIMITED {
            return None;
        }
        let remaining = u64::try_from(self.filled(now) / PARTS).unwrap_or(u64::MAX);
        let full = self.wait(self.per_minute, now);
        Some(Allowance::new(Some(self.per_minute), Some(remaining), Some(full)))
    }
}
