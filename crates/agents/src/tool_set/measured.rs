//! Measures the calls of a tool, and refuses them while it is switched off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, Reconciled};
use motet_core::{Error, ErrorKind, Result, Tool, ToolContext, ToolOutput};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

/// How the calls of a tool went.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct ToolMetrics {
    /// Calls that have ended.
    pub calls: u64,
    /// Those of them that failed: with an error, an error result, or before their end.
    pub failures: u64,
    /// Time of all calls together, in seconds.
    #[serde(rename = "total_seconds", serialize_with = "seconds")]
    pub total: Duration,
    /// Time of the longest call, in seconds.
    #[serde(rename = "max_seconds", serialize_with = "seconds")]
    pub max: Duration,
    /// Time of the call that ended last, in seconds.
    #[serde(rename = "last_seconds", serialize_with = "seconds")]
    pub last: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl ToolMetrics {
    /// Gives the mean time of a call; zero before the first.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let calls = u32::try_from(self.calls).unwrap_or(u32::MAX);
        self.total.checked_div(calls).unwrap_or_default()
    }
}

/// The switch and the counts of a tool.
#[derive(Debug)]
pub(super) struct Meter {
    on: AtomicBool,
    metrics: Mutex<ToolMetrics>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { on: AtomicBool::new(true), metrics: Mutex::default() }
    }
}

impl Meter {
    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    pub(super) fn metrics(&self) -> ToolMetrics {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, duration: Duration, failed: bool) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.calls += 1;
        metrics.failures += u64::from(failed);
        metrics.total += duration;
        metrics.max = metrics.max.max(duration);
        metrics.last = duration;
    }
}

/// A call under way; one that is dropped before its end has failed.
struct Running<'a> {
    meter: &'a Meter,
    begun: Instant,
    failed: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.meter.count(self.begun.elapsed(), self.failed);
    }
}

/// A tool whose calls are measured.
pub(super) struct Measured {
    tool: Arc<dyn Tool>,
    meter: Arc<Meter>,
}

impl Measured {
    pub(super) fn new(tool: Arc<dyn Tool>, meter: Arc<Meter>) -> Self {
        Self { tool, meter }
    }
}

#[async_trait]
impl Tool for Measured {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        if !self.meter.is_on() {
            let message = format!("the tool `{}` is switched off", self.spec().name);
            return Err(Error::new(ErrorKind::ToolFailed, message).with_unsent());
        }
        let mut running = Running { meter: &self.meter, begun: Instant::now(), failed: true };
        let answer = self.tool.call(arguments, context).await;
        running.failed = answer.as_ref().map_or(true, |output| output.is_error);
        answer
    }

    fn effect(&self) -> Effect {
        self.tool.effect()
    }

    fn timeout(&self) -> Option<Duration> {
        self.tool.timeout()
    }

    fn needs_approval(&self, arguments: &Value) -> bool {
        self.tool.needs_approval(arguments)
    }

    async fn reconcile(&self, arguments: &Value, context: &ToolContext<'_>) -> Result<Reconciled> {
        self.tool.reconcile(arguments, context).await
    }
}
