//! Agents as tools of other agents: a run within a call, whose steps, costs, and questions are those of the run around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, Spent};
use motet_core::{Model, Result, Tool, ToolContext, ToolOutput};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::driver::run;
use crate::handoff::tool_name;
use crate::inner::{ends_outer_run, marked};
use crate::machine::{AgentResult, Outcome};

/// How deep agents call each other where nothing else is said.
const MAX_DEPTH: usize = 8;

/// How long a call may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Time beyond its limit that the inner run has to end by itself, so that what it said so far is not lost.
const GRACE: Duration = Duration::from_secs(5);

/// An agent that another agent calls with a task in words, and that answers with its final text, or its value as JSON.
///
/// Its model and tool calls are steps below the call's own: they are recorded, and a resumed run does not repeat them.
/// What it uses counts for the agent that calls it. Where it must wait for a person, the run around it waits too.
///
/// ```
/// use std::sync::Arc;
/// use motet_agents::{Agent, AgentTool};
/// # use motet_core::{ChatRequest, Delivery, EventStream, Model, Result, RunContext, Tool};
/// # struct AnyModel;
/// # #[async_trait::async_trait]
/// # impl Model for AnyModel {
/// #     async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> { unreachable!() }
/// # }
/// # let model: Arc<dyn Model> = Arc::new(AnyModel);
/// let critic = Agent::builder("critic", "scripted:test".parse()?)
///     .description("Finds what is wrong with a text.")
///     .instructions("Name the three worst faults.")
///     .build()?;
/// let tool = AgentTool::new(critic, model);
/// assert_eq!(tool.spec().description, "Finds what is wrong with a text.");
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Clone)]
pub struct AgentTool {
    spec: ToolSpec,
    agent: Agent,
    model: Arc<dyn Model>,
    timeout: Duration,
    max_depth: usize,
}

impl AgentTool {
    /// Makes a tool of an agent and the model that it asks; name and description are the agent's.
    #[must_use]
    pub fn new(agent: Agent, model: Arc<dyn Model>) -> Self {
        let description = match agent.description() {
            "" => format!("Gives a task to the agent `{}` and waits for its answer.", agent.name()),
            description => description.to_owned(),
        };
        let parameters = json!({
            "type": "object",
            "properties": {
                "input": {"type": "string", "description": "The task, with everything that must be known for it."},
            },
            "required": ["input"],
            "additionalProperties": false,
        });
        let spec = ToolSpec::new(tool_name(agent.name()), description, parameters);
        Self { spec, agent, model, timeout: TIMEOUT, max_depth: MAX_DEPTH }
    }

    /// Sets how long a call may take, after which it ends with what the agent said so far; 10 minutes where not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how deep agents may call each other, this one included; 8 where not set.
    #[must_use]
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Makes the answer of a run; the error of one that the run around it must deal with.
    fn answer(&self, result: &AgentResult) -> Result<ToolOutput> {
        let mut output = match (&result.outcome, result.error()) {
            (Outcome::Completed, _) => match &result.value {
                Some(value) => ToolOutput::json(value),
                None => ToolOutput::text(result.text.clone()),
            },
            (Outcome::Waiting | Outcome::Cancelled, Some(error)) => return Err(error),
            (_, Some(error)) => {
                let error = marked(error);
                if ends_outer_run(&error) {
                    return Err(error);
                }
                self.failure(result, error.message())
            }
            (_, None) => self.failure(result, "it asks for tools that nobody runs for it"),
        };
        output.spent = Some(Spent { usage: result.usage, cost: result.cost });
        Ok(output)
    }

    fn failure(&self, result: &AgentResult, why: &str) -> ToolOutput {
        let (name, outcome) = (self.agent.name(), result.outcome.as_str());
        let partial = result.partial.as_ref().map(motet_core::Message::visible_text);
        let said = partial.filter(|text| !text.is_empty()).unwrap_or_else(|| result.text.clone());
        let said = if said.is_empty() { said } else { format!("\nWhat it had said by then:\n{said}") };
        ToolOutput::error(format!("the agent `{name}` did not finish ({outcome}): {why}{said}"))
    }
}

#[async_trait]
impl Tool for AgentTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        let input = arguments.get("input").and_then(Value::as_str).unwrap_or_default();
        if input.trim().is_empty() {
            return Ok(ToolOutput::error("not run: the input is empty"));
        }
        if depth(context.run.step_name()) > self.max_depth {
            return Ok(ToolOutput::error(format!(
                "not run: agents have called each other {} deep, which is the limit; do the work yourself",
                self.max_depth
            )));
        }
        let inner = context.run.clone().with_timeout(self.timeout);
        let result = run(&inner, &self.agent, Arc::clone(&self.model), input).await;
        // The end of the run around it is not for its model to read.
        context.run.check()?;
        self.answer(&result)
    }

    /// Whatever must not happen twice is a step of the inner run with an effect of its own.
    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout.saturating_add(GRACE))
    }
}

impl fmt::Debug for AgentTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentTool")
            .field("agent", &self.agent)
            .field("timeout", &self.timeout)
            .field("max_depth", &self.max_depth)
            .finish_non_exhaustive()
    }
}

/// Counts the tool calls that a step stands below, by the names that the driver gives them: `tool/ROUND/PLACE`.
fn depth(step: &str) -> usize {
    let segments: Vec<_> = step.split('/').collect();
    let begins_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_call = |window: &&[&str]| matches!(window, ["tool", round, place] if begins_with_digit(round) && begins_with_digit(place));
    segments.windows(3).filter(is_call).count()
}

#[cfg(test)]
mod tests;
