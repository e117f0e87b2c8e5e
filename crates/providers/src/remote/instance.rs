//! One instance of a remote provider: its connection, its circuit, and what is known of its health.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use motet_core::rpc::Params;
use motet_core::rpc::codes::{self, Place};
use motet_core::{Error, ErrorKind, Result, RunContext};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::layers::breaker::{Admission, Circuit, CircuitState, Limits, Pass, Verdict};
use crate::rpc::{Address, RpcClient};

/// One instance.
pub(super) struct Instance {
    client: RpcClient,
    circuit: Circuit,
    under_way: AtomicUsize,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(Debug, Clone, Default)]
struct Seen {
    error: Option<String>,
    latency: Option<Duration>,
    /// Looks in a row that found something wrong.
    failed_looks: u32,
    calls: u64,
    failures: u64,
}

/// How an instance does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InstanceSnapshot {
    /// Where it is.
    pub address: String,
    /// Whether calls go to it: it was there when it was last looked at, and its circuit is not open.
    pub healthy: bool,
    /// What its circuit lets through: `closed`, `open`, or `half_open`.
    pub circuit: &'static str,
    /// Calls under way.
    pub under_way: usize,
    /// Calls that ended.
    pub calls: u64,
    /// Calls that failed because of the instance.
    pub failures: u64,
    /// Milliseconds that the last look took; `None` where nobody looked.
    pub latency_ms: Option<u64>,
    /// What the last look found wrong.
    pub error: Option<String>,
}

impl InstanceSnapshot {
    /// Gives how it does in a word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.error.is_some(), self.circuit) {
            (true, _) => "unhealthy",
            (false, "open") => "resting",
            (false, "half_open") => "probing",
            (false, _) if self.latency_ms.is_none() && self.calls == 0 => "unknown",
            (false, _) => "ok",
        }
    }
}

impl Instance {
    pub(super) fn new(name: &str, address: Address, limits: Limits) -> Result<Self> {
        Ok(Self {
            client: RpcClient::new(name, address)?,
            circuit: Circuit::new(limits, Instant::now()),
            under_way: AtomicUsize::new(0),
            seen: Mutex::default(),
        })
    }

    pub(super) fn client(&self) -> &RpcClient {
        &self.client
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a look found.
    pub(super) fn looked(&self, found: &Result<()>, took: Duration) {
        let mut seen = self.seen();
        seen.failed_looks = if found.is_err() { seen.failed_looks.saturating_add(1) } else { 0 };
        seen.latency = Some(took);
        seen.error = found.as_ref().err().map(ToString::to_string);
    }

    /// Tells whether so many looks in a row, or a multiple of it, ended by finding something wrong.
    pub(super) fn has_failed_again(&self, looks: u32) -> bool {
        let failed = self.seen().failed_looks;
        failed > 0 && failed.is_multiple_of(looks)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.seen().error.is_none()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self, now: Instant) -> InstanceSnapshot {
        let (circuit, seen) = (self.circuit.snapshot(now), self.seen().clone());
        InstanceSnapshot {
            address: self.client.address().to_string(),
            healthy: seen.error.is_none() && circuit.state != CircuitState::Open,
            circuit: circuit.state.as_str(),
            under_way: self.under_way(),
            calls: seen.calls,
            failures: seen.failures,
            latency_ms: seen.latency.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            error: seen.error,
        }
    }

    /// Takes the right to make one call; `None` where its circuit lets none through.
    pub(super) fn lease(instance: &Arc<Self>) -> Option<Lease> {
        match instance.circuit.admit(Instant::now()) {
            Admission::Refused(_) => None,
            Admission::Through(pass, _) => {
                instance.under_way.fetch_add(1, Ordering::Relaxed);
                Some(Lease { instance: Arc::clone(instance), pass: Some(pass) })
            }
        }
    }
}

/// The right to make one call.
pub(super) struct Lease {
    instance: Arc<Instance>,
    pass: Option<Pass>,
}

impl Lease {
    pub(super) async fn call(
        mut self,
        context: &RunContext,
        method: &str,
        params: Option<Params>,
        timeout: Duration,
    ) -> Result<Value> {
        let ended = self.instance.client.call(context, method, params, timeout).await;
        let verdict = match &ended {
            Ok(_) => Verdict::Good,
            Err(error) => verdict(error, context),
        };
        {
            let mut seen = self.instance.seen();
            seen.calls += 1;
            seen.failures += u64::from(verdict == Verdict::Failed);
        }
        if let Some(pass) = self.pass.take() {
            self.instance.circuit.end(pass, verdict, Instant::now());
        }
        ended
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.instance.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass.take() {
            self.instance.circuit.end(pass, Verdict::Neither, Instant::now());
        }
    }
}

/// Tells what a failure says of the instance: whether it is there, not whether it liked what it was asked.
fn verdict(error: &Error, context: &RunContext) -> Verdict {
    // An error that it answered shows that it is there, unless it speaks of the other side itself and not of the work.
    let code = error.context().iter().find(|(name, _)| *name == "code");
    if let Some(code) = code.and_then(|(_, code)| code.parse().ok())
        && !matches!(codes::row(code).and_then(|row| row.place), Some(Place::System | Place::Provider))
    {
        return Verdict::Good;
    }
    match error.kind() {
        ErrorKind::Cancelled => Verdict::Neither,
        // Where the run itself was over, it had no fair time to answer.
        ErrorKind::Timeout if context.check().is_err() => Verdict::Neither,
        ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Overloaded | ErrorKind::InvalidOutput => {
            Verdict::Failed
        }
        // It answered, which is all that matters here.
        _ => Verdict::Good,
    }
}
