//! What happened to a run and its tasks, in order and without gaps.

use serde::{Deserialize, Serialize};

use super::{RunState, TaskState};
use crate::error::ErrorReport;
use crate::id::{Millis, RunId, WorkerId};

/// A change of a run or of one of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Its place among the events of the run, from 1, without gaps.
    pub seq: u64,
    /// When it happened, by the store's clock.
    pub at: Millis,
    /// Number of the task; `None` where the run itself changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What happened to a run or a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The run was stored.
    Submitted {
        /// How many tasks it has.
        tasks: u32,
    },
    /// The run is in another state.
    RunChanged {
        /// The new state.
        state: RunState,
        /// What made it fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<ErrorReport>>,
    },
    /// The run goes on with another definition.
    Redefined {
        /// How many tasks it has now.
        tasks: u32,
    },
    /// A worker took the task.
    Started {
        /// Number of the attempt.
        attempt: u32,
        /// Who took it.
        worker: WorkerId,
    },
    /// The task has ended.
    Ended {
        /// `done`, `failed`, `skipped`, or `dead`.
        state: TaskState,
        /// Why it did not end well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<ErrorReport>>,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// When the next attempt may begin; in JSON under another name than the event's own time.
        #[serde(rename = "not_before")]
        at: Millis,
        /// Why it failed.
        error: Box<ErrorReport>,
    },
    /// The worker gave the task back.
    Released,
    /// The worker died with the task in hand.
    Crashed {
        /// How often that has happened.
        crashes: u32,
    },
    /// The task runs once for each item.
    Expanded {
        /// How many items there are.
        items: u32,
    },
    /// The task waits for people.
    Asked {
        /// How many questions are open.
        questions: u32,
    },
    /// The task waits for a run that it started.
    Awaiting {
        /// The run.
        run: RunId,
    },
    /// What the task waited for has come, or its time is over.
    Woken,
}
