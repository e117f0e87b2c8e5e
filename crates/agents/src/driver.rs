//! Drives the agent machine against real models and tools: blocking or as a stream, by one code path.
//!
//! Decides nothing that the machine can decide. Every model and tool call is a step of the run log, so a run that is
//! started again with the same log goes on where it stopped.

mod below;
mod decide;
mod tools;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use motet_core::accumulate::Accumulator;
use motet_core::decision::Question;
use motet_core::run_log::RequestChain;
use motet_core::tool::Spent;
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Model, Result, RunContext, StreamEvent};

use crate::agent::{Agent, Prompt};
use crate::call::Call;
use crate::feed::{Feed, Narrated, Overheard, tell};
use crate::guard::until_stopped;
use crate::handoff::Handoff;
use crate::hooks::{Payload, Stage};
use crate::machine::{Action, AgentResult, AgentRun, AskedAgain, Stop};
use crate::review::{reviewed, reviewed_input, reviews_input, withheld};
use crate::routing::select_tools;
pub(crate) use below::counted;
use below::spent_below;
use decide::first_step;
use tools::RoundEnd;

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
    drive(context, agent, model, prompt.into(), None).await
}

/// Runs an agent to its end; as a stream where there is a feed to tell.
pub(crate) async fn drive(
    context: &RunContext,
    agent: &Agent,
    model: Arc<dyn Model>,
    prompt: Prompt,
    feed: Option<&Feed>,
) -> AgentResult {
    let delivery = if feed.is_some() { Delivery::Streamed } else { Delivery::Plain };
    let driver = Driver { context, delivery, feed };
    driver.drive(Actor::new(context, agent, model), prompt).await
}

/// Gives the result of a run that ends before it begins.
pub(crate) fn not_begun(agent: &Agent, prompt: Prompt, cause: Stop) -> AgentResult {
    let mut run = agent.begin(prompt);
    run.stop(cause);
    run.into_result()
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
    let (context, agent, prompt) = (context.clone(), agent.clone(), prompt.into());
    AgentStream::new(|feed| async move { drive(&context, &agent, model, prompt, Some(&feed)).await })
}

/// The agent that works at the moment, which changes when it gives the run away.
struct Actor {
    agent: Agent,
    model: Arc<dyn Model>,
    /// Ascribes the work to the agent; what a tool does that is an agent itself, to that one.
    context: RunContext,
}

impl Actor {
    fn new(context: &RunContext, agent: &Agent, model: Arc<dyn Model>) -> Self {
        let name = agent.name().to_owned();
        let context = context.clone().with_attribution(|attribution| attribution.agent = Some(name));
        Self { model: reviewed(agent, model), agent: agent.clone(), context }
    }

    /// Tells the hooks of a stage, if there are any, and gives what they made of it.
    fn hooked(
        &self,
        stage: Stage,
        payload: impl FnOnce() -> Payload,
    ) -> Option<BoxFuture<'_, Result<Payload>>> {
        let hooks = Some(self.agent.hooks()).filter(|hooks| hooks.wants(stage))?;
        Some(Box::pin(hooks.call(&self.context, payload())))
    }
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
    /// Makes the stream of a run that tells the feed of what happens.
    pub(crate) fn new<W>(work: impl FnOnce(Feed) -> W) -> Self
    where
        W: Future<Output = AgentResult> + Send + 'static,
    {
        Self { work: Narrated::new(work), ended: false }
    }

    /// Runs on to the end, passes over the remaining events, and gives the result.
    pub async fn finish(self) -> AgentResult {
        self.work.finish().await
    }
}

impl AgentStream {
    /// Gives the result once there is one.
    pub(crate) fn result(&self) -> Option<&AgentResult> {
        self.work.result()
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

/// How a run is driven, whoever works.
struct Driver<'a> {
    context: &'a RunContext,
    delivery: Delivery,
    feed: Option<&'a Feed>,
}

impl Driver<'_> {
    async fn drive(&self, mut actor: Actor, prompt: Prompt) -> AgentResult {
        let entered = until_stopped(self.context, Box::pin(self.enter(&actor, &prompt)).as_mut()).await;
        let (prompt, refused) = match entered.map(|entered| entered.map_err(|error| self.cause(error))) {
            Ok(Ok(changed)) => (changed.unwrap_or(prompt), None),
            // What was not looked at to the end must not stand in the result.
            Ok(Err(stop)) | Err(stop) if reviews_input(&actor.agent) => {
                (Prompt(withheld(prompt.0)), Some(stop))
            }
            Ok(Err(stop)) | Err(stop) => (prompt, Some(stop)),
        };
        let mut run = actor.agent.begin(prompt);
        let mut progress = None;
        let ended = match refused {
            Some(stop) => Err(stop),
            None => {
                let work = pin!(self.take_turns(&mut run, &mut actor, &mut progress));
                until_stopped(self.context, work).await
            }
        };
        if let Some(arrived) = progress {
            run.broke_off(arrived.partial(), arrived.usage());
        }
        let stop = match ended {
            Ok(Ok(questions)) if questions.is_empty() => None,
            Ok(Ok(questions)) => Some(Stop::Waiting(questions)),
            Ok(Err(error)) => Some(self.cause(error)),
            Err(stop) => Some(stop),
        };
        if let Some(stop) = stop {
            let given_up: Vec<String> =
                run.unanswered().map(|(round, index)| first_step(round, index)).collect();
            if let Some(spent) = spent_below(&actor.context, &given_up) {
                run.spent_below_all(spent);
            }
            run.stop(stop);
        }
        let result = run.into_result();
        if actor.agent.hooks().wants(Stage::AfterRun) {
            return Box::pin(leave(&actor, result)).await;
        }
        result
    }

    /// Lets hooks and guardrails see what a run is given; gives what they made of it, where they changed it.
    async fn enter(&self, actor: &Actor, prompt: &Prompt) -> Result<Option<Prompt>> {
        let agent = actor.agent.name().to_owned();
        let payload = || Payload::BeforeRun { agent, messages: prompt.0.clone() };
        let messages = match actor.hooked(Stage::BeforeRun, payload) {
            Some(told) => match told.await? {
                Payload::BeforeRun { messages, .. } => Some(messages),
                _ => None,
            },
            None => None,
        };
        if !reviews_input(&actor.agent) {
            return Ok(messages.map(Prompt));
        }
        let given = messages.as_ref().unwrap_or(&prompt.0);
        let passed = reviewed_input(&actor.agent, &self.overheard(&actor.context), given).await?;
        Ok(passed.or(messages).map(Prompt))
    }

    /// Gives a context whose events the run's own stream hears too.
    fn overheard(&self, context: &RunContext) -> RunContext {
        match self.feed {
            Some(feed) => Overheard::context(context, feed),
            None => context.clone(),
        }
    }

    /// Does what the machine says until it says that the run has ended, something fails that no model can mend, or a
    /// person must decide; then gives what is to be decided.
    async fn take_turns(
        &self,
        run: &mut AgentRun,
        actor: &mut Actor,
        progress: &mut Option<Accumulator>,
    ) -> Result<Vec<Question>> {
        let mut history = History::default();
        self.route(run, actor, "route").await?;
        loop {
            match run.next_action() {
                Action::CallModel { number, request, revision } => {
                    let payload = || Payload::BeforeIteration { number };
                    if let Some(told) = actor.hooked(Stage::BeforeIteration, payload) {
                        told.await?;
                    }
                    let step = format!("model/{number}");
                    let changed = changed_request(actor, &step, request).await?;
                    let (request, chain) = match &changed {
                        Some(changed) => (&**changed, None),
                        None => (request, Some(history.next(request, revision))),
                    };
                    let call = Call {
                        context: &actor.context,
                        model: &*actor.model,
                        request,
                        chain,
                        step: &step,
                        delivery: self.delivery,
                        feed: self.feed,
                    };
                    let response = call.perform(progress).await?;
                    let is_last = response.message.tool_calls().next().is_none();
                    run.answered(response)?;
                    self.tell_of_repetition(run, actor, &step).await?;
                    if is_last {
                        after_iteration(actor, number, 0).await?;
                    }
                }
                Action::RunTools(round) => {
                    let (number, count) = (round.number, round.calls.len() + round.refused.len());
                    let RoundEnd { questions, handed_to } = self.run_tools(run, actor, round).await?;
                    if !questions.is_empty() {
                        return Ok(questions);
                    }
                    after_iteration(actor, number, count).await?;
                    if let Some(place) = handed_to {
                        self.hand_over(run, actor, place);
                        self.route(run, actor, &format!("route.{number}")).await?;
                    }
                }
                Action::Finish => return Ok(Vec::new()),
                Action::Wait => {
                    return Err(Error::new(ErrorKind::Internal, "the run waits for what was never asked"));
                }
            }
        }
    }

    /// Has the tools selected that the model is offered, where there are many.
    async fn route(&self, run: &mut AgentRun, actor: &Actor, step: &str) -> Result<()> {
        let Some(selected) = select_tools(&actor.agent, &actor.context, run.messages(), step).await? else {
            return Ok(());
        };
        if let Some(Spent { usage, cost }) = selected.spent {
            run.spend_for_routing(usage, cost);
        }
        match selected.fell_back {
            Some(why) => {
                let message = format!("all tools are offered, as none could be selected: {why}");
                self.tell(&StreamEvent::Warning { message });
            }
            None => run.offer(&selected.places),
        }
        self.tell(&StreamEvent::ToolsSelected { tools: selected.names });
        Ok(())
    }

    /// Goes on as the agent that was called.
    fn hand_over(&self, run: &mut AgentRun, actor: &mut Actor, place: usize) {
        let Some(Handoff { agent, model }) = actor.agent.handoffs().get(place).cloned() else { return };
        let (from, to) = (actor.agent.name().to_owned(), agent.name().to_owned());
        self.tell(&StreamEvent::HandedOver { from, to });
        agent.take_over(run, &actor.agent);
        *actor = Actor::new(self.context, &agent, model);
    }

    /// Tells that an answer cannot be used and is asked for again, where it is.
    async fn tell_of_repetition(&self, run: &mut AgentRun, actor: &Actor, step: &str) -> Result<()> {
        let Some(AskedAgain { attempt, reason, by_guardrail }) = run.take_asked_again() else {
            return Ok(());
        };
        self.tell(&StreamEvent::AskedAgain { step: actor.context.key(step), reason: reason.clone() });
        let payload = || Payload::Validation { attempt, problem: reason };
        if let Some(told) = actor.hooked(Stage::Validation, payload).filter(|_| !by_guardrail) {
            told.await?;
        }
        Ok(())
    }

    fn cause(&self, error: Error) -> Stop {
        cause(self.context, error)
    }

    fn tell(&self, event: &StreamEvent) {
        tell(self.context, self.feed, event);
    }
}

/// Tells the end of the context, which layers and tools report as errors of their own, from other failures.
pub(crate) fn cause(context: &RunContext, error: Error) -> Stop {
    if context.cancellation().is_cancelled() || error.kind() == ErrorKind::Cancelled {
        return Stop::Cancelled;
    }
    if context.remaining().is_some_and(|left| left.is_zero()) {
        return Stop::DeadlinePassed;
    }
    Stop::Failed(error)
}

/// Lets hooks see, and change, how the run ended.
async fn leave(actor: &Actor, result: AgentResult) -> AgentResult {
    let agent = actor.agent.name().to_owned();
    let payload = Payload::AfterRun { agent, result: Box::new(result.clone()) };
    match actor.agent.hooks().call(&actor.context, payload).await {
        Ok(Payload::AfterRun { result, .. }) => *result,
        Ok(_) => result,
        Err(error) => result.failing(&error),
    }
}

/// Gives the request that hooks want to be sent; `None` where there are none.
async fn changed_request(
    actor: &Actor,
    step: &str,
    request: &ChatRequest,
) -> Result<Option<Box<ChatRequest>>> {
    let payload =
        || Payload::BeforeModelCall { step: actor.context.key(step), request: Box::new(request.clone()) };
    let Some(told) = actor.hooked(Stage::BeforeModelCall, payload) else { return Ok(None) };
    Ok(match told.await? {
        Payload::BeforeModelCall { request, .. } => Some(request),
        _ => None,
    })
}

async fn after_iteration(actor: &Actor, number: u32, tool_calls: usize) -> Result<()> {
    let payload = || Payload::AfterIteration { number, tool_calls };
    if let Some(told) = actor.hooked(Stage::AfterIteration, payload) {
        told.await?;
    }
    Ok(())
}

/// The requests of a run, hashed as a chain; see [`RequestChain`].
#[derive(Default)]
struct History {
    chain: Option<RequestChain>,
    revision: u32,
}

impl History {
    /// Goes on with a request; one of another revision begins anew, as older messages were changed.
    fn next(&mut self, request: &ChatRequest, revision: u32) -> &RequestChain {
        let chain = match self.chain.take().filter(|_| self.revision == revision) {
            Some(chain) => chain.next(request),
            None => RequestChain::begin(request),
        };
        self.revision = revision;
        self.chain.insert(chain)
    }
}

#[cfg(test)]
mod tests;
