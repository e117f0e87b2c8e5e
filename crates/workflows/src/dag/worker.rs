//! Claims ready tasks of a store under leases, runs them side by side, and reports how they ended.
//!
//! Any number of workers may do so at once, in this process and in others.

mod attempt;
mod leases;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use motet_core::decision::Decisions;
use motet_core::error::Result;
use motet_core::event::{EventSink, StreamEvent};
use motet_core::id::{Millis, WorkerId};
use motet_core::run_log::RunLog;
use motet_core::store::{Claim, ClaimRequest, RunState, SharedStore, TaskState};
use motet_core::{Error, ErrorKind, RunId};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attempt::Definition;
use self::leases::Leases;
use crate::methods::Methods;

/// Longest sleep of a worker that waits for the store to change.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Looks up environment variables that workflows list.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How a worker works.
#[derive(Clone)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// How many tasks run at once; at least 1.
    pub max_parallel_tasks: u32,
    /// How long a lease holds without renewal; it is renewed three times in that time.
    pub lease: Duration,
    /// Queues to take tasks from; all of them where it is empty.
    pub queues: Vec<String>,
    /// Directories beside the workflow's own that tasks may read and write.
    pub allowed_directories: Vec<PathBuf>,
    /// Model of tasks where neither they, their workflow, nor the run name one.
    pub default_model: Option<motet_core::ModelId>,
    /// Where environment variables that workflows list are looked up.
    pub environment: Environment,
    /// Time that one process may work on a run, as far as calls of models and methods mind it.
    pub run_time: Option<Duration>,
    /// Whether a run that goes on begins with what its log says was spent, which a budget of the run needs.
    pub counts_spending: bool,
    /// On whose account the work is done.
    pub tenant: Option<String>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            max_parallel_tasks: 8,
            lease: Duration::from_secs(30),
            queues: Vec::new(),
            allowed_directories: Vec::new(),
            default_model: None,
            environment: Arc::new(|_| None),
            run_time: None,
            counts_spending: false,
            tenant: None,
        }
    }
}

/// Runs tasks of a store.
#[derive(Clone)]
pub struct Worker {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    id: WorkerId,
    store: SharedStore,
    methods: Methods,
    config: WorkerConfig,
    events: Option<Arc<dyn EventSink>>,
    log: Option<Arc<dyn RunLog>>,
    decisions: Option<Arc<dyn Decisions>>,
}

impl Worker {
    /// Makes a worker with a name of its own.
    #[must_use]
    pub fn new(store: SharedStore, methods: Methods, config: WorkerConfig) -> Self {
        let (id, events, log, decisions) = (WorkerId::new(), None, None, None);
        Self { shared: Arc::new(Shared { id, store, methods, config, events, log, decisions }) }
    }

    /// Sends the events of everything it runs to a listener.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn EventSink>) -> Self {
        self.with(|shared| shared.events = Some(events))
    }

    /// Keeps the steps of all tasks in this log instead of the store's journal, such as one that replays a recording.
    #[must_use]
    pub fn with_log(self, log: Arc<dyn RunLog>) -> Self {
        self.with(|shared| shared.log = Some(log))
    }

    /// Asks somebody about what tasks may not decide and nobody has decided yet.
    #[must_use]
    pub fn with_decisions(self, decisions: Arc<dyn Decisions>) -> Self {
        self.with(|shared| shared.decisions = Some(decisions))
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }

    /// Works on one run, and on those that its tasks start, until it has ended, waits for people, or is paused, and gives
    /// the state it is in then.
    ///
    /// Other workers may work on it too. When `cancellation` fires, the tasks in hand are stopped and given back, and
    /// the run can go on later.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Cancelled`; `Store` when the store fails.
    pub async fn run_to_end(&self, run: &RunId, cancellation: &CancellationToken) -> Result<RunState> {
        if self.shared.store.run(run).await?.is_none() {
            return Err(attempt::no_such_run(run));
        }
        Loop::new(&self.shared, run).work(cancellation).await
    }
}

/// One worker's loop over one run.
struct Loop<'a> {
    shared: &'a Arc<Shared>,
    run: &'a RunId,
    /// Definitions by run.
    definitions: HashMap<RunId, Arc<Definition>>,
    limit: u32,
    tasks: JoinSet<Result<TaskState>>,
    leases: Leases,
    /// When to look for ended leases and delays next.
    sweep: Instant,
}

impl<'a> Loop<'a> {
    fn new(shared: &'a Arc<Shared>, run: &'a RunId) -> Self {
        let leases = Leases::new(Arc::clone(&shared.store), shared.config.lease);
        Self {
            shared,
            run,
            definitions: HashMap::new(),
            limit: shared.config.max_parallel_tasks.max(1),
            tasks: JoinSet::new(),
            leases,
            sweep: Instant::now(),
        }
    }

    async fn work(mut self, cancellation: &CancellationToken) -> Result<RunState> {
        let store = &self.shared.store;
        let mut seen = 0;
        loop {
            if cancellation.is_cancelled() {
                self.leases.cancel_all();
                while self.tasks.join_next().await.is_some() {}
                return Err(Error::new(ErrorKind::Cancelled, "the run was interrupted"));
            }
            let free = self.limit.saturating_sub(u32::try_from(self.tasks.len()).unwrap_or(u32::MAX));
            let claimed = if free > 0 { self.claim(free).await? } else { 0 };
            if claimed == 0 && self.tasks.is_empty() {
                let state = self.state().await?;
                if state.is_ended() || state.is_halted() {
                    return Ok(state);
                }
            }
            if claimed > 0 && claimed == free as usize {
                continue;
            }
            self.sweep().await?;
            tokio::select! {
                joined = self.tasks.join_next(), if !self.tasks.is_empty() => self.joined(joined)?,
                newest = store.changed(seen, LONGEST_WAIT) => seen = newest,
                renewed = self.leases.renew_when_due() => renewed?,
                () = tokio::time::sleep_until(self.sweep) => {}
                () = cancellation.cancelled() => {}
            }
            while let Some(joined) = self.tasks.try_join_next() {
                self.joined(Some(joined))?;
            }
        }
    }

    /// Takes tasks and starts them; gives how many.
    async fn claim(&mut self, free: u32) -> Result<usize> {
        let request = ClaimRequest {
            worker: self.shared.id.clone(),
            queues: self.shared.config.queues.clone(),
            run: Some(self.run.clone()),
            limit: free,
            ttl: self.shared.config.lease,
            max_active: None,
        };
        let claims = self.shared.store.claim(request).await?;
        let count = claims.len();
        for claim in claims {
            let definition = self.definition(&claim).await?;
            self.start(claim, definition);
        }
        Ok(count)
    }

    /// Gives the definition of a claimed task's run, read anew where a person changed it.
    async fn definition(&mut self, claim: &Claim) -> Result<Arc<Definition>> {
        let (run, number) = (&claim.token.run, claim.definition);
        if let Some(known) = self.definitions.get(run).filter(|known| known.number == number) {
            return Ok(Arc::clone(known));
        }
        let definition = Arc::new(Definition::load(self.shared, run, number).await?);
        self.definitions.insert(run.clone(), Arc::clone(&definition));
        Ok(definition)
    }

    fn start(&mut self, claim: Claim, definition: Arc<Definition>) {
        let guard = self.leases.hold(claim.token.clone());
        let shared = Arc::clone(self.shared);
        self.tasks.spawn(async move {
            let ended = attempt::run(&shared, &definition, claim, guard.cancellation()).await;
            drop(guard);
            ended
        });
    }

    /// Takes back ended leases, now and then, and learns when the next lease or delay ends.
    async fn sweep(&mut self) -> Result<()> {
        if Instant::now() < self.sweep {
            return Ok(());
        }
        let progress = self.shared.store.advance().await?;
        let due = progress.next_due.map_or(LONGEST_WAIT, |due| due.since(Millis::now()));
        self.sweep = Instant::now() + due.clamp(Duration::from_millis(1), LONGEST_WAIT);
        Ok(())
    }

    async fn state(&self) -> Result<RunState> {
        let run = self.shared.store.run(self.run).await?;
        run.map(|run| run.summary.state).ok_or_else(|| attempt::no_such_run(self.run))
    }

    fn joined(
        &mut self,
        joined: Option<std::result::Result<Result<TaskState>, tokio::task::JoinError>>,
    ) -> Result<()> {
        match joined {
            // A task that is tried again has a delay, which the next look finds.
            Some(Ok(Ok(TaskState::Ready))) => {
                self.sweep = Instant::now();
                Ok(())
            }
            None | Some(Ok(Ok(_))) => Ok(()),
            // The lease was lost: another worker has the task, and this attempt does not count.
            Some(Ok(Err(error))) if error.kind() == ErrorKind::Conflict => {
                self.emit(&StreamEvent::Warning { message: error.to_string() });
                Ok(())
            }
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(Error::new(ErrorKind::Internal, "a task broke off").with_source(error)),
        }
    }

    fn emit(&self, event: &StreamEvent) {
        if let Some(events) = &self.shared.events {
            events.emit(event);
        }
    }
}
