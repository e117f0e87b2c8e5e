//! Ends work at the context's deadline or cancellation, whatever the work is doing.

use std::future::Future;

use motet_core::{Error, ErrorKind, RunContext};

use crate::machine::Stop;

/// Does the work unless the context ends first; then the work is dropped where it stands.
pub(crate) async fn until_stopped<T>(context: &RunContext, work: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        stop = stopped(context) => Err(stop),
        value = work => Ok(value),
    }
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
            Stop::Failed(error) => error,
        }
    }
}
