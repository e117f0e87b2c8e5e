//! Tasks that start a run of their own and wait for it.
//!
//! A store tells a parent whenever a run that has one is in another state; what becomes of the parent is decided here.

use super::{Rows, TaskRow, change_run, note, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Millis, RunId};
use crate::store::{Change, ParentTask, RunState, TaskState};

/// What a run's parent must learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who waits.
    pub parent: ParentTask,
    /// The run that changed.
    pub run: RunId,
    /// How it stands now.
    pub state: RunState,
}

/// Gives what the parent of a run must learn after a change, `None` when there is nothing to tell.
#[must_use]
pub fn news(before: RunState, run: &super::RunRow) -> Option<News> {
    let parent = run.parent.clone()?;
    (before != run.state).then(|| News { parent, run: run.id.clone(), state: run.state })
}

/// Refuses to wait for a run that is not there, before anything is changed.
pub(super) fn check(rows: &mut dyn Rows, task: u32, run: &RunId) -> Result<RunState> {
    if let Some(state) = rows.other_run(run)? {
        return Ok(state);
    }
    let message = format!("task `{}` waits for run `{run}`, which is not there", rows.name(task)?);
    Err(Error::new(ErrorKind::InvalidRequest, message))
}

/// Parks a task until its run has ended; gives how many tasks became ready.
pub(super) fn wait(rows: &mut dyn Rows, task: &mut TaskRow, run: RunId, now: Millis) -> Result<u32> {
    let state = check(rows, task.number, &run)?;
    task.attempt -= 1;
    task.awaits = Some(run.clone());
    task.not_before = now;
    task.lease_until = Millis::default();
    if state.is_ended() {
        (task.state, task.joining) = (TaskState::Ready, true);
        rows.save(task)?;
        return Ok(1);
    }
    (task.state, task.joining) = (TaskState::Waiting, false);
    task.open_questions = u32::from(state.is_halted());
    rows.save(task)?;
    let run_row = rows.run();
    run_row.waiting += task.open_questions;
    run_row.awaiting += 1 - task.open_questions;
    note(rows, Some(task.number), Change::Awaiting { run }, now)?;
    Ok(0)
}

/// Tells a task that the run it waits for is in another state; a task that waits for another run, or no more, stays as
/// it is.
///
/// # Errors
/// The rows' own errors.
pub fn child_changed(rows: &mut dyn Rows, news: &News, now: Millis) -> Result<RunState> {
    let mut task = match rows.task(news.parent.task) {
        // A new definition removed it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(rows.run().state),
        found => found?,
    };
    if task.state != TaskState::Waiting || task.awaits.as_ref() != Some(&news.run) {
        return Ok(rows.run().state);
    }
    let halted = u32::from(news.state.is_halted());
    let goes_on = u32::from(!news.state.is_halted() && !news.state.is_ended());
    let run = rows.run();
    run.waiting = (run.waiting + halted).saturating_sub(task.open_questions);
    run.awaiting = (run.awaiting + goes_on).saturating_sub(1 - task.open_questions.min(1));
    task.open_questions = halted;
    if news.state.is_ended() {
        (task.state, task.joining) = (TaskState::Ready, true);
        task.not_before = now;
        note(rows, Some(task.number), Change::Woken, now)?;
    }
    rows.save(&task)?;
    if halted == 0 && rows.run().state == RunState::Waiting {
        change_run(rows, RunState::Running, None, now)?;
    }
    settle(rows, now)
}
