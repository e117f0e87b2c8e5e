//! One recorded model call: a step of the run log whose answer is never paid for twice.
//!
//! Agents, workflows, and the facade call models only here, plain or streamed. Knows nothing of agents and tools.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt as _};
use motet_core::accumulate::{Accumulator, unfold};
use motet_core::run_log::{Asked, Begun, RequestChain, Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{
    ChatRequest, ChatResponse, Delivery, Error, ErrorKind, EventStream, Model, Result, RunContext,
    StreamEvent,
};

use crate::feed::{Feed, Narrated, Overheard, tell_of};
use crate::guard::until_stopped;

/// Calls a model as the named step of the run and waits for the whole answer; a recorded answer is given back.
///
/// # Errors
/// Whatever kept the answer from being complete, `Cancelled` and `Timeout` when the context ends first, and the run
/// log's errors as in [`RunContext::begin`].
pub async fn chat(
    context: &RunContext,
    model: &dyn Model,
    request: &ChatRequest,
    step: &str,
) -> Result<ChatResponse> {
    let call = Call { context, model, request, chain: None, step, delivery: Delivery::Plain, feed: None };
    let mut progress = None;
    until_stopped(context, pin!(call.perform(&mut progress))).await?
}

/// Calls a model as the named step of the run and gives the events as they come; a recorded answer is told again.
///
/// The stream begins with `ModelCallStarted` and ends with `ModelCallEnded`, or with the error as [`chat`] has it.
/// Dropping it ends the call, and leaves the step to be performed again.
#[must_use]
pub fn open(
    context: &RunContext,
    model: Arc<dyn Model>,
    request: ChatRequest,
    step: impl Into<String>,
) -> EventStream {
    let (context, step) = (context.clone(), step.into());
    let work = Narrated::new(|feed| async move {
        let call = Call {
            context: &context,
            model: &*model,
            request: &request,
            chain: None,
            step: &step,
            delivery: Delivery::Streamed,
            feed: Some(&feed),
        };
        let mut progress = None;
        until_stopped(&context, pin!(call.perform(&mut progress))).await?.map(|_| ())
    });
    Box::pin(CallStream(work))
}

struct CallStream(Narrated<Result<()>>);

impl Stream for CallStream {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_event(context).map(|event| match event {
            Ok(event) => Some(Ok(event)),
            Err(result) => std::mem::replace(result, Ok(())).err().map(Err),
        })
    }
}

/// One model call and all it needs.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a RunContext,
    pub(crate) model: &'a dyn Model,
    pub(crate) request: &'a ChatRequest,
    /// Where the request goes on with another, what it goes on with.
    pub(crate) chain: Option<&'a RequestChain>,
    pub(crate) step: &'a str,
    pub(crate) delivery: Delivery,
    pub(crate) feed: Option<&'a Feed>,
}

impl Call<'_> {
    /// Performs the call. What has arrived of the answer stands in `progress` until the answer is whole, so that it is
    /// not lost when the call fails or is dropped.
    pub(crate) async fn perform(&self, progress: &mut Option<Accumulator>) -> Result<ChatResponse> {
        let label = [self.request.model.provider(), ":", self.request.model.model()].concat();
        let step = Step {
            name: self.step,
            kind: StepKind::Model,
            request_hash: "",
            effect: Effect::Pure,
            label: &label,
        };
        let asked = match self.chain {
            Some(chain) => Asked::Chain(chain, self.request),
            None => Asked::Request(self.request),
        };
        let begun = self.context.begin_asked(step, asked).await?;
        self.tell_of(|| StreamEvent::ModelCallStarted {
            step: self.context.key(self.step),
            model: self.request.model.clone(),
        });
        match begun {
            Begun::Recorded(value) => {
                let response: ChatResponse = serde_json::from_value(value).map_err(unreadable)?;
                unfold(&response).into_iter().for_each(|event| self.tell_of(|| event));
                self.tell_end(&response, true);
                Ok(response)
            }
            Begun::Fresh(pending) => match self.receive(progress).await {
                Ok(response) => {
                    pending.answered(&response).await?;
                    self.tell_end(&response, false);
                    Ok(response)
                }
                Err(error) => {
                    pending.fail(&error).await?;
                    Err(error)
                }
            },
        }
    }

    async fn receive(&self, progress: &mut Option<Accumulator>) -> Result<ChatResponse> {
        let arrived = progress.insert(Accumulator::new(self.request.model.clone()));
        let context = self.context.child(self.step);
        let context = match self.feed {
            Some(feed) => Overheard::context(&context, feed),
            None => context,
        };
        let mut events = self.model.open(&context, self.request, self.delivery).await?;
        let mut finished = false;
        while let Some(event) = events.next().await {
            let event = event?;
            self.context.emit(&event);
            match event {
                StreamEvent::Finished { .. } => finished = true,
                StreamEvent::OutputDiscarded { .. } => finished = false,
                _ => {}
            }
            match self.feed {
                None => arrived.push(event)?,
                Some(feed) => {
                    let fits = arrived.note(&event);
                    feed.push(event);
                    fits?;
                }
            }
        }
        if !finished {
            // What arrived stays for the caller; the clone is asked for the error only.
            return arrived.clone().finish();
        }
        match progress.take() {
            Some(whole) => whole.finish(),
            None => Err(Error::new(ErrorKind::Internal, "an answer was lost while it arrived")),
        }
    }

    fn tell_of(&self, make: impl FnOnce() -> StreamEvent) {
        tell_of(self.context, self.feed, make);
    }

    fn tell_end(&self, response: &ChatResponse, replayed: bool) {
        self.tell_of(|| StreamEvent::ModelCallEnded {
            step: self.context.key(self.step),
            model: response.model.clone(),
            usage: response.usage.map(Box::new),
            cost: response.cost,
            replayed,
        });
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Store, "a recorded answer cannot be read").with_source(error)
}

#[cfg(test)]
mod tests;
