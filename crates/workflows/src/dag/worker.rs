//! Claims ready tasks of a store under leases, runs them side by side, and reports how they ended.
//!
//! Any number of workers may do so at once, in this process and in others.

mod alive;
mod attempt;
mod cycle;
mod definitions;
mod leases;
mod masks;
mod outage;
mod patient;
mod unserved;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use motet_core::RunId;
use motet_core::decision::Decisions;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventSink;
use motet_core::id::WorkerId;
use motet_core::run_log::RunLog;
use motet_core::store::{RunState, SharedStore};
use tokio_util::sync::CancellationToken;

pub use self::attempt::{file_item, listed_files};
pub use self::cycle::Worked;
use self::cycle::{Cycle, Stop};
pub use self::unserved::{Unserved, unserved};
use super::read::RESERVED_QUEUES;
use crate::methods::Methods;

/// Gives a listener to the events of a run.
pub type Listeners = Arc<dyn Fn(&RunId) -> Arc<dyn EventSink> + Send + Sync>;

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
    /// How many tasks may run at once over all workers of the store.
    pub max_running: Option<u32>,
    /// How long a worker that is told to stop lets its tasks finish before it gives them back.
    pub drain_timeout: Duration,
    /// The machine that it runs on, as others see it.
    pub host: String,
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
            max_running: None,
            drain_timeout: Duration::from_secs(30),
            host: String::new(),
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
    events: Option<Listeners>,
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
        self.with(|shared| shared.events = Some(Arc::new(move |_| Arc::clone(&events))))
    }

    /// Sends the events of each run to a listener of its own.
    #[must_use]
    pub fn with_listeners(self, listeners: Listeners) -> Self {
        self.with(|shared| shared.events = Some(listeners))
    }

    /// Gives the name under which it holds leases.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.shared.id
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
    /// the run can go on later. A task that no worker takes is told of as a warning.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Cancelled`; `Store` when the store fails.
    pub async fn run_to_end(&self, run: &RunId, cancellation: &CancellationToken) -> Result<RunState> {
        if self.shared.store.run(run).await?.is_none() {
            return Err(attempt::no_such_run(run));
        }
        Cycle::new(&self.shared, Some(run.clone())).run_to_end(run, cancellation).await
    }

    /// Takes tasks of workflows from its queues, of any run, until it is told to stop.
    ///
    /// When `drain` fires nothing new is taken, and what runs may finish within the time of the configuration; when
    /// `cancellation` fires the tasks in hand are stopped and given back at once. A store that cannot be reached is tried
    /// again until it can.
    ///
    /// # Errors
    /// `InvalidRequest` when it is to serve a queue of runs that are no workflows, or all queues.
    pub async fn work(&self, cancellation: &CancellationToken, drain: &CancellationToken) -> Result<Worked> {
        self.serve(Stop { now: cancellation.clone(), drain: drain.clone(), when_idle: false }).await
    }

    /// Takes tasks as [`work`](Self::work) does, and ends when no run has a task left that could be taken by and by.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    pub async fn work_until_idle(
        &self,
        cancellation: &CancellationToken,
        drain: &CancellationToken,
    ) -> Result<Worked> {
        self.serve(Stop { now: cancellation.clone(), drain: drain.clone(), when_idle: true }).await
    }

    async fn serve(&self, stop: Stop) -> Result<Worked> {
        let queues = &self.shared.config.queues;
        if let Some(reserved) = queues.iter().find(|queue| RESERVED_QUEUES.contains(&queue.as_str())) {
            let message = format!("the queue `{reserved}` holds runs that are no workflows");
            return Err(Error::new(ErrorKind::InvalidRequest, message)
                .with_hint("the commands that start such runs work on them by themselves"));
        }
        if queues.is_empty() {
            let error =
                Error::new(ErrorKind::InvalidRequest, "a worker that serves any run must name its queues");
            return Err(error.with_hint("name at least `default`"));
        }
        let _alive = alive::tell(&self.shared);
        Ok(Cycle::new(&self.shared, None).serve(&stop).await)
    }
}

impl Shared {
    /// Gives who hears of a run's events.
    fn listener(&self, run: &RunId) -> Option<Arc<dyn EventSink>> {
        self.events.as_ref().map(|listeners| listeners(run))
    }
}
