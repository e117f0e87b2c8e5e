//! Runs the tool calls of one round: side by side up to a limit, each within its time, each a step of the run log.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use motet_core::decision::{Question, QuestionReason};
use motet_core::run_log::{Asked, Begun, Pending, Step, StepKind};
use motet_core::tool::{Effect, Spent};
use motet_core::{Error, ErrorKind, Result, StreamEvent, Tool, ToolContext, ToolOutput};
use tokio::time::Instant;

use super::below::counted;
use super::decide::{Ready, Settled, first_step};
use super::{Actor, Driver};
use crate::feed::Overheard;
use crate::hooks::{Payload, Stage};
use crate::inner::{ends_outer_run, parked};
use crate::machine::{AgentRun, ToolRound, ToolRun};
use crate::review::reviewed_result;

/// How a round ended.
#[derive(Default)]
pub(super) struct RoundEnd {
    /// What must be decided before the round can end.
    pub(super) questions: Vec<Question>,
    /// Place of the handoff that was called.
    pub(super) handed_to: Option<usize>,
}

/// How a call that was made ended.
enum Ended {
    /// The tool answered.
    Answered(usize, ToolOutput),
    /// The tool is an agent itself, and waits for people.
    Waits(usize, Vec<Question>, Spent),
}

/// A call as hooks are shown it once it is answered.
pub(super) struct Answered {
    call: ToolRun,
    begun: Instant,
}

impl Answered {
    /// Keeps what hooks are to be shown of a call, where there are any.
    pub(super) fn for_hooks(actor: &Actor, call: &ToolRun) -> Option<Self> {
        let is_wanted = actor.agent.hooks().wants(Stage::AfterTool);
        is_wanted.then(|| Self { call: call.clone(), begun: Instant::now() })
    }
}

impl RoundEnd {
    /// Takes how a call ended, and tells the machine.
    fn take(&mut self, run: &mut AgentRun, ended: Ended) -> Result<()> {
        match ended {
            Ended::Answered(index, output) => run.tool_ended(index, output)?,
            Ended::Waits(index, questions, spent) => {
                self.questions.extend(questions);
                run.spent_below(index, spent);
            }
        }
        Ok(())
    }
}

impl Driver<'_> {
    /// Runs the calls of a round and reports each result to the machine as it comes.
    ///
    /// Calls that nobody needs to decide about are made even when others wait, except where the outcome of one is
    /// unknown: then whoever decides about it finds everything as the crash left it.
    pub(super) async fn run_tools(
        &self,
        run: &mut AgentRun,
        actor: &Actor,
        round: ToolRound,
    ) -> Result<RoundEnd> {
        for refusal in &round.refused {
            let message = format!("tool call `{}` was refused: {}", refusal.name, refusal.reason);
            self.tell(&StreamEvent::Warning { message });
        }
        let mut end = RoundEnd::default();
        let mut ready = Vec::with_capacity(round.calls.len());
        let mut answered = Vec::new();
        for call in round.calls {
            let index = call.index;
            let Some(tool) = actor.agent.tools().get(call.tool) else {
                answered.push((index, hand_over(actor, &call, &mut end)?));
                continue;
            };
            let call = changed_call(actor, round.number, call).await?;
            let step = first_step(round.number, call.index);
            if self.is_settled(actor, &**tool, &call, &step) {
                ready.push(Ready { call, step });
                continue;
            }
            match Box::pin(self.settle(actor, &**tool, round.number, call)).await? {
                Settled::Make(call) => ready.push(call),
                Settled::Answered(output) => answered.push((index, output)),
                Settled::Undecided(question) => end.questions.push(question),
            }
        }
        let unknown = |question: &Question| question.reason == QuestionReason::UnknownOutcome;
        if end.questions.iter().any(unknown) {
            return Ok(end);
        }
        for (index, output) in answered {
            run.tool_ended(index, output)?;
        }
        if ready.len() == 1
            && let Some(only) = ready.pop()
        {
            let ended = self.run_tool(actor, only).await?;
            end.take(run, ended)?;
            return Ok(end);
        }
        let mut waiting = ready.into_iter();
        let limit = actor.agent.limits().max_parallel_tools;
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(limit).map(|call| self.run_tool(actor, call)).collect();
        while let Some(ended) = running.next().await {
            end.take(run, ended?)?;
            running.extend(waiting.next().map(|call| self.run_tool(actor, call)));
        }
        Ok(end)
    }

    async fn run_tool(&self, actor: &Actor, ready: Ready) -> Result<Ended> {
        let Ready { call, step: name } = ready;
        let tool = self.tool(actor, &call)?;
        let effect = tool.effect();
        let step = Step { name: &name, kind: StepKind::Tool, request_hash: "", effect, label: &call.name };
        let begun = actor.context.begin_asked(step, Asked::Call(&call.name, &call.arguments)).await?;
        let index = call.index;
        let told = (self.feed.is_some() || self.context.is_listened_to())
            .then(|| (actor.context.key(&name), call.call_id.clone(), call.name.clone()));
        if let Some((step, id, name)) = told.clone() {
            self.tell(&StreamEvent::ToolStarted { step, id, name });
        }
        let output = match begun {
            Begun::Recorded(value) => serde_json::from_value(value).map_err(|error| {
                Error::new(ErrorKind::Store, "a tool's recorded result cannot be read").with_source(error)
            })?,
            Begun::Fresh(pending) => {
                let hooked = Answered::for_hooks(actor, &call);
                match self.answer(actor, tool, call, &name).await {
                    Ok(output) => match self.passed(actor, &name, hooked, output).await {
                        Ok(output) => {
                            pending.tool_ended(&output).await?;
                            output
                        }
                        Err(error) => {
                            leave(pending, effect, &error).await?;
                            return Err(error);
                        }
                    },
                    Err(error) => return self.unanswered(pending, (index, effect), error).await,
                }
            }
        };
        if let Some((step, id, name)) = told {
            self.tell(&StreamEvent::ToolEnded { step, id, name, is_error: output.is_error });
        }
        Ok(Ended::Answered(index, output))
    }

    /// Takes down a call that ended the run, or that waits for people, in the place of an answer.
    async fn unanswered(
        &self,
        pending: Pending,
        (index, effect): (usize, Effect),
        error: Error,
    ) -> Result<Ended> {
        if self.context.check().is_err() && parked(&error).is_none() {
            // Whatever the tool says was cut short by the end of the run, and may have taken effect.
            leave(pending, effect, &error).await?;
            return Err(error);
        }
        pending.fail(&error).await?;
        match parked(&error) {
            Some(inner) => Ok(Ended::Waits(index, inner.questions.clone(), inner.spent)),
            None => Err(error),
        }
    }

    /// Lets guardrails and hooks see what a call answered.
    pub(super) async fn passed(
        &self,
        actor: &Actor,
        step: &str,
        hooked: Option<Answered>,
        output: ToolOutput,
    ) -> Result<ToolOutput> {
        let took = hooked.as_ref().map(|answered| answered.begun.elapsed()).unwrap_or_default();
        let output = self.reviewed(actor, step, output).await?;
        let Some(Answered { call, .. }) = hooked else { return Ok(output) };
        let payload = Payload::AfterTool {
            step: actor.context.key(step),
            tool: call.name,
            call_id: call.call_id,
            arguments: call.arguments,
            output: output.clone(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        match actor.agent.hooks().call(&actor.context, payload).await? {
            // What hooks changed is looked at once more.
            Payload::AfterTool { output: changed, .. } if changed != output => {
                self.reviewed(actor, step, changed).await
            }
            _ => Ok(output),
        }
    }

    /// Lets guardrails see what a tool answered.
    async fn reviewed(&self, actor: &Actor, step: &str, output: ToolOutput) -> Result<ToolOutput> {
        if actor.agent.reviewer().is_none() {
            return Ok(output);
        }
        reviewed_result(&actor.agent, &self.overheard(&actor.context.child(step)), output).await
    }

    /// Calls the tool. Failures, panics, and overlong calls become results that the model reads; they are recorded as
    /// results too, so that a resumed run shows the model the same. An error ends the run.
    async fn answer(&self, actor: &Actor, tool: &dyn Tool, call: ToolRun, step: &str) -> Result<ToolOutput> {
        let run = actor.context.child(step);
        let run = run.with_attribution(|attribution| attribution.tool = Some(call.name.clone()));
        let run = match self.feed {
            Some(feed) => Overheard::below(&run, feed),
            None => run,
        };
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &call.call_id, idempotency_key: &idempotency_key };
        let limit = tool.timeout().unwrap_or(actor.agent.limits().tool_timeout);
        let work = AssertUnwindSafe(async { tool.call(call.arguments, &context).await }).catch_unwind();
        let failure = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(output))) => return Ok(counted(&run, output)),
            Ok(Ok(Err(error))) => {
                // A failure because the run ends is not for the model to see, least of all when it is resumed.
                let ends = error.kind() == ErrorKind::Cancelled || self.context.check().is_err();
                if ends || ends_outer_run(&error) {
                    return Err(error);
                }
                let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
                format!("the tool `{}` failed: {error}{hint}", call.name)
            }
            Ok(Err(panic)) => format!("the tool `{}` broke down: {}", call.name, panic_message(&*panic)),
            Err(_) => format!(
                "the tool `{}` gave no answer within {limit:?} and was stopped; it may have taken effect",
                call.name
            ),
        };
        Ok(counted(&run, ToolOutput::error(failure)))
    }

    fn tool<'a>(&self, actor: &'a Actor, call: &ToolRun) -> Result<&'a dyn Tool> {
        actor.agent.tools().get(call.tool).map(Arc::as_ref).ok_or_else(|| misplaced(call))
    }
}

/// Leaves a call without an answer that may have taken effect: one that must not be made twice stays open in the log, so
/// that a resumed run finds out, or asks, before it makes it again.
async fn leave(pending: Pending, effect: Effect, error: &Error) -> Result<()> {
    match effect {
        Effect::AtMostOnce | Effect::Reconcile => Ok(()),
        _ => pending.fail(error).await,
    }
}

/// Answers the call of a handoff; the first of a round is followed.
fn hand_over(actor: &Actor, call: &ToolRun, end: &mut RoundEnd) -> Result<ToolOutput> {
    let place = call.tool.saturating_sub(actor.agent.tools().len());
    let to = actor.agent.handoffs().get(place).ok_or_else(|| misplaced(call))?;
    if end.handed_to.is_some() {
        return Ok(ToolOutput::error("not run: the conversation was handed to another agent already"));
    }
    end.handed_to = Some(place);
    Ok(ToolOutput::text(format!("The agent `{}` takes over.", to.agent.name())))
}

/// Gives the call as hooks want it to be made.
async fn changed_call(actor: &Actor, round: u32, call: ToolRun) -> Result<ToolRun> {
    let payload = || Payload::BeforeTool {
        step: actor.context.key(&first_step(round, call.index)),
        tool: call.name.clone(),
        call_id: call.call_id.clone(),
        arguments: call.arguments.clone(),
    };
    let Some(told) = actor.hooked(Stage::BeforeTool, payload) else { return Ok(call) };
    let arguments = match told.await? {
        Payload::BeforeTool { arguments, .. } if arguments != call.arguments => arguments,
        _ => return Ok(call),
    };
    let arguments = actor.agent.tool_set().check_arguments(call.tool, arguments).map_err(|findings| {
        let message =
            format!("a hook gave `{}` arguments that do not match its schema: {findings}", call.name);
        Error::new(ErrorKind::InvalidRequest, message)
    })?;
    Ok(ToolRun { arguments, ..call })
}

fn misplaced(call: &ToolRun) -> Error {
    Error::new(ErrorKind::Internal, format!("tool `{}` is not at its place", call.name))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a message")
}
