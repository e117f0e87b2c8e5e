//! The rows that scheduling works on, and how it reads and writes them inside a transaction of a store.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, ErrorReport, Result, duration_ms};
use crate::id::{Millis, RunId, WorkerId};
use crate::store::{
    AskedQuestion, LeaseToken, NewTask, ParentTask, RunEvent, RunState, TaskLimit, TaskState,
};
use crate::workflow::{OnFailure, RetryPolicy};

/// What scheduling needs to know of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// How it stands.
    pub state: RunState,
    /// Number of its definition, 0 being the first.
    pub definition: u32,
    /// Tasks in all.
    pub tasks: u32,
    /// Number of the next task that is added.
    pub next: u32,
    /// Tasks that have not ended.
    pub open: u32,
    /// Tasks in a worker's hands.
    pub active: u32,
    /// Tasks done.
    pub done: u32,
    /// Tasks failed for good, the dead ones included.
    pub failed: u32,
    /// Tasks skipped.
    pub skipped: u32,
    /// Failures that make the run fail.
    pub fatal: u32,
    /// Tasks that wait for people, be it by way of a run that they started.
    pub waiting: u32,
    /// Tasks that wait for runs that go on.
    pub awaiting: u32,
    /// Sequence number of the newest journal entry.
    pub seq: u64,
    /// Sequence number of the newest event.
    pub events: u64,
    /// How many tasks may be in workers' hands at once.
    pub max_active: Option<u32>,
    /// When its time is over; `None` once it was.
    pub deadline: Option<Millis>,
    /// The task that started it.
    pub parent: Option<ParentTask>,
    /// When it ended.
    pub ended_at: Option<Millis>,
}

impl RunRow {
    /// Tells whether another of its tasks may start.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state == RunState::Running && self.max_active.is_none_or(|most| self.active < most)
    }
}

/// What scheduling needs to know of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its number in the run.
    pub number: u32,
    /// How it stands.
    pub state: TaskState,
    /// Dependencies that have not ended.
    pub remaining: u32,
    /// Attempts made, the running one included.
    pub attempt: u32,
    /// Attempts that do not count for the retry policy: those before a person last resumed the run, and those that
    /// spread the task over its items.
    pub forgiven: u32,
    /// Attempts since then that ended with the death of their worker.
    pub crashes: u32,
    /// Number of the task that it is an item of.
    pub parent: Option<u32>,
    /// Items that have not ended.
    pub open_children: u32,
    /// Items that failed for good.
    pub failed_children: u32,
    /// What it asks people and nobody has answered yet.
    pub open_questions: u32,
    /// True when all items, or the run that it waited for, have ended and their results are to be joined.
    pub joining: bool,
    /// The run that it started last.
    pub awaits: Option<RunId>,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// Whether it is tried again.
    pub retry: RetryPolicy,
    /// How long it waits after its dependencies have ended.
    #[serde(with = "duration_ms")]
    pub delay: Duration,
    /// How many tasks of its key may be in workers' hands at once.
    pub limit: Option<TaskLimit>,
    /// Not before this time.
    pub not_before: Millis,
    /// The newest lease; kept when it has ended, to recognise a repeated report.
    pub token: Option<LeaseToken>,
    /// Who holds or held the lease.
    pub worker: Option<WorkerId>,
    /// When the lease ends; of a task that waits for people, when it waits no longer, 0 where it waits without end.
    pub lease_until: Millis,
    /// When its newest attempt began.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Number of its journal entries that count.
    pub journal: u64,
    /// Journal entries up to this sequence number belong to attempts that are not continued.
    pub journal_after: u64,
}

impl TaskRow {
    /// Makes the row of a task that was never tried.
    #[must_use]
    pub fn new(number: u32, task: &NewTask, now: Millis) -> Self {
        let distinct = match task.dependencies.as_slice() {
            [] | [_] => task.dependencies.len(),
            [one, other] => 1 + usize::from(one != other),
            more => more.iter().collect::<HashSet<_>>().len(),
        };
        let remaining = u32::try_from(distinct).unwrap_or(u32::MAX);
        Self {
            number,
            state: if remaining == 0 { TaskState::Ready } else { TaskState::Blocked },
            remaining,
            attempt: 0,
            forgiven: 0,
            crashes: 0,
            parent: None,
            open_children: 0,
            failed_children: 0,
            open_questions: 0,
            joining: false,
            awaits: None,
            on_failure: task.on_failure,
            retry: task.retry.clone(),
            delay: task.delay,
            limit: task.limit.clone(),
            not_before: now
                .after(if remaining == 0 { task.delay } else { Duration::ZERO })
                .max(task.not_before.unwrap_or_default()),
            token: None,
            worker: None,
            lease_until: Millis::default(),
            started_at: None,
            ended_at: None,
            journal: 0,
            journal_after: 0,
        }
    }

    /// Tells whether a worker may take it now.
    #[must_use]
    pub fn is_claimable(&self, run: RunState, now: Millis) -> bool {
        run == RunState::Running && self.state == TaskState::Ready && self.not_before <= now
    }

    /// Tells whether it may be what kills its workers.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        super::is_suspect(self.crashes)
    }

    /// Counts the end of one that it waits for; tells whether it is ready by that.
    pub fn dependency_ended(&mut self, now: Millis) -> bool {
        if self.state != TaskState::Blocked {
            return false;
        }
        self.remaining = self.remaining.saturating_sub(1);
        if self.remaining == 0 {
            self.ready_after_delay(now);
        }
        self.remaining == 0
    }

    /// Makes it ready, as soon as its delay is over.
    pub(super) fn ready_after_delay(&mut self, now: Millis) {
        self.state = TaskState::Ready;
        self.not_before = self.not_before.max(now.after(self.delay));
    }

    /// Gives when something must be done about it though nobody asks: its lease, its delay, or its waiting is over.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        match self.state {
            TaskState::Running => Some(self.lease_until),
            TaskState::Ready => Some(self.not_before).filter(|at| *at > now),
            TaskState::Waiting if self.waits_for_people() => {
                Some(self.lease_until).filter(|at| *at > Millis::default())
            }
            _ => None,
        }
    }

    /// Tells whether it waits for people.
    #[must_use]
    pub fn waits_for_people(&self) -> bool {
        self.state == TaskState::Waiting && self.open_questions > 0
    }

    /// Tells whether this token holds it.
    #[must_use]
    pub fn is_held_by(&self, token: &LeaseToken) -> bool {
        self.state == TaskState::Running && self.token.as_ref() == Some(token)
    }
}

/// One run's rows inside one transaction of a store.
pub trait Rows {
    /// Gives the run's row.
    fn run(&mut self) -> &mut RunRow;

    /// Loads a task.
    ///
    /// # Errors
    /// `NotFound` when there is none of this number; `Store` when it cannot be read.
    fn task(&mut self, number: u32) -> Result<TaskRow>;

    /// Saves a task.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn save(&mut self, task: &TaskRow) -> Result<()>;

    /// Gives a task's name.
    ///
    /// # Errors
    /// As [`task`](Self::task).
    fn name(&mut self, number: u32) -> Result<String>;

    /// Gives the numbers of the tasks that wait for this one.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    fn dependents(&mut self, number: u32) -> Result<Vec<u32>>;

    /// Gives the numbers of the tasks that this one waits for.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>>;

    /// Gives the numbers of all tasks, items included, in ascending order.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    fn numbers(&mut self) -> Result<Vec<u32>>;

    /// Adds a task with its row, name, and dependencies; one that is named twice counts once.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()>;

    /// Removes a task with its own dependencies, its output, and its questions; who depends on it still does.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn remove(&mut self, number: u32) -> Result<()>;

    /// Sets or clears why a task failed, waits, or was skipped.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()>;

    /// Stores a task's result.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn set_output(&mut self, number: u32, output: &Value) -> Result<()>;

    /// Stores a task's result that nobody else needs.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn give_output(&mut self, number: u32, output: Value) -> Result<()> {
        self.set_output(number, &output)
    }

    /// Stores a task's result that is written as JSON already.
    ///
    /// # Errors
    /// `InvalidRequest` when it is no JSON; `Store` when it cannot be written.
    fn give_output_text(&mut self, number: u32, output: String) -> Result<()> {
        let output = serde_json::from_str(&output).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, "a result is no JSON").with_source(error)
        })?;
        self.give_output(number, output)
    }

    /// Saves a task that nobody else needs.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn give(&mut self, task: TaskRow) -> Result<()> {
        self.save(&task)
    }

    /// Tells a task that one that it waits for has ended; gives whether it is ready by that.
    ///
    /// # Errors
    /// As [`task`](Self::task) and [`save`](Self::save).
    fn release(&mut self, number: u32, now: Millis) -> Result<bool> {
        let mut task = self.task(number)?;
        if task.state != TaskState::Blocked {
            return Ok(false);
        }
        let is_ready = task.dependency_ended(now);
        self.give(task)?;
        Ok(is_ready)
    }

    /// Tells all that wait for a task that it has ended; gives how many are ready by that.
    ///
    /// # Errors
    /// As [`dependents`](Self::dependents) and [`release`](Self::release).
    fn release_dependents(&mut self, number: u32, now: Millis) -> Result<u32> {
        let mut ready = 0;
        for number in self.dependents(number)? {
            ready += u32::from(self.release(number, now)?);
        }
        Ok(ready)
    }

    /// Tells whether any task is ready, one whose delay is not over included.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    fn has_ready(&mut self) -> Result<bool>;

    /// Gives what is asked at a step, `None` when nothing is.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>>;

    /// Stores a question in the place of what was asked at its step.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn set_question(&mut self, question: &AskedQuestion) -> Result<()>;

    /// Appends an event, whose number the run's row has counted already.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn append_event(&mut self, event: RunEvent) -> Result<()>;

    /// Sets or clears what made the run fail.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()>;

    /// Gives how many tasks with this key of a limit are in workers' hands, over all runs of the store.
    ///
    /// # Errors
    /// `Store` when they cannot be counted.
    fn active_with(&mut self, key: &str) -> Result<u32>;

    /// Gives the state of another run, `None` when there is no such run.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>>;

    /// Notes that nobody wants the runs any more that a task started, or any task where `None`: whoever stores this
    /// change cancels those that go on.
    fn abandon(&mut self, task: Option<u32>);
}
