//! Hooks around the call of a model: those that change its answer, and those that are told of its retries.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use motet_core::accumulate::unfold;
use motet_core::event::EventSink;
use motet_core::{ChatResponse, EventStream, Result, RunContext, StreamEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::VERDICT;
use super::passing::Passing;
use crate::hooks::{Hooks, Payload};

/// Lets hooks change an answer, and gives its events. What they changed is looked at once more.
pub(super) async fn changed_answer(
    hooks: &Hooks,
    context: &RunContext,
    response: ChatResponse,
    again: Option<Passing>,
) -> Result<Vec<StreamEvent>> {
    let step = context.step_name().to_owned();
    let payload = Payload::AfterModelCall { step, response: Box::new(response.clone()) };
    let mut changed = match hooks.call(context, payload).await? {
        Payload::AfterModelCall { response, .. } => *response,
        _ => response.clone(),
    };
    if let Some(verdict) = response.metadata.get(VERDICT) {
        // A verdict is not for hooks to lift.
        changed.metadata.insert(VERDICT.to_owned(), verdict.clone());
    }
    let Some(mut passing) = again.filter(|_| changed.message != response.message) else {
        return Ok(unfold(&changed));
    };
    let mut events = Vec::new();
    for event in unfold(&changed) {
        events.extend(passing.take(event).await?);
    }
    Ok(events)
}

/// Tells hooks of retries while a call goes on. They are awaited before the call goes on, so that one may stop it.
pub(super) struct Retries {
    hooks: Hooks,
    context: RunContext,
    told: UnboundedReceiver<Payload>,
}

impl Retries {
    /// Gives the context that the call is to be made in.
    pub(super) fn new(hooks: &Hooks, context: &RunContext) -> (Self, RunContext) {
        let (sender, told) = unbounded_channel();
        let heard = context.clone().with_events(Arc::new(Listening { context: context.clone(), sender }));
        (Self { hooks: hooks.clone(), context: context.clone(), told }, heard)
    }

    /// Goes on with the call; every retry is told before anything else happens.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                Some(payload) = self.told.recv() => {
                    self.hooks.call(&self.context, payload).await?;
                }
                done = &mut work => return Ok(done),
            }
        }
    }

    /// Goes on to tell while the answer arrives.
    pub(super) fn over(self, events: EventStream) -> EventStream {
        Box::pin(stream::unfold(Some((self, events)), |state| async move {
            let (mut retries, mut events) = state?;
            match retries.during(events.next()).await {
                Ok(None) => None,
                Ok(Some(event)) => Some((event, Some((retries, events)))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

struct Listening {
    context: RunContext,
    sender: UnboundedSender<Payload>,
}

impl EventSink for Listening {
    fn emit(&self, event: &StreamEvent) {
        self.context.emit(event);
        if let StreamEvent::Retrying { attempt, delay_ms, error } = event {
            let (attempt, delay_ms, error) = (*attempt, *delay_ms, error.clone());
            // Nobody is told any more once the call is over.
            let _ = self.sender.send(Payload::Retry { attempt, delay_ms, error });
        }
    }
}
