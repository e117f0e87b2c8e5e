//! What people are told on stderr while a call goes on: warnings, and why nothing comes for a while.
//!
//! Prints nothing itself. Short waits are not worth a line.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use motet::StreamEvent;

/// Shortest wait that is told, in milliseconds.
const LONG: u64 = 1_000;

/// Gives the line about an event; `None` where there is nothing to tell.
pub(crate) fn notice(event: &StreamEvent) -> Option<String> {
    let seconds = |delay_ms: &u64| *delay_ms as f64 / 1_000.0;
    match event {
        StreamEvent::Warning { message } => Some(format!("warning: {message}")),
        StreamEvent::Retrying { attempt, delay_ms, error } if *delay_ms >= LONG => {
            Some(format!("attempt {attempt} follows in {:.1} s: {}", seconds(delay_ms), error.message))
        }
        StreamEvent::Waiting { delay_ms, scope, .. } if *delay_ms >= LONG => {
            Some(format!("waiting {:.1} s for `{scope}`", seconds(delay_ms)))
        }
        StreamEvent::FellBack { from, to, error } => {
            Some(format!("`{to}` is asked in place of `{from}`: {}", error.message))
        }
        _ => None,
    }
}

/// Shortest time between two lines about one thing that many calls meet.
const PAUSE: Duration = Duration::from_secs(10);

/// Things that are remembered; beyond these, warnings may be told again, and waits are not told.
const MOST: usize = 1_000;

/// Chooses what is told of many calls side by side: each warning once, everything else now and then.
#[derive(Default)]
pub(crate) struct Notices {
    /// Whether only warnings are told, as where data is wanted as JSON.
    only_warnings: bool,
    told: Mutex<HashMap<String, Instant>>,
}

impl Notices {
    pub(crate) fn new(only_warnings: bool) -> Self {
        Self { only_warnings, told: Mutex::default() }
    }

    /// Gives the line about an event of any of the calls; `None` where there is nothing to tell.
    pub(crate) fn line(&self, event: &StreamEvent) -> Option<String> {
        let line = notice(event)?;
        let (subject, is_warning) = match event {
            StreamEvent::Warning { .. } => (line.clone(), true),
            StreamEvent::Waiting { scope, .. } => (scope.clone(), false),
            StreamEvent::FellBack { from, to, .. } => (format!("{from} {to}"), false),
            _ => ("retry".to_owned(), false),
        };
        if self.only_warnings && !is_warning {
            return None;
        }
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = match told.get(&subject) {
            Some(last) => !is_warning && now.duration_since(*last) >= PAUSE,
            None => is_warning || told.len() < MOST,
        };
        if is_new && (told.len() < MOST || told.contains_key(&subject)) {
            told.insert(subject, now);
        }
        is_new.then_some(line)
    }
}
