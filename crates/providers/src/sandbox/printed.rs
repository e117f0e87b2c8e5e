//! What code prints, bounded, and the flag that ends a run from outside at its next step.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use monty_types::{ExcType, MontyException, PrintWriterCallback};

use super::FailureKind;

/// Ends a run from another thread: the code stops within its next few hundred instructions, whatever it catches.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU8>);

const CANCELLED: u8 = 1;
const MEMORY: u8 = 2;
const OUTPUT: u8 = 3;

impl Stop {
    /// Stops the run, as nobody waits for it any more.
    pub fn stop(&self) {
        self.set(CANCELLED);
    }

    pub(super) fn out_of_memory(&self) {
        self.set(MEMORY);
    }

    /// The first reason stays.
    fn set(&self, reason: u8) {
        let _ = self.0.compare_exchange(0, reason, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Gives why the run was stopped, if it was.
    pub(super) fn reason(&self) -> Option<FailureKind> {
        match self.0.load(Ordering::Relaxed) {
            CANCELLED => Some(FailureKind::Stopped),
            MEMORY => Some(FailureKind::Memory),
            OUTPUT => Some(FailureKind::Output),
            _ => None,
        }
    }
}

/// Collects what code prints.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) text: String,
    limit: usize,
    stop: Stop,
}

impl Printed {
    pub(super) fn new(limit: usize, stop: Stop) -> Self {
        Self { text: String::new(), limit, stop }
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    fn add(&mut self, bytes: usize) -> Result<(), MontyException> {
        if self.text.len().saturating_add(bytes) > self.limit {
            self.stop.set(OUTPUT);
        }
        self.poll_flush()
    }
}

impl PrintWriterCallback for Printed {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.add(output.len())?;
        self.text.push_str(&output);
        Ok(())
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.add(end.len_utf8())?;
        self.text.push(end);
        Ok(())
    }

    /// Called every few hundred instructions, which no code can keep from happening.
    fn poll_flush(&mut self) -> Result<(), MontyException> {
        match self.stop.reason() {
            None => Ok(()),
            Some(_) => {
                Err(MontyException::new(ExcType::RuntimeError, Some("the run was stopped".to_owned())))
            }
        }
    }
}
