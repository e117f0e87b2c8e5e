//! Which models failed of late.
//!
//! Knows no layer; shared by all models of one runtime.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::error::ErrorReport;
use motet_core::{Error, ModelId};
use tokio::time::Instant;

/// Models that failed, and why, for a while.
#[derive(Debug)]
pub struct Memory {
    time: Duration,
    /// False as long as nothing ever failed, so that the lock is not needed.
    any: AtomicBool,
    failed: Mutex<HashMap<ModelId, Failed>>,
}

#[derive(Debug)]
struct Failed {
    until: Instant,
    why: Arc<ErrorReport>,
}

impl Memory {
    /// Keeps failures in mind for this time.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self { time, any: AtomicBool::new(false), failed: Mutex::default() }
    }

    /// Tells why a model failed, if it did so of late.
    pub(super) fn why(&self, model: &ModelId) -> Option<Arc<ErrorReport>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = failed.get(model)?;
        if found.until > Instant::now() {
            return Some(Arc::clone(&found.why));
        }
        failed.remove(model);
        None
    }

    pub(super) fn failed(&self, model: &ModelId, error: &Error) {
        let Some(until) = Instant::now().checked_add(self.time) else { return };
        let why = Arc::new(error.report());
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(model.clone(), Failed { until, why });
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn answered(&self, model: &ModelId) {
        if self.any.load(Ordering::Acquire) {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(model);
        }
    }
}
