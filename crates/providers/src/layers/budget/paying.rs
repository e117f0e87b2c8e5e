//! An answer whose end waits until what it cost stands in the books.
//!
//! Whoever has seen the end of an answer may end the process, and nothing of its reservation must be left then; so the
//! stream is wrapped instead of watched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use motet_core::{Error, ErrorKind, EventStream, Result, StreamEvent};

use super::open::Open;
use crate::layers::{Answer, Outcome, Tally};

/// Settles what a call reserved, also when the call is dropped.
pub(super) struct Guard {
    open: Arc<Open>,
    tally: Tally,
}

impl Guard {
    pub(super) fn new(open: Arc<Open>) -> Self {
        Self { open, tally: Tally::default() }
    }

    /// Settles by an answer, at once or when its stream ends.
    pub(super) async fn settle(mut self, answer: Result<Answer>) -> Result<Answer> {
        let outcome = match &answer {
            Ok(Answer::Events(_)) => {
                return answer.map(|answer| match answer {
                    Answer::Events(stream) => {
                        let paying = Paying { stream, guard: self, settling: None, last: None };
                        Answer::Events(Box::pin(paying))
                    }
                    other => other,
                });
            }
            Ok(Answer::Vectors(response)) => {
                self.tally = Tally::of_vectors(response);
                Outcome::Done
            }
            Ok(Answer::Ranking(response)) => {
                let (usage, cost) = (response.usage, response.cost);
                self.tally = Tally { usage, cost, finished: true, ..Tally::default() };
                Outcome::Done
            }
            Err(error) => Outcome::Failed(error),
        };
        self.open.settle(outcome, &self.tally).await;
        answer
    }
}

impl Drop for Guard {
    /// What is settled already stays so.
    fn drop(&mut self) {
        self.open.settle_soon(Outcome::Dropped, &self.tally);
    }
}

/// The events of an answer.
struct Paying {
    stream: EventStream,
    guard: Guard,
    settling: Option<BoxFuture<'static, ()>>,
    /// What is told once the books are written: the error at the end, or the end itself.
    last: Option<Result<StreamEvent>>,
}

impl Stream for Paying {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(settling) = &mut self.settling {
                std::task::ready!(settling.as_mut().poll(context));
                self.settling = None;
                return Poll::Ready(self.last.take());
            }
            let item = std::task::ready!(self.stream.as_mut().poll_next(context));
            if let Some(Ok(event)) = &item {
                self.guard.tally.note(event);
                return Poll::Ready(item);
            }
            let cut = Error::new(ErrorKind::Truncated, "the answer ended before it was complete");
            let outcome = match &item {
                Some(Err(error)) => Outcome::Failed(error),
                _ if self.guard.tally.finished => Outcome::Done,
                _ => Outcome::Failed(&cut),
            };
            self.settling = Some(self.guard.open.settle(outcome, &self.guard.tally));
            self.last = item;
        }
    }
}
