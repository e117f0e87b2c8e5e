//! A model whose answers are looked at before anybody hears them.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use motet_core::accumulate::Accumulator;
use motet_core::request::Output;
use motet_core::{ChatRequest, Delivery, EventStream, Model, Result, RunContext, StreamEvent};

use super::hooked::{Retries, changed_answer};
use super::passing::Passing;
use crate::guardrails::Reviewer;
use crate::hooks::{Hooks, Stage};

/// A model behind guardrails and hooks.
pub(super) struct ReviewedModel {
    pub(super) model: Arc<dyn Model>,
    pub(super) reviewer: Option<Reviewer>,
    pub(super) hooks: Hooks,
}

#[async_trait]
impl Model for ReviewedModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let mut events = if self.hooks.wants(Stage::Retry) {
            let (mut retries, heard) = Retries::new(&self.hooks, context);
            let events = retries.during(self.model.open(&heard, request, delivery)).await??;
            retries.over(events)
        } else {
            self.model.open(context, request, delivery).await?
        };
        let passing = |reviewer: &Reviewer| {
            let offered = request.tools.iter().map(|tool| tool.name.clone()).collect();
            let is_structured = matches!(request.output, Output::JsonSchema(_));
            Passing::new(reviewer.clone(), context.clone(), is_structured, offered)
        };
        if let Some(reviewer) = &self.reviewer {
            events = reviewed(events, passing(reviewer));
        }
        if self.hooks.wants(Stage::AfterModelCall) {
            let again = self.reviewer.as_ref().map(passing);
            let arrived = Accumulator::new(request.model.clone());
            let whole = Whole { events, arrived, hooks: self.hooks.clone(), context: context.clone(), again };
            events = whole.into_stream();
        }
        Ok(events)
    }
}

/// Gives the events that pass.
fn reviewed(events: EventStream, passing: Passing) -> EventStream {
    struct State {
        events: EventStream,
        passing: Passing,
        ready: VecDeque<StreamEvent>,
        is_over: bool,
    }
    let state = State { events, passing, ready: VecDeque::new(), is_over: false };
    Box::pin(stream::unfold(state, |mut state| async move {
        loop {
            if let Some(event) = state.ready.pop_front() {
                return Some((Ok(event), state));
            }
            if state.is_over {
                return None;
            }
            let passed = match state.events.next().await {
                Some(Ok(event)) => state.passing.take(event).await,
                Some(Err(error)) => Err(error),
                None => {
                    // What is still held back of an answer that broke off is never shown.
                    state.is_over = true;
                    continue;
                }
            };
            match passed {
                Ok(events) => state.ready.extend(events),
                Err(error) => {
                    state.is_over = true;
                    return Some((Err(error), state));
                }
            }
        }
    }))
}

/// An answer that is held back until it is whole, for hooks that may change it.
struct Whole {
    events: EventStream,
    arrived: Accumulator,
    hooks: Hooks,
    context: RunContext,
    /// Looks at what hooks changed.
    again: Option<Passing>,
}

impl Whole {
    fn into_stream(self) -> EventStream {
        let first: Option<Self> = Some(self);
        let batches = stream::unfold(first, |state| async move {
            let mut state = state?;
            match state.events.next().await {
                Some(Ok(event)) => match state.arrive(event) {
                    Ok(events) => Some((events.into_iter().map(Ok).collect::<Vec<_>>(), Some(state))),
                    Err(error) => Some((vec![Err(error)], None)),
                },
                Some(Err(error)) => Some((vec![Err(error)], None)),
                None => Some((state.finish().await, None)),
            }
        });
        Box::pin(batches.flat_map(stream::iter))
    }

    /// Keeps what belongs to the answer and lets everything else pass.
    fn arrive(&mut self, event: StreamEvent) -> Result<Option<StreamEvent>> {
        let is_of_answer = event.is_visible()
            || matches!(
                event,
                StreamEvent::ResponseStarted { .. }
                    | StreamEvent::AnsweredBy { .. }
                    | StreamEvent::PartOpaque { .. }
                    | StreamEvent::ToolCallEnded { .. }
                    | StreamEvent::Usage { .. }
                    | StreamEvent::Metadata { .. }
                    | StreamEvent::Finished { .. }
                    | StreamEvent::Cost { .. }
                    | StreamEvent::OutputDiscarded { .. }
            );
        if !is_of_answer {
            return Ok(Some(event));
        }
        self.arrived.push(event).map(|()| None)
    }

    async fn finish(self) -> Vec<Result<StreamEvent>> {
        let Self { arrived, hooks, context, again, .. } = self;
        let changed = async { changed_answer(&hooks, &context, arrived.finish()?, again).await };
        match changed.await {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }
}
