//! Makes an agent of what its file says: model, bounds, programs, and the tools of servers.

use std::path::PathBuf;
use std::sync::Arc;

use motet_agents::{Agent, AgentBuilder, AgentTool, ApprovalPolicy, Condense, PromptTemplate, ToolRouter};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::mcp::ServerConfig;
use motet_core::{RunContext, Tool};
use motet_providers::command::{CommandTool, Environment};
use serde::{Deserialize, Serialize};

use super::offered::Server;
use super::select::select;
use super::{AgentEntry, AgentSpec, Approvals, RouterSpec, ToolEntry, ToolLine};
use crate::runtime::Runtime;
use crate::written;

/// Where an agent's relative paths start, and where its programs run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// Directory of its file.
    pub base: PathBuf,
    /// Directory of programs and servers that name none: the one in which the run was begun.
    pub directory: PathBuf,
}

impl Runtime {
    /// Builds an agent of what its file says. Servers are connected to when their tools are not in the run's log yet, and
    /// otherwise when one is called.
    ///
    /// # Errors
    /// `Configuration` when it cannot be built; what keeps a server from being reached.
    pub async fn build_agent(
        &self,
        context: &RunContext,
        spec: &AgentSpec,
        surroundings: &Surroundings,
    ) -> Result<Agent> {
        self.written_agent(context, spec, surroundings, Vec::new()).await?.build()
    }

    /// Begins an agent with everything that its file says, and the tools that a program adds.
    pub(super) async fn written_agent(
        &self,
        context: &RunContext,
        spec: &AgentSpec,
        surroundings: &Surroundings,
        added: Vec<Arc<dyn Tool>>,
    ) -> Result<AgentBuilder> {
        let registry = self.guardrail_registry();
        let guardrails = spec.guardrails.build(&*self.models(), &registry).await?;
        let mut listed = Vec::with_capacity(spec.tools.len());
        for (line, command) in spec.tools.iter().zip(self.commands(spec, surroundings)?) {
            let tools = match (&line.tool, command) {
                (_, Some(tool)) => vec![tool],
                (ToolEntry::Mcp { name, server }, None) => {
                    self.offered_by(context, (name, server), surroundings).await?
                }
                (ToolEntry::Agent(AgentEntry::Whole { spec, base }), None) => {
                    let inner = Surroundings { base: base.clone(), ..surroundings.clone() };
                    vec![self.agent_tool(context, spec, &inner).await?]
                }
                _ => Vec::new(),
            };
            listed.push(tools);
        }
        let mut builder = self.builder(spec)?.guardrails(guardrails).tools(select(spec, listed, added)?);
        if let Some(router) = &spec.router {
            builder = builder.router(self.router(spec, router).await?);
        }
        Ok(builder)
    }

    async fn offered_by(
        &self,
        context: &RunContext,
        (name, server): (&str, &ServerConfig),
        surroundings: &Surroundings,
    ) -> Result<Vec<Arc<dyn Tool>>> {
        let mut config = self.reached(name, server)?;
        let directory = config
            .directory
            .map_or_else(|| surroundings.directory.clone(), |directory| surroundings.base.join(directory));
        config.directory = Some(directory.to_string_lossy().into_owned());
        Server::new(self, name, config).tools(context, server).await
    }

    async fn agent_tool(
        &self,
        context: &RunContext,
        spec: &AgentSpec,
        surroundings: &Surroundings,
    ) -> Result<Arc<dyn Tool>> {
        // What is looked up for it in the log stands below its own name.
        let context = context.child(spec.name.as_deref().unwrap_or_default());
        let agent = Box::pin(self.build_agent(&context, spec, surroundings)).await?;
        let model = self.models().model(agent.model()).await?;
        let tool = AgentTool::new(agent, model);
        Ok(Arc::new(match spec.limits.timeout {
            Some(timeout) => tool.timeout(timeout),
            None => tool,
        }))
    }

    async fn router(&self, spec: &AgentSpec, router: &RouterSpec) -> Result<ToolRouter> {
        let model = router.model.clone().or_else(|| spec.model.clone());
        let id = model.map_or_else(|| self.default_model(), Ok)?;
        let model = self.models().model(&id).await?;
        let made = ToolRouter::new(id, model).always(&router.always);
        Ok(match router.threshold {
            Some(tools) => made.threshold(tools),
            None => made,
        })
    }

    /// Gives how a server is reached. What settings know of one is looked up for every run and not stored with it, as it
    /// may hold secrets.
    pub(super) fn reached(&self, name: &str, written: &ServerConfig) -> Result<ServerConfig> {
        if written.command.is_some() || written.url.is_some() {
            return Ok(written.clone());
        }
        let mut config = self.named_server(name)?.config;
        if written.prefix.is_some() {
            config.prefix.clone_from(&written.prefix);
        }
        for (own, given) in [(&mut config.only, &written.only), (&mut config.without, &written.without)] {
            if !given.is_empty() {
                own.clone_from(given);
            }
        }
        Ok(config)
    }

    /// Makes the tools that are programs, in the places of their lines.
    pub(super) fn commands(
        &self,
        spec: &AgentSpec,
        surroundings: &Surroundings,
    ) -> Result<Vec<Option<Arc<dyn Tool>>>> {
        let runtime = self.clone();
        let environment: Environment =
            Arc::new(move |name| runtime.loaded().variable(name).map(|value| value.expose().to_owned()));
        let command = |line: &ToolLine| match &line.tool {
            ToolEntry::Command(command) => {
                let Surroundings { base, directory } = surroundings;
                let tool = CommandTool::new((**command).clone(), base, directory, Arc::clone(&environment))?;
                Ok(Some(Arc::new(tool) as Arc<dyn Tool>))
            }
            _ => Ok(None),
        };
        spec.tools.iter().map(command).collect()
    }

    /// Begins an agent with everything but its tools.
    pub(super) fn builder(&self, spec: &AgentSpec) -> Result<AgentBuilder> {
        let model = spec.model.clone().map_or_else(|| self.default_model(), Ok)?;
        let mut builder = self
            .agent(spec.name.clone().unwrap_or_default(), model)
            .description(&spec.description)
            .instructions(spec.instructions.clone().unwrap_or_default())
            .sampling(spec.sampling.clone())
            .tool_choice(spec.tool_choice.clone())
            .stop(spec.stop.iter().map(String::as_str))
            .approvals(approvals(spec));
        if let Some(template) = &spec.instructions_template {
            let template = PromptTemplate::new(template.as_str())?;
            builder = builder.instructions_template(&template, spec.variables.clone());
        }
        for hook in &spec.hooks {
            builder = builder.hook(self.named_hook(hook)?);
        }
        if let Some(schema) = &spec.output {
            if !schema.is_object() {
                return Err(Error::new(ErrorKind::Configuration, "`output` is no JSON schema"));
            }
            builder = builder.output(written::schema(schema.clone()));
        }
        if let Some(effort) = spec.reasoning_effort {
            builder = builder.reasoning_effort(effort);
        }
        if let Some(tokens) = spec.max_tokens {
            builder = builder.max_tokens(tokens);
        }
        if let Some(parallel) = spec.parallel_tool_calls {
            builder = builder.parallel_tool_calls(parallel);
        }
        if let Some(rules) = spec.condense {
            builder =
                builder.condense(Condense { keep_rounds: rules.keep_rounds, max_chars: rules.max_chars });
        }
        for (name, value) in &spec.metadata {
            builder = builder.metadata(name, value.clone());
        }
        for (name, value) in &spec.extra {
            builder = builder.extra(name, value.clone());
        }
        Ok(limited(builder, spec))
    }
}

/// Gives which calls a person must agree to.
pub(super) fn approvals(spec: &AgentSpec) -> ApprovalPolicy {
    match &spec.approvals {
        Approvals::Tools => ApprovalPolicy::AsTools,
        Approvals::Always => ApprovalPolicy::Always,
        Approvals::Never => ApprovalPolicy::Never,
        Approvals::Named(names) => ApprovalPolicy::Named(names.clone()),
    }
}

fn limited(mut builder: AgentBuilder, spec: &AgentSpec) -> AgentBuilder {
    let limits = &spec.limits;
    if let Some(calls) = limits.max_iterations {
        builder = builder.max_iterations(calls);
    }
    if let Some(tools) = limits.max_parallel_tools {
        builder = builder.max_parallel_tools(tools);
    }
    if let Some(timeout) = limits.tool_timeout {
        builder = builder.tool_timeout(timeout);
    }
    if let Some(characters) = limits.max_tool_result_chars {
        builder = builder.max_tool_result_chars(characters);
    }
    if let Some(turns) = limits.max_repairs {
        builder = builder.max_repairs(turns);
    }
    if let Some(turns) = limits.max_rewrites {
        builder = builder.max_rewrites(turns);
    }
    if let Some(rounds) = limits.max_repeated_rounds {
        builder = builder.max_repeated_rounds(rounds);
    }
    if let Some(rounds) = limits.max_refused_rounds {
        builder = builder.max_refused_rounds(rounds);
    }
    builder
}
