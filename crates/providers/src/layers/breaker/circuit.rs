//! A circuit breaker as a state machine: told what comes and how it ended, it says what may go on.
//!
//! Pure but for a lock: reads no clock, sends nothing, and knows no layer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Parts that the window is divided into; it moves on by one of them at a time.
const PARTS: u32 = 10;

/// Longest time after which a call should come again while others probe.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a circuit opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Share of failed calls, in percent, from which it opens.
    pub failure_rate: u32,
    /// Calls that the window must hold before the share counts.
    pub min_calls: u32,
    /// Time over which calls are counted.
    pub window: Duration,
    /// Time for which it lets nothing through.
    pub open_for: Duration,
    /// Calls that are let through to see whether the model answers again; all must end well.
    pub probes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failure_rate: 50,
            min_calls: 20,
            window: Duration::from_secs(60),
            open_for: Duration::from_secs(30),
            probes: 3,
        }
    }
}

/// What a circuit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// A few calls that probe.
    HalfOpen,
}

impl CircuitState {
    /// Gives the name used in events and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half_open",
        }
    }
}

/// A circuit as it stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// What it lets through.
    pub state: CircuitState,
    /// Calls in the window that ended well or failed.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Time until an open one lets probes through.
    pub probes_in: Option<Duration>,
}

/// How a call that was let through ended, as far as it concerns a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Failed,
    /// It says nothing of the model.
    Neither,
}

/// A circuit's answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It goes on; the change that it brought about, if any, is to be told of.
    Through(Pass, Option<CircuitState>),
    /// It does not, and should come again after this time.
    Refused(Duration),
}

/// What a call that was let through carries to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Number of the state it belongs to; what ends in a later one is too old to matter.
    era: u64,
}

/// A circuit breaker, shared by all who call one model.
#[derive(Debug)]
pub struct Circuit {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    era: u64,
    state: State,
    window: Window,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { running: u32, good: u32 },
}

impl Circuit {
    /// Makes a closed circuit whose time begins now.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        let window = Window {
            start: now,
            part: (limits.window / PARTS).max(Duration::from_nanos(1)),
            counts: VecDeque::new(),
        };
        Self { limits, inner: Mutex::new(Inner { era: 0, state: State::Closed, window }) }
    }

    /// Tells how it stands.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> CircuitSnapshot {
        let mut inner = self.lock();
        let (calls, failures) = inner.window.sums(now);
        let (state, probes_in) = match inner.state {
            State::Closed => (CircuitState::Closed, None),
            State::Open { until } if until > now => (CircuitState::Open, Some(until - now)),
            State::Open { .. } | State::HalfOpen { .. } => (CircuitState::HalfOpen, None),
        };
        CircuitSnapshot { state, calls, failures, probes_in }
    }

    pub(crate) fn admit(&self, now: Instant) -> Admission {
        let mut inner = self.lock();
        let changed = match inner.state {
            State::Open { until } if until > now => return Admission::Refused(until - now),
            State::Open { .. } => {
                inner.enter(State::HalfOpen { running: 0, good: 0 });
                Some(CircuitState::HalfOpen)
            }
            State::Closed | State::HalfOpen { .. } => None,
        };
        if let State::HalfOpen { running, good } = &mut inner.state {
            if *running + *good >= self.limits.probes {
                return Admission::Refused(PROBE_WAIT.min(self.limits.open_for));
            }
            *running += 1;
        }
        Admission::Through(Pass { era: inner.era }, changed)
    }

    /// Takes how a call ended, and gives the state that this brought about.
    pub(crate) fn end(&self, pass: Pass, verdict: Verdict, now: Instant) -> Option<CircuitState> {
        let mut inner = self.lock();
        if pass.era != inner.era {
            return None;
        }
        let open = State::Open { until: now.checked_add(self.limits.open_for).unwrap_or(now) };
        match (&mut inner.state, verdict) {
            (State::Open { .. }, _) | (State::Closed, Verdict::Neither) => None,
            (State::Closed, _) => {
                inner.window.count(now, verdict == Verdict::Failed);
                let (calls, failures) = inner.window.sums(now);
                let many =
                    u64::from(failures) * 100 >= u64::from(self.limits.failure_rate) * u64::from(calls);
                let opens = verdict == Verdict::Failed && many && calls >= self.limits.min_calls;
                opens.then(|| inner.enter(open)).map(|()| CircuitState::Open)
            }
            (State::HalfOpen { .. }, Verdict::Failed) => {
                inner.enter(open);
                Some(CircuitState::Open)
            }
            (State::HalfOpen { running, good }, verdict) => {
                *running = running.saturating_sub(1);
                *good += u32::from(verdict == Verdict::Good);
                if *good < self.limits.probes {
                    return None;
                }
                inner.enter(State::Closed);
                inner.window.counts.clear();
                Some(CircuitState::Closed)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

/// Calls and failures of the last while, in parts of it.
#[derive(Debug)]
struct Window {
    start: Instant,
    part: Duration,
    counts: VecDeque<Count>,
}

#[derive(Debug)]
struct Count {
    /// Number of the part since the start.
    part: u128,
    calls: u32,
    failures: u32,
}

impl Window {
    fn part(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.start).as_nanos() / self.part.as_nanos().max(1)
    }

    fn count(&mut self, now: Instant, failed: bool) {
        let part = self.part(now);
        if self.counts.back().is_none_or(|last| last.part < part) {
            self.counts.push_back(Count { part, calls: 0, failures: 0 });
        }
        if let Some(last) = self.counts.back_mut() {
            last.calls = last.calls.saturating_add(1);
            last.failures = last.failures.saturating_add(u32::from(failed));
        }
    }

    /// Forgets what is too old, and adds up the rest.
    fn sums(&mut self, now: Instant) -> (u32, u32) {
        let part = self.part(now);
        while self.counts.front().is_some_and(|first| first.part + u128::from(PARTS) <= part) {
            self.counts.pop_front();
        }
        self.counts.iter().fold((0, 0), |(calls, failures), count| {
            (calls.saturating_add(count.calls), failures.saturating_add(count.failures))
        })
    }
}

#[cfg(test)]
mod tests;
