//! Leaves a model alone for a while when most of its calls fail.
//!
//! Knows neither retries nor other models; what it refuses says when to come again.

mod circuit;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::{Error, ErrorKind, Result, Retry, RunContext, StreamEvent};
use tokio::time::Instant;

use super::ending::{Ending, Outcome};
use super::held_back::is_held_back;
use super::{Answer, Call, Layer, LayerRow, Next, Where};
pub(crate) use circuit::{Admission, Pass, Verdict};

pub use circuit::{Circuit, CircuitSnapshot, CircuitState, Limits};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "breaker",
    doc: "Leaves a model alone for a while when most of its calls fail.",
    place: Where::Model,
};

/// The layer.
#[derive(Debug, Clone)]
pub struct BreakerLayer {
    circuit: Arc<Circuit>,
    scope: Arc<str>,
}

impl BreakerLayer {
    /// Puts a circuit before a model; `scope` names it in events and errors.
    #[must_use]
    pub fn new(circuit: Arc<Circuit>, scope: impl Into<Arc<str>>) -> Self {
        Self { circuit, scope: scope.into() }
    }
}

#[async_trait]
impl Layer for BreakerLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let (pass, changed) = match self.circuit.admit(Instant::now()) {
            Admission::Through(pass, changed) => (pass, changed),
            Admission::Refused(wait) => {
                call.attempts.not_sent();
                return Err(refused(&self.scope, wait));
            }
        };
        if let Some(state) = changed {
            tell(&call.context, &self.scope, state);
        }
        let mut passing = Passing {
            circuit: Arc::clone(&self.circuit),
            scope: Arc::clone(&self.scope),
            context: call.context.clone(),
            pass: Some(pass),
        };
        call.on_end(move |ending| {
            let verdict = verdict(ending, &passing.context);
            passing.end(verdict);
        });
        next.call(call).await
    }
}

/// A call that was let through; its place is free again at the latest when nobody can tell of it any more.
struct Passing {
    circuit: Arc<Circuit>,
    scope: Arc<str>,
    context: RunContext,
    pass: Option<Pass>,
}

impl Passing {
    fn end(&mut self, verdict: Verdict) {
        let Some(pass) = self.pass.take() else { return };
        if let Some(state) = self.circuit.end(pass, verdict, Instant::now()) {
            tell(&self.context, &self.scope, state);
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.end(Verdict::Neither);
    }
}

/// Tells what an ending says of the model: whether it is there at all, not whether it liked what it was asked.
fn verdict(ending: &Ending<'_>, context: &RunContext) -> Verdict {
    let error = match ending.outcome {
        Outcome::Done => return Verdict::Good,
        Outcome::Dropped => return Verdict::Neither,
        Outcome::Failed(error) => error,
    };
    // Where the run itself was over, the model had no fair time to answer; what was held back never reached it.
    let unfair = is_held_back(error) || (error.kind() == ErrorKind::Timeout && context.check().is_err());
    match error.kind() {
        ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Overloaded | ErrorKind::Truncated
            if !unfair =>
        {
            Verdict::Failed
        }
        _ => Verdict::Neither,
    }
}

fn tell(context: &RunContext, scope: &str, state: CircuitState) {
    context.emit(&StreamEvent::CircuitChanged { scope: scope.to_owned(), state: state.as_str().to_owned() });
}

/// Lies under the error of a call that a circuit did not let through.
#[derive(Debug)]
struct Open;

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the circuit is open")
    }
}

impl std::error::Error for Open {}

/// Tells whether an error is that of a circuit that let nothing through, and not the model's own.
pub(super) fn is_open(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Open>)
}

fn refused(scope: &str, wait: Duration) -> Error {
    let message =
        format!("`{scope}` mostly failed of late and is left alone for {:.1} s", wait.as_secs_f64());
    Error::new(ErrorKind::Overloaded, message)
        .with_retry(Retry::After(wait))
        .with_hint(
            "ask again later, name other models in `fallback.models`, or change `breaker.failure_rate` or `breaker.open_for`",
        )
        .with_source(Open)
}
