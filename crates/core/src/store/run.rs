//! Runs as they are stored and shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::task::NewTask;
use crate::error::ErrorReport;
use crate::id::{Millis, RunId};

/// A run to be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Name for people.
    pub name: String,
    /// What kind of work: `workflow`, `agent`, `batch`.
    pub kind: String,
    /// What is executed, stored as it is.
    pub definition: Value,
    /// The values given to it.
    pub inputs: Map<String, Value>,
    /// Facts that its workers need: directory, model override.
    pub settings: Map<String, Value>,
    /// Its tasks; their place is their number.
    pub tasks: Vec<NewTask>,
    /// How many of its tasks may be in workers' hands at once, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active: Option<u32>,
    /// When its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// The task that started it and waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentTask>,
    /// Submitting a run with a key that an earlier run has gives that run, and stores nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl NewRun {
    /// Makes a run of a kind with a new id.
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl Into<String>, tasks: Vec<NewTask>) -> Self {
        Self {
            id: RunId::new(),
            name: name.into(),
            kind: kind.into(),
            definition: Value::Null,
            inputs: Map::new(),
            settings: Map::new(),
            tasks,
            max_active: None,
            deadline: None,
            parent: None,
            key: None,
        }
    }
}

/// A task that waits for a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParentTask {
    /// The task's run.
    pub run: RunId,
    /// The task's number.
    pub task: u32,
    /// The run at the top: the one that nobody waits for.
    pub root: RunId,
}

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Id, name, state, counts, times.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// What is executed.
    pub definition: Value,
    /// The values given to it.
    pub inputs: Map<String, Value>,
    /// Facts that its workers need.
    pub settings: Map<String, Value>,
}

/// A run in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// Name for people.
    pub name: String,
    /// What kind of work.
    pub kind: String,
    /// How it stands.
    pub state: RunState,
    /// When it was stored.
    pub created_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// How many tasks it has, items of `for_each` included.
    pub tasks: u32,
    /// How many are done.
    pub done: u32,
    /// How many failed, the dead ones included.
    pub failed: u32,
    /// How many were skipped.
    pub skipped: u32,
    /// How many are in workers' hands.
    #[serde(default)]
    pub active: u32,
    /// When its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// The task that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentTask>,
    /// What made it fail first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl RunSummary {
    /// Gives the run at the top of those that wait for this one; itself where nobody does.
    #[must_use]
    pub fn root(&self) -> &RunId {
        self.parent.as_ref().map_or(&self.id, |parent| &parent.root)
    }
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunFilter {
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs whose name contains this text.
    pub name: Option<String>,
    /// Only this run and those that its tasks started, at any depth.
    #[serde(default)]
    pub root: Option<RunId>,
    /// At most this many; 0 means all.
    pub limit: u32,
}

super::states! {
    /// How a run stands.
    RunState {
        /// Tasks run or are ready.
        Running = "running",
        /// A task failed: nothing new starts, what runs may finish.
        Failing = "failing",
        /// It was cancelled: nothing new starts, what runs is told to stop.
        Cancelling = "cancelling",
        /// Every task ended well or as its author allowed.
        Completed = "completed",
        /// A task failed, or its time was over.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// Nothing runs or can run before a person decides.
        Waiting = "waiting",
        /// A person halted it: nothing new starts, what runs may finish.
        Paused = "paused",
        /// Its time is over: nothing new starts, what runs is told to stop.
        TimingOut = "timing_out",
    }
}

impl RunState {
    /// Tells whether nothing more happens unless a person resumes it.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, RunState::Completed | RunState::Failed | RunState::Cancelled)
    }

    /// Tells whether workers are to stop what they do for it.
    #[must_use]
    pub fn stops_work(self) -> bool {
        matches!(self, RunState::Cancelling | RunState::TimingOut)
    }

    /// Tells whether nobody wants what its tasks started any more: it has ended badly, or is about to.
    #[must_use]
    pub fn leaves_work(self) -> bool {
        matches!(
            self,
            RunState::Failing
                | RunState::TimingOut
                | RunState::Cancelling
                | RunState::Failed
                | RunState::Cancelled
        )
    }

    /// Tells whether it stands still until a person decides or lets it go on.
    #[must_use]
    pub fn is_halted(self) -> bool {
        matches!(self, RunState::Waiting | RunState::Paused)
    }
}
