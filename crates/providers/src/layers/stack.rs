//! A model with all its layers, as callers see it.
//!
//! Builds nothing from settings: whoever composes the program does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::Stream;
use motet_core::attempts::Attempts;
use motet_core::embedding::Embedder;
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::{
    ChatRequest, Delivery, EmbedRequest, EmbedResponse, Error, ErrorKind, EventStream, Model, Result,
    RunContext, StreamEvent,
};

use super::Lent;
use super::call::{Answer, Ask, Call, Chain};
use super::ending::{Endings, Observed, Outcome, Tally};

/// Where a user's own layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Outside all others; sees each logical call once.
    Outermost,
    /// Just outside the retries of one model; sees each model that is asked once.
    AroundRetry,
    /// Inside the retries; sees every send.
    InsideRetry,
}

/// A chain of layers that can be called as a model.
pub struct Stack {
    chain: Chain,
    max_attempts: u32,
    max_time: Option<Duration>,
}

impl Stack {
    /// Makes a chain callable; a logical call that begins here is sent at most `max_attempts` times, and not again
    /// after `max_time`.
    #[must_use]
    pub fn new(chain: Chain, max_attempts: u32, max_time: Option<Duration>) -> Self {
        Self { chain, max_attempts, max_time }
    }

    /// Gives the chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    async fn call(&self, context: &RunContext, ask: Ask<'_>) -> Result<Answer> {
        let attempts = context.attempts_or(|| Attempts::new(self.max_attempts, self.max_time));
        let call = Call::new(context.clone(), ask, attempts);
        let observed = Observed::new(call.endings.clone());
        observe(self.chain.start().call(call).await, observed)
    }

    /// Ranks documents.
    ///
    /// # Errors
    /// Whatever kept the ranking from coming.
    pub async fn rerank(&self, context: &RunContext, request: &RerankRequest) -> Result<RerankResponse> {
        match self.call(context, Ask::Rerank(Lent::Borrowed(request))).await? {
            Answer::Ranking(response) => Ok(response),
            _ => Err(wrong_answer()),
        }
    }
}

/// Tells the observers of a call how it ended: now, or when its stream does.
pub(super) fn observe(answer: Result<Answer>, mut observed: Observed) -> Result<Answer> {
    if observed.is_idle() {
        return answer;
    }
    match answer {
        Ok(Answer::Events(stream)) => Ok(Answer::Events(Box::pin(Watched { stream, observed }))),
        other => {
            tell(&other, &mut observed);
            other
        }
    }
}

/// Tells the observers of a call that was answered otherwise than by a stream.
pub(super) fn tell(answer: &Result<Answer>, observed: &mut Observed) {
    match answer {
        Ok(Answer::Vectors(response)) => {
            observed.tally = Tally::of_vectors(response);
            observed.end(Outcome::Done);
        }
        Ok(Answer::Ranking(response)) => {
            let (usage, cost) = (response.usage, response.cost);
            observed.tally = Tally { usage, cost, finished: true, ..Tally::default() };
            observed.end(Outcome::Done);
        }
        Ok(Answer::Events(_)) => {}
        Err(error) => observed.end(Outcome::Failed(error)),
    }
}

/// Tells observers how a stream ended.
#[must_use]
pub fn watched(stream: EventStream, endings: Endings) -> EventStream {
    Box::pin(Watched { stream, observed: Observed::new(endings) })
}

struct Watched {
    stream: EventStream,
    observed: Observed,
}

impl Stream for Watched {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = std::task::ready!(self.stream.as_mut().poll_next(context));
        match &item {
            Some(Ok(event)) => self.observed.tally.note(event),
            Some(Err(error)) => self.observed.end(Outcome::Failed(error)),
            None if self.observed.tally.finished => self.observed.end(Outcome::Done),
            None => self.observed.end(Outcome::Failed(&cut())),
        }
        Poll::Ready(item)
    }
}

/// Makes the error for an answer whose stream ended before it did.
pub(super) fn cut() -> Error {
    Error::new(ErrorKind::Truncated, "the answer ended before it was complete")
}

/// Gives the events of a chat's answer.
pub(super) fn events(answer: Answer) -> Result<EventStream> {
    match answer {
        Answer::Events(stream) => Ok(stream),
        _ => Err(wrong_answer()),
    }
}

fn wrong_answer() -> Error {
    Error::new(ErrorKind::Internal, "a layer gave an answer of another kind than was asked for")
}

#[async_trait]
impl Model for Stack {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let ask = Ask::Chat { request: Lent::Borrowed(request), delivery };
        events(self.call(context, ask).await?)
    }
}

#[async_trait]
impl Embedder for Stack {
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        match self.call(context, Ask::Embed(Lent::Borrowed(request))).await? {
            Answer::Vectors(response) => Ok(response),
            _ => Err(wrong_answer()),
        }
    }
}
