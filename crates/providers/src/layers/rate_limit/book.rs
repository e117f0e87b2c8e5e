//! The limits of one key, or of one of its models: requests and tokens, taken together or not at all.
//!
//! Reads no clock and waits never; times are nanoseconds after a start that the caller chooses. Decides what is learnt
//! from what a provider tells.

use motet_core::limits::{Allowance, RateLimits};
use motet_core::settings::Learning;

use super::gcra::{Gcra, Rate};

/// The limits that are configured; `None` where none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of requests.
    pub requests: Option<Rate>,
    /// Of tokens, input and output together.
    pub tokens: Option<Rate>,
}

impl Limits {
    /// Makes limits of the numbers that settings have; a minute's worth may be used at once where no burst is given.
    #[must_use]
    pub fn per_minute(requests: Option<u32>, tokens: Option<u32>, burst: Option<u32>) -> Self {
        let requests = requests.map(|cells| {
            let rate = Rate::per_minute(cells.into());
            burst.map_or(rate, |burst| rate.with_burst(burst.into()))
        });
        Self { requests, tokens: tokens.map(|cells| Rate::per_minute(cells.into())) }
    }

    /// Tells whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit, and since when it is kept: what was admitted before is not given back to it.
#[derive(Debug, Clone, Copy)]
struct Kept {
    gcra: Gcra,
    since: u64,
}

/// What has been taken of the limits, and until when nothing is let through.
#[derive(Debug, Clone, Default)]
pub struct Book {
    requests: Option<Kept>,
    tokens: Option<Kept>,
    paused_until: u64,
}

impl Book {
    /// Begins with nothing taken.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let kept = |rate: Rate| Kept { gcra: Gcra::new(rate), since: 0 };
        Self { requests: limits.requests.map(kept), tokens: limits.tokens.map(kept), paused_until: 0 }
    }

    /// Gives the limits as they are now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let rate = |kept: Kept| kept.gcra.rate();
        Limits { requests: self.requests.map(rate), tokens: self.tokens.map(rate) }
    }

    /// Gives the earliest time from `now` on for one request, after others that stand ahead.
    #[must_use]
    pub fn earliest(&self, now: u64, ahead: Ahead, tokens: u64) -> u64 {
        let from = now.max(self.paused_until);
        let at = |kept: Option<Kept>, ahead, cells| {
            kept.map_or(from, |kept| kept.gcra.earliest(from, ahead, cells))
        };
        at(self.requests, ahead.requests, 1).max(at(self.tokens, ahead.tokens, tokens))
    }

    /// Takes one request at a time that [`earliest`](Self::earliest) gave, or a later one.
    pub fn take(&mut self, at: u64, tokens: u64) {
        if let Some(kept) = &mut self.requests {
            kept.gcra.take(at, 1);
        }
        if let Some(kept) = &mut self.tokens {
            kept.gcra.take(at, tokens);
        }
    }

    /// Puts what was used in the place of what was taken; `None` when nothing was sent.
    pub fn settle(&mut self, taken_at: u64, tokens: u64, used: Option<u64>) {
        if let Some(kept) = self.requests.as_mut().filter(|kept| kept.since <= taken_at && used.is_none()) {
            kept.gcra.correct(1, 0);
        }
        if let Some(kept) = self.tokens.as_mut().filter(|kept| kept.since <= taken_at) {
            kept.gcra.correct(tokens, used.unwrap_or(0));
        }
    }

    /// Takes over how long it takes until requests and tokens are whole again.
    pub(super) fn note(&mut self, now: u64, [requests, tokens]: [u64; 2]) {
        for (kept, owed) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            if let Some(kept) = kept {
                kept.gcra.note(now, owed);
            }
        }
    }

    /// Lets nothing through until a time; a later one stays.
    pub fn pause(&mut self, until: u64) {
        self.paused_until = self.paused_until.max(until);
    }

    /// Keeps the limits that the provider tells of, and no more left than it says is left.
    pub fn mirror(&mut self, now: u64, told: &Told) {
        mirror(&mut self.requests, now, told.requests);
        mirror(&mut self.tokens, now, told.tokens);
    }
}

fn mirror(kept: &mut Option<Kept>, now: u64, told: Option<(Rate, u64)>) {
    let Some((rate, left)) = told else { return };
    let kept = kept.get_or_insert_with(|| Kept { gcra: Gcra::new(rate), since: now });
    if kept.gcra.rate() != rate {
        kept.gcra.change(now, rate);
    }
    kept.gcra.lower(now, left);
}

/// Those who asked before and wait still.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ahead {
    /// How many.
    pub requests: u64,
    /// Tokens that they ask for together.
    pub tokens: u64,
}

/// What is believed of what a provider told: rates, and how much of each is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Of requests.
    pub requests: Option<(Rate, u64)>,
    /// Of tokens.
    pub tokens: Option<(Rate, u64)>,
}

impl Told {
    /// Reads what a provider told, as far as the settings let it be learnt.
    #[must_use]
    pub fn read(limits: &RateLimits, configured: Limits, learning: Learning) -> Self {
        let wanted = |configured: Option<Rate>| match learning {
            Learning::Off => false,
            Learning::Tighten => configured.is_some(),
            _ => true,
        };
        let one = |told: Option<Allowance>, configured: Option<Rate>| {
            told.filter(|_| wanted(configured)).and_then(|told| read(&told, configured))
        };
        Self {
            requests: one(limits.requests, configured.requests),
            tokens: one(limits.tokens.or_else(|| both(limits)), configured.tokens),
        }
    }
}

/// Adds the allowances of input and output tokens up, where they are told apart and together not at all.
fn both(limits: &RateLimits) -> Option<Allowance> {
    let (input, output) = (limits.input_tokens?, limits.output_tokens?);
    let sum = |of: fn(&Allowance) -> Option<u64>| Some(of(&input)?.saturating_add(of(&output)?));
    Some(Allowance::new(sum(|of| of.limit), sum(|of| of.remaining), input.reset.max(output.reset)))
}

/// Reads one allowance.
fn read(told: &Allowance, configured: Option<Rate>) -> Option<(Rate, u64)> {
    let Some(limit) = told.limit.filter(|limit| *limit > 0) else {
        return Some((configured?, told.remaining?));
    };
    let left = told.remaining.unwrap_or(limit).min(limit);
    Some((rate(limit, left, told), left))
}

/// Gives how fast an allowance comes back: over its window where that is told, else so that it is full when the
/// provider says, if that is further away than a minute, and else over a minute, as is usual.
fn rate(limit: u64, left: u64, told: &Allowance) -> Rate {
    if let Some(window) = told.window.filter(|window| !window.is_zero()) {
        return Rate::new(limit, nanos(window));
    }
    let reset = told.reset.map_or(0, nanos);
    if reset > LONGER_THAN_A_MINUTE && left < limit {
        Rate::new(limit - left, reset).with_burst(limit)
    } else {
        Rate::per_minute(limit)
    }
}

/// A minute and what clocks may differ by.
const LONGER_THAN_A_MINUTE: u64 = 65_000_000_000;

/// Gives whole nanoseconds.
pub(super) fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_limit_is_of_its_window_or_of_what_its_reset_says_or_of_a_minute() {
        let reset = |seconds| Some(Duration::from_secs(seconds));
        let told = |limit, left, reset| Allowance::new(Some(limit), Some(left), reset);
        let configured = Rate::per_minute(7);
        for (told, expected) in [
            (told(60, 59, reset(1)), Some((Rate::per_minute(60), 59))),
            (told(60, 90, None), Some((Rate::per_minute(60), 60))),
            (told(10, 9, reset(1)).with_window(Duration::from_secs(1)), Some((Rate::new(10, SECOND), 9))),
            (
                told(14_400, 14_370, reset(180)),
                Some((Rate::new(30, 180 * SECOND).with_burst(14_400), 14_370)),
            ),
            (told(9, 9, reset(900)), Some((Rate::per_minute(9), 9))),
            (told(0, 0, None), Some((configured, 0))),
            (Allowance::new(None, Some(3), None), Some((configured, 3))),
            (Allowance::new(Some(5), None, None), Some((Rate::per_minute(5), 5))),
            (Allowance::new(None, None, reset(9)), None),
        ] {
            assert_eq!(read(&told, Some(configured)), expected, "{told:?}");
        }
        assert_eq!(read(&Allowance::new(None, Some(3), None), None), None, "how many there are is unknown");
    }

    #[test]
    fn tokens_that_are_told_apart_are_added_up() {
        let mut limits = RateLimits::default();
        limits.input_tokens = Some(Allowance::new(Some(100), Some(40), None));
        assert_eq!(Told::read(&limits, Limits::default(), Learning::Adopt), Told::default());
        limits.output_tokens = Some(Allowance::new(Some(10), Some(5), None));
        let tokens = Some((Rate::per_minute(110), 45));
        assert_eq!(Told::read(&limits, Limits::default(), Learning::Adopt), Told { requests: None, tokens });
        limits.tokens = Some(Allowance::new(Some(50), Some(6), None));
        let tokens = Some((Rate::per_minute(50), 6));
        assert_eq!(Told::read(&limits, Limits::default(), Learning::Adopt), Told { requests: None, tokens });
    }

    #[test]
    fn a_burst_is_of_requests_and_a_minutes_worth_where_it_is_not_given() {
        let limits = Limits::per_minute(Some(60), Some(600), Some(5));
        assert_eq!(limits.requests, Some(Rate::per_minute(60).with_burst(5)));
        assert_eq!(limits.tokens, Some(Rate::per_minute(600)));
        assert_eq!(Limits::per_minute(Some(60), None, None).requests, Some(Rate::per_minute(60)));
        assert!(Limits::per_minute(None, None, None).is_empty());
    }
}
