//! Interpreters that were started before their task is there, so that it need not wait for that.
//!
//! Each of them runs one task and ends, so nothing of a task is there for the next. The first is started when a call has
//! needed one; all of them end when this is dropped, and by themselves when the engine is gone.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use motet_core::Result;

use super::child::Running;

/// Children that wait for a task.
#[derive(Debug)]
pub(super) struct Idle {
    most: usize,
    environment: Arc<[(OsString, OsString)]>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The oldest first, each with its interpreter.
    children: VecDeque<(String, Running)>,
    /// How many are being started.
    starting: usize,
}

impl Idle {
    /// Keeps at most so many children.
    pub(super) fn new(most: usize, environment: Arc<[(OsString, OsString)]>) -> Self {
        Self { most, environment, waiting: Mutex::default() }
    }

    /// Gives a child of an interpreter: one that waits, or a new one. Blocks for as long as starting a process takes.
    ///
    /// # Errors
    /// When there is none and none can be started.
    pub(super) fn take(&self, interpreter: &str) -> Result<Running> {
        while let Some(mut child) = self.waiting(interpreter) {
            // Somebody may have ended it meanwhile, such as a machine that ran out of memory.
            if child.is_alive() {
                return Ok(child);
            }
        }
        Running::start(interpreter, &self.environment)
    }

    fn waiting(&self, interpreter: &str) -> Option<Running> {
        let mut waiting = self.lock();
        let place = waiting.children.iter().position(|(of, _)| of == interpreter)?;
        waiting.children.remove(place).map(|(_, child)| child)
    }

    /// Starts one more child of an interpreter beside what the caller does; where there are enough already, in the place
    /// of one of another interpreter.
    pub(super) fn refill(self: &Arc<Self>, interpreter: String) {
        let Some(spare) = self.room(&interpreter) else { return };
        let idle = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            drop(spare);
            let started = Running::start(&interpreter, &idle.environment);
            let mut waiting = idle.lock();
            waiting.starting -= 1;
            match started {
                Ok(child) => waiting.children.push_back((interpreter, child)),
                // The next call tries for itself, and reports it.
                Err(error) => tracing::debug!(%error, "no interpreter is kept started"),
            }
        });
    }

    /// Takes a place for one more child, and gives the child that had it; `None` where there is no place.
    fn room(&self, interpreter: &str) -> Option<Option<Running>> {
        let mut waiting = self.lock();
        let mut spare = None;
        if waiting.children.len() + waiting.starting >= self.most {
            let place = waiting.children.iter().position(|(of, _)| of != interpreter)?;
            spare = waiting.children.remove(place).map(|(_, child)| child);
        }
        waiting.starting += 1;
        Some(spare)
    }

    /// Gives the processes that wait.
    #[cfg(test)]
    pub(super) fn processes(&self) -> Vec<u32> {
        self.lock().children.iter().filter_map(|(_, child)| child.id()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
