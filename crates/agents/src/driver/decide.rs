//! Settles, before a tool call is made, what a person must decide about it: whether it may be made, and what to do when
//! nobody knows whether it was made before a crash.

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::id::content_hash;
use motet_core::run_log::{Begun, Step, StepKind};
use motet_core::tool::{Effect, Reconciled};
use motet_core::{Error, ErrorKind, Result, StreamEvent, Tool, ToolContext, ToolOutput};

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
    pub(super) async fn settle(
        &self,
        actor: &Actor,
        tool: &dyn Tool,
        round: u32,
        mut call: ToolRun,
    ) -> Result<Settled> {
        let base = format!("{round}/{}", call.index);
        let mut place = base.clone();
        let mut times = 1;
        while self.is_unknown(actor, &step_name(&place)) {
            if tool.effect() == Effect::Reconcile
                && let Some(settled) = self.reconcile(actor, tool, &call, &step_name(&place)).await?
            {
                return Ok(
                    settled.map_or(Settled::Make(Ready { call, step: step_name(&place) }), Settled::Answered)
                );
            }
            match self.decide(actor, &call, QuestionReason::UnknownOutcome, &place).await? {
                Err(question) => return Ok(Settled::Undecided(question)),
                Ok(Decision::Approve { arguments }) => call.arguments = arguments.unwrap_or(call.arguments),
                Ok(other) => {
                    return Ok(Settled::Answered(answer(
                        other,
                        "its outcome is unknown, and a person decided against another try",
                    )));
                }
            }
            // The earlier try keeps its name in the log, as what became of it stays unknown.
            times += 1;
            place = format!("{base}.{times}");
        }
        if times == 1 && actor.agent.approvals().asks(tool, &call.arguments) {
            match self.decide(actor, &call, QuestionReason::Approval, &place).await? {
                Err(question) => return Ok(Settled::Undecided(question)),
                Ok(Decision::Approve { arguments }) => call.arguments = arguments.unwrap_or(call.arguments),
                Ok(other) => return Ok(Settled::Answered(answer(other, "a person did not allow this call"))),
            }
        }
        Ok(Settled::Make(Ready { call, step: step_name(&place) }))
    }

    /// Tells whether a step began and must not simply be performed again.
    fn is_unknown(&self, actor: &Actor, step: &str) -> bool {
        let state = actor.context.log().lookup(&actor.context.key(step));
        state.is_some_and(|state| {
            let careful = matches!(state.effect, Effect::AtMostOnce | Effect::Reconcile);
            careful && state.result.is_none() && !state.failed
        })
    }

    /// Lets the tool find out what became of a call: its answer, or `None` within when it was not made; `None` when it
    /// does not know either.
    async fn reconcile(
        &self,
        actor: &Actor,
        tool: &dyn Tool,
        call: &ToolRun,
        name: &str,
    ) -> Result<Option<Option<ToolOutput>>> {
        let run = actor.context.child(name);
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &call.call_id, idempotency_key: &idempotency_key };
        let output = match tool.reconcile(&call.arguments, &context).await {
            Ok(Reconciled::Done(output)) => self.reviewed(actor, name, output).await?,
            Ok(Reconciled::NotDone) => return Ok(Some(None)),
            Ok(_) | Err(_) => return Ok(None),
        };
        let hash = content_hash(&(&call.name, &call.arguments))?;
        let effect = Effect::Reconcile;
        let step = Step { name, kind: StepKind::Tool, request_hash: &hash, effect, label: &call.name };
        if let Begun::Fresh(pending) = actor.context.begin(step).await? {
            pending.finish(&output).await?;
        }
        Ok(Some(Some(output)))
    }

    /// Gives the decision of a person: the recorded one, or one that is made now; the question where there is none.
    async fn decide(
        &self,
        actor: &Actor,
        call: &ToolRun,
        reason: QuestionReason,
        place: &str,
    ) -> Result<Result<Decision, Question>> {
        let context = &actor.context;
        let name = format!("decision/{place}/{}", reason.as_str());
        let key = context.key(&name);
        if let Some(recorded) = context.log().lookup(&key).and_then(|state| state.result) {
            return serde_json::from_value(recorded).map(Ok).map_err(|error| {
                Error::new(ErrorKind::Store, "a recorded decision cannot be read").with_source(error)
            });
        }
        let question = self.question(actor, call, reason, key);
        let decided = match context.decisions() {
            Some(decisions) => decisions.decide(&question).await?,
            None => None,
        };
        let Some(decision) = decided else {
            self.tell(&StreamEvent::DecisionNeeded { question: Box::new(question.clone()) });
            return Ok(Err(question));
        };
        let decision = checked(actor, call, decision)?;
        let hash = content_hash(&(&call.name, &call.arguments))?;
        let (kind, effect) = (StepKind::Decision, Effect::Pure);
        let step = Step { name: &name, kind, request_hash: &hash, effect, label: &call.name };
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

/// Checks arguments that a person put in the place of the model's.
fn checked(actor: &Actor, call: &ToolRun, decision: Decision) -> Result<Decision> {
    let Decision::Approve { arguments: Some(arguments) } = decision else { return Ok(decision) };
    match actor.agent.tool_set().check_arguments(call.tool, arguments) {
        Ok(arguments) => Ok(Decision::Approve { arguments: Some(arguments) }),
        Err(findings) => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the arguments decided on for `{}` do not match its schema: {findings}", call.name),
        )
        .with_hint("decide again with other arguments")),
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

pub(super) fn step_name(place: &str) -> String {
    format!("tool/{place}")
}
