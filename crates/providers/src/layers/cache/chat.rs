//! Chats: a kept answer is told as the events that it came by, and an answer that arrives is folded while it passes.
//!
//! Knows not where answers are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, stream};
use motet_core::accumulate::{Accumulator, unfold};
use motet_core::event::{EventStream, ready_stream};
use motet_core::{ChatResponse, Cost, Delivery, Result, RunContext, StreamEvent};
use serde_json::{Value, json};

use super::kept::{Kept, is_good};
use super::lookup::{Duty, Found};
use super::{CACHED, Key, SAVED_COST, Scope, Use};
use crate::layers::{Answer, Ask, Call, Next};

impl Use<'_> {
    pub(super) async fn chat(self, scope: &Scope, call: Call<'_>, next: Next) -> Result<Answer> {
        let Ask::Chat { request, .. } = &call.ask else { return next.call(call).await };
        let key = Key::of_chat(request, scope)?;
        match self.look(key, &call).await? {
            Found::Kept(Kept::Chat(response)) => Ok(Answer::Events(given(&key, &response))),
            // Keys tell what was asked for, so nothing else is ever found.
            Found::Kept(_) => next.call(call).await,
            Found::Ask(duty) => ask(duty, call, next).await,
        }
    }
}

/// Tells a kept answer: its tokens are those of when it was asked for, its cost is nothing.
fn given(key: &Key, response: &Arc<ChatResponse>) -> EventStream {
    let mut response = ChatResponse::clone(response);
    response.metadata.insert(CACHED.to_owned(), Value::Bool(true));
    if let Some(cost) = response.cost.replace(Cost::ZERO) {
        response.metadata.insert(SAVED_COST.to_owned(), json!(cost.dollars()));
    }
    let mut events = vec![StreamEvent::CacheHit { key: key.to_string() }];
    events.extend(unfold(&response));
    ready_stream(events)
}

async fn ask(duty: Duty, mut call: Call<'_>, next: Next) -> Result<Answer> {
    let (model, delivery) = match &call.ask {
        Ask::Chat { request, delivery } => (request.model.clone(), *delivery),
        _ => return next.call(call).await,
    };
    let context = call.context.clone();
    let fell_back = Arc::new(AtomicBool::new(false));
    call.context = watching(&context, &fell_back);
    let stream = match next.call(call).await {
        Ok(Answer::Events(stream)) => stream,
        other => {
            duty.give_up().await;
            return other;
        }
    };
    let arriving =
        Arriving { answer: Accumulator::new(model), duty: Some(duty), context, fell_back, finished: false };
    let events = passing(stream, arriving);
    if delivery == Delivery::Plain {
        // It is there already, and those who wait must not depend on how soon this caller reads it.
        let events: Vec<Result<StreamEvent>> = events.collect().await;
        return Ok(Answer::Events(stream::iter(events).boxed()));
    }
    Ok(Answer::Events(events))
}

/// Gives a context whose listener also notices that another model answers, whose answer is not this one's to keep.
fn watching(context: &RunContext, fell_back: &Arc<AtomicBool>) -> RunContext {
    let (outer, fell_back) = (context.clone(), Arc::clone(fell_back));
    context.clone().with_events(Arc::new(move |event: &StreamEvent| {
        if matches!(event, StreamEvent::FellBack { .. }) {
            fell_back.store(true, Ordering::Relaxed);
        }
        outer.emit(event);
    }))
}

/// Passes events on; the stream ends once the answer is kept.
fn passing(stream: EventStream, arriving: Arriving) -> EventStream {
    stream::unfold((stream, arriving), |(mut stream, mut arriving)| async move {
        match stream.next().await {
            Some(item) => {
                match &item {
                    Ok(event) => arriving.take(event),
                    Err(_) => arriving.fail().await,
                }
                Some((item, (stream, arriving)))
            }
            None => {
                arriving.end().await;
                None
            }
        }
    })
    .boxed()
}

/// An answer on its way to being kept.
struct Arriving {
    answer: Accumulator,
    duty: Option<Duty>,
    context: RunContext,
    fell_back: Arc<AtomicBool>,
    finished: bool,
}

impl Arriving {
    fn take(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Finished { .. } => self.finished = true,
            StreamEvent::OutputDiscarded { .. } => self.finished = false,
            StreamEvent::FellBack { .. } => self.fell_back.store(true, Ordering::Relaxed),
            _ => {}
        }
        if self.duty.is_some() && self.answer.push(event.clone()).is_err() {
            self.duty = None;
        }
    }

    async fn fail(&mut self) {
        if let Some(duty) = self.duty.take() {
            duty.give_up().await;
        }
    }

    async fn end(&mut self) {
        match self.whole() {
            Some((duty, kept, is_good)) => duty.done(kept, is_good, &self.context).await,
            None => self.fail().await,
        }
    }

    /// Gives the answer once, if it is complete.
    fn whole(&mut self) -> Option<(Duty, Kept, bool)> {
        if !self.finished {
            return None;
        }
        let duty = self.duty.take()?;
        let response = self.answer.clone().finish().ok()?;
        let is_good = is_good(&response) && !self.fell_back.load(Ordering::Relaxed);
        Some((duty, Kept::Chat(Arc::new(response)), is_good))
    }
}

impl Drop for Arriving {
    /// Keeps a complete answer whose reader stopped before the end of the stream.
    fn drop(&mut self) {
        if let Some((duty, kept, is_good)) = self.whole() {
            duty.done_later(kept, is_good, self.context.clone());
        }
    }
}
