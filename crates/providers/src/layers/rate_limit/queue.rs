//! A queue before limits: whoever asks first is admitted first, however much it asks for.
//!
//! Knows no model and no server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use motet_core::Result;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::book::{Ahead, Book, Limits, Told, nanos};
use super::patience::Patience;

/// Limits, and those who wait for them.
///
/// A small request never overtakes a large one, so that the large one's turn comes.
#[derive(Debug)]
pub struct LimitQueue {
    begun: Instant,
    state: Mutex<State>,
    /// Held by the one whose turn it is; tokio hands it on in the order of asking.
    turn: tokio::sync::Mutex<()>,
    /// Told when something was given back, so that the one in turn looks again.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    book: Book,
    ahead: Ahead,
}

impl LimitQueue {
    /// Keeps these limits; none at all is no limit.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            begun: Instant::now(),
            state: Mutex::new(State { book: Book::new(limits), ahead: Ahead::default() }),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// Gives the limits as they are now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.state().book.limits()
    }

    /// Waits for room; gives when it was taken, in the queue's own time.
    pub(super) async fn admit(&self, patience: &Patience<'_>, tokens: u64) -> Result<u64> {
        if let Ok(_turn) = self.turn.try_lock()
            && let Ok(at) = self.take(tokens)
        {
            return Ok(at);
        }
        let expected = self.expected_wait(tokens);
        patience.check(expected)?;
        let _place = Place::take(self, tokens);
        if !expected.is_zero() {
            patience.tell(expected);
        }
        patience.wait(self.in_turn(patience, tokens)).await
    }

    pub(super) fn expected_wait(&self, tokens: u64) -> Duration {
        let state = self.state();
        let now = self.now();
        Duration::from_nanos(state.book.earliest(now, state.ahead, tokens) - now)
    }

    pub(super) fn settle(&self, taken_at: u64, tokens: u64, used: Option<u64>) {
        self.state().book.settle(taken_at, tokens, used);
        if used.is_none_or(|used| used < tokens) {
            self.changed.notify_one();
        }
    }

    pub(super) fn mirror(&self, told: &Told) {
        let mut state = self.state();
        let now = self.now();
        state.book.mirror(now, told);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes over how long it takes until the limits are whole again, and how long nothing is let through.
    pub(super) fn note(&self, owed: [Duration; 2], pause: Duration) {
        let mut state = self.state();
        let now = self.now();
        state.book.note(now, owed.map(nanos));
        state.book.pause(now.saturating_add(nanos(pause)));
    }

    pub(super) fn pause(&self, time: Duration) {
        let mut state = self.state();
        let until = self.now().saturating_add(nanos(time));
        state.book.pause(until);
    }

    fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a request and gives when, or for how long there is none.
    fn take(&self, tokens: u64) -> Result<u64, Duration> {
        let mut state = self.state();
        let now = self.now();
        let at = state.book.earliest(now, Ahead::default(), tokens);
        if at > now {
            return Err(Duration::from_nanos(at - now));
        }
        state.book.take(now, tokens);
        Ok(now)
    }

    /// Waits until all who asked before are gone, and then for room.
    async fn in_turn(&self, patience: &Patience<'_>, tokens: u64) -> Result<u64> {
        let _turn = self.turn.lock().await;
        loop {
            let wait = match self.take(tokens) {
                Ok(at) => return Ok(at),
                Err(wait) => wait,
            };
            patience.check(wait)?;
            tokio::select! {
                () = sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

/// A place in the queue, which is given up however the waiting ends.
pub(super) struct Place<'a> {
    queue: &'a LimitQueue,
    tokens: u64,
}

impl<'a> Place<'a> {
    pub(super) fn take(queue: &'a LimitQueue, tokens: u64) -> Self {
        let mut state = queue.state();
        state.ahead.requests += 1;
        state.ahead.tokens = state.ahead.tokens.saturating_add(tokens);
        Self { queue, tokens }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.ahead.requests = state.ahead.requests.saturating_sub(1);
        state.ahead.tokens = state.ahead.tokens.saturating_sub(self.tokens);
    }
}
