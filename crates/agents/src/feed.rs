//! Turns work that tells of events into a stream of them: polling the stream drives the work, dropping it ends the work.
//!
//! Spawns nothing, so that nothing goes on behind the back of whoever stopped listening. Work is only driven when every
//! event told so far was taken, so a slow listener slows the work down instead of filling memory.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use motet_core::event::EventSink;
use motet_core::{RunContext, StreamEvent};

/// Where work puts its events for the stream that drives it.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<VecDeque<StreamEvent>>>);

impl Feed {
    /// Adds an event.
    pub(crate) fn push(&self, event: StreamEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    /// Exchanges all events told so far for an empty queue.
    fn swap(&self, empty: &mut VecDeque<StreamEvent>) {
        std::mem::swap(empty, &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Lets a stream hear what layers tell the listeners of a context, such as retries and waits.
pub(crate) struct Overheard {
    /// The context as it was, with its own listeners.
    context: RunContext,
    feed: Feed,
    /// True where the answers of models are not part of the stream.
    below: bool,
}

impl Overheard {
    /// Makes a context whose events the stream hears too.
    pub(crate) fn context(context: &RunContext, feed: &Feed) -> RunContext {
        Self { context: context.clone(), feed: feed.clone(), below: false }.listening()
    }

    /// Makes a context for what a tool does, of which the stream hears how it goes on, but not what inner models say.
    pub(crate) fn below(context: &RunContext, feed: &Feed) -> RunContext {
        Self { context: context.clone(), feed: feed.clone(), below: true }.listening()
    }

    fn listening(self) -> RunContext {
        self.context.clone().with_events(Arc::new(self))
    }
}

impl EventSink for Overheard {
    fn emit(&self, event: &StreamEvent) {
        let heard = !self.below || tells_of_progress(event);
        tell(&self.context, heard.then_some(&self.feed), event);
    }
}

/// Tells whether an event of inner work means the same in the stream of the work around it.
fn tells_of_progress(event: &StreamEvent) -> bool {
    matches!(
        event,
        StreamEvent::ToolStarted { .. }
            | StreamEvent::ToolEnded { .. }
            | StreamEvent::DecisionNeeded { .. }
            | StreamEvent::Retrying { .. }
            | StreamEvent::Waiting { .. }
            | StreamEvent::Warning { .. }
    )
}

/// Tells the listeners of an event: those of the context, and the stream if there is one.
pub(crate) fn tell(context: &RunContext, feed: Option<&Feed>, event: &StreamEvent) {
    context.emit(event);
    if let Some(feed) = feed {
        feed.push(event.clone());
    }
}

/// Tells the listeners of an event that is only made if there are any.
pub(crate) fn tell_of(context: &RunContext, feed: Option<&Feed>, make: impl FnOnce() -> StreamEvent) {
    if feed.is_none() && !context.is_listened_to() {
        return;
    }
    let event = make();
    context.emit(&event);
    if let Some(feed) = feed {
        feed.push(event);
    }
}

/// Work, the events it told, and its result.
pub(crate) struct Narrated<T> {
    feed: Feed,
    /// Events that were told and not handed out yet; taken all at once, so that each costs no lock.
    told: VecDeque<StreamEvent>,
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
        Self { work: Work::Running(Box::pin(work(feed.clone()))), told: VecDeque::new(), feed }
    }

    /// Gives the next event, or the result once the work is done and its events are taken.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<StreamEvent, &mut T>> {
        if let Some(event) = self.told.pop_front() {
            return Poll::Ready(Ok(event));
        }
        if let Work::Running(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            self.work = Work::Done(result);
        }
        self.feed.swap(&mut self.told);
        match (self.told.pop_front(), &mut self.work) {
            (Some(event), _) => Poll::Ready(Ok(event)),
            (None, Work::Done(result)) => Poll::Ready(Err(result)),
            (None, Work::Running(_)) => Poll::Pending,
        }
    }

    /// Gives the result once there is one.
    pub(crate) fn result(&self) -> Option<&T> {
        match &self.work {
            Work::Running(_) => None,
            Work::Done(result) => Some(result),
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
