//! What every running thing is given first: its run, its place in it, its end, its listeners, and its log.
//!
//! Reads no clock but to stamp records, and sleeps never; whoever waits asks [`RunContext::remaining`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventSink, StreamEvent};
use crate::id::RunId;
use crate::run_log::{Begun, MemoryLog, RunLog, Step, begin};

/// Handed as the first parameter to everything that runs; cheap to clone.
#[derive(Clone)]
pub struct RunContext {
    run_id: RunId,
    correlation_id: Arc<str>,
    step: Arc<str>,
    deadline: Option<Instant>,
    cancellation: CancellationToken,
    events: Option<Arc<dyn EventSink>>,
    log: Arc<dyn RunLog>,
}

impl RunContext {
    /// Starts a run of its own that keeps its log in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::with_log(RunId::new(), Arc::new(MemoryLog::default()))
    }

    /// Starts or continues a run whose log is kept elsewhere.
    #[must_use]
    pub fn with_log(run_id: RunId, log: Arc<dyn RunLog>) -> Self {
        Self {
            correlation_id: run_id.as_str().into(),
            run_id,
            step: "".into(),
            deadline: None,
            cancellation: CancellationToken::new(),
            events: None,
            log,
        }
    }

    /// Sets the id by which the caller's own systems know this work; the run's id where it is not set.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.correlation_id = id.into();
        self
    }

    /// Sends the run's events to a listener.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = Some(events);
        self
    }

    /// Ends the work after this time at the latest; an earlier deadline stays.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        }
        self
    }

    /// Ends the work when the token is cancelled.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: CancellationToken) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Gives the context of a part of this work; its steps are named below `name`.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { step: self.key(name).into(), ..self.clone() }
    }

    /// Gives the run's id.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Gives the id by which the caller's own systems know this work.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// Gives the step this context stands at; empty at the root of a run.
    #[must_use]
    pub fn step_name(&self) -> &str {
        &self.step
    }

    /// Gives the token that tells of cancellation.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Gives the time left until the deadline, zero when it has passed, `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Gives the run's log.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn RunLog> {
        &self.log
    }

    /// Tells the listener of an event.
    pub fn emit(&self, event: &StreamEvent) {
        if let Some(events) = &self.events {
            events.emit(event);
        }
    }

    /// Stops work that must not go on.
    ///
    /// # Errors
    /// `Cancelled` or `Timeout`.
    pub fn check(&self) -> Result<()> {
        if self.cancellation.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
        if self.remaining() == Some(Duration::ZERO) {
            return Err(Error::new(ErrorKind::Timeout, "the run's deadline passed"));
        }
        Ok(())
    }

    /// Begins an effect: either its recorded result, or the duty to perform it and report.
    ///
    /// # Errors
    /// `Conflict` when the log holds another effect at this place, or one whose outcome is unknown and that must not
    /// run twice; `Store` when the log cannot be written; `Cancelled` and `Timeout` as [`check`](Self::check).
    pub async fn begin(&self, step: Step<'_>) -> Result<Begun> {
        self.check()?;
        begin(&self.log, self.key(step.name), &step).await
    }

    /// Performs an effect once in the life of the run: a recorded result is given back instead.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), the effect's own error, and `Store` when a recorded result cannot be read as `T`.
    pub async fn step<T, F>(&self, step: Step<'_>, effect: impl FnOnce() -> F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        match self.begin(step).await? {
            Begun::Recorded(value) => serde_json::from_value(value).map_err(|error| {
                Error::new(ErrorKind::Store, "a recorded result cannot be read").with_source(error)
            }),
            Begun::Fresh(pending) => match effect().await {
                Ok(value) => {
                    pending.finish(&value).await?;
                    Ok(value)
                }
                Err(error) => {
                    pending.fail(&error).await?;
                    Err(error)
                }
            },
        }
    }

    /// Gives the full name of a step below this one.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        if self.step.is_empty() { name.to_owned() } else { format!("{}/{name}", self.step) }
    }
}

impl Default for RunContext {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunContext")
            .field("run_id", &self.run_id)
            .field("step", &self.step)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
