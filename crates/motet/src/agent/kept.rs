//! A run of an agent in the store: one run with one task, under whose lease its journal is written.

use std::sync::Arc;
use std::time::Duration;

use motet_agents::{AgentResult, Outcome};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::run_log::{RunLog, StoredLog};
use motet_core::store::{
    AskedQuestion, Claim, ClaimRequest, Control, NewRun, NewTask, Outcome as TaskOutcome, Run, RunState,
    SharedStore, StoredDecisions,
};
use motet_core::{RunContext, RunId, StreamEvent};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{AgentDefinition, KIND};
use crate::lease::Lease;
use crate::report;
use crate::runtime::Runtime;

/// Name of the only task.
const TASK: &str = "agent";

/// Queue of agents, which workers of workflows do not look at.
const QUEUE: &str = "agents";

/// How often a run that seems to be in other hands is looked at again.
const LOOKS: u32 = 5;

/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A run in hand.
pub(crate) struct Kept {
    store: SharedStore,
    run: RunId,
    log: Arc<dyn RunLog>,
    stop: CancellationToken,
    /// There until the run has ended.
    lease: Option<Lease>,
    /// Where the lease is given back, as a run may be dropped by a thread that works for no runtime.
    background: Handle,
}

impl Kept {
    /// Stores a new run and takes it in hand.
    pub(super) async fn begin(
        runtime: &Runtime,
        context: &RunContext,
        definition: &AgentDefinition,
    ) -> Result<Self> {
        if !context.step_name().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the run at `{}` is a part of another run and cannot be kept apart",
                    context.step_name()
                ),
            )
            .with_hint("the run around it is kept with all its parts"));
        }
        let store = runtime.store().await?;
        let id = context.run_id().clone();
        let definition_json = serde_json::to_value(definition).map_err(|error| {
            Error::new(ErrorKind::Internal, "an agent cannot be written as JSON").with_source(error)
        })?;
        let run = NewRun {
            id: id.clone(),
            definition: definition_json,
            ..NewRun::new(KIND, definition.name.clone(), vec![task()])
        };
        store.submit(run).await.map_err(|error| match error.kind() {
            ErrorKind::Conflict => error.with_hint(format!(
                "`motet agent resume {id}` goes on with it; choose another id for a new run"
            )),
            _ => error,
        })?;
        Self::claim(runtime, context, store, id).await
    }

    /// Takes an old run in hand, once nothing of it waits for people.
    pub(super) async fn reopen(runtime: &Runtime, context: &RunContext, id: &RunId) -> Result<Self> {
        let store = runtime.store().await?;
        let state = state(&store, id).await?;
        if matches!(state, RunState::Failed | RunState::Cancelled) {
            store.control(id, Control::Resume).await?;
        }
        ask(runtime, context, &store, id).await?;
        Self::claim(runtime, context, store, id.clone()).await
    }

    async fn claim(runtime: &Runtime, context: &RunContext, store: SharedStore, run: RunId) -> Result<Self> {
        let ttl = runtime.settings().worker.lease;
        let request = ClaimRequest {
            worker: runtime.worker_id().clone(),
            queues: vec![QUEUE.to_owned()],
            run: Some(run.clone()),
            limit: 1,
            ttl,
            max_active: None,
            in_hand: 0,
        };
        let mut claimed = store.claim(request.clone()).await?.pop();
        for _ in 0..LOOKS {
            if claimed.is_some() {
                break;
            }
            // A program that a killed process was about to start holds its lock for a moment longer.
            tokio::time::sleep(BETWEEN_LOOKS).await;
            store.advance().await?;
            claimed = store.claim(request.clone()).await?.pop();
        }
        let Some(Claim { token, task, .. }) = claimed else {
            return Err(Error::new(ErrorKind::Conflict, format!("run `{run}` is in other hands"))
                .with_hint("wait for its end; `motet workflow status` shows how it stands"));
        };
        let stop = context.cancellation().child_token();
        let lease = Lease::keep(Arc::clone(&store), token.clone(), ttl, stop.clone());
        let log = StoredLog::open(Arc::clone(&store), token, task.journal).await?;
        let background = Handle::current();
        Ok(Self { store, run, log: Arc::new(log), stop, lease: Some(lease), background })
    }

    /// Gives the context of the run: its log, its end, and who decides.
    pub(super) fn context(&self, runtime: &Runtime, context: &RunContext) -> RunContext {
        let decisions =
            StoredDecisions::new(Arc::clone(&self.store), self.run.clone(), context.decisions().cloned());
        runtime
            .ascribed(context)
            .in_run(self.run.clone(), Arc::clone(&self.log))
            .with_cancellation(self.stop.clone())
            .with_decisions(Arc::new(decisions))
    }

    /// Stores how the run ended. A result is worth more than the book-keeping, so a failure of that is only told, but
    /// where the run waits for people, as nobody could answer then.
    pub(super) async fn end(mut self, context: &RunContext, result: AgentResult) -> Result<AgentResult> {
        let outcome = outcome(&result)?;
        let is_parked = matches!(outcome, TaskOutcome::Waiting { .. });
        let Some(lease) = self.lease.take() else { return Ok(result) };
        match lease.end(outcome).await {
            Err(error) if is_parked => Err(error),
            Err(error) => {
                let message = format!("the end of the agent's run could not be stored: {error}");
                context.emit(&StreamEvent::Warning { message });
                Ok(result)
            }
            Ok(_) => Ok(result),
        }
    }

    /// Fails the run before it goes.
    pub(super) async fn give_up(mut self, error: &Error) {
        let Some(lease) = self.lease.take() else { return };
        if let Err(error) = lease.end(TaskOutcome::GivenUp { error: error.report() }).await {
            tracing::warn!(%error, "the end of an agent's run could not be stored");
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Where the runtime has ended, the lease ends by itself, and the run can be resumed then.
        if let Some(lease) = self.lease.take() {
            self.background.spawn(lease.end(TaskOutcome::Released));
        }
    }
}

/// Gives what a result makes of the task. What was done stays in the journal, so that a resumed run goes on from there.
fn outcome(result: &AgentResult) -> Result<TaskOutcome> {
    Ok(match (&result.outcome, result.error()) {
        (Outcome::Waiting, _) if !result.questions.is_empty() => {
            TaskOutcome::Waiting { questions: result.questions.clone(), at_most_ms: None }
        }
        (Outcome::Cancelled, _) => TaskOutcome::Released,
        (_, Some(error)) => TaskOutcome::GivenUp { error: error.report() },
        (_, None) => TaskOutcome::Done {
            output: serde_json::to_value(result).map_err(|error| {
                Error::new(ErrorKind::Internal, "a result cannot be written as JSON").with_source(error)
            })?,
        },
    })
}

fn task() -> NewTask {
    NewTask { queue: QUEUE.to_owned(), ..NewTask::named(TASK.to_owned()) }
}

/// Finds the stored run of an agent, and takes back what a dead process held of it.
pub(super) async fn find(runtime: &Runtime, id: &RunId) -> Result<Run> {
    let store = runtime.store().await?;
    store.advance().await?;
    let run = store.run(id).await?.ok_or_else(|| report::no_such_run(id))?;
    if run.summary.kind == KIND {
        return Ok(run);
    }
    Err(Error::new(ErrorKind::Unsupported, format!("run `{id}` is no run of an agent"))
        .with_hint(format!("`motet workflow resume {id}` goes on with other runs")))
}

/// Gives the result of a completed run.
pub(super) async fn result(runtime: &Runtime, id: &RunId) -> Result<Option<AgentResult>> {
    let store = runtime.store().await?;
    if state(&store, id).await? != RunState::Completed {
        return Ok(None);
    }
    let output = store.outputs(id, &[0]).await?.into_iter().flatten().next();
    output.map(serde_json::from_value).transpose().map_err(|error| {
        Error::new(ErrorKind::Store, "the stored result of the agent cannot be read").with_source(error)
    })
}

async fn state(store: &SharedStore, id: &RunId) -> Result<RunState> {
    let run = store.run(id).await?.ok_or_else(|| report::no_such_run(id))?;
    Ok(run.summary.state)
}

/// Puts the open questions of a run to whoever decides, if somebody does.
async fn ask(runtime: &Runtime, context: &RunContext, store: &SharedStore, id: &RunId) -> Result<()> {
    let mut open: Vec<AskedQuestion> = store.questions(Some(id)).await?;
    open.retain(AskedQuestion::is_open);
    let mut left = open.len();
    if let Some(decisions) = context.decisions() {
        for asked in &open {
            if let Some(decision) = decisions.decide(&asked.question).await? {
                runtime.decide(id, Some(&asked.question.step), decision).await?;
                left -= 1;
            }
        }
    }
    if left == 0 {
        return Ok(());
    }
    let what = if left == 1 { "a decision".to_owned() } else { format!("{left} decisions") };
    Err(Error::new(ErrorKind::Conflict, format!("run `{id}` waits for {what} of a person")).with_hint(
        format!("`motet questions {id}` shows what is asked; `motet approve` and `motet deny` answer"),
    ))
}
