//! Drives the agent machine against real models and tools: blocking or as a stream, by one code path.
//!
//! Decides nothing that the machine can decide. Every model and tool call is a step of the run log, so a run that is
//! started again with the same log goes on where it stopped.

mod tools;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use motet_core::accumulate::Accumulator;
use motet_core::id::content_hash;
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Model, Result, RunContext, StreamEvent};

use crate::agent::{Agent, Prompt};
use crate::call::Call;
use crate::feed::{Feed, Narrated, tell};
use crate::guard::until_stopped;
use crate::machine::{Action, AgentResult, AgentRun, Stop};

/// Runs an agent to its end and gives the result, whatever the outcome; see [`AgentResult::into_result`].
///
/// The steps of the run are named `model/0`, `tool/0/1` (round 0, call 1) and so on below the context's own, so two
/// runs within one context need children of it with names of their own.
pub async fn run(
    context: &RunContext,
    agent: &Agent,
    model: Arc<dyn Model>,
    prompt: impl Into<Prompt>,
) -> AgentResult {
    let context = &ascribed(context, agent);
    let driver = Driver { context, agent, model: &*model, delivery: Delivery::Plain, feed: None };
    driver.drive(prompt.into()).await
}

/// Runs an agent and tells what happens as it happens; the stream is polled to drive it, and dropped to stop it.
///
/// Steps are named as in [`run`], with which it shares all code: outcome, transcript, and sums are the same.
pub fn stream(
    context: &RunContext,
    agent: &Agent,
    model: Arc<dyn Model>,
    prompt: impl Into<Prompt>,
) -> AgentStream {
    let (context, agent, prompt) = (ascribed(context, agent), agent.clone(), prompt.into());
    let work = Narrated::new(|feed| async move {
        let driver = Driver {
            context: &context,
            agent: &agent,
            model: &*model,
            delivery: Delivery::Streamed,
            feed: Some(&feed),
        };
        driver.drive(prompt).await
    });
    AgentStream { work, ended: false }
}

/// Ascribes the work of a run to its agent; what a tool does that is an agent itself, to that one.
fn ascribed(context: &RunContext, agent: &Agent) -> RunContext {
    context.clone().with_attribution(|attribution| attribution.agent = Some(agent.name().to_owned()))
}

/// The events of a running agent, and its result at the end.
///
/// A run that does not complete ends the stream with its error, so a reader that stops at errors cannot take an
/// unfinished answer for a whole one; [`finish`](Self::finish) still gives what there is of it.
#[must_use = "nothing happens unless the stream is polled"]
pub struct AgentStream {
    work: Narrated<AgentResult>,
    ended: bool,
}

impl AgentStream {
    /// Runs on to the end, passes over the remaining events, and gives the result.
    pub async fn finish(self) -> AgentResult {
        self.work.finish().await
    }
}

impl Stream for AgentStream {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let error = match std::task::ready!(self.work.poll_event(context)) {
            Ok(event) => return Poll::Ready(Some(Ok(event))),
            Err(result) => result.error(),
        };
        let told = std::mem::replace(&mut self.ended, true);
        Poll::Ready(error.filter(|_| !told).map(Err))
    }
}

/// One run and what it is done with.
struct Driver<'a> {
    context: &'a RunContext,
    agent: &'a Agent,
    model: &'a dyn Model,
    delivery: Delivery,
    feed: Option<&'a Feed>,
}

impl Driver<'_> {
    async fn drive(&self, prompt: Prompt) -> AgentResult {
        let mut run = self.agent.begin(prompt);
        let mut progress = None;
        let ended = until_stopped(self.context, self.take_turns(&mut run, &mut progress)).await;
        if let Some(arrived) = progress {
            run.broke_off(arrived.partial(), arrived.usage());
        }
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => run.stop(self.cause(error)),
            Err(stop) => run.stop(stop),
        }
        run.into_result()
    }

    /// Does what the machine says until it says that the run has ended, or something fails that no model can mend.
    async fn take_turns(&self, run: &mut AgentRun, progress: &mut Option<Accumulator>) -> Result<()> {
        let mut history = History::default();
        loop {
            match run.next_action() {
                Action::CallModel { number, request } => {
                    let (step, request_hash) = (format!("model/{number}"), &history.hash(request)?);
                    let Self { context, model, delivery, feed, .. } = *self;
                    let call = Call { context, model, request, request_hash, step: &step, delivery, feed };
                    let response = call.perform(progress).await?;
                    run.answered(response)?;
                }
                Action::RunTools(round) => self.run_tools(run, round).await?,
                Action::Finish => return Ok(()),
                Action::Wait => {
                    return Err(Error::new(ErrorKind::Internal, "the run waits for what was never asked"));
                }
            }
        }
    }

    /// Tells the end of the context, which layers and tools report as errors of their own, from other failures.
    fn cause(&self, error: Error) -> Stop {
        if self.context.cancellation().is_cancelled() || error.kind() == ErrorKind::Cancelled {
            return Stop::Cancelled;
        }
        if self.context.remaining().is_some_and(|left| left.is_zero()) {
            return Stop::DeadlinePassed;
        }
        Stop::Failed(error)
    }

    fn tell(&self, event: &StreamEvent) {
        tell(self.context, self.feed, event);
    }
}

/// Hashes the requests of a run, each of which is the one before it and some messages more.
///
/// Only those are hashed together with the hash before, as hashing every request whole would make the work of a run
/// grow with the square of its length.
#[derive(Default)]
struct History {
    hash: String,
    messages: usize,
}

impl History {
    fn hash(&mut self, request: &ChatRequest) -> Result<String> {
        self.hash = match request.messages.get(self.messages..) {
            Some(added) if self.messages > 0 => content_hash(&(&self.hash, added))?,
            _ => content_hash(request)?,
        };
        self.messages = request.messages.len();
        Ok(self.hash.clone())
    }
}

#[cfg(test)]
mod tests;
