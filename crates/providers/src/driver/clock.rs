//! Time limits and cancellation of one call.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use motet_core::{Error, ErrorKind, Result, RunContext};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::failure;
use super::transport::Body;
use crate::provider::Timeouts;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// The answer's beginning.
    FirstByte,
    /// The answer's next piece.
    Idle,
}

/// Why a call must end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// What to say of the run's deadline.
    Run(&'static str),
    Call(Duration),
}

/// Knows when one call must end.
#[derive(Debug)]
pub(super) struct Clock {
    cancellation: CancellationToken,
    timeouts: Timeouts,
    /// When the whole call must end, and why.
    end: Option<(Instant, End)>,
}

impl Clock {
    /// Starts the clock of a call.
    pub(super) fn new(context: &RunContext, timeouts: Timeouts) -> Self {
        let run = context.remaining().map(|left| (left, End::Run(context.deadline_message())));
        let call = timeouts.total.map(|limit| (limit, End::Call(limit)));
        let first = run.into_iter().chain(call).min_by_key(|(left, _)| *left);
        let end = first.and_then(|(left, why)| Some((Instant::now().checked_add(left)?, why)));
        Self { cancellation: context.cancellation().clone(), timeouts, end }
    }

    /// Waits for something as long as the call may go on.
    ///
    /// # Errors
    /// `Cancelled`, or a `Timeout` that says which limit passed.
    pub(super) async fn within<F: Future>(&self, phase: Phase, future: F) -> Result<F::Output> {
        let mut future = pin!(future);
        // What is there already needs no timer.
        if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
            return Ok(output);
        }
        let limit = match phase {
            Phase::FirstByte => self.timeouts.first_byte,
            Phase::Idle => self.timeouts.idle,
        };
        let at = limit.and_then(|limit| Instant::now().checked_add(limit));
        let end = self.end.as_ref().map(|(end, _)| *end);
        let Some(wake) = at.into_iter().chain(end).min() else {
            return tokio::select! {
                biased;
                output = future => Ok(output),
                () = self.cancellation.cancelled() => Err(cancelled()),
            };
        };
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.cancellation.cancelled() => Err(cancelled()),
            () = tokio::time::sleep_until(wake) => Err(self.too_late(phase, limit, at)),
        }
    }

    /// Reads a whole body of at most `limit` bytes.
    ///
    /// # Errors
    /// `Truncated` when it breaks off, `InvalidOutput` when it is too large, `Timeout`, or `Cancelled`.
    pub(super) async fn body(&self, mut body: Body, limit: usize) -> Result<Bytes> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(piece) = self.within(Phase::Idle, body.next()).await? {
            let piece = piece.map_err(failure::of_body)?;
            if first.len() + whole.len() + piece.len() > limit {
                return Err(Error::new(
                    ErrorKind::InvalidOutput,
                    format!("the answer is larger than {limit} bytes"),
                ));
            }
            if first.is_empty() && whole.is_empty() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }

    /// Goes on to watch the pieces of an answer.
    pub(super) fn watch(self) -> Watch {
        let now = Instant::now();
        let mut watch = Watch {
            cancelled: Box::pin(self.cancellation.clone().cancelled_owned()),
            sleep: None,
            last: now,
            touched: false,
            clock: self,
        };
        watch.sleep = watch.deadline().map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        watch
    }

    fn too_late(&self, phase: Phase, limit: Option<Duration>, at: Option<Instant>) -> Error {
        let message = match (&self.end, limit) {
            (Some((end, why)), _) if at.is_none_or(|at| *end <= at) => match why {
                End::Run(message) => (*message).to_owned(),
                End::Call(limit) => format!("the whole call took longer than {limit:?}"),
            },
            (_, Some(limit)) if phase == Phase::FirstByte => {
                format!("the answer did not begin within {limit:?}")
            }
            (_, Some(limit)) => format!("nothing more of the answer came for {limit:?}"),
            (_, None) => "the time for the call is over".to_owned(),
        };
        Error::new(ErrorKind::Timeout, message)
    }
}

/// Watches over an answer that arrives in pieces. The timer is set anew only when it goes off too early, and not for
/// each piece.
pub(super) struct Watch {
    clock: Clock,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// When it was first waited for the next piece.
    last: Instant,
    /// A piece came since.
    touched: bool,
}

impl Watch {
    /// Notes that a piece came; the clock is only read once the next one is waited for.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Gives the error that ends the waiting, once it has to end.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.cancelled.as_mut().poll(context).is_ready() {
            return Poll::Ready(cancelled());
        }
        if std::mem::take(&mut self.touched) {
            self.last = Instant::now();
        }
        let deadline = self.deadline();
        let (Some(sleep), Some(deadline)) = (&mut self.sleep, deadline) else { return Poll::Pending };
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= deadline {
                let limit = self.clock.timeouts.idle;
                return Poll::Ready(self.clock.too_late(Phase::Idle, limit, self.idle_end()));
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn idle_end(&self) -> Option<Instant> {
        self.clock.timeouts.idle.and_then(|limit| self.last.checked_add(limit))
    }

    fn deadline(&self) -> Option<Instant> {
        self.idle_end().into_iter().chain(self.clock.end.as_ref().map(|(end, _)| *end)).min()
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the call was cancelled")
}
