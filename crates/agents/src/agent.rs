//! What an agent is: a model, instructions, tools, and bounds. How it runs is the machine's and the drivers' matter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, Sampling, ToolChoice};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Model, ModelId, Result, Role, Tool};
use schemars::JsonSchema;
use serde_json::Value;

use crate::approval::ApprovalPolicy;
use crate::function::schema_of;
use crate::guardrails::{Guardrails, Reviewer};
use crate::handoff::{Handoff, tool_name};
use crate::hooks::{HookEntry, Hooks};
use crate::machine::{AgentRun, Condense, ExpectedOutput, RunLimits, Successor, ToolSet};
use crate::prompt::PromptTemplate;
use crate::routing::ToolRouter;

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
    handoffs: Vec<Handoff>,
    limits: Limits,
    execute_tools: bool,
    expected: Option<Arc<ExpectedOutput>>,
    hooks: Hooks,
    guardrails: Guardrails,
    reviewer: Option<Reviewer>,
    approvals: ApprovalPolicy,
    router: Option<ToolRouter>,
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
    /// How often an answer that does not satisfy its schema is asked for again; 2 by default.
    pub max_repairs: u32,
    /// How often an answer that a guardrail sends back is asked for again; 3 by default.
    pub max_rewrites: u32,
    /// How often the same calls may give the same results before the run counts as stuck; 5 by default, 0 for no limit.
    pub max_repeated_rounds: u32,
    /// Rounds in a row of which no call could be run before the run counts as stuck; 5 by default, 0 for no limit.
    pub max_refused_rounds: u32,
    /// How the results of old rounds are shortened in requests; they are not by default.
    pub condense: Option<Condense>,
}

impl Default for Limits {
    fn default() -> Self {
        let run = RunLimits::default();
        Self {
            max_iterations: run.max_model_calls,
            max_parallel_tools: 8,
            tool_timeout: Duration::from_secs(60),
            max_tool_result_chars: run.max_tool_result_chars,
            max_repairs: run.max_repairs,
            max_rewrites: run.max_rewrites,
            max_repeated_rounds: run.max_repeated_rounds,
            max_refused_rounds: run.max_refused_rounds,
            condense: run.condense,
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
            unwritten: None,
            tools: Vec::new(),
            handoffs: Vec::new(),
            limits: Limits::default(),
            execute_tools: true,
            hooks: Hooks::default(),
            guardrails: Guardrails::default(),
            approvals: ApprovalPolicy::default(),
            router: None,
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

    /// Gives the request of a first model call: the instructions are put in front, unless the input begins with them
    /// already.
    pub(crate) fn request(&self, mut messages: Vec<Message>) -> ChatRequest {
        let instructions = &self.0.instructions;
        if !instructions.is_empty() && !messages.is_empty() && !begins_with(&messages, instructions) {
            messages.insert(0, Message::system(instructions.clone()));
        }
        ChatRequest { messages, ..self.0.template.clone() }
    }

    /// Starts the machine of a run on such a request.
    pub(crate) fn begin(&self, prompt: Prompt) -> AgentRun {
        let request = self.request(prompt.0);
        let Limits { max_repairs, max_rewrites, max_repeated_rounds, max_refused_rounds, .. } = self.0.limits;
        let limits = RunLimits {
            max_model_calls: self.0.limits.max_iterations,
            max_tool_result_chars: self.0.limits.max_tool_result_chars,
            execute_tools: self.0.execute_tools,
            max_repairs,
            max_rewrites,
            max_repeated_rounds,
            max_refused_rounds,
            condense: self.0.limits.condense,
        };
        AgentRun::new(request, Arc::clone(&self.0.tool_set), limits).expecting(self.0.expected.clone())
    }

    /// Lets a run of another agent go on as this one.
    pub(crate) fn take_over(&self, run: &mut AgentRun, from: &Agent) {
        run.hand_over(Successor {
            request: self.0.template.clone(),
            tools: Arc::clone(&self.0.tool_set),
            expected: self.0.expected.clone(),
            former_instructions: from.instructions(),
            instructions: &self.0.instructions,
        });
    }

    /// Gives the agents that it may give its run away to; their tools stand behind its own.
    #[must_use]
    pub fn handoffs(&self) -> &[Handoff] {
        &self.0.handoffs
    }

    /// Gives the hooks that are called during its runs.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.0.hooks
    }

    /// Gives what looks at the texts of its runs.
    #[must_use]
    pub fn guardrails(&self) -> &Guardrails {
        &self.0.guardrails
    }

    /// Gives who has the guardrails look; `None` where there are none.
    pub(crate) fn reviewer(&self) -> Option<&Reviewer> {
        self.0.reviewer.as_ref()
    }

    /// Gives which calls a person must agree to.
    #[must_use]
    pub fn approvals(&self) -> &ApprovalPolicy {
        &self.0.approvals
    }

    /// Gives how its tools are selected; `None` where all are always offered.
    #[must_use]
    pub fn router(&self) -> Option<&ToolRouter> {
        self.0.router.as_ref()
    }

    /// Gives whether a tool must be called at first.
    pub(crate) fn tool_choice(&self) -> &ToolChoice {
        &self.0.template.tool_choice
    }

    /// Gives its tools and handoffs with their schemas compiled.
    pub(crate) fn tool_set(&self) -> &ToolSet {
        &self.0.tool_set
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
    /// Instructions that are written when all tools are known.
    unwritten: Option<(PromptTemplate, Value)>,
    tools: Vec<Arc<dyn Tool>>,
    handoffs: Vec<Handoff>,
    limits: Limits,
    execute_tools: bool,
    hooks: Hooks,
    guardrails: Guardrails,
    approvals: ApprovalPolicy,
    router: Option<ToolRouter>,
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
        self.unwritten = None;
        self
    }

    /// Sets the system message by a template that is written when the agent is built; `tools` is there with the name and
    /// the description of each of its tools.
    pub fn instructions_template(mut self, template: &PromptTemplate, variables: impl Into<Value>) -> Self {
        self.unwritten = Some((template.clone(), variables.into()));
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

    /// Sets how often an answer that does not satisfy its schema is asked for again; 2 where not set.
    pub fn max_repairs(mut self, turns: u32) -> Self {
        self.limits.max_repairs = turns;
        self
    }

    /// Sets how often an answer that a guardrail sends back is asked for again; 3 where not set.
    pub fn max_rewrites(mut self, turns: u32) -> Self {
        self.limits.max_rewrites = turns;
        self
    }

    /// Sets how often the same calls may give the same results; 5 where not set, 0 for no limit.
    pub fn max_repeated_rounds(mut self, rounds: u32) -> Self {
        self.limits.max_repeated_rounds = rounds;
        self
    }

    /// Sets how many rounds in a row may hold no call that can be run; 5 where not set, 0 for no limit.
    pub fn max_refused_rounds(mut self, rounds: u32) -> Self {
        self.limits.max_refused_rounds = rounds;
        self
    }

    /// Shortens in requests what tools answered in older rounds; calls, arguments, and the result's transcript stay whole.
    pub fn condense(mut self, rules: Condense) -> Self {
        self.limits.condense = Some(rules);
        self
    }

    /// Allows to give the run away to another agent, which goes on with the same conversation.
    pub fn handoff(mut self, agent: Agent, model: Arc<dyn Model>) -> Self {
        self.handoffs.push(Handoff { agent, model });
        self
    }

    /// Adds a hook behind those that are there.
    pub fn hook(mut self, hook: HookEntry) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Adds hooks behind those that are there.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// Has guardrails look at what is said in its runs, behind those that are there.
    pub fn guardrails(mut self, guardrails: Guardrails) -> Self {
        self.guardrails = self.guardrails.and(guardrails);
        self
    }

    /// Says which calls a person must agree to; those whose tool says so where not said.
    pub fn approvals(mut self, policy: ApprovalPolicy) -> Self {
        self.approvals = policy;
        self
    }

    /// Has the tools that a run is offered selected, where there are many.
    pub fn router(mut self, router: ToolRouter) -> Self {
        self.router = Some(router);
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

    /// Asks for JSON that a Rust type can be read from; [`AgentResult::value_as`] reads it.
    ///
    /// [`AgentResult::value_as`]: crate::AgentResult::value_as
    pub fn output_type<T: JsonSchema>(self) -> Self {
        let name = tool_name(&T::schema_name());
        self.output(Output::JsonSchema(JsonSchemaOutput { name, schema: schema_of::<T>(), strict: true }))
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
    /// `Configuration` when a bound is zero, a tool's name or schema is unusable, or the template of the instructions
    /// cannot be written.
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
        let own = self.tools.iter().map(|tool| tool.spec().clone());
        let specs = own.chain(self.handoffs.iter().map(Handoff::spec)).collect();
        let named = |error: Error| error.with_context("agent", &self.name);
        let instructions = match &self.unwritten {
            Some((template, variables)) => {
                template.render_with_tools(variables, &self.tools).map_err(named)?
            }
            None => self.instructions,
        };
        let expected = ExpectedOutput::of(&self.template).map_err(named)?.map(Arc::new);
        Ok(Agent(Arc::new(Definition {
            tool_set: Arc::new(ToolSet::new(specs).map_err(named)?),
            name: self.name,
            description: self.description,
            instructions,
            tools: self.tools,
            handoffs: self.handoffs,
            limits: self.limits,
            execute_tools: self.execute_tools,
            expected,
            reviewer: (!self.guardrails.is_empty()).then(|| Reviewer::new(&self.guardrails, &self.hooks)),
            hooks: self.hooks,
            guardrails: self.guardrails,
            approvals: self.approvals,
            router: self.router,
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
