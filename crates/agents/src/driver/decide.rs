//! Settles, before a tool call is made, what a person must decide about it: whether it may be made, and what to do when
//! nobody knows whether it was made before a crash.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::id::content_hash;
use motet_core::run_log::{Begun, Step, StepKind, StepState};
use motet_core::tool::{Effect, Reconciled};
use motet_core::{Error, ErrorKind, Result, StreamEvent, Tool, ToolContext, ToolOutput};

use super::tools::Answered;
use super::{Actor, Driver};
use crate::machine::ToolRun;

/// A call of a round, as far as it is settled.
pub(super) enum Settled {
    /// It is to be made.
    Make(Ready),
    /// It is not made; this is its answer.
    Answered(ToolOutput),
    /// A person must decide first.
    Undecided(Question),
}

/// A call that is to be made as a named step.
pub(super) struct Ready {
    pub(super) call: ToolRun,
    /// Name of the step below the run's own.
    pub(super) step: String,
}

impl Driver<'_> {
    /// Settles a call. Nothing of it is made here but to find out what became of it.
    ///
    /// Whether it may be made comes first, as a person may have put other arguments in, which an earlier try had too.
    pub(super) async fn settle(
        &self,
        actor: &Actor,
        tool: &dyn Tool,
        round: u32,
        mut call: ToolRun,
    ) -> Result<Settled> {
        let step = first_step(round, call.index);
        let place = format!("{round}/{}", call.index);
        let begun = actor.context.log().lookup(&actor.context.key(&step));
        let asks = match begun {
            None => actor.agent.approvals().asks(tool, &call.arguments),
            Some(_) => has_decided(actor, &decision_name(&place, QuestionReason::Approval)),
        };
        if asks {
            match self.decide(actor, &call, QuestionReason::Approval, &place).await? {
                Err(question) => return Ok(Settled::Undecided(question)),
                Ok(Decision::Approve { arguments }) => call.arguments = arguments.unwrap_or(call.arguments),
                Ok(other) => return Ok(Settled::Answered(answer(other, "a person did not allow this call"))),
            }
        }
        if begun.is_some_and(|state| is_unknown(&state)) {
            return self.settle_unknown(actor, tool, call, place).await;
        }
        Ok(Settled::Make(Ready { call, step }))
    }

    /// Tells whether there is nothing to be settled about a call: it was never begun, and needs nobody's agreement.
    pub(super) fn is_settled(&self, actor: &Actor, tool: &dyn Tool, call: &ToolRun, step: &str) -> bool {
        !actor.agent.approvals().asks(tool, &call.arguments)
            && actor.context.log().lookup(&actor.context.key(step)).is_none()
    }

    /// Settles a call that began before a crash, and of which nobody knows what became.
    async fn settle_unknown(
        &self,
        actor: &Actor,
        tool: &dyn Tool,
        mut call: ToolRun,
        base: String,
    ) -> Result<Settled> {
        let (mut place, mut times) = (base.clone(), 1);
        loop {
            let reason = QuestionReason::UnknownOutcome;
            // What a person decided holds, whatever the tool would find out by now.
            let decided = has_decided(actor, &decision_name(&place, reason));
            if !decided && tool.effect() == Effect::Reconcile {
                match self.reconcile(actor, tool, &call, &step_name(&place)).await? {
                    Reconciled::Done(output) => return Ok(Settled::Answered(output)),
                    Reconciled::NotDone => {
                        return Ok(Settled::Make(Ready { call, step: step_name(&place) }));
                    }
                    _ => {}
                }
            }
            match self.decide(actor, &call, reason, &place).await? {
                Err(question) => return Ok(Settled::Undecided(question)),
                Ok(Decision::Approve { arguments }) => call.arguments = arguments.unwrap_or(call.arguments),
                Ok(other) => {
                    let why = "its outcome is unknown, and a person decided against another try";
                    return Ok(Settled::Answered(answer(other, why)));
                }
            }
            // The earlier try keeps its name in the log, as what became of it stays unknown.
            times += 1;
            place = format!("{base}.{times}");
            let step = step_name(&place);
            let again = actor.context.log().lookup(&actor.context.key(&step));
            if !again.is_some_and(|state| is_unknown(&state)) {
                return Ok(Settled::Make(Ready { call, step }));
            }
        }
    }

    /// Lets the tool find out what became of a call; a result that it finds is recorded as the call's own.
    async fn reconcile(
        &self,
        actor: &Actor,
        tool: &dyn Tool,
        call: &ToolRun,
        name: &str,
    ) -> Result<Reconciled> {
        let run = actor.context.child(name);
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &call.call_id, idempotency_key: &idempotency_key };
        let limit = tool.timeout().unwrap_or(actor.agent.limits().tool_timeout);
        let hooked = Answered::for_hooks(actor, call);
        let work = AssertUnwindSafe(tool.reconcile(&call.arguments, &context)).catch_unwind();
        let output = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(Reconciled::Done(output)))) => output,
            Ok(Ok(Ok(other))) => return Ok(other),
            Ok(Ok(Err(error))) if error.kind() == ErrorKind::Cancelled => return Err(error),
            // A tool that fails, breaks down, or gives no answer does not know.
            _ => {
                self.context.check()?;
                return Ok(Reconciled::Unknown);
            }
        };
        let output = self.passed(actor, name, hooked, output).await?;
        let hash = content_hash(&(&call.name, &call.arguments))?;
        let effect = Effect::Reconcile;
        let step = Step { name, kind: StepKind::Tool, request_hash: &hash, effect, label: &call.name };
        if let Begun::Fresh(pending) = actor.context.begin(step).await? {
            pending.finish(&output).await?;
        }
        Ok(Reconciled::Done(output))
    }

    /// Gives the decision of a person: the recorded one, or one that is made now; the question where there is none.
    async fn decide(
        &self,
        actor: &Actor,
        call: &ToolRun,
        reason: QuestionReason,
        place: &str,
    ) -> Result<Result<Decision, Question>> {
        let (context, name) = (&actor.context, decision_name(place, reason));
        let hash = content_hash(&(&call.name, &call.arguments))?;
        let (kind, effect) = (StepKind::Decision, Effect::Pure);
        let step = Step { name: &name, kind, request_hash: &hash, effect, label: &call.name };
        if has_decided(actor, &name)
            && let Begun::Recorded(recorded) = context.begin(step).await?
        {
            return serde_json::from_value(recorded).map(Ok).map_err(|error| {
                Error::new(ErrorKind::Store, "a recorded decision cannot be read").with_source(error)
            });
        }
        let mut question = self.question(actor, call, reason, context.key(&name));
        let decided = match context.decisions() {
            Some(decisions) => decisions.decide(&question).await?,
            None => None,
        };
        let checked = decided.map(|decision| checked(actor, call, decision)).transpose();
        let decision = match checked {
            Ok(Some(decision)) => decision,
            other => {
                question.problem = other.err();
                self.tell(&StreamEvent::DecisionNeeded { question: Box::new(question.clone()) });
                return Ok(Err(question));
            }
        };
        if let Begun::Fresh(pending) = context.begin(step).await? {
            pending.finish(&decision).await?;
        }
        Ok(Ok(decision))
    }

    fn question(&self, actor: &Actor, call: &ToolRun, reason: QuestionReason, step: String) -> Question {
        let spec = actor.agent.tool_set().specs().get(call.tool);
        let mut question = Question::new(step, reason, call.name.clone());
        question.agent = Some(actor.agent.name().to_owned());
        question.call_id.clone_from(&call.call_id);
        question.arguments = call.arguments.clone();
        question.schema = spec.map(|spec| spec.parameters.clone()).unwrap_or_default();
        question
    }
}

/// Tells whether nobody knows what became of a step that must not simply be performed again.
fn is_unknown(state: &StepState) -> bool {
    let careful = matches!(state.effect, Effect::AtMostOnce | Effect::Reconcile);
    careful && state.result.is_none() && !state.failed
}

/// Tells whether a decision is on record.
fn has_decided(actor: &Actor, name: &str) -> bool {
    let state = actor.context.log().lookup(&actor.context.key(name));
    state.is_some_and(|state| state.result.is_some())
}

/// Checks arguments that a person put in the place of the model's; gives what is wrong with them, so that the run can
/// wait for a better decision.
fn checked(actor: &Actor, call: &ToolRun, decision: Decision) -> Result<Decision, String> {
    let Decision::Approve { arguments: Some(arguments) } = decision else { return Ok(decision) };
    match actor.agent.tool_set().check_arguments(call.tool, arguments) {
        Ok(arguments) => Ok(Decision::Approve { arguments: Some(arguments) }),
        Err(findings) => {
            Err(format!("the arguments decided on for `{}` do not match its schema: {findings}", call.name))
        }
    }
}

/// Makes the answer of a call that a person decided against.
fn answer(decision: Decision, why: &str) -> ToolOutput {
    match decision {
        Decision::Answer { output } => output,
        Decision::Deny { reason: Some(reason) } => ToolOutput::error(format!("not run: {why}: {reason}")),
        _ => ToolOutput::error(format!("not run: {why}")),
    }
}

fn decision_name(place: &str, reason: QuestionReason) -> String {
    format!("decision/{place}/{}", reason.as_str())
}

fn step_name(place: &str) -> String {
    format!("tool/{place}")
}

/// Gives the name of the step at which a call is first made.
pub(super) fn first_step(round: u32, index: usize) -> String {
    format!("tool/{round}/{index}")
}
