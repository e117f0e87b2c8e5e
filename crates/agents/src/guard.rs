//! Ends work at the context's deadline or cancellation, whatever the work is doing.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use motet_core::{Error, ErrorKind, RunContext};

use crate::machine::Stop;

/// Does the work unless the context ends first; then the work is dropped where it stands.
///
/// The work is looked at first, and the end only where the work has to wait: looking costs more than most of what work
/// does between two waits. Of a run that was cancelled nothing more is done in any case.
pub(crate) async fn until_stopped<T>(
    context: &RunContext,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Stop> {
    let mut stopped = pin!(stopped(context));
    poll_fn(|waiting| {
        if context.cancellation().is_cancelled() {
            return Poll::Ready(Err(Stop::Cancelled));
        }
        match work.as_mut().poll(waiting) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => stopped.as_mut().poll(waiting).map(Err),
        }
    })
    .await
}

async fn stopped(context: &RunContext) -> Stop {
    let cancelled = context.cancellation().cancelled();
    let Some(remaining) = context.remaining() else {
        cancelled.await;
        return Stop::Cancelled;
    };
    tokio::select! {
        biased;
        () = cancelled => Stop::Cancelled,
        () = tokio::time::sleep(remaining) => Stop::DeadlinePassed,
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Error::new(ErrorKind::Cancelled, "the run was cancelled"),
            Stop::DeadlinePassed => Error::new(ErrorKind::Timeout, "the run's deadline passed"),
            Stop::Waiting(questions) => {
                let steps: Vec<_> = questions.iter().map(|question| format!("`{}`", question.step)).collect();
                Error::new(
                    ErrorKind::Conflict,
                    format!("the run waits for a decision at {}", steps.join(", ")),
                )
                .with_hint("decide, and run it again with the same log")
            }
            Stop::Failed(error) => error,
        }
    }
}
