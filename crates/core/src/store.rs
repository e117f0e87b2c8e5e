//! The contract of stores: where runs, tasks, results, and journals live.
//!
//! Every method is one atomic, durable unit. Queue, journal, and graph counters are views of one store because they must
//! commit together. Which task becomes ready when is decided by [`crate::schedule`], the same for all stores.

/// Makes an enum of states with their names in JSON; a state's place among all is the number that stores keep.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$state_doc:meta])* $state:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$state_doc])* $state,)+ }

        impl $name {
            /// Every state; its place is the number that stores keep.
            pub const ALL: &'static [$name] = &[$($name::$state,)+];

            /// Gives the name used in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$state => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use states;

mod admin;
mod capabilities;
mod event;
mod item;
mod question;
mod run;
mod task;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::AnswerStore;
use crate::budget::{Amount, Book, StoreReservation};
use crate::conversation::ConversationStore;
use crate::decision::{Decision, Question};
use crate::error::{Error, ErrorKind, ErrorReport, Result, duration_ms};
use crate::id::{Millis, RunId, WorkerId};
use crate::run_log::Record;

pub use admin::{PruneRequest, Pruned, RunDump, StoreStats, TaskDump, WorkerInfo};
pub use capabilities::{Capabilities, Durability};
pub use event::{Change, RunEvent};
pub use item::ItemWrite;
pub use question::{AskedQuestion, StoredDecisions};
pub use run::{NewRun, ParentTask, Run, RunFilter, RunState, RunSummary};
pub use task::{NewTask, Task, TaskLimit, TaskPages, TaskState};

/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// The only thing that a backend implements.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a run with its tasks; those without dependencies are ready at once.
    ///
    /// Where an earlier run has the same key, its id is given and nothing is stored.
    ///
    /// # Errors
    /// `Conflict` when the run's id is taken; `InvalidRequest` when a dependency names no task of the run.
    async fn submit(&self, run: NewRun) -> Result<RunId>;

    /// Gives ready tasks to a worker under a lease, most urgent first, then in the order of readiness.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>>;

    /// Extends leases; the answers stand in the order of the tokens.
    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>>;

    /// Appends to the journal of a leased task by compare-and-append; gives the task's new number of entries.
    ///
    /// # Errors
    /// `Conflict` when the token is not current or the task has not `expect` entries.
    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64>;

    /// Ends a lease: stores the outcome, lowers the dependents' counters, and makes the ready ones claimable, all at once.
    ///
    /// Repeating it with the same token changes nothing and gives the state the task has by now.
    ///
    /// # Errors
    /// `Conflict` when the token is not current.
    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied>;

    /// Takes back leases whose time is over or whose worker is dead, wakes tasks that waited long enough for people, and
    /// stops runs whose time is over; gives what changed.
    async fn advance(&self) -> Result<Progress>;

    /// Pauses, cancels, or resumes a run; runs that its tasks started are paused and cancelled with it.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Conflict` when its state does not allow it.
    async fn control(&self, run: &RunId, control: Control) -> Result<()>;

    /// Gives what tasks ask people, answered or not, of one run or of all, in the order asked.
    ///
    /// # Errors
    /// `NotFound` when there is no such run. A store whose tasks cannot wait for people has none.
    async fn questions(&self, _run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        Ok(Vec::new())
    }

    /// Answers a question by the name of its step; a task all of whose questions have answers is ready again.
    ///
    /// Giving the same answer again changes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is no such run or question; `Conflict` when it was answered otherwise; `Unsupported` when
    /// this store's tasks cannot wait for people.
    async fn decide(&self, _run: &RunId, _step: &str, _decision: Decision) -> Result<()> {
        Err(question::unsupported(self.capabilities().name))
    }

    /// Gives a run with its definition, `None` when there is none.
    async fn run(&self, run: &RunId) -> Result<Option<Run>>;

    /// Gives the newest runs first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>>;

    /// Gives the tasks of a run by number, items of `for_each` included.
    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>>;

    /// Gives tasks of a run as [`tasks`](Self::tasks) does: those with numbers above `after`, at most `limit`.
    ///
    /// # Errors
    /// `NotFound` when there is no such run.
    async fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        let mut tasks = self.tasks(run).await?;
        tasks.retain(|task| after.is_none_or(|after| task.number > after));
        tasks.truncate(limit as usize);
        Ok(tasks)
    }

    /// Gives the results of tasks in the order asked; `None` for one that has none.
    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>>;

    /// Gives the numbers of the items of a `for_each` task, in ascending order.
    ///
    /// # Errors
    /// `NotFound` when there is no such run.
    async fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        let mut children = Vec::new();
        let mut pages = TaskPages::of(run);
        while let Some(page) = pages.next(self).await? {
            children.extend(page.iter().filter(|child| child.parent == Some(task)).map(|child| child.number));
        }
        Ok(children)
    }

    /// Gives journal entries of a run with sequence numbers above `after`, in order, at most `limit`.
    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>>;

    /// Gives the journal entries of one task, in order.
    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>>;

    /// Changes the log of a named item of a run, under the lease of the task that works on the items.
    ///
    /// # Errors
    /// `Conflict` when the token is not current; `Unsupported` when this store keeps no items.
    async fn write_item(&self, _token: &LeaseToken, _item: &str, _write: ItemWrite) -> Result<()> {
        Err(item::unsupported(self.capabilities().name))
    }

    /// Gives the names of a run's items that have a log, in the order of their bytes: those after a name, at most `limit`.
    ///
    /// # Errors
    /// `NotFound` when there is no such run. A store that keeps no items has none.
    async fn item_names(&self, _run: &RunId, _after: Option<&str>, _limit: u32) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Gives the log of a named item, oldest entry first; empty when there is none.
    ///
    /// # Errors
    /// `Unsupported` when this store keeps no items.
    async fn item_records(&self, _run: &RunId, _item: &str) -> Result<Vec<Record>> {
        Err(item::unsupported(self.capabilities().name))
    }

    /// Gives the events of a run with places above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// `NotFound` when there is no such run.
    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>>;

    /// Waits until something changed after `seen`, at most this long, and gives the newest number of changes.
    ///
    /// Only a wake-up: it may come early, late, or for another run.
    async fn changed(&self, seen: u64, at_most: Duration) -> u64;

    /// Reserves an amount in books of budgets: in all that are named, or in none.
    ///
    /// # Errors
    /// `BudgetExceeded` when one of them has too little left; `Unsupported` when this store keeps no books.
    async fn reserve(&self, _reservation: &StoreReservation) -> Result<()> {
        Err(no_books())
    }

    /// Puts what was spent in the place of what was reserved; all of it where `None`. Repeating it changes nothing.
    ///
    /// A reservation whose time was over counts as spent in whole until it is settled after all.
    async fn settle(&self, _reservation: &str, _spent: Option<Amount>) -> Result<()> {
        Err(no_books())
    }

    /// Gives the books of budgets by name.
    async fn books(&self) -> Result<Vec<(String, Book)>> {
        Err(no_books())
    }

    /// Tells what the store holds.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn stats(&self) -> Result<StoreStats> {
        Err(admin::unsupported(self.capabilities().name, "counts"))
    }

    /// Notes that a worker lives; its time of being seen is the store's.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn seen(&self, _worker: &WorkerInfo) -> Result<()> {
        Ok(())
    }

    /// Gives the workers that were seen, the newest first; those not seen for a day are forgotten.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(Vec::new())
    }

    /// Removes runs that have ended, with all that they started and everything that is kept of them.
    ///
    /// # Errors
    /// `Store` when they cannot be removed.
    async fn prune(&self, _request: &PruneRequest) -> Result<Pruned> {
        Err(admin::unsupported(self.capabilities().name, "removal of runs"))
    }

    /// Gives everything that is kept of a run, for another store; `None` when there is no such run.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn dump(&self, _run: &RunId) -> Result<Option<RunDump>> {
        Err(admin::unsupported(self.capabilities().name, "copies of runs"))
    }

    /// Stores a run as another store gave it. What workers have in hand there is ready here.
    ///
    /// # Errors
    /// `Conflict` when the run's id is taken.
    async fn load(&self, _dump: RunDump) -> Result<()> {
        Err(admin::unsupported(self.capabilities().name, "copies of runs"))
    }

    /// Tells what this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Gives where answers are kept; `None` where this store keeps none.
    fn answers(&self) -> Option<&dyn AnswerStore> {
        None
    }

    /// Gives where conversations are kept; `None` where this store keeps none.
    fn conversations(&self) -> Option<&dyn ConversationStore> {
        None
    }
}

fn no_books() -> Error {
    Error::new(ErrorKind::Unsupported, "this store keeps no books of budgets")
        .with_hint("budgets of tenants and days need `sqlite:PATH`, or `memory:` for one process")
}

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

/// Asks for tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// Queues to take from; all of them where it is empty.
    pub queues: Vec<String>,
    /// Only tasks of this run and of those that its tasks started, at any depth.
    pub run: Option<RunId>,
    /// At most this many.
    pub limit: u32,
    /// How long the lease holds without renewal, in milliseconds when sent.
    #[serde(with = "duration_ms")]
    pub ttl: Duration,
    /// Give nothing while so many tasks of the whole store are in workers' hands.
    #[serde(default)]
    pub max_active: Option<u32>,
    /// How many tasks the worker has in hand already; where there are any, it is given none that it must run alone.
    #[serde(default)]
    pub in_hand: u32,
}

/// A task in a worker's hands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Proves the lease.
    pub token: LeaseToken,
    /// The task as it stands.
    pub task: Task,
    /// Number of the run's definition; another one than before says that a person changed it.
    #[serde(default)]
    pub definition: u32,
}

/// Proves that a worker holds a task. The random part keeps a store that was rolled back from issuing a token twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// The run.
    pub run: RunId,
    /// Number of the task.
    pub task: u32,
    /// Number of the attempt, the first being 1.
    pub attempt: u32,
    /// Its random part.
    pub nonce: Nonce,
}

impl LeaseToken {
    /// Makes a token that was never issued before.
    #[must_use]
    pub fn new(run: RunId, task: u32, attempt: u32) -> Self {
        Self { run, task, attempt, nonce: Nonce::new() }
    }

    /// Makes the error for a token that is not current.
    #[must_use]
    pub fn stale(&self) -> Error {
        Error::new(ErrorKind::Conflict, format!("the lease of task {} is no longer held", self.task))
            .with_context("run", self.run.as_str())
            .with_hint("another worker took the task over; this attempt's outcome is not used")
    }
}

/// 16 random bytes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Nonce(Arc<str>);

impl Nonce {
    /// Makes one that nobody can foresee.
    #[must_use]
    pub fn new() -> Self {
        Self(crate::id::nonce())
    }

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Nonce {
    fn default() -> Self {
        Self::new()
    }
}

impl From<String> for Nonce {
    /// Takes a stored one as it is.
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.as_str().to_owned()
    }
}

impl std::fmt::Display for Nonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// It holds for the time asked.
    Held,
    /// The run is being cancelled: stop the work.
    Cancelled,
    /// Somebody else has the task: stop the work.
    Lost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The task is done.
    Done {
        /// Its result.
        output: Value,
    },
    /// The task is done, and its result is the list of what its items came to.
    Joined {
        /// The list as JSON: as a text it takes a fraction of the memory that its values take.
        output: String,
    },
    /// Its `when` was false.
    Skipped {
        /// Why, for people.
        reason: String,
    },
    /// It failed; the task's retry policy and the error's advice decide whether it is tried again.
    Failed {
        /// Why.
        error: ErrorReport,
        /// A number from 0 to 1 that decides the jitter of the delay.
        chance: f64,
    },
    /// It runs once for each of these; when all have ended it is claimed once more to join their results.
    Expand {
        /// The items as tasks; their dependencies are ignored.
        children: Vec<NewTask>,
    },
    /// As `Expand`, for many items that differ in nothing but what they are: each is made when it is stored, so that a
    /// hundred thousand take little memory.
    Spread {
        /// What the items have in common, with the name that they are numbered under.
        like: Box<NewTask>,
        /// The items as JSON.
        items: Vec<String>,
    },
    /// The worker stops; the task is ready again and the attempt does not count.
    Released,
    /// People must decide before it can go on: it is ready again when each question has an answer, and the attempt does
    /// not count.
    Waiting {
        /// What they must decide; at least one.
        questions: Vec<Question>,
        /// How long it waits; it is ready again then, with or without answers. In milliseconds when sent.
        #[serde(default)]
        at_most_ms: Option<u64>,
    },
    /// It started a run and waits for it: when that has ended, it is claimed once more to join its result, and the
    /// attempt does not count.
    Awaiting {
        /// The run, which names this task as its parent.
        run: RunId,
    },
    /// It failed and is not tried again by itself, and its journal stays as it is: where it ran tools that must not run
    /// twice, whoever resumes the run goes on from there.
    GivenUp {
        /// Why.
        error: ErrorReport,
    },
}

/// What completing a task did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The task's new state.
    pub state: TaskState,
    /// Number of tasks that became ready.
    pub ready: u32,
    /// The run's new state.
    pub run: RunState,
}

/// What `advance` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Leases taken back.
    pub reclaimed: u32,
    /// Tasks given up after too many crashes.
    pub dead: u32,
    /// Tasks whose waiting for people took too long.
    pub woken: u32,
    /// Runs whose time was over.
    pub timed_out: u32,
    /// How long until the next task's delay or lease ends, by the store's own clock, for sleeping no longer than that.
    pub next_due: Option<Duration>,
}

/// What a person can do to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Control {
    /// Start nothing new and stop what runs.
    Cancel,
    /// Start nothing new until the run is resumed; what runs may finish.
    Pause,
    /// Go on with a paused, failed, or cancelled run: what is done stays, the rest runs. A run that still goes on stays
    /// as it is.
    Resume,
    /// The same with another end of the run's time, `None` being none.
    ResumeUntil {
        /// When its time is over.
        deadline: Option<Millis>,
    },
    /// Go on with a changed definition: unchanged tasks resume, all others start anew.
    Redefine {
        /// The new definition.
        definition: Value,
        /// All tasks of the new definition.
        tasks: Vec<NewTask>,
        /// Names of the tasks that are as before, and so are all they depend on.
        unchanged: Vec<String>,
    },
}

/// A journal entry with its place in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sequenced {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// Number of the task it belongs to.
    pub task: u32,
    /// The entry.
    pub record: Record,
}
