//! Drives a run from async code: the interpreter works on threads of its own, functions are awaited in between.

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::oneshot;

use super::program::{Call, Program, Step};
use super::threads::submit;
use super::{Execution, Failure, FailureKind, Limits, Stop};

/// Answers the functions that code calls outside.
#[async_trait]
pub trait Host: Send + Sync {
    /// Answers a call: a value, or a message that is raised in the code as an exception.
    ///
    /// # Errors
    /// Whatever ends the run at once, so that no code can catch it.
    async fn call(&self, call: Call) -> motet_core::Result<Result<Value, String>>;
}

/// Stops the code when nobody waits for it any more.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Program {
    /// Runs the code on a thread of its own and answers its calls in between; dropping the future ends the code.
    ///
    /// # Errors
    /// The outer one is what the host ended the run with; the inner one is what kept the code from having a result.
    pub async fn perform(
        &self,
        inputs: Vec<Value>,
        limits: &Limits,
        host: &dyn Host,
    ) -> motet_core::Result<Result<Execution, Failure>> {
        let stop = Stop::default();
        let _stop_on_drop = StopOnDrop(stop.clone());
        let (program, bounds) = (self.clone(), limits.clone());
        let mut step = aside(move || program.start(&inputs, &bounds, stop)).await;
        loop {
            let suspended = match step {
                Step::Ended(ended) => return Ok(ended),
                Step::Call(suspended) => suspended,
            };
            let answer = host.call(suspended.call().clone()).await?;
            step = aside(move || suspended.resume(answer)).await;
        }
    }
}

/// Does work of the interpreter on one of its threads.
async fn aside(work: impl FnOnce() -> Step + Send + 'static) -> Step {
    let (done, step) = oneshot::channel();
    let submitted = submit(Box::new(move || {
        // Nobody waits for code whose run was dropped.
        let _ = done.send(work());
    }));
    let lost = || Step::Ended(Err(Failure::new(FailureKind::Broken, "no thread could run the code")));
    if !submitted {
        return lost();
    }
    step.await.unwrap_or_else(|_| lost())
}
