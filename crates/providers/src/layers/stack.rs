//! A model with all its layers, as callers see it.
//!
//! Builds nothing from settings: whoever composes the program does.

use std::borrow::Cow;
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

use super::call::{Answer, Ask, Call, Chain};
use super::ending::{Ending, Endings, Outcome, Tally};

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
        let endings = call.endings.clone();
        let answer = self.chain.start().call(call).await;
        ended(answer, endings)
    }

    /// Ranks documents.
    ///
    /// # Errors
    /// Whatever kept the ranking from coming.
    pub async fn rerank(&self, context: &RunContext, request: &RerankRequest) -> Result<RerankResponse> {
        match self.call(context, Ask::Rerank(Cow::Borrowed(request))).await? {
            Answer::Ranking(response) => Ok(response),
            _ => Err(wrong_answer()),
        }
    }
}

/// Tells the observers of a call how it ended: now, or when its stream does.
pub(super) fn ended(answer: Result<Answer>, endings: Endings) -> Result<Answer> {
    if endings.is_empty() {
        return answer;
    }
    let (outcome, tally) = match &answer {
        Ok(Answer::Events(_)) => {
            return answer.map(|answer| match answer {
                Answer::Events(stream) => Answer::Events(watched(stream, endings)),
                other => other,
            });
        }
        Ok(Answer::Vectors(response)) => (Outcome::Done, Tally::of_vectors(response)),
        Ok(Answer::Ranking(response)) => (
            Outcome::Done,
            Tally { usage: response.usage, cost: response.cost, finished: true, ..Tally::default() },
        ),
        Err(error) => (Outcome::Failed(error), Tally::default()),
    };
    endings.tell(&Ending { outcome, tally: &tally });
    answer
}

/// Tells observers how a stream ended.
#[must_use]
pub fn watched(stream: EventStream, endings: Endings) -> EventStream {
    Box::pin(Watched { stream, tally: Tally::default(), endings: Some(endings) })
}

struct Watched {
    stream: EventStream,
    tally: Tally,
    endings: Option<Endings>,
}

impl Watched {
    fn end(&mut self, outcome: Outcome<'_>) {
        if let Some(endings) = self.endings.take() {
            endings.tell(&Ending { outcome, tally: &self.tally });
        }
    }
}

impl Stream for Watched {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = std::task::ready!(self.stream.as_mut().poll_next(context));
        match &item {
            Some(Ok(event)) => self.tally.note(event),
            Some(Err(error)) => self.end(Outcome::Failed(error)),
            None if self.tally.finished => self.end(Outcome::Done),
            None => {
                let cut = Error::new(ErrorKind::Truncated, "the answer ended before it was complete");
                self.end(Outcome::Failed(&cut));
            }
        }
        Poll::Ready(item)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let outcome = if self.tally.finished { Outcome::Done } else { Outcome::Dropped };
        self.end(outcome);
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
        let ask = Ask::Chat { request: Cow::Borrowed(request), delivery };
        match self.call(context, ask).await? {
            Answer::Events(stream) => Ok(stream),
            _ => Err(wrong_answer()),
        }
    }
}

#[async_trait]
impl Embedder for Stack {
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        match self.call(context, Ask::Embed(Cow::Borrowed(request))).await? {
            Answer::Vectors(response) => Ok(response),
            _ => Err(wrong_answer()),
        }
    }
}
