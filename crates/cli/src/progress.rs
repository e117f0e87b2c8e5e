//! Shows how a run goes on, on terminals only; warnings are told elsewhere too.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use motet::StreamEvent;
use motet::core::event::EventSink;

use crate::printer::Printer;

/// One line that tells what runs, what is done, and what it cost.
pub(crate) struct Progress {
    bar: ProgressBar,
    printer: Printer,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    running: Vec<String>,
    done: u32,
    failed: u32,
    calls: u32,
    tokens: u64,
}

impl Progress {
    /// Starts the view; an invisible one counts all the same.
    pub(crate) fn new(printer: Printer) -> Self {
        let visible = printer.shows_progress();
        let bar = if visible { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        if visible {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, printer, seen: Mutex::default() }
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl EventSink for Progress {
    fn emit(&self, event: &StreamEvent) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            StreamEvent::TaskChanged { task, state, reason, .. } => {
                seen.running.retain(|running| running != task);
                match state.as_str() {
                    "running" => seen.running.push(task.clone()),
                    "done" => seen.done += 1,
                    "failed" => {
                        seen.failed += 1;
                        self.bar.println(format!(
                            "failed: {task}: {}",
                            reason.as_deref().unwrap_or("no reason given")
                        ));
                    }
                    _ => {}
                }
            }
            StreamEvent::ModelCallEnded { usage, .. } => {
                seen.calls += 1;
                seen.tokens += usage.as_ref().map_or(0, |usage| usage.total());
            }
            // The lock keeps lines of several tasks apart; the line of progress makes room for what is told.
            StreamEvent::Warning { message } => {
                self.bar.suspend(|| self.printer.note(&format!("warning: {message}")));
            }
            _ => return,
        }
        self.bar.set_message(seen.line());
    }
}

impl Seen {
    fn line(&self) -> String {
        let Seen { running, done, failed, calls, tokens } = self;
        let mut line = format!("{done} done, {calls} model calls, {tokens} tokens");
        if *failed > 0 {
            line.push_str(&format!(", {failed} failed"));
        }
        if !running.is_empty() {
            line.push_str(&format!("; running {}", running.join(", ")));
        }
        line
    }
}
