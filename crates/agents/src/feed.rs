//! Turns work that tells of events into a stream of them: polling the stream drives the work, dropping it ends the work.
//!
//! Spawns nothing, so that nothing goes on behind the back of whoever stopped listening. Work is only driven when every
//! event told so far was taken, so a slow listener slows the work down instead of filling memory.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use motet_core::{RunContext, StreamEvent};

/// Where work puts its events for the stream that drives it.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<VecDeque<StreamEvent>>>);

impl Feed {
    fn push(&self, event: StreamEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    fn pop(&self) -> Option<StreamEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Tells the listeners of an event: those of the context, and the stream if there is one.
pub(crate) fn tell(context: &RunContext, feed: Option<&Feed>, event: &StreamEvent) {
    context.emit(event);
    if let Some(feed) = feed {
        feed.push(event.clone());
    }
}

/// Work, the events it told, and its result.
pub(crate) struct Narrated<T> {
    feed: Feed,
    work: Work<T>,
}

enum Work<T> {
    Running(BoxFuture<'static, T>),
    Done(T),
}

impl<T> Narrated<T> {
    pub(crate) fn new<W>(work: impl FnOnce(Feed) -> W) -> Self
    where
        W: Future<Output = T> + Send + 'static,
    {
        let feed = Feed::default();
        Self { work: Work::Running(Box::pin(work(feed.clone()))), feed }
    }

    /// Gives the next event, or the result once the work is done and its events are taken.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<StreamEvent, &mut T>> {
        if let Some(event) = self.feed.pop() {
            return Poll::Ready(Ok(event));
        }
        if let Work::Running(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            self.work = Work::Done(result);
        }
        match (self.feed.pop(), &mut self.work) {
            (Some(event), _) => Poll::Ready(Ok(event)),
            (None, Work::Done(result)) => Poll::Ready(Err(result)),
            (None, Work::Running(_)) => Poll::Pending,
        }
    }

    /// Passes over the remaining events and gives the result.
    pub(crate) async fn finish(self) -> T {
        match self.work {
            Work::Running(work) => work.await,
            Work::Done(result) => result,
        }
    }
}
