//! How an answer ended: what layers learn after the last event, without each of them wrapping the stream.
//!
//! Knows no layer.

use std::sync::{Arc, Mutex, PoisonError};

use motet_core::limits::RateLimits;
use motet_core::{Cost, EmbedResponse, Error, StreamEvent, Usage};

/// What came of a call.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The whole answer came.
    Done,
    /// It failed, before or amid the answer.
    Failed(&'a Error),
    /// The caller stopped listening.
    Dropped,
}

/// How one call ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// What came of it.
    pub outcome: Outcome<'a>,
    /// What was counted until then.
    pub tally: &'a Tally,
}

/// What is counted while an answer arrives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Tokens, as told last.
    pub usage: Option<Usage>,
    /// Money, as told last.
    pub cost: Option<Cost>,
    /// What the provider still allows.
    pub limits: Option<RateLimits>,
    /// The user saw something of the answer.
    pub visible: bool,
    /// The answer is complete.
    pub finished: bool,
    /// The answer was kept from another call: it used and cost nothing, whatever its events tell of that call.
    pub cached: bool,
}

impl Tally {
    /// Counts an event.
    pub fn note(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::TextDelta { .. } => self.visible = true,
            StreamEvent::CacheHit { .. } => self.cached = true,
            StreamEvent::Usage { .. } if self.cached => self.usage = Some(Usage::default()),
            StreamEvent::Usage { usage } => self.usage = Some(*usage),
            StreamEvent::Cost { cost } => self.cost = *cost,
            StreamEvent::Limits { limits } => self.limits = Some(**limits),
            StreamEvent::Finished { .. } => self.finished = true,
            StreamEvent::OutputDiscarded { .. } => *self = Self { limits: self.limits, ..Self::default() },
            other => self.visible |= other.is_visible(),
        }
    }

    /// Counts vectors that came whole.
    #[must_use]
    pub fn of_vectors(response: &EmbedResponse) -> Self {
        Self { usage: response.usage, cost: response.cost, visible: true, finished: true, ..Self::default() }
    }
}

type Observer = Box<dyn FnOnce(&Ending<'_>) + Send>;

/// Those who want to know how a call ends, the innermost first.
#[derive(Clone, Default)]
pub struct Endings(Arc<Mutex<Vec<Observer>>>);

impl Endings {
    /// Adds one more; it is told once, after all that were added later.
    pub fn add(&self, observer: impl FnOnce(&Ending<'_>) + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// Tells whether nobody wants to know.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells all; those told once are not told again.
    pub fn tell(&self, ending: &Ending<'_>) {
        let observers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for observer in observers.into_iter().rev() {
            observer(ending);
        }
    }
}

/// Those who want to know how a call ends, told exactly once: at the latest when this is dropped.
pub(super) struct Observed {
    /// What was counted so far.
    pub(super) tally: Tally,
    endings: Option<Endings>,
}

impl Observed {
    pub(super) fn new(endings: Endings) -> Self {
        Self { tally: Tally::default(), endings: Some(endings) }
    }

    /// Tells whether nobody is left to be told.
    pub(super) fn is_idle(&self) -> bool {
        self.endings.as_ref().is_none_or(Endings::is_empty)
    }

    /// Tells how the call ended, unless that was told before.
    pub(super) fn end(&mut self, outcome: Outcome<'_>) {
        if let Some(endings) = self.endings.take() {
            endings.tell(&Ending { outcome, tally: &self.tally });
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let outcome = if self.tally.finished { Outcome::Done } else { Outcome::Dropped };
        self.end(outcome);
    }
}
