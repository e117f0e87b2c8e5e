//! Makes the calls of tools that code asks for, each as a step below the code's own.
//!
//! Code is deterministic, so its calls come in the same order when it runs again: their steps are numbered by it.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use motet_core::id::content_hash;
use motet_core::run_log::{Begun, Step, StepKind, StepState};
use motet_core::tool::{Effect, Reconciled, Spent};
use motet_core::{Error, ErrorKind, Part, Result, RunContext, StreamEvent, Tool, ToolContext, ToolOutput};
use motet_providers::sandbox::{Call, Host};
use serde_json::Value;

use super::functions::Functions;
use crate::approval::ApprovalPolicy;
use crate::driver::counted;
use crate::inner::ends_outer_run;

/// Answers the calls of one run of code.
pub(super) struct Calls<'a> {
    run: &'a RunContext,
    functions: &'a Functions,
    approvals: &'a ApprovalPolicy,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Calls that became steps.
    made: u32,
    spent: Option<Spent>,
}

/// One call that is to be made.
pub(super) struct Made<'a> {
    pub(super) tool: &'a dyn Tool,
    arguments: Value,
    pub(super) step: String,
    pub(super) hash: String,
}

impl<'a> Calls<'a> {
    pub(super) fn new(
        run: &'a RunContext,
        functions: &'a Functions,
        approvals: &'a ApprovalPolicy,
        timeout: Duration,
    ) -> Self {
        Self { run, functions, approvals, timeout, state: Mutex::default() }
    }

    /// Gives what models used to answer the calls.
    pub(super) fn spent(&self) -> Option<Spent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).spent
    }

    fn next_step(&self) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let step = format!("call/{}", state.made);
        state.made += 1;
        step
    }

    fn add(&self, more: Option<Spent>) {
        let Some(more) = more else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.spent.take();
        state.spent = Some(match before {
            None => more,
            Some(spent) => Spent {
                usage: spent.usage + more.usage,
                cost: spent.cost.zip(more.cost).map(|(one, other)| one + other),
            },
        });
    }

    /// Makes a call, or gives what it answered before.
    async fn make(&self, made: Made<'_>) -> Result<ToolOutput> {
        let Made { tool, step, hash, .. } = &made;
        let label = tool.spec().name.as_str();
        let state = self.run.log().lookup(&self.run.key(step));
        let known = match &state {
            None => self.answered_before(step, hash),
            Some(state) if is_open(state) => self.known(&made).await?,
            Some(_) => None,
        };
        let begun =
            Step { name: step, kind: StepKind::Tool, request_hash: hash, effect: tool.effect(), label };
        let pending = match self.run.begin(begun).await? {
            Begun::Recorded(value) => return readable(value),
            Begun::Fresh(pending) => pending,
        };
        let answered = match known {
            Some(output) => Ok(output),
            None => self.answer(&made).await,
        };
        match answered {
            Ok(output) => {
                pending.finish(&output).await?;
                Ok(output)
            }
            Err(error) => {
                let is_cut_short = self.run.check().is_err() && !ends_outer_run(&error);
                if !is_cut_short || !matches!(tool.effect(), Effect::AtMostOnce | Effect::Reconcile) {
                    pending.fail(&error).await?;
                }
                Err(error)
            }
        }
    }

    /// Calls the tool. A failure becomes a result; an error ends the code, because the run ends.
    async fn answer(&self, made: &Made<'_>) -> Result<ToolOutput> {
        let name = made.tool.spec().name.as_str();
        let run = self.run.child(&made.step).with_attribution(|work| work.tool = Some(name.to_owned()));
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &made.step, idempotency_key: &idempotency_key };
        let limit = made.tool.timeout().unwrap_or(self.timeout);
        let (step, id) = (run.step_name().to_owned(), made.step.clone());
        let told = |name: &str| (step.clone(), id.clone(), name.to_owned());
        if run.is_listened_to() {
            let (step, id, name) = told(name);
            run.emit(&StreamEvent::ToolStarted { step, id, name });
        }
        let work = AssertUnwindSafe(made.tool.call(made.arguments.clone(), &context)).catch_unwind();
        let output = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(output))) => output,
            Ok(Ok(Err(error)))
                if error.kind() == ErrorKind::Cancelled
                    || self.run.check().is_err()
                    || ends_outer_run(&error) =>
            {
                return Err(error);
            }
            Ok(Ok(Err(error))) => {
                let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
                ToolOutput::error(format!("the tool `{name}` failed: {error}{hint}"))
            }
            Ok(Err(_)) => ToolOutput::error(format!("the tool `{name}` broke down")),
            Err(_) => ToolOutput::error(format!(
                "the tool `{name}` gave no answer within {limit:?} and was stopped; it may have taken effect"
            )),
        };
        if run.is_listened_to() {
            let (step, id, name) = told(name);
            run.emit(&StreamEvent::ToolEnded { step, id, name, is_error: output.is_error });
        }
        Ok(counted(&run, output))
    }

    /// Gives what a call answered in an earlier try of the same code, whose steps have names of their own.
    pub(super) fn answered_before(&self, step: &str, hash: &str) -> Option<ToolOutput> {
        let (base, times) = tries(self.run.step_name())?;
        (1..times).rev().find_map(|before| {
            let earlier = if before == 1 { base.to_owned() } else { format!("{base}.{before}") };
            let state = self.run.log().lookup(&format!("{earlier}/{step}"))?;
            let result = state.result.filter(|_| state.request_hash == hash)?;
            serde_json::from_value(result).ok()
        })
    }

    /// Lets a tool find out what became of a call that began before a crash. One that fails, breaks down, or gives no
    /// answer does not know.
    pub(super) async fn reconcile(&self, made: &Made<'_>) -> Result<Reconciled> {
        let run = self.run.child(&made.step);
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &made.step, idempotency_key: &idempotency_key };
        let limit = made.tool.timeout().unwrap_or(self.timeout);
        let work = AssertUnwindSafe(made.tool.reconcile(&made.arguments, &context)).catch_unwind();
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(Err(error))) if error.kind() == ErrorKind::Cancelled => Err(error),
            Ok(Ok(Ok(found))) => Ok(found),
            _ => {
                self.run.check()?;
                Ok(Reconciled::Unknown)
            }
        }
    }

    /// Gives what became of a call that began before a crash; `None` when it may be made.
    async fn known(&self, made: &Made<'_>) -> Result<Option<ToolOutput>> {
        if made.tool.effect() != Effect::Reconcile {
            return Ok(None);
        }
        match self.reconcile(made).await? {
            Reconciled::Done(output) => Ok(Some(output)),
            Reconciled::NotDone => Ok(None),
            // The code was let run because the tool knew a moment ago; the next look puts it to a person.
            _ => Err(Error::new(
                ErrorKind::Conflict,
                format!("the outcome of step `{}` is unknown", self.run.key(&made.step)),
            )
            .with_hint("it began before a crash and must not run twice; check what it did")),
        }
    }

    /// Gives how a step of the code stands.
    pub(super) fn state(&self, step: &str) -> Option<StepState> {
        self.run.log().lookup(&self.run.key(step))
    }

    /// Records what became of a call that began before a crash.
    pub(super) async fn settle(&self, made: &Made<'_>, output: &ToolOutput) -> Result<()> {
        let label = made.tool.spec().name.as_str();
        let (kind, effect) = (StepKind::Tool, made.tool.effect());
        let begun = Step { name: &made.step, kind, request_hash: &made.hash, effect, label };
        if let Begun::Fresh(pending) = self.run.begin(begun).await? {
            pending.finish(output).await?;
        }
        Ok(())
    }

    /// Reads what code asks for; what is wrong with it is told to the code.
    pub(super) fn read(&self, call: Call) -> Result<Result<Made<'a>, String>> {
        self.run.check()?;
        let (tool, arguments) = match self.functions.prepare(&call.name, call.positional, call.named) {
            Ok(prepared) => prepared,
            Err(problem) => return Ok(Err(problem)),
        };
        if self.approvals.asks(&**tool, &arguments) {
            return Ok(Err(format!(
                "a person must agree to this call: call the tool `{}` itself instead of from code",
                tool.spec().name
            )));
        }
        let hash = content_hash(&(&tool.spec().name, &arguments))?;
        Ok(Ok(Made { tool: &**tool, arguments, step: self.next_step(), hash }))
    }
}

#[async_trait]
impl Host for Calls<'_> {
    async fn call(&self, call: Call) -> Result<Result<Value, String>> {
        let made = match self.read(call)? {
            Ok(made) => made,
            Err(problem) => return Ok(Err(problem)),
        };
        let output = self.make(made).await?;
        self.add(output.spent);
        Ok(python_value(output))
    }
}

/// Tells whether a call of this effect began and its outcome is not known.
pub(super) fn has_open(run: &RunContext, effect: Effect) -> bool {
    let states = (0u32..).map_while(|number| run.log().lookup(&run.key(&format!("call/{number}"))));
    states.into_iter().any(|state| is_open(&state) && state.effect == effect)
}

pub(super) fn is_open(state: &StepState) -> bool {
    state.result.is_none() && !state.failed
}

/// Splits the name of a step that a person had tried again into its first name and the number of the try.
fn tries(step: &str) -> Option<(&str, u32)> {
    let (base, times) = step.rsplit_once('.')?;
    Some((base, times.parse().ok()?))
}

pub(super) fn readable(value: Value) -> Result<ToolOutput> {
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::Store, "a tool's recorded result cannot be read").with_source(error)
    })
}

/// Gives an answer as the code gets it: JSON objects and arrays as such, anything else as text.
pub(super) fn python_value(output: ToolOutput) -> Result<Value, String> {
    let texts: Vec<&str> = output.content.iter().filter_map(Part::as_text).collect();
    let text = texts.join("\n");
    if output.is_error {
        return Err(text);
    }
    let is_structured = text.trim_start().starts_with(['{', '[']);
    match is_structured.then(|| serde_json::from_str(&text)) {
        Some(Ok(value)) => Ok(value),
        _ => Ok(Value::String(text)),
    }
}
