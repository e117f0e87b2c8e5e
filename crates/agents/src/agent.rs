//! What an agent is: a model, instructions, tools, and bounds. How it runs is the machine's and the drivers' matter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use motet_core::request::{Output, ReasoningEffort, Sampling, ToolChoice};
use motet_core::{ChatRequest, Error, ErrorKind, Message, ModelId, Result, Role, Tool};
use serde_json::Value;

use crate::machine::{AgentRun, RunLimits, ToolSet};

/// A model with instructions, tools, and bounds; cheap to clone, and never changed by a run.
///
/// ```
/// use motet_agents::Agent;
/// let agent = Agent::builder("helper", "openai:gpt-4o-mini".parse()?)
///     .instructions("Answer in one sentence.")
///     .max_iterations(4)
///     .build()?;
/// assert_eq!(agent.name(), "helper");
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Agent(Arc<Definition>);

struct Definition {
    name: String,
    description: String,
    instructions: String,
    tools: Vec<Arc<dyn Tool>>,
    tool_set: Arc<ToolSet>,
    limits: Limits,
    execute_tools: bool,
    /// Every option of a request, with no message and no tool yet.
    template: ChatRequest,
}

/// Bounds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Model calls at most; 10 by default.
    pub max_iterations: u32,
    /// Tools that run at the same time at most; 8 by default.
    pub max_parallel_tools: usize,
    /// Longest time of a tool call where the tool names no other; 60 seconds by default.
    pub tool_timeout: Duration,
    /// Characters of one tool result at most, the rest is cut with a notice; 100,000 by default.
    pub max_tool_result_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_iterations: 10,
            max_parallel_tools: 8,
            tool_timeout: Duration::from_secs(60),
            max_tool_result_chars: 100_000,
        }
    }
}

impl Agent {
    /// Begins the definition of an agent.
    pub fn builder(name: impl Into<String>, model: ModelId) -> AgentBuilder {
        AgentBuilder {
            name: name.into(),
            description: String::new(),
            instructions: String::new(),
            tools: Vec::new(),
            limits: Limits::default(),
            execute_tools: true,
            template: ChatRequest::new(model, Vec::new()),
        }
    }

    /// Gives the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Gives what the agent is for, as other agents and people see it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// Gives the model it asks.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.0.template.model
    }

    /// Gives the instructions, exactly as the model reads them.
    #[must_use]
    pub fn instructions(&self) -> &str {
        &self.0.instructions
    }

    /// Gives the tools.
    #[must_use]
    pub fn tools(&self) -> &[Arc<dyn Tool>] {
        &self.0.tools
    }

    /// Gives the bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Starts the machine of a run. The instructions are put in front, unless the input begins with them already.
    pub(crate) fn begin(&self, prompt: Prompt) -> AgentRun {
        let Prompt(mut messages) = prompt;
        let instructions = &self.0.instructions;
        if !instructions.is_empty() && !messages.is_empty() && !begins_with(&messages, instructions) {
            messages.insert(0, Message::system(instructions.clone()));
        }
        let request = ChatRequest { messages, ..self.0.template.clone() };
        let limits = RunLimits {
            max_model_calls: self.0.limits.max_iterations,
            max_tool_result_chars: self.0.limits.max_tool_result_chars,
            execute_tools: self.0.execute_tools,
        };
        AgentRun::new(request, Arc::clone(&self.0.tool_set), limits)
    }
}

fn begins_with(messages: &[Message], instructions: &str) -> bool {
    messages
        .first()
        .is_some_and(|message| message.role == Role::System && message.visible_text() == instructions)
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tools: Vec<_> = self.0.tools.iter().map(|tool| tool.spec().name.as_str()).collect();
        f.debug_struct("Agent")
            .field("name", &self.0.name)
            .field("model", self.model())
            .field("tools", &tools)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

/// The definition of an agent in the making.
#[must_use = "call `build` to get the agent"]
pub struct AgentBuilder {
    name: String,
    description: String,
    instructions: String,
    tools: Vec<Arc<dyn Tool>>,
    limits: Limits,
    execute_tools: bool,
    template: ChatRequest,
}

impl AgentBuilder {
    /// Says what the agent is for, as other agents and people see it.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the system message; it reaches the model byte by byte as written.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// Adds a tool.
    pub fn tool(mut self, tool: impl Tool + 'static) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Adds tools that others use too.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Sets how many model calls a run may make; 10 where not set.
    pub fn max_iterations(mut self, calls: u32) -> Self {
        self.limits.max_iterations = calls;
        self
    }

    /// Sets how many tools may run at the same time; 8 where not set, 1 runs them one after the other.
    pub fn max_parallel_tools(mut self, tools: usize) -> Self {
        self.limits.max_parallel_tools = tools;
        self
    }

    /// Sets how long a tool may take that names no limit itself; 60 seconds where not set.
    pub fn tool_timeout(mut self, timeout: Duration) -> Self {
        self.limits.tool_timeout = timeout;
        self
    }

    /// Sets after how many characters a tool's result is cut; 100,000 where not set.
    pub fn max_tool_result_chars(mut self, characters: usize) -> Self {
        self.limits.max_tool_result_chars = characters;
        self
    }

    /// Runs tools that the model calls, which is the default, or ends the run and leaves them to the caller.
    pub fn execute_tools(mut self, execute: bool) -> Self {
        self.execute_tools = execute;
        self
    }

    /// Sets whether a tool must be called; a forced choice holds for the first call of a run only.
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.template.tool_choice = choice;
        self
    }

    /// Sets whether the model may call several tools in one answer; the provider's default where not set.
    pub fn parallel_tool_calls(mut self, parallel: bool) -> Self {
        self.template.parallel_tool_calls = Some(parallel);
        self
    }

    /// Sets the form of the answer that the model is asked for.
    pub fn output(mut self, output: Output) -> Self {
        self.template.output = output;
        self
    }

    /// Sets sampling options.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.template.sampling = sampling;
        self
    }

    /// Sets how hard a reasoning model should think.
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.template.reasoning_effort = Some(effort);
        self
    }

    /// Sets the upper limit of output tokens of each model call.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.template.max_tokens = Some(tokens);
        self
    }

    /// Sets texts that end an answer.
    pub fn stop(mut self, stop: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.template.stop = stop.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a label for the run log and for providers that keep labels.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.template.metadata.insert(name.into(), value.into());
        self
    }

    /// Adds a field to the provider's request body; it wins over what Motet would write there.
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.template.extra.insert(name.into(), value.into());
        self
    }

    /// Checks the definition and compiles the tools' schemas, once for all runs.
    ///
    /// # Errors
    /// `Configuration` when a bound is zero, or a tool's name or schema is unusable.
    pub fn build(self) -> Result<Agent> {
        let zero = [
            ("max_iterations", self.limits.max_iterations == 0),
            ("max_parallel_tools", self.limits.max_parallel_tools == 0),
            ("max_tool_result_chars", self.limits.max_tool_result_chars == 0),
            ("tool_timeout", self.limits.tool_timeout.is_zero()),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(Error::new(ErrorKind::Configuration, format!("`{name}` is zero"))
                .with_context("agent", self.name)
                .with_hint("give it a value of at least 1, or leave it out for the default"));
        }
        let specs = self.tools.iter().map(|tool| tool.spec().clone()).collect();
        Ok(Agent(Arc::new(Definition {
            tool_set: Arc::new(ToolSet::new(specs).map_err(|error| error.with_context("agent", &self.name))?),
            name: self.name,
            description: self.description,
            instructions: self.instructions,
            tools: self.tools,
            limits: self.limits,
            execute_tools: self.execute_tools,
            template: self.template,
        })))
    }
}

/// What a run starts from: a text, a message, or a whole conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompt(pub Vec<Message>);

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self(vec![Message::user(text)])
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self(vec![Message::user(text)])
    }
}

impl From<Message> for Prompt {
    fn from(message: Message) -> Self {
        Self(vec![message])
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Self {
        Self(messages)
    }
}

#[cfg(test)]
mod tests {
    use motet_core::request::ToolSpec;
    use serde_json::json;

    use super::*;
    use crate::function::dynamic;
    use crate::machine::Action;

    fn builder() -> AgentBuilder {
        Agent::builder("a", "scripted:test".parse().unwrap())
    }

    fn tool(name: &str, parameters: Value) -> impl Tool + use<> {
        let spec = ToolSpec::new(name, "", parameters);
        dynamic(spec, |_, _| async { Ok(motet_core::ToolOutput::text("")) })
    }

    #[test]
    fn a_definition_that_cannot_work_is_refused_with_the_reason() {
        let object = json!({"type": "object"});
        for (builder, message) in [
            (builder().max_iterations(0), "`max_iterations` is zero (agent: a)"),
            (builder().tool_timeout(Duration::ZERO), "`tool_timeout` is zero (agent: a)"),
            (
                builder().tool(tool("x", object.clone())).tool(tool("x", object.clone())),
                "two tools are named `x` (agent: a)",
            ),
            (builder().tool(tool("a b", object)), "`a b` cannot be the name of a tool (agent: a)"),
            (
                builder().tool(tool("x", json!({"type": "string"}))),
                "the parameters of tool `x` are not an object schema (agent: a)",
            ),
            (
                builder().tool(tool("x", json!({"type": "object", "required": 1}))),
                "the parameters of tool `x` are not a JSON schema: 1 is not of type \"array\" (agent: a)",
            ),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, message));
        }
    }

    #[test]
    fn instructions_reach_the_model_as_written_and_once() {
        let text = "Line <one>\n\n  & \"two\"\n";
        let agent = builder().instructions(text).build().unwrap();
        let first = agent.begin(Prompt::from("hi"));
        let again = agent.begin(Prompt(vec![Message::system(text), Message::user("hi")]));
        for mut run in [first, again] {
            let Action::CallModel { request, .. } = run.next_action() else { unreachable!() };
            assert_eq!(request.messages, [Message::system(text), Message::user("hi")]);
        }
    }
}
