//! The stream of one attempt: watched to its end, whatever end that is.
//!
//! Sends nothing. A complete answer stays complete, whatever comes after it; an answer that ends early is an error.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use motet_core::event::ready_stream;
use motet_core::{Error, EventStream, Result, RunContext, StreamEvent};
use tokio::time::{Sleep, sleep};

use crate::layers::ending::{Observed, Outcome};
use crate::layers::stack::cut;

/// Longest silence after the end of an answer, in which its usage may still come.
const PATIENCE: Duration = Duration::from_secs(5);

/// One attempt's stream, and what is told of it.
pub(super) struct AttemptStream {
    /// Events that were read to see whether the attempt fails before anything is shown.
    early: std::vec::IntoIter<StreamEvent>,
    stream: EventStream,
    observed: Observed,
    context: RunContext,
    /// Runs once the answer is complete and nothing more comes.
    patience: Option<Pin<Box<Sleep>>>,
    over: bool,
    /// Attempts made so far, which an error tells of where they were several.
    made: u32,
}

impl AttemptStream {
    pub(super) fn new(stream: EventStream, observed: Observed, context: RunContext) -> Self {
        let early = Vec::new().into_iter();
        Self { early, stream, observed, context, patience: None, over: false, made: 0 }
    }

    /// Reads a plain answer to its end, so that a failure anywhere in it can be mended unseen.
    ///
    /// # Errors
    /// Whatever failed.
    pub(super) async fn whole(mut self) -> Result<EventStream> {
        // A plain answer is there already, and its stream knows how many events it has.
        let mut events = Vec::with_capacity(self.stream.size_hint().0);
        while let Some(event) = self.next().await {
            events.push(event?);
        }
        Ok(ready_stream(events))
    }

    /// Reads a streamed answer to the first event that the user sees, so that a failure before it can be mended unseen;
    /// later failures tell of so many attempts.
    ///
    /// # Errors
    /// Whatever failed until then.
    pub(super) async fn begun(mut self, made: u32) -> Result<EventStream> {
        let mut early = Vec::new();
        while let Some(event) = self.next().await {
            early.push(event?);
            if self.observed.tally.visible || self.observed.tally.finished {
                break;
            }
        }
        (self.early, self.made) = (early.into_iter(), made);
        Ok(Box::pin(self))
    }

    fn take(&mut self, item: Option<Result<StreamEvent>>) -> Option<Result<StreamEvent>> {
        let finished = self.observed.tally.finished;
        match item {
            Some(Ok(event)) => {
                self.observed.tally.note(&event);
                Some(Ok(event))
            }
            Some(Err(error)) if finished => Some(Ok(self.close(&format!("something failed: {error}")))),
            None if finished => {
                self.over = true;
                self.observed.end(Outcome::Done);
                None
            }
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => Some(Err(self.fail(cut()))),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.over = true;
        self.observed.end(Outcome::Failed(&error));
        told(error, self.made)
    }

    /// Ends a complete answer whose stream did not end as it should.
    fn close(&mut self, what: &str) -> StreamEvent {
        self.over = true;
        self.observed.end(Outcome::Done);
        StreamEvent::Warning { message: format!("the answer is complete, but after it {what}") }
    }

    fn wait_for_the_end(&mut self, context: &mut Context<'_>) -> Poll<StreamEvent> {
        let run = &self.context;
        let patience = self.patience.get_or_insert_with(|| {
            let left = run.remaining().map_or(PATIENCE, |remaining| remaining / 2);
            Box::pin(sleep(left.min(PATIENCE)))
        });
        std::task::ready!(patience.as_mut().poll(context));
        Poll::Ready(self.close("its stream did not end"))
    }
}

impl Stream for AttemptStream {
    type Item = Result<StreamEvent>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(event) = this.early.next() {
            return Poll::Ready(Some(Ok(event)));
        }
        if this.over {
            return Poll::Ready(None);
        }
        match this.stream.as_mut().poll_next(context) {
            Poll::Ready(item) => Poll::Ready(this.take(item)),
            Poll::Pending if this.observed.tally.finished => {
                this.wait_for_the_end(context).map(|event| Some(Ok(event)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Tells in an error how many attempts were made, where they were several.
pub(super) fn told(error: Error, made: u32) -> Error {
    if made > 1 { error.with_context("attempts", made.to_string()) } else { error }
}
