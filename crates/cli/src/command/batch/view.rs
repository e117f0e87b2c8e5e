//! Shows how a batch goes on: how far it is, how fast, what it cost, and when it will end. On terminals only.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use motet::Cost;
use motet::batch::BatchResult;

use crate::printer::Printer;

const TEMPLATE: &str = "{spinner:.cyan} [{bar:24}] {pos}/{len}  {per_sec}  {eta} left  {msg}";

/// The line of progress; an invisible one takes everything and shows nothing.
pub(super) struct View {
    bar: ProgressBar,
    printer: Printer,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    cost: Cost,
    unpriced: u64,
    failed: u64,
}

impl View {
    /// Starts the view of a batch of so many requests.
    pub(super) fn new(printer: Printer, wanted: bool, total: u64) -> Self {
        let visible = wanted && printer.shows_progress();
        let bar = if visible { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        if visible {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, printer, seen: Mutex::default() }
    }

    /// Counts a result.
    pub(super) fn add(&self, result: &BatchResult) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match result.cost {
            Some(cost) => seen.cost = seen.cost + cost,
            None => seen.unpriced += 1,
        }
        seen.failed += u64::from(!result.is_success());
        self.bar.set_message(seen.line());
        self.bar.inc(1);
    }

    /// Writes something else while the line makes room.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Tells something on stderr.
    pub(super) fn note(&self, text: &str) {
        self.suspend(|| self.printer.note(text));
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Seen {
    fn line(&self) -> String {
        let mut line = self.cost.to_string();
        if self.unpriced > 0 {
            line.push_str(&format!(" + {} of unknown cost", self.unpriced));
        }
        if self.failed > 0 {
            line.push_str(&format!("  {} failed", self.failed));
        }
        line
    }
}
