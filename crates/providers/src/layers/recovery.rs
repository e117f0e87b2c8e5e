//! A stream that goes on with another answer when it fails after part of it was shown.
//!
//! Knows neither how a new answer is come by nor whether it may be: a layer tells.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use motet_core::error::ErrorReport;
use motet_core::{Error, EventStream, Result, StreamEvent};

/// What a layer keeps to come by a new answer.
pub(super) trait Recover: Send + Sized + 'static {
    /// Gives a new answer in the place of the one that failed, or the error that the stream ends with, and itself for
    /// the next failure.
    fn recover(self, error: Error) -> BoxFuture<'static, (Self, Result<EventStream>)>;
}

/// Gives a stream that recovers.
pub(super) fn recovering<R: Recover>(stream: EventStream, recover: R) -> EventStream {
    Box::pin(Recovering(State::Reading(stream, Some(recover))))
}

struct Recovering<R: Recover>(State<R>);

enum State<R> {
    Reading(EventStream, Option<R>),
    Asking(BoxFuture<'static, (R, Result<EventStream>)>, Box<ErrorReport>),
    Over,
}

// Nothing in it is pinned but what is boxed.
impl<R: Recover> Unpin for Recovering<R> {}

impl<R: Recover> Stream for Recovering<R> {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.0 {
                State::Over => return Poll::Ready(None),
                State::Reading(stream, recover) => {
                    let error = match std::task::ready!(stream.as_mut().poll_next(context)) {
                        Some(Err(error)) => error,
                        other => return Poll::Ready(other),
                    };
                    let report = Box::new(error.report());
                    self.0 = match recover.take() {
                        Some(recover) => State::Asking(recover.recover(error), report),
                        None => State::Over,
                    };
                }
                State::Asking(asking, report) => {
                    let (recover, answer) = std::task::ready!(asking.as_mut().poll(context));
                    let event = answer.map(|stream| {
                        let error = report.clone();
                        (stream, StreamEvent::OutputDiscarded { error })
                    });
                    return Poll::Ready(Some(match event {
                        Ok((stream, discarded)) => {
                            self.0 = State::Reading(stream, Some(recover));
                            Ok(discarded)
                        }
                        Err(error) => {
                            self.0 = State::Over;
                            Err(error)
                        }
                    }));
                }
            }
        }
    }
}
