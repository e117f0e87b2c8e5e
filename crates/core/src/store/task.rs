//! Tasks as they are stored and shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DEFAULT_QUEUE, RunState, Store};
use crate::error::{ErrorReport, Result, duration_ms};
use crate::id::{Millis, RunId};
use crate::workflow::{OnFailure, Priority, RetryPolicy};

/// A task to be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    /// Unique in the run, such as `summarise` or `summarise[3]`.
    pub name: String,
    /// Which workers may take it.
    pub queue: String,
    /// Which of several ready tasks starts first.
    #[serde(default)]
    pub priority: Priority,
    /// Numbers of the tasks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<u32>,
    /// What its failure means.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether it is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// What the worker needs beside the definition, such as the item of `for_each`.
    #[serde(default)]
    pub payload: Value,
    /// How long it waits after its dependencies have ended.
    #[serde(default, with = "duration_ms", skip_serializing_if = "Duration::is_zero")]
    pub delay: Duration,
    /// It does not start before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Millis>,
    /// How many tasks of one key may be in workers' hands at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<TaskLimit>,
}

impl NewTask {
    /// Makes a task that waits for nothing, in the default queue.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue: DEFAULT_QUEUE.to_owned(),
            priority: Priority::default(),
            dependencies: Vec::new(),
            on_failure: OnFailure::default(),
            retry: RetryPolicy::default(),
            payload: Value::Null,
            delay: Duration::ZERO,
            not_before: None,
            limit: None,
        }
    }
}

/// A limit on tasks that share a key, over all runs of a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskLimit {
    /// What the tasks share, such as `gpu`.
    pub key: String,
    /// How many of them may be in workers' hands when this one starts, itself included.
    pub max: u32,
}

super::states! {
    /// How a task stands.
    TaskState {
        /// It waits for other tasks.
        Blocked = "blocked",
        /// A worker may take it.
        Ready = "ready",
        /// A worker has it.
        Running = "running",
        /// It waits for the items of its `for_each`, for a run that it started, or for people to decide.
        Waiting = "waiting",
        /// It ended well.
        Done = "done",
        /// It failed for good.
        Failed = "failed",
        /// Its condition was false, or a task it depends on did not end well.
        Skipped = "skipped",
        /// It was given up because its workers died too often while they ran it.
        Dead = "dead",
        /// Its run ended before it did. Shown, never stored: when the run is resumed it goes on.
        Cancelled = "cancelled",
    }
}

impl TaskState {
    /// Tells whether it will not run again unless a person resumes the run.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(
            self,
            TaskState::Done | TaskState::Failed | TaskState::Skipped | TaskState::Dead | TaskState::Cancelled
        )
    }

    /// Tells whether it ended without a result for others to use.
    #[must_use]
    pub fn has_failed(self) -> bool {
        matches!(self, TaskState::Failed | TaskState::Dead)
    }

    /// Gives what people are shown: a task that its run left behind is cancelled.
    #[must_use]
    pub fn shown(self, run: RunState) -> Self {
        if run.is_ended() && !self.is_ended() { TaskState::Cancelled } else { self }
    }
}

/// Reads the tasks of a run in pieces, so that a run of any size takes little memory.
#[derive(Debug, Clone)]
pub struct TaskPages<'a> {
    run: &'a RunId,
    after: Option<u32>,
    is_over: bool,
}

impl<'a> TaskPages<'a> {
    /// How many tasks are read at a time.
    pub const SIZE: u32 = 500;

    /// Begins with the first task of a run.
    #[must_use]
    pub fn of(run: &'a RunId) -> Self {
        Self { run, after: None, is_over: false }
    }

    /// Gives the next tasks, in the order of their numbers; `None` when there are no more.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store fails.
    pub async fn next<S: Store + ?Sized>(&mut self, store: &S) -> Result<Option<Vec<Task>>> {
        if self.is_over {
            return Ok(None);
        }
        let page = store.tasks_after(self.run, self.after, Self::SIZE).await?;
        self.is_over = page.len() < Self::SIZE as usize;
        self.after = page.last().map(|task| task.number);
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number in the run.
    pub number: u32,
    /// Its name in the run.
    pub name: String,
    /// Which workers may take it.
    pub queue: String,
    /// Which of several ready tasks starts first.
    pub priority: Priority,
    /// How it stands.
    pub state: TaskState,
    /// Numbers of the tasks it waits for that have not ended.
    pub remaining: u32,
    /// Attempts made, the running one included.
    pub attempt: u32,
    /// Attempts that ended with the death of their worker.
    pub crashes: u32,
    /// Number of the `for_each` task that it is an item of.
    pub parent: Option<u32>,
    /// Items of this task that have not ended.
    pub open_children: u32,
    /// True when all its items, or the run that it waited for, have ended and it is claimed to join their results.
    pub joining: bool,
    /// The run that it started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<RunId>,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// Whether it is tried again.
    pub retry: RetryPolicy,
    /// What the worker needs beside the definition.
    pub payload: Value,
    /// Why it failed, is tried again, or was skipped.
    pub error: Option<ErrorReport>,
    /// Not before this time.
    pub not_before: Millis,
    /// When its newest attempt began.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Number of its journal entries.
    pub journal: u64,
}

impl Task {
    /// Tells whether it may be what kills its workers, so that whoever has it takes nothing else meanwhile.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        crate::schedule::is_suspect(self.crashes)
    }
}
