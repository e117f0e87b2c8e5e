//! What keeps a store in order: counts, workers seen, removal of old runs, and whole runs for another store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AskedQuestion, NewRun, NewTask, RunEvent, RunState, Sequenced, TaskState};
use crate::error::{Error, ErrorKind, ErrorReport};
use crate::id::{Millis, WorkerId};
use crate::run_log::Record;
use crate::schedule::{RunRow, TaskRow};

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StoreStats {
    /// How many runs are in each state, those that have any.
    pub runs: Vec<(RunState, u64)>,
    /// How many tasks are in each state, those that have any.
    pub tasks: Vec<(TaskState, u64)>,
    /// How many tasks of each queue are ready in runs that go on, whether or not a limit holds them up.
    pub ready: Vec<(String, u64)>,
    /// Entries of all journals.
    pub journal: u64,
    /// Events of all runs.
    pub events: u64,
    /// Bytes that it takes up, where it knows.
    pub bytes: Option<u64>,
}

/// A process that claims tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its name in leases.
    pub id: WorkerId,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Queues that it takes tasks from.
    pub queues: Vec<String>,
    /// How many tasks it runs at most.
    pub capacity: u32,
    /// The version of Motet that it runs.
    pub version: String,
    /// When it began.
    pub started_at: Millis,
    /// When it was heard of last.
    pub seen_at: Millis,
}

/// Which runs to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRequest {
    /// Only runs that ended before this time.
    pub ended_before: Millis,
    /// Only runs in these states; all that have ended where it is empty.
    pub states: Vec<RunState>,
    /// At most this many, the oldest first.
    pub limit: u32,
    /// Count them and leave them.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pruned {
    /// Runs, those that they had started included.
    pub runs: u64,
    /// Their tasks.
    pub tasks: u64,
}

/// Everything that a store holds of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDump {
    /// The scheduling row.
    pub row: RunRow,
    /// Name, kind, definition and the like; its tasks are below.
    pub new: NewRun,
    /// When it was stored.
    pub created_at: Millis,
    /// What made it fail first.
    pub error: Option<ErrorReport>,
    /// Its tasks by number.
    pub tasks: Vec<TaskDump>,
    /// Its journal.
    pub journal: Vec<Sequenced>,
    /// Its events.
    pub events: Vec<RunEvent>,
    /// What it asked people.
    pub questions: Vec<AskedQuestion>,
    /// Logs of its items by name.
    pub items: Vec<(String, Vec<Record>)>,
}

/// Everything that a store holds of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDump {
    /// The scheduling row.
    pub row: TaskRow,
    /// Name, queue, dependencies, payload.
    pub new: NewTask,
    /// Why it failed, is tried again, or was skipped.
    pub error: Option<ErrorReport>,
    /// Its result.
    pub output: Option<Value>,
}

pub(super) fn unsupported(store: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the store `{store}` gives no {what}"))
}
