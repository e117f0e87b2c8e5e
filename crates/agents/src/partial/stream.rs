//! A run whose answer is a value, as the values that there are of it while it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt as _};
use motet_core::{Model, Result, RunContext, StreamEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PartialJson;
use crate::agent::{Agent, Prompt};
use crate::driver::{AgentStream, stream};
use crate::machine::AgentResult;

/// Runs an agent and gives the value of its answer each time that more of it is there.
///
/// The agent has a schema; see [`AgentBuilder::output_type`](crate::AgentBuilder::output_type). Values on the way are not
/// checked. An answer that is asked for again begins anew. The last value of a run that completes is the checked one.
pub fn structured_stream(
    context: &RunContext,
    agent: &Agent,
    model: Arc<dyn Model>,
    prompt: impl Into<Prompt>,
) -> StructuredStream {
    stream(context, agent, model, prompt).values()
}

impl AgentStream {
    /// Gives the value of the answer each time that more of it is there, in place of the events.
    pub fn values(self) -> StructuredStream {
        StructuredStream { events: self, partial: PartialJson::default(), told: None }
    }
}

/// The values of an answer in the making; a run that does not complete ends the stream with its error.
#[must_use = "nothing happens unless the stream is polled"]
pub struct StructuredStream {
    events: AgentStream,
    partial: PartialJson,
    /// What was given last.
    told: Option<Value>,
}

impl StructuredStream {
    /// Runs on to the end and gives the result.
    pub async fn finish(self) -> AgentResult {
        self.events.finish().await
    }

    /// Runs on to the end and reads the value as a Rust type.
    ///
    /// # Errors
    /// As [`AgentResult::value_as`].
    pub async fn finish_as<T: DeserializeOwned>(self) -> Result<T> {
        self.finish().await.value_as()
    }

    /// Takes an event; gives the value if there is more of it.
    fn grown(&mut self, event: &StreamEvent) -> Option<Value> {
        match event {
            StreamEvent::ModelCallStarted { .. }
            | StreamEvent::OutputDiscarded { .. }
            | StreamEvent::AskedAgain { .. } => {
                self.partial = PartialJson::default();
                None
            }
            StreamEvent::TextDelta { text, .. } if self.partial.push(text) => self.partial.value(),
            _ => None,
        }
    }
}

impl Stream for StructuredStream {
    type Item = Result<Value>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::task::ready!(self.events.poll_next_unpin(context)) {
                Some(Ok(event)) => {
                    if let Some(value) = self.grown(&event) {
                        self.told = Some(value.clone());
                        return Poll::Ready(Some(Ok(value)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let whole = self.events.result().and_then(|result| result.value.clone());
                    if whole.is_none() || whole == self.told {
                        return Poll::Ready(None);
                    }
                    self.told.clone_from(&whole);
                    return Poll::Ready(whole.map(Ok));
                }
            }
        }
    }
}
