//! Runs of agents: from a file or built in code, kept in the store or not, parked for people, and resumed elsewhere.
//!
//! The loop itself is that of `motet_agents`; here it gets its model, its tools, its journal, and its lease.

mod additions;
mod build;
mod decisions;
mod events;
mod file;
mod kept;
mod offered;
mod select;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use motet_agents::{Agent, AgentResult, Outcome, Prompt};
use motet_core::budget::{Amount, Ledger, Limits, MemoryBudget};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventSink;
use motet_core::model::Model;
use motet_core::run_log::Costs;
use motet_core::store::{RunState, Sequenced};
use motet_core::{Message, RunContext, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use additions::{AddedGuardrail, AddedHook, AddedTool, Additions, Extended};
pub use build::Surroundings;
pub use events::AgentEvents;
pub use file::AgentFile;
pub use motet_workflows::agent_file::{
    AgentEntry, AgentSpec, Approvals, BudgetSpec, CodeLimits, CodeSpec, CondenseSpec, LimitsSpec,
    OfferedSpec, RouterSpec, ToolEntry, ToolLine,
};

use crate::report;
use crate::runtime::Runtime;
use kept::Kept;

/// The kind under which runs of agents are stored.
pub const KIND: &str = "agent";

/// Whether a run of an agent is kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keeping {
    /// It ends with the process, as does what it did not finish.
    #[default]
    Nowhere,
    /// It is kept under the id of its context, which must not be that of a part of another run: such a run is kept with
    /// the one around it.
    InStore,
}

/// What runs: an agent of a file, or one that was built in code.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AgentSource {
    /// It is stored whole with its runs, so that any process can go on with them.
    File(Box<AgentFile>),
    /// Its functions cannot be stored; see [`Runtime::resume_agent_as`].
    Built(Agent),
    /// What is written of it is stored, its functions are not; see [`Runtime::resume_agent_with`].
    Extended(Box<Extended>),
}

impl From<Extended> for AgentSource {
    fn from(extended: Extended) -> Self {
        AgentSource::Extended(Box::new(extended))
    }
}

impl From<AgentFile> for AgentSource {
    fn from(file: AgentFile) -> Self {
        AgentSource::File(Box::new(file))
    }
}

impl From<Agent> for AgentSource {
    fn from(agent: Agent) -> Self {
        AgentSource::Built(agent)
    }
}

/// What a run of an agent does, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgentDefinition {
    /// The agent with everything that its file leaves to settings and other files; `None` where it was built in code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<Box<AgentSpec>>,
    pub(crate) name: String,
    pub(crate) prompt: Vec<Message>,
    #[serde(default)]
    pub(crate) surroundings: Surroundings,
    /// Names of what a program added, without which it cannot run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) additions: Vec<String>,
}

/// What a program brings to a run that cannot be stored.
enum Code {
    Nothing,
    Agent(Agent),
    Additions(Additions),
}

impl Code {
    /// Tells whether all is there that a stored run needs.
    fn suffices(&self, definition: &AgentDefinition) -> bool {
        match self {
            Code::Nothing => definition.agent.is_some() && definition.additions.is_empty(),
            Code::Agent(_) => true,
            Code::Additions(additions) => {
                definition.agent.is_some() && definition.additions == additions.names()
            }
        }
    }
}

impl AgentDefinition {
    pub(crate) fn read(value: Value) -> Result<Self> {
        serde_json::from_value(value).map_err(|error| {
            Error::new(ErrorKind::Store, "the stored agent cannot be read")
                .with_hint("it may come from another version of Motet")
                .with_source(error)
        })
    }
}

/// A run that is about to go.
pub(crate) struct Ready {
    pub(crate) runtime: Runtime,
    pub(crate) context: RunContext,
    pub(crate) agent: Agent,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) prompt: Prompt,
    pub(crate) kept: Option<Kept>,
}

impl Ready {
    async fn run(self) -> Result<AgentResult> {
        let Ready { runtime, context, agent, model, prompt, kept } = self;
        let begun = Instant::now();
        let result = motet_agents::run(&context, &agent, model, prompt).await;
        runtime.record_agent(&context, &agent, &result, begun.elapsed());
        match kept {
            Some(kept) => kept.end(&context, result).await,
            None => Ok(result),
        }
    }

    fn stream(self) -> AgentEvents {
        AgentEvents::new(self)
    }
}

impl Runtime {
    /// Runs an agent to its end, or until a person must decide, and gives the result, whatever the outcome.
    ///
    /// A run that is kept and waits is parked in the store: [`decide`](Self::decide) answers its questions and
    /// [`resume_agent`](Self::resume_agent) goes on with it, in this process or another, now or in a month.
    ///
    /// ```
    /// use motet::agent::Keeping;
    /// use motet::{RunContext, Runtime};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let runtime = Runtime::with_defaults()?;
    /// let agent = runtime.agent("clerk", "offline:extract".parse()?).build()?;
    /// let question = "Who wrote the letter?\n\nThe letter was written by Ada Brook.";
    /// let result = runtime.run_agent(&RunContext::new(), agent, question, Keeping::Nowhere).await?;
    /// assert!(result.text.contains("Ada Brook"));
    /// # Ok::<(), motet::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Configuration` when the agent cannot be built, `Conflict` when a run of this id is there already, `InvalidRequest`
    /// when a part of another run is to be kept, `Store` when it cannot be kept. How the run itself ended stands in the
    /// result.
    pub async fn run_agent(
        &self,
        context: &RunContext,
        source: impl Into<AgentSource>,
        prompt: impl Into<Prompt>,
        keeping: Keeping,
    ) -> Result<AgentResult> {
        self.begin_agent(context, source.into(), prompt.into(), keeping).await?.run().await
    }

    /// Runs an agent as [`run_agent`](Self::run_agent) does, and gives the events as they come.
    ///
    /// # Errors
    /// As [`run_agent`](Self::run_agent); how the run itself ended is the last event, and the result behind it.
    pub async fn stream_agent(
        &self,
        context: &RunContext,
        source: impl Into<AgentSource>,
        prompt: impl Into<Prompt>,
        keeping: Keeping,
    ) -> Result<AgentEvents> {
        Ok(self.begin_agent(context, source.into(), prompt.into(), keeping).await?.stream())
    }

    /// Goes on with a kept run of an agent where it stopped: recorded answers of models and tools are not asked for again.
    ///
    /// A completed run gives its result again. Of the context everything counts but its run; where it has somebody who
    /// decides, the run's open questions are put to them first.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Conflict` when it still waits for a person, or is in other hands;
    /// `Unsupported` when it is no run of an agent, or its agent was built in code.
    pub async fn resume_agent(&self, context: &RunContext, run: &RunId) -> Result<AgentResult> {
        match self.reopen_agent(context, run, Code::Nothing).await? {
            Reopened::Ended(result) => Ok(*result),
            Reopened::Ready(ready) => ready.run().await,
        }
    }

    /// Goes on with a kept run as [`resume_agent`](Self::resume_agent) does, with an agent that was built in code again.
    ///
    /// # Errors
    /// As [`resume_agent`](Self::resume_agent). An agent that asks its model something else than the one before ends the
    /// run with `Conflict`.
    pub async fn resume_agent_as(
        &self,
        context: &RunContext,
        run: &RunId,
        agent: &Agent,
    ) -> Result<AgentResult> {
        match self.reopen_agent(context, run, Code::Agent(agent.clone())).await? {
            Reopened::Ended(result) => Ok(*result),
            Reopened::Ready(ready) => ready.run().await,
        }
    }

    /// Goes on with a kept run as [`resume_agent`](Self::resume_agent) does, of an agent that a program added functions to:
    /// what is written of it is what was stored, and the functions are given again.
    ///
    /// # Errors
    /// As [`resume_agent`](Self::resume_agent); `Unsupported` also when other functions are given than the run began with.
    pub async fn resume_agent_with(
        &self,
        context: &RunContext,
        run: &RunId,
        additions: &Additions,
    ) -> Result<AgentResult> {
        match self.reopen_agent(context, run, Code::Additions(additions.clone())).await? {
            Reopened::Ended(result) => Ok(*result),
            Reopened::Ready(ready) => ready.run().await,
        }
    }

    /// Goes on with a kept run as [`resume_agent`](Self::resume_agent) does, and gives the events as they come, those of
    /// recorded steps included; `Err` within holds the result of a run that had ended.
    ///
    /// # Errors
    /// As [`resume_agent`](Self::resume_agent).
    pub async fn resume_agent_streamed(
        &self,
        context: &RunContext,
        run: &RunId,
    ) -> Result<std::result::Result<AgentEvents, Box<AgentResult>>> {
        Ok(match self.reopen_agent(context, run, Code::Nothing).await? {
            Reopened::Ended(result) => Err(result),
            Reopened::Ready(ready) => Ok(ready.stream()),
        })
    }

    /// Tells whether a stored run is that of an agent.
    pub(crate) async fn is_agent(&self, run: &RunId) -> Result<bool> {
        let found = self.store().await?.run(run).await?.ok_or_else(|| report::no_such_run(run))?;
        Ok(found.summary.kind == KIND)
    }

    /// Goes on with a stored run that has not ended; how it ended stands in the run.
    pub(crate) async fn work_on_agent(
        &self,
        run: &RunId,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<()> {
        let state = self.store().await?.run(run).await?.map(|run| run.summary.state);
        if state.is_some_and(|state| state.is_ended() || state == RunState::Waiting) {
            return Ok(());
        }
        let mut context = RunContext::new().with_cancellation(cancellation.clone());
        if let Some(events) = events {
            context = context.with_events(events);
        }
        let result = self.resume_agent(&context, run).await?;
        match result.outcome {
            Outcome::Cancelled if cancellation.is_cancelled() => {
                Err(result.error().unwrap_or_else(interrupted))
            }
            _ => Ok(()),
        }
    }

    async fn begin_agent(
        &self,
        context: &RunContext,
        source: AgentSource,
        prompt: Prompt,
        keeping: Keeping,
    ) -> Result<Ready> {
        let (mut definition, code) = match source {
            AgentSource::File(file) => (self.definition(&file, prompt)?, Code::Nothing),
            AgentSource::Extended(extended) => {
                let Extended { file, additions } = *extended;
                let mut definition = self.definition(&file, prompt)?;
                definition.additions = additions.names();
                (definition, Code::Additions(additions))
            }
            AgentSource::Built(agent) => {
                let definition = AgentDefinition {
                    agent: None,
                    name: agent.name().to_owned(),
                    prompt: prompt.0,
                    surroundings: Surroundings::default(),
                    additions: Vec::new(),
                };
                (definition, Code::Agent(agent))
            }
        };
        let kept = match keeping {
            Keeping::Nowhere => None,
            Keeping::InStore => Some(Kept::begin(self, context, &definition).await?),
        };
        let context = match &kept {
            Some(kept) => kept.context(self, context),
            None => self.ascribed(context),
        };
        let prompt = Prompt(std::mem::take(&mut definition.prompt));
        self.ready(context, &definition, prompt, (code, kept)).await
    }

    fn definition(&self, file: &AgentFile, prompt: Prompt) -> Result<AgentDefinition> {
        let (spec, surroundings) = self.whole(file)?;
        let name = spec.name.clone().unwrap_or_default();
        let agent = Some(Box::new(spec));
        Ok(AgentDefinition { agent, name, prompt: prompt.0, surroundings, additions: Vec::new() })
    }

    async fn reopen_agent(&self, context: &RunContext, run: &RunId, code: Code) -> Result<Reopened> {
        let stored = kept::find(self, run).await?;
        let mut definition = AgentDefinition::read(stored.definition)?;
        if !code.suffices(&definition) {
            return Err(missing_code(run, &definition));
        }
        if let Some(result) = kept::result(self, run).await? {
            return Ok(Reopened::Ended(Box::new(result)));
        }
        let kept = Kept::reopen(self, context, run).await?;
        let prompt = Prompt(std::mem::take(&mut definition.prompt));
        let context = kept.context(self, context);
        let ready = self.ready(context, &definition, prompt, (code, Some(kept))).await?;
        Ok(Reopened::Ready(Box::new(ready)))
    }

    /// Builds what is to run, in the context of its run.
    async fn ready(
        &self,
        context: RunContext,
        definition: &AgentDefinition,
        prompt: Prompt,
        (code, kept): (Code, Option<Kept>),
    ) -> Result<Ready> {
        let prepared = async {
            let agent = match (&definition.agent, code) {
                (_, Code::Agent(agent)) => agent,
                (Some(spec), Code::Nothing) => {
                    self.build_agent(&context, spec, &definition.surroundings).await?
                }
                (Some(spec), Code::Additions(additions)) => {
                    self.built_with(&context, spec, &definition.surroundings, &additions).await?
                }
                (None, _) => return Err(Error::new(ErrorKind::Internal, "there is no agent to run")),
            };
            let model = self.models().model(agent.model()).await?;
            Ok((agent, model))
        }
        .await;
        match prepared {
            Ok((agent, model)) => {
                let context = bounded(context, definition.agent.as_deref());
                Ok(Ready { runtime: self.clone(), context, agent, model, prompt, kept })
            }
            Err(error) => {
                // What keeps an agent from being built may be mended, and the run resumed.
                if let Some(kept) = kept {
                    kept.give_up(&error).await;
                }
                Err(error)
            }
        }
    }
}

fn missing_code(run: &RunId, definition: &AgentDefinition) -> Error {
    if definition.agent.is_none() {
        return Error::new(
            ErrorKind::Unsupported,
            format!("the agent of run `{run}` was built in code, which is not stored"),
        )
        .with_hint("build it again and give it to `resume_agent_as`");
    }
    let names: Vec<_> = definition.additions.iter().map(|name| format!("`{name}`")).collect();
    let what = if names.is_empty() { "no functions".to_owned() } else { names.join(", ") };
    Error::new(ErrorKind::Unsupported, format!("the agent of run `{run}` began with {what} of a program"))
        .with_hint("resume it in the program that began it, with the same tools, hooks, and guardrails")
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was interrupted")
}

enum Reopened {
    Ended(Box<AgentResult>),
    Ready(Box<Ready>),
}

/// Puts the bounds of an agent around its run; what the journal says it spent counts.
///
/// A run of its own gets its book here. One that is a part of another run pays out of the book of that run, and its own
/// budget holds within.
#[must_use]
pub fn bounded(context: RunContext, spec: Option<&AgentSpec>) -> RunContext {
    let context = if context.step_name().is_empty() {
        let ledger = Arc::new(Ledger::new(spent(&context)));
        context.with_ledger(ledger)
    } else {
        context
    };
    let Some(limits) = spec.map(|spec| &spec.limits) else { return context };
    let context = match limits.timeout {
        Some(timeout) => context.with_timeout(timeout),
        None => context,
    };
    if limits.budget.is_empty() {
        return context;
    }
    let budget = Limits { cost: limits.budget.usd, tokens: limits.budget.tokens };
    let ledger = Arc::new(Ledger::new(spent(&context)));
    context.with_budget(Arc::new(MemoryBudget::of("the agent", budget, ledger)))
}

/// Adds up what the log says was spent below the step of a context, which at its root is all of it.
fn spent(context: &RunContext) -> Amount {
    let below = context.key("");
    let mut costs = Costs::default();
    for record in context.log().records() {
        if record.step().starts_with(&below) {
            costs.add(&Sequenced { seq: 0, task: 0, record });
        }
    }
    let total = costs.total();
    Amount { cost: total.cost, tokens: total.usage.total() }
}

/// Performs a stored run over another log and other models, as a replay does.
pub(crate) async fn perform(
    runtime: &Runtime,
    context: &RunContext,
    definition: Value,
    model: Arc<dyn Model>,
) -> Result<AgentResult> {
    let definition = AgentDefinition::read(definition)?;
    let Some(spec) = definition.agent.as_ref().filter(|_| definition.additions.is_empty()) else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the recorded agent was built in code, which is not stored",
        )
        .with_hint("only agents of files can be replayed"));
    };
    let agent = runtime.build_agent(context, spec, &definition.surroundings).await?;
    Ok(motet_agents::run(context, &agent, model, Prompt(definition.prompt)).await)
}
