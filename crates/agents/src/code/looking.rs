//! Runs code once more without making a call, to find out what became of the one that a crash cut off.
//!
//! What was answered is answered again, and the code is stopped at the first call that was not.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use motet_core::tool::{Effect, Reconciled};
use motet_core::{Error, ErrorKind, Result, ToolOutput};
use motet_providers::sandbox::{Call, Host};
use serde_json::Value;

use super::calls::{Calls, Made, is_open, python_value, readable};

/// Answers the calls of code that is looked at.
pub(super) struct Looking<'a> {
    calls: &'a Calls<'a>,
    found: Mutex<Reconciled>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(calls: &'a Calls<'a>) -> Self {
        Self { calls, found: Mutex::new(Reconciled::NotDone) }
    }

    /// Gives whether the code may run again.
    pub(super) fn found(self) -> Reconciled {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what a call answered, or found out by now; `None` where the code is stopped.
    async fn answer(&self, made: &Made<'_>) -> Result<Option<ToolOutput>> {
        let Some(state) = self.calls.state(&made.step) else {
            return Ok(self.calls.answered_before(&made.step, &made.hash));
        };
        let is_open = is_open(&state);
        if let Some(result) = state.result.filter(|_| state.request_hash == made.hash) {
            return readable(result).map(Some);
        }
        if !is_open || made.tool.effect() != Effect::Reconcile {
            return Ok(None);
        }
        match self.calls.reconcile(made).await? {
            Reconciled::Done(output) => {
                self.calls.settle(made, &output).await?;
                Ok(Some(output))
            }
            other => {
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = other;
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Host for Looking<'_> {
    async fn call(&self, call: Call) -> Result<Result<Value, String>> {
        let made = match self.calls.read(call)? {
            Ok(made) => made,
            Err(problem) => return Ok(Err(problem)),
        };
        match self.answer(&made).await? {
            Some(output) => Ok(python_value(output)),
            None => Err(Error::new(ErrorKind::Conflict, "the code is looked at, and no call is made")),
        }
    }
}
