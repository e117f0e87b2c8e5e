//! What a program adds to an agent that is written down: functions as tools, hooks, and guardrails, and other agents.
//!
//! What is written is stored with a run; what is added here is not, and is given again when the run is resumed.

use std::sync::Arc;
use std::time::Duration;

use motet_agents::guardrails::{Guardrail, GuardrailSpec, OnFailure};
use motet_agents::{Agent, AgentBuilder, AgentTool, Guardrails, GuardrailsSpec, HookEntry, HookSpec};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::{ModelId, RunContext, Tool};

use super::{AgentFile, AgentSpec, Surroundings};
use crate::runtime::Runtime;

/// An agent that is written down, with what a program adds to it.
#[derive(Debug, Clone)]
pub struct Extended {
    /// What is written.
    pub file: AgentFile,
    /// What is added.
    pub additions: Additions,
}

/// What a program adds to an agent, each list behind what is written.
#[derive(Clone, Default)]
pub struct Additions {
    /// What it may call.
    pub tools: Vec<AddedTool>,
    /// Agents that it may give its run away to.
    pub handoffs: Vec<Extended>,
    /// What is called at stages of its runs.
    pub hooks: Vec<AddedHook>,
    /// What looks at the texts of its runs.
    pub guardrails: Vec<AddedGuardrail>,
}

/// A tool that a program adds.
#[derive(Clone)]
#[non_exhaustive]
pub enum AddedTool {
    /// A function.
    Tool(Arc<dyn Tool>),
    /// Another agent, which works on what it is asked and answers.
    Agent(Box<Extended>),
}

/// A hook that a program adds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AddedHook {
    /// One that is registered, in its place among functions.
    Named(HookSpec),
    /// A function.
    Function(HookEntry),
}

/// A guardrail that a program adds.
#[derive(Clone)]
#[non_exhaustive]
pub enum AddedGuardrail {
    /// A ready-made or registered one, in its place among functions.
    Written(GuardrailSpec),
    /// A function.
    Function {
        /// The guardrail.
        guardrail: Arc<dyn Guardrail>,
        /// What its failure means.
        on_failure: OnFailure,
        /// How long a look may take.
        timeout: Duration,
    },
}

impl std::fmt::Debug for Additions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Additions {
    /// Gives the name of each, by kind.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let tools = self.tools.iter().map(|tool| match tool {
            AddedTool::Tool(tool) => format!("tool {}", tool.spec().name),
            AddedTool::Agent(agent) => format!("agent {}", agent.file.name()),
        });
        let handoffs = self.handoffs.iter().map(|agent| format!("handoff {}", agent.file.name()));
        let hooks = self.hooks.iter().map(|hook| match hook {
            AddedHook::Named(spec) => format!("hook {}", spec.name),
            AddedHook::Function(entry) => format!("hook {}", entry.name()),
        });
        let guardrails = self.guardrails.iter().map(|guardrail| match guardrail {
            AddedGuardrail::Written(_) => "guardrail".to_owned(),
            AddedGuardrail::Function { guardrail, .. } => format!("guardrail {}", guardrail.name()),
        });
        tools.chain(handoffs).chain(hooks).chain(guardrails).collect()
    }
}

impl Runtime {
    /// Builds an agent that is written down, with what a program adds to it.
    ///
    /// # Errors
    /// `Configuration` when it cannot be built; what keeps a server from being reached.
    pub async fn build_extended(&self, context: &RunContext, agent: &Extended) -> Result<Agent> {
        let (spec, surroundings) = self.whole(&agent.file)?;
        self.built_with(context, &spec, &surroundings, &agent.additions).await
    }

    pub(super) async fn built_with(
        &self,
        context: &RunContext,
        spec: &AgentSpec,
        surroundings: &Surroundings,
        additions: &Additions,
    ) -> Result<Agent> {
        let mut tools: Vec<Arc<dyn Tool>> = Vec::with_capacity(additions.tools.len());
        for added in &additions.tools {
            tools.push(match added {
                AddedTool::Tool(tool) => Arc::clone(tool),
                AddedTool::Agent(inner) => {
                    let (agent, model) = self.called(context, inner, spec.model.as_ref()).await?;
                    let tool = AgentTool::new(agent, model);
                    Arc::new(match inner.file.spec.limits.timeout {
                        Some(timeout) => tool.timeout(timeout),
                        None => tool,
                    })
                }
            });
        }
        let mut builder = self.written_agent(context, spec, surroundings, tools).await?;
        for other in &additions.handoffs {
            let (agent, model) = self.called(context, other, spec.model.as_ref()).await?;
            builder = builder.handoff(agent, model);
        }
        for hook in &additions.hooks {
            builder = builder.hook(match hook {
                AddedHook::Named(spec) => self.named_hook(spec)?,
                AddedHook::Function(entry) => entry.clone(),
            });
        }
        self.guarded(builder, &additions.guardrails).await?.build()
    }

    /// Builds an agent that another one calls, or gives its run away to.
    async fn called(
        &self,
        context: &RunContext,
        agent: &Extended,
        model: Option<&ModelId>,
    ) -> Result<(Agent, Arc<dyn motet_core::Model>)> {
        if !agent.file.spec.limits.budget.is_empty() {
            let message = format!("`{}` has a budget, and is called by another agent", agent.file.name());
            return Err(Error::new(ErrorKind::Configuration, message)
                .with_hint("what it spends counts for the agent that is run; set the budget there"));
        }
        let mut agent = agent.clone();
        agent.file.spec.model = agent.file.spec.model.or_else(|| model.cloned());
        // What is looked up for it in the log stands below its own name.
        let context = context.child(&agent.file.name());
        let built = Box::pin(self.build_extended(&context, &agent)).await?;
        let model = self.models().model(built.model()).await?;
        Ok((built, model))
    }

    async fn guarded(&self, mut builder: AgentBuilder, added: &[AddedGuardrail]) -> Result<AgentBuilder> {
        for guardrail in added {
            builder = builder.guardrails(match guardrail {
                AddedGuardrail::Written(spec) => {
                    let spec = GuardrailsSpec(vec![spec.clone()]);
                    spec.build(&*self.models(), &self.guardrail_registry()).await?
                }
                AddedGuardrail::Function { guardrail, on_failure, timeout } => {
                    Guardrails::default().with_rules(Arc::clone(guardrail), *on_failure, *timeout)
                }
            });
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use motet_agents::dynamic;
    use motet_core::request::ToolSpec;
    use motet_core::{ErrorKind, ToolOutput};
    use motet_providers::scripted::{Answer, ScriptedModel};
    use serde_json::{Value, json};

    use super::super::Keeping;
    use super::*;

    fn written(value: &Value) -> AgentFile {
        Runtime::read_agent_value(value).unwrap_or_else(|_| panic!("{value}"))
    }

    fn added(tool: &str) -> Additions {
        let spec = ToolSpec::new(tool, "", json!({"type": "object"}));
        let tool = dynamic(spec, |_, _| async { Ok(ToolOutput::text("done")) });
        Additions { tools: vec![AddedTool::Tool(Arc::new(tool))], ..Additions::default() }
    }

    fn runtime() -> Runtime {
        let store = motet_persistence::open("memory:").unwrap();
        let runtime = Runtime::with_defaults().unwrap().with_store(store).unwrap();
        let asks = Answer::tool_call("pay", &json!({})).when_turn(0);
        let model = ScriptedModel::answers([asks, Answer::text("paid").when_turn(1)]);
        runtime.add_model("scripted:lab".parse().unwrap(), Arc::new(model));
        runtime
    }

    #[tokio::test]
    async fn what_is_written_is_stored_and_what_is_added_is_given_again() {
        let runtime = runtime();
        let file = written(&json!({"name": "till", "model": "scripted:lab", "approvals": "always"}));
        let context = RunContext::new();
        let agent = Extended { file, additions: added("pay") };
        let parked = runtime.run_agent(&context, agent, "pay", Keeping::InStore).await.unwrap();
        assert_eq!(parked.outcome.as_str(), "waiting");
        let run = context.run_id();
        let approve = motet_core::decision::Decision::Approve { arguments: None };
        runtime.decide(run, None, approve).await.unwrap();
        let fresh = RunContext::new();
        for error in [
            runtime.resume_agent(&fresh, run).await.unwrap_err(),
            runtime.resume_agent_with(&fresh, run, &added("other")).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("began with `tool pay` of a program"), "{error}");
        }
        let result = runtime.resume_agent_with(&fresh, run, &added("pay")).await.unwrap();
        assert_eq!((result.text.as_str(), result.tool_history[0].result.as_str()), ("paid", "done"));
    }

    #[tokio::test]
    async fn an_agent_that_another_one_calls_has_no_budget_of_its_own_and_the_model_of_that_one() {
        let runtime = runtime();
        let outer = || written(&json!({"name": "outer", "model": "scripted:lab"}));
        let with = |inner: Value| {
            let inner = Extended { file: written(&inner), additions: Additions::default() };
            let tools = vec![AddedTool::Agent(Box::new(inner))];
            Extended { file: outer(), additions: Additions { tools, ..Additions::default() } }
        };
        let paid = with(json!({"name": "inner", "limits": {"budget": {"usd": 1}}}));
        let error = runtime.build_extended(&RunContext::new(), &paid).await.unwrap_err();
        assert!(error.message().contains("`inner` has a budget"), "{error}");
        let plain = with(json!({"name": "inner"}));
        let built = runtime.build_extended(&RunContext::new(), &plain).await.unwrap();
        assert_eq!(built.tools()[0].spec().name, "inner");
    }
}
