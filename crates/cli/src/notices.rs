//! What people are told on stderr while a call goes on: warnings, and why nothing comes for a while.
//!
//! Prints nothing itself. Short waits are not worth a line.

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
