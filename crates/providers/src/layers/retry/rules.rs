//! Whether a failure is tried again, and after how long, as far as settings and chance decide.
//!
//! Pure: knows no call, no clock, and no budget of attempts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use motet_core::{Error, ErrorKind};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How failed calls are tried again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rules {
    /// Longest wait before the first retry; the wait is drawn between zero and it.
    pub min_delay: Duration,
    /// Longest wait that is drawn.
    pub max_delay: Duration,
    /// What the longest wait grows by from one retry to the next.
    pub multiplier: f64,
    /// Kinds that are tried again; where it is `None`, the errors that say of themselves that they may pass.
    pub on: Option<Vec<ErrorKind>>,
    /// Tries again even after part of the answer was shown; what was shown is declared void.
    pub recover_streams: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            multiplier: 2.0,
            on: None,
            recover_streams: false,
        }
    }
}

impl Rules {
    /// Tells whether such a failure is tried again.
    #[must_use]
    pub fn retries(&self, error: &Error) -> bool {
        match &self.on {
            Some(kinds) => kinds.contains(&error.kind()),
            None => error.retry().is_retryable(),
        }
    }

    /// Begins the longest waits of one call, each to be drawn from by [`Chance::up_to`].
    pub(super) fn backoff(&self) -> Backoff {
        let most = self.max_delay;
        #[expect(clippy::cast_possible_truncation, reason = "a factor of 1 to 100 needs no more digits")]
        let factor = self.multiplier as f32;
        let sequence = ExponentialBuilder::new()
            .with_min_delay(self.min_delay.min(most))
            .with_max_delay(most)
            .with_factor(factor)
            .without_max_times();
        Backoff { sequence: sequence.build(), most }
    }
}

/// The longest waits of one call, one after the other.
pub(super) struct Backoff {
    sequence: <ExponentialBuilder as backon::BackoffBuilder>::Backoff,
    most: Duration,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        self.sequence.next().unwrap_or(self.most).min(self.most)
    }
}

/// Where waits are drawn from, so that callers that failed together do not come back together.
#[derive(Debug, Default)]
pub struct Chance(Option<Mutex<StdRng>>);

impl Chance {
    /// Draws the same waits for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Draws a wait from zero to `most`, each as likely as any other: full jitter.
    #[must_use]
    pub fn up_to(&self, most: Duration) -> Duration {
        let nanos = 0..=u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(match &self.0 {
            Some(seeded) => seeded.lock().unwrap_or_else(PoisonError::into_inner).random_range(nanos),
            None => rand::random_range(nanos),
        })
    }
}

#[cfg(test)]
mod tests {
    use motet_core::Retry;

    use super::*;

    #[test]
    fn the_longest_wait_grows_to_its_limit() {
        let waits = |min: u64, max: u64, multiplier: f64| {
            let (min_delay, max_delay) = (Duration::from_secs(min), Duration::from_secs(max));
            let mut backoff = Rules { min_delay, max_delay, multiplier, ..Rules::default() }.backoff();
            [(); 5].map(|()| backoff.next().as_secs())
        };
        assert_eq!(waits(1, 10, 2.0), [1, 2, 4, 8, 10]);
        assert_eq!(waits(2, 100, 3.0), [2, 6, 18, 54, 100]);
        assert_eq!(waits(3, 30, 1.0), [3, 3, 3, 3, 3]);
        assert_eq!(waits(9, 4, 2.0), [4, 4, 4, 4, 4], "the limit holds for the first one too");
        let mut endless = Rules { max_delay: Duration::MAX, multiplier: 100.0, ..Rules::default() }.backoff();
        for _ in 0..1_000 {
            endless.next();
        }
        assert_eq!(endless.next(), Duration::MAX);
    }

    #[test]
    fn waits_are_drawn_from_the_whole_range_and_by_the_seed() {
        let (most, second) = (Duration::from_secs(8), Duration::from_secs(1));
        for chance in [Chance::default(), Chance::seeded(7)] {
            let drawn: Vec<Duration> = (0..2_000).map(|_| chance.up_to(most)).collect();
            assert!(drawn.iter().all(|wait| *wait <= most));
            for part in 0..8 {
                let range = second * part..second * (part + 1);
                let share = drawn.iter().filter(|wait| range.contains(*wait)).count();
                assert!((125..=400).contains(&share), "{share} of 2000 waits lie in second {part}");
            }
        }
        let seeded =
            || (0..9).scan(Chance::seeded(1), |chance, _| Some(chance.up_to(most))).collect::<Vec<_>>();
        assert_eq!(seeded(), seeded());
        assert_eq!(Chance::default().up_to(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_list_of_kinds_replaces_what_errors_say_of_themselves() {
        let busy = Error::new(ErrorKind::Overloaded, "busy");
        let wrong = Error::new(ErrorKind::InvalidRequest, "wrong");
        let tls = Error::new(ErrorKind::Connection, "no certificate").with_retry(Retry::Never);
        let usual = Rules::default();
        assert_eq!([&busy, &wrong, &tls].map(|error| usual.retries(error)), [true, false, false]);
        let listed = Rules { on: Some(vec![ErrorKind::InvalidRequest, ErrorKind::Connection]), ..usual };
        assert_eq!([&busy, &wrong, &tls].map(|error| listed.retries(error)), [false, true, true]);
    }
}
