//! The events of a running agent, whose run is kept to its end even where nobody reads on.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use motet_agents::{Agent, AgentResult, AgentStream};
use motet_core::error::Result;
use motet_core::{RunContext, StreamEvent};

use tokio::time::Instant;

use super::Ready;
use super::kept::Kept;
use crate::runtime::Runtime;

/// The events of a running agent, and its result at the end.
///
/// The stream is polled to drive the run. Dropped before [`finish`](Self::finish) it stops the run, and a kept one can be
/// resumed.
#[must_use = "nothing happens unless the stream is polled"]
pub struct AgentEvents {
    stream: AgentStream,
    runtime: Runtime,
    context: RunContext,
    agent: Agent,
    kept: Option<Kept>,
    begun: Instant,
}

impl AgentEvents {
    pub(super) fn new(ready: Ready) -> Self {
        let Ready { runtime, context, agent, model, prompt, kept } = ready;
        let stream = motet_agents::stream(&context, &agent, model, prompt);
        Self { stream, runtime, context, agent, kept, begun: Instant::now() }
    }

    /// Runs on to the end, passes over the remaining events, stores how the run ended, and gives the result.
    ///
    /// # Errors
    /// `Store` and `Conflict` when a run that waits for a person cannot be parked.
    pub async fn finish(self) -> Result<AgentResult> {
        let result = self.stream.finish().await;
        self.runtime.record_agent(&self.context, &self.agent, &result, self.begun.elapsed());
        match self.kept {
            Some(kept) => kept.end(&self.context, result).await,
            None => Ok(result),
        }
    }
}

impl Stream for AgentEvents {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}
