//! Runs the tool calls of one round: side by side up to a limit, each within its time, each a step of the run log.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use motet_core::id::content_hash;
use motet_core::run_log::{Begun, Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result, StreamEvent, Tool, ToolContext, ToolOutput};

use super::Driver;
use crate::machine::{AgentRun, ToolRound, ToolRun};

impl Driver<'_> {
    /// Runs the calls of a round and reports each result to the machine as it comes.
    pub(super) async fn run_tools(&self, run: &mut AgentRun, round: ToolRound) -> Result<()> {
        for refusal in &round.refused {
            let message = format!("tool call `{}` was refused: {}", refusal.name, refusal.reason);
            self.tell(&StreamEvent::Warning { message });
        }
        self.refuse_unknown_outcomes(&round).await?;
        let number = round.number;
        let mut waiting = round.calls.into_iter();
        let limit = self.agent.limits().max_parallel_tools;
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(limit).map(|call| self.run_tool(number, call)).collect();
        while let Some(ended) = running.next().await {
            let (index, output) = ended?;
            run.tool_ended(index, output)?;
            running.extend(waiting.next().map(|call| self.run_tool(number, call)));
        }
        Ok(())
    }

    /// Ends a resumed run before any call of the round starts, if the outcome of another is unknown: what starts now
    /// would be cut off by that, and its own outcome be unknown too.
    async fn refuse_unknown_outcomes(&self, round: &ToolRound) -> Result<()> {
        for call in &round.calls {
            let name = step_name(round.number, call.index);
            let state = self.context.log().lookup(&self.context.key(&name));
            let unknown = state.is_some_and(|state| {
                state.effect == Effect::AtMostOnce && state.result.is_none() && !state.failed
            });
            if unknown {
                let (hash, tool) = (hash(call)?, self.tool(call)?);
                drop(self.context.begin(step(&name, &hash, call, tool.effect())).await?);
            }
        }
        Ok(())
    }

    async fn run_tool(&self, round: u32, call: ToolRun) -> Result<(usize, ToolOutput)> {
        let tool = self.tool(&call)?;
        let name = step_name(round, call.index);
        let begun = self.context.begin(step(&name, &hash(&call)?, &call, tool.effect())).await?;
        let (index, id, tool_name) = (call.index, call.call_id.clone(), call.name.clone());
        let key = self.context.key(&name);
        self.tell(&StreamEvent::ToolStarted { step: key.clone(), id: id.clone(), name: tool_name.clone() });
        let output = match begun {
            Begun::Recorded(value) => serde_json::from_value(value).map_err(|error| {
                Error::new(ErrorKind::Store, "a tool's recorded result cannot be read").with_source(error)
            })?,
            Begun::Fresh(pending) => match self.answer(tool, call, &name).await {
                Ok(output) => {
                    pending.finish(&output).await?;
                    output
                }
                Err(error) => {
                    pending.fail(&error).await?;
                    return Err(error);
                }
            },
        };
        self.tell(&StreamEvent::ToolEnded { step: key, id, name: tool_name, is_error: output.is_error });
        Ok((index, output))
    }

    /// Calls the tool. Failures, panics, and overlong calls become results that the model reads; they are recorded as
    /// results too, so that a resumed run shows the model the same. An error ends the run.
    async fn answer(&self, tool: &dyn Tool, call: ToolRun, step: &str) -> Result<ToolOutput> {
        let run = self.context.child(step);
        let run = run.with_attribution(|attribution| attribution.tool = Some(call.name.clone()));
        let idempotency_key = format!("{}/{}", run.run_id(), run.step_name());
        let context = ToolContext { run: &run, call_id: &call.call_id, idempotency_key: &idempotency_key };
        let limit = tool.timeout().unwrap_or(self.agent.limits().tool_timeout);
        let work = AssertUnwindSafe(async { tool.call(call.arguments, &context).await }).catch_unwind();
        let error = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(output))) => return Ok(output),
            Ok(Ok(Err(error))) => error,
            Ok(Err(panic)) => {
                let message = format!("the tool `{}` broke down: {}", call.name, panic_message(&*panic));
                return Ok(ToolOutput::error(message));
            }
            Err(_) => {
                return Ok(ToolOutput::error(format!(
                    "the tool `{}` gave no answer within {limit:?} and was stopped; it may have taken effect",
                    call.name
                )));
            }
        };
        // A failure of the tool because the run ends is not for the model to see, least of all when it is resumed.
        if error.kind() == ErrorKind::Cancelled || self.context.check().is_err() {
            return Err(error);
        }
        let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        Ok(ToolOutput::error(format!("the tool `{}` failed: {error}{hint}", call.name)))
    }

    fn tool(&self, call: &ToolRun) -> Result<&dyn Tool> {
        let tool = self.agent.tools().get(call.tool).map(Arc::as_ref);
        tool.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("tool `{}` is not at its place", call.name))
        })
    }
}

fn step_name(round: u32, index: usize) -> String {
    format!("tool/{round}/{index}")
}

fn hash(call: &ToolRun) -> Result<String> {
    content_hash(&(&call.name, &call.arguments))
}

fn step<'a>(name: &'a str, request_hash: &'a str, call: &'a ToolRun, effect: Effect) -> Step<'a> {
    Step { name, kind: StepKind::Tool, request_hash, effect, label: &call.name }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a message")
}
