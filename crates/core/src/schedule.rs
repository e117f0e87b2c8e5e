//! Decides which task becomes ready, fails, or is skipped when something ends: pure, and the same for every store.
//!
//! A store loads and saves rows through [`Rows`] inside one of its own transactions; nothing here waits or reads a clock.

mod graph;
mod nested;
mod resume;
mod rows;
mod stop;
mod suspects;
mod waiting;

pub use graph::check_graph;
pub use nested::{News, child_changed, news};
pub use resume::{Redefinition, redefine, resume, resume_until};
pub use rows::{Rows, RunRow, TaskRow};
pub use stop::{cancel, pause, time_out, unpause};
pub use suspects::{PATIENCE, Turn, is_suspect, turn};
pub use waiting::{decide, wake};

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, ErrorReport, Result};
use crate::id::{Millis, WorkerId};
use crate::store::{
    Applied, Change, LeaseState, LeaseToken, NewRun, NewTask, Outcome, RunEvent, RunState, TaskLimit,
    TaskState,
};
use crate::workflow::OnFailure;

/// A task that lost its worker this often is given up.
pub const MAX_CRASHES: u32 = 3;

/// Notes what happened.
fn note(rows: &mut dyn Rows, task: Option<u32>, change: Change, now: Millis) -> Result<()> {
    let run = rows.run();
    run.events += 1;
    let event = RunEvent { seq: run.events, at: now, task, change };
    rows.append_event(event)
}

/// Puts a run into another state and notes it.
fn change_run(rows: &mut dyn Rows, state: RunState, error: Option<ErrorReport>, now: Millis) -> Result<()> {
    rows.run().state = state;
    if state.is_ended() {
        rows.run().ended_at = Some(now);
    }
    if state.leaves_work() {
        rows.abandon(None);
    }
    let error = error.map(Box::new);
    note(rows, None, Change::RunChanged { state, error }, now)
}

/// Notes what made the run fail, unless something did already.
fn blame(rows: &mut dyn Rows, error: &ErrorReport) -> Result<()> {
    // Later failures mostly follow from the first.
    if rows.run().fatal > 1 { Ok(()) } else { rows.set_run_error(Some(error)) }
}

/// Puts the tasks of a new run in its rows.
///
/// # Errors
/// The rows' own errors.
pub fn submit(rows: &mut dyn Rows, tasks: &[NewTask], now: Millis) -> Result<()> {
    for (number, task) in (0u32..).zip(tasks) {
        rows.insert(&TaskRow::new(number, task, now), task)?;
    }
    let tasks = rows.run().tasks;
    note(rows, None, Change::Submitted { tasks }, now)
}

/// Makes the row of a new run.
#[must_use]
pub fn new_run(new: &NewRun) -> RunRow {
    let tasks = u32::try_from(new.tasks.len()).unwrap_or(u32::MAX);
    RunRow {
        id: new.id.clone(),
        state: RunState::Running,
        definition: 0,
        tasks,
        next: tasks,
        open: tasks,
        active: 0,
        done: 0,
        failed: 0,
        skipped: 0,
        fatal: 0,
        waiting: 0,
        awaiting: 0,
        seq: 0,
        events: 0,
        max_active: new.max_active,
        deadline: new.deadline,
        parent: new.parent.clone(),
        ended_at: None,
    }
}

/// Hands a ready task to a worker; `None` where a limit forbids it.
///
/// # Errors
/// The rows' own errors.
pub fn lease(
    rows: &mut dyn Rows,
    number: u32,
    worker: &WorkerId,
    now: Millis,
    until: Millis,
) -> Result<Option<LeaseToken>> {
    let mut task = rows.task(number)?;
    if !rows.run().has_room() || !task.is_claimable(rows.run().state, now) {
        return Ok(None);
    }
    if let Some(TaskLimit { key, max }) = &task.limit
        && rows.active_with(key)? >= *max
    {
        return Ok(None);
    }
    task.state = TaskState::Running;
    task.attempt += 1;
    task.worker = Some(worker.clone());
    task.lease_until = until;
    task.started_at = Some(now);
    let run = rows.run();
    run.active += 1;
    let token = LeaseToken::new(run.id.clone(), task.number, task.attempt);
    task.token = Some(token.clone());
    let attempt = task.attempt;
    rows.give(task)?;
    note(rows, Some(number), Change::Started { attempt, worker: worker.clone() }, now)?;
    Ok(Some(token))
}

/// Extends a lease, or tells why it ended.
pub fn renew(run: &RunRow, task: &mut TaskRow, token: &LeaseToken, until: Millis) -> LeaseState {
    if !task.is_held_by(token) {
        return LeaseState::Lost;
    }
    task.lease_until = until;
    if run.state.stops_work() { LeaseState::Cancelled } else { LeaseState::Held }
}

/// Applies the end of an attempt.
///
/// # Errors
/// `Conflict` when the token is not current; `InvalidRequest` when a task that joins its items is to have more of them;
/// the rows' own errors.
pub fn complete(rows: &mut dyn Rows, token: &LeaseToken, outcome: Outcome, now: Millis) -> Result<Applied> {
    let task = match rows.task(token.task) {
        // A new definition removed it after its lease was taken back.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(token.stale()),
        found => found?,
    };
    if !task.is_held_by(token) {
        let repeated = task.token.as_ref() == Some(token);
        let run = rows.run().state;
        return if repeated { Ok(Applied { state: task.state, ready: 0, run }) } else { Err(token.stale()) };
    }
    let has_items = task.joining && task.awaits.is_none();
    if has_items
        && matches!(outcome, Outcome::Expand { .. } | Outcome::Spread { .. } | Outcome::Awaiting { .. })
    {
        let message = format!("task `{}` has run for its items already", rows.name(task.number)?);
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    if let Outcome::Waiting { questions, .. } = &outcome {
        waiting::check(questions)?;
    }
    if let Outcome::Awaiting { run } = &outcome {
        nested::check(rows, task.number, run)?;
    }
    rows.run().active -= 1;
    let (state, ready) = apply(rows, task, outcome, now)?;
    let run = settle(rows, now)?;
    Ok(Applied { state, ready, run })
}

/// Applies an outcome to a task that no worker holds any more; gives its state and how many tasks became ready.
fn apply(rows: &mut dyn Rows, mut task: TaskRow, outcome: Outcome, now: Millis) -> Result<(TaskState, u32)> {
    let ready = match outcome {
        Outcome::Done { output } => {
            rows.give_output(task.number, output)?;
            return done(rows, task, now);
        }
        Outcome::Joined { output } => {
            rows.give_output_text(task.number, output)?;
            return done(rows, task, now);
        }
        Outcome::Skipped { reason } => {
            let reason = Error::new(ErrorKind::Cancelled, reason).report();
            rows.set_error(task.number, Some(&reason))?;
            rows.run().skipped += 1;
            ended(rows, task.number, TaskState::Skipped, Some(&reason), now)?;
            return Ok((TaskState::Skipped, end(rows, task, TaskState::Skipped, now)?));
        }
        Outcome::Failed { error, chance } => attempt_failed(rows, &mut task, error, chance, now)?,
        Outcome::Expand { children } => {
            let count = children.len();
            expand(rows, &mut task, (count, children.into_iter().map(Ok)), now)?
        }
        Outcome::Spread { like, items } => {
            let count = items.len();
            let children = items.into_iter().enumerate().map(|(index, item)| item_of(&like, index, &item));
            expand(rows, &mut task, (count, children), now)?
        }
        Outcome::Released => {
            task.state = TaskState::Ready;
            task.attempt -= 1;
            task.not_before = now;
            rows.save(&task)?;
            note(rows, Some(task.number), Change::Released, now)?;
            1
        }
        Outcome::Waiting { questions, at_most_ms } => {
            waiting::wait(rows, &mut task, (questions, at_most_ms), now)?
        }
        Outcome::Awaiting { run } => nested::wait(rows, &mut task, run, now)?,
        Outcome::GivenUp { error } => failed_for_good(rows, &mut task, TaskState::Failed, &error, now)?,
    };
    Ok((task.state, ready))
}

/// Takes a task back from a worker that is gone; gives the task's new state.
///
/// # Errors
/// The rows' own errors.
pub fn reclaim(rows: &mut dyn Rows, number: u32, now: Millis) -> Result<TaskState> {
    let mut task = rows.task(number)?;
    if task.state != TaskState::Running {
        return Ok(task.state);
    }
    rows.run().active -= 1;
    task.crashes += 1;
    note(rows, Some(number), Change::Crashed { crashes: task.crashes }, now)?;
    if task.crashes >= MAX_CRASHES {
        let message = format!("its worker died {} times while running it", task.crashes);
        let report = Error::new(ErrorKind::ToolFailed, message)
            .with_hint("find out what kills the worker, such as memory, before resuming the run")
            .report();
        failed_for_good(rows, &mut task, TaskState::Dead, &report, now)?;
    } else {
        task.state = TaskState::Ready;
        task.not_before = now;
        rows.save(&task)?;
    }
    settle(rows, now)?;
    Ok(rows.task(number)?.state)
}

/// Ends the run when nothing is left to do, or lets it wait when nothing can be done before people decide; gives its
/// state.
pub(crate) fn settle(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    let may_wait = run.state == RunState::Running && run.waiting > 0 && run.active == 0 && run.awaiting == 0;
    if may_wait && !rows.has_ready()? {
        change_run(rows, RunState::Waiting, None, now)?;
        return Ok(RunState::Waiting);
    }
    let run = rows.run();
    let is_over = run.open == 0;
    let failed = run.fatal > 0;
    let ended = match run.state {
        RunState::Running | RunState::Paused if is_over && failed => Some(RunState::Failed),
        RunState::Running | RunState::Paused if is_over => Some(RunState::Completed),
        RunState::Failing | RunState::TimingOut if run.active == 0 => Some(RunState::Failed),
        RunState::Cancelling if run.active == 0 => Some(RunState::Cancelled),
        _ => None,
    };
    if let Some(state) = ended {
        change_run(rows, state, None, now)?;
    }
    Ok(rows.run().state)
}

fn ended(
    rows: &mut dyn Rows,
    number: u32,
    state: TaskState,
    error: Option<&ErrorReport>,
    now: Millis,
) -> Result<()> {
    note(rows, Some(number), Change::Ended { state, error: error.cloned().map(Box::new) }, now)
}

/// Ends a task that has its result; gives its state and how many tasks became ready.
fn done(rows: &mut dyn Rows, task: TaskRow, now: Millis) -> Result<(TaskState, u32)> {
    rows.set_error(task.number, None)?;
    rows.run().done += 1;
    ended(rows, task.number, TaskState::Done, None, now)?;
    Ok((TaskState::Done, end(rows, task, TaskState::Done, now)?))
}

/// Ends a task whose dependents may go on, and gives how many tasks became ready by it.
fn end(rows: &mut dyn Rows, mut task: TaskRow, state: TaskState, now: Millis) -> Result<u32> {
    task.state = state;
    task.ended_at = Some(now);
    let (number, parent) = (task.number, task.parent);
    rows.give(task)?;
    rows.run().open -= 1;
    match parent {
        Some(parent) => child_ended(rows, parent, false, now),
        None => rows.release_dependents(number, now),
    }
}

/// Makes the task of an item.
fn item_of(like: &NewTask, index: usize, item: &str) -> Result<NewTask> {
    let item: Value = serde_json::from_str(item)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, "an item is no JSON").with_source(error))?;
    let payload = json!({"item": item, "index": index});
    Ok(NewTask { name: format!("{}[{index}]", like.name), payload, ..like.clone() })
}

fn expand(
    rows: &mut dyn Rows,
    task: &mut TaskRow,
    (count, children): (usize, impl Iterator<Item = Result<NewTask>>),
    now: Millis,
) -> Result<u32> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let first = rows.run().next;
    for (number, child) in (first..).zip(children) {
        let child = NewTask { dependencies: Vec::new(), ..child? };
        let row = TaskRow { parent: Some(task.number), ..TaskRow::new(number, &child, now) };
        rows.insert(&row, &child)?;
    }
    task.state = if count == 0 { TaskState::Ready } else { TaskState::Waiting };
    task.lease_until = Millis::default();
    task.joining = count == 0;
    task.awaits = None;
    task.open_children = count;
    task.failed_children = 0;
    task.forgiven = task.attempt;
    task.not_before = now;
    task.lease_until = Millis::default();
    rows.save(task)?;
    rows.set_error(task.number, None)?;
    let run = rows.run();
    run.tasks += count;
    run.next += count;
    run.open += count;
    note(rows, Some(task.number), Change::Expanded { items: count }, now)?;
    Ok(count.max(1))
}

fn attempt_failed(
    rows: &mut dyn Rows,
    task: &mut TaskRow,
    error: ErrorReport,
    chance: f64,
    now: Millis,
) -> Result<u32> {
    if discards_journal(error.kind) {
        task.journal_after = rows.run().seq;
        task.journal = 0;
    }
    let tries = task.attempt.saturating_sub(task.forgiven);
    if let Some(delay) = task.retry.delay_after(tries, &Error::from(error.clone()), chance) {
        rows.set_error(task.number, Some(&error))?;
        task.state = TaskState::Ready;
        // The next attempt has the run that failed go on, and joins that.
        task.joining &= task.awaits.is_none();
        task.not_before = now.after(delay);
        rows.save(task)?;
        note(rows, Some(task.number), Change::Retrying { at: task.not_before, error: Box::new(error) }, now)?;
        return Ok(1);
    }
    failed_for_good(rows, task, TaskState::Failed, &error, now)
}

/// Tells whether an attempt failed by what a model answered, so that replaying its answers would fail again.
fn discards_journal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidOutput | ErrorKind::ContentFilter | ErrorKind::LimitReached)
}

fn failed_for_good(
    rows: &mut dyn Rows,
    task: &mut TaskRow,
    state: TaskState,
    error: &ErrorReport,
    now: Millis,
) -> Result<u32> {
    task.state = state;
    task.ended_at = Some(now);
    rows.save(task)?;
    rows.set_error(task.number, Some(error))?;
    ended(rows, task.number, state, Some(error), now)?;
    // One that failed with the run that it joins leaves none behind.
    if task.awaits.is_none() || !task.joining {
        rows.abandon(Some(task.number));
    }
    let run = rows.run();
    run.open -= 1;
    run.failed += 1;
    match (task.parent, task.on_failure) {
        (Some(parent), OnFailure::Fail) => fail_parent(rows, parent, task.number, error, now),
        (Some(parent), _) => child_ended(rows, parent, true, now),
        (None, OnFailure::Continue) => rows.release_dependents(task.number, now),
        (None, OnFailure::SkipDependents) => {
            rows.run().fatal += 1;
            let error = named(rows, task.number, error)?;
            blame(rows, &error)?;
            skip_dependents(rows, task.number, now)
        }
        (None, OnFailure::Fail) => {
            rows.run().fatal += 1;
            let error = named(rows, task.number, error)?;
            blame(rows, &error)?;
            if matches!(rows.run().state, RunState::Running | RunState::Paused) {
                change_run(rows, RunState::Failing, Some(error), now)?;
            }
            Ok(0)
        }
    }
}

/// Gives a task's error as that of its run.
fn named(rows: &mut dyn Rows, number: u32, error: &ErrorReport) -> Result<ErrorReport> {
    let message = format!("task `{}` failed: {}", rows.name(number)?, error.message);
    Ok(ErrorReport { message, ..error.clone() })
}

/// Fails a `for_each` task at once because one of its items failed.
fn fail_parent(
    rows: &mut dyn Rows,
    parent: u32,
    child: u32,
    error: &ErrorReport,
    now: Millis,
) -> Result<u32> {
    let mut task = rows.task(parent)?;
    task.open_children = task.open_children.saturating_sub(1);
    task.failed_children += 1;
    if task.state != TaskState::Waiting {
        rows.save(&task)?;
        return Ok(0);
    }
    let message = format!("item `{}` failed: {}", rows.name(child)?, error.message);
    failed_for_good(rows, &mut task, TaskState::Failed, &ErrorReport { message, ..error.clone() }, now)
}

fn child_ended(rows: &mut dyn Rows, parent: u32, failed: bool, now: Millis) -> Result<u32> {
    let mut task = rows.task(parent)?;
    task.open_children = task.open_children.saturating_sub(1);
    task.failed_children += u32::from(failed);
    if task.state != TaskState::Waiting || task.open_children > 0 {
        rows.save(&task)?;
        return Ok(0);
    }
    if task.failed_children > 0 && task.on_failure != OnFailure::Continue {
        let message = format!("{} of its items failed", task.failed_children);
        let report = Error::new(ErrorKind::ToolFailed, message).report();
        return failed_for_good(rows, &mut task, TaskState::Failed, &report, now);
    }
    task.state = TaskState::Ready;
    task.joining = true;
    task.not_before = now;
    rows.save(&task)?;
    Ok(1)
}

fn skip_dependents(rows: &mut dyn Rows, failed: u32, now: Millis) -> Result<u32> {
    let report = Error::new(ErrorKind::ToolFailed, format!("task `{}` failed", rows.name(failed)?)).report();
    let mut stack = rows.dependents(failed)?;
    while let Some(number) = stack.pop() {
        let mut task = rows.task(number)?;
        if task.state != TaskState::Blocked {
            continue;
        }
        task.state = TaskState::Skipped;
        task.ended_at = Some(now);
        rows.save(&task)?;
        rows.set_error(number, Some(&report))?;
        ended(rows, number, TaskState::Skipped, Some(&report), now)?;
        let run = rows.run();
        run.open -= 1;
        run.skipped += 1;
        stack.extend(rows.dependents(number)?);
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
