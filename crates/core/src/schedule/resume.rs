//! Going on with a run that failed or was cancelled, with its old definition or a new one.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Rows, TaskRow, change_run, note, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Millis;
use crate::store::{Change, NewTask, RunState, TaskState};
use crate::workflow::OnFailure;

/// Makes everything that did not end well ready to run again; what is done stays done.
///
/// # Errors
/// `Conflict` when the run is completed; the rows' own errors.
pub fn resume(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    match run.state {
        state @ (RunState::Running | RunState::Waiting) => return Ok(state),
        RunState::Paused => return super::unpause(rows, now),
        RunState::Completed => {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("run `{}` is completed: nothing is left to do", run.id),
            )
            .with_hint("start a new run to do the work again"));
        }
        _ => {}
    }
    let numbers = rows.numbers()?;
    reset_all(rows, &numbers, now)?;
    recount(rows, &numbers, now)
}

/// The same with another end of the run's time; a run that still goes on keeps its own.
///
/// # Errors
/// As [`resume`].
pub fn resume_until(rows: &mut dyn Rows, deadline: Option<Millis>, now: Millis) -> Result<RunState> {
    let goes_on = matches!(rows.run().state, RunState::Running | RunState::Waiting);
    let state = resume(rows, now)?;
    if !goes_on && !state.is_ended() {
        rows.run().deadline = deadline;
    }
    Ok(state)
}

/// What a changed definition does to the tasks of a run.
#[derive(Debug)]
pub struct Redefinition<'a> {
    /// All tasks of the new definition.
    pub tasks: &'a [NewTask],
    /// Names of the tasks that are as before, and so are all they depend on.
    pub unchanged: &'a [String],
}

/// Goes on with new tasks: unchanged ones and their items resume, all others start anew.
///
/// # Errors
/// `Conflict` when a task runs; `InvalidRequest` when the new tasks make no graph, or an unchanged task waits for one
/// that is not; the rows' own errors.
pub fn redefine(rows: &mut dyn Rows, change: &Redefinition<'_>, now: Millis) -> Result<RunState> {
    super::check_graph(change.tasks)?;
    let run = rows.run();
    if run.active > 0 {
        return Err(Error::new(ErrorKind::Conflict, format!("tasks of run `{}` still run", run.id))
            .with_hint("wait for them, or cancel the run first"));
    }
    let (seq, mut next) = (run.seq, run.next);
    let Old { kept, removed, named } = compare(rows, change)?;
    for number in removed {
        rows.remove(number)?;
        rows.abandon(Some(number));
    }
    let number_of = |task: &NewTask| named.get(task.name.as_str()).copied();
    let numbers: Vec<u32> = change
        .tasks
        .iter()
        .map(|task| {
            number_of(task).unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    for (task, number) in change.tasks.iter().zip(&numbers) {
        if !kept.contains(number) {
            let dependencies =
                task.dependencies.iter().filter_map(|index| numbers.get(*index as usize).copied()).collect();
            let task = NewTask { dependencies, ..task.clone() };
            rows.insert(&TaskRow { journal_after: seq, ..TaskRow::new(*number, &task, now) }, &task)?;
        }
    }
    let run = rows.run();
    run.next = next;
    run.definition += 1;
    let numbers = rows.numbers()?;
    note(rows, None, Change::Redefined { tasks: u32::try_from(numbers.len()).unwrap_or(u32::MAX) }, now)?;
    reset_all(rows, &numbers, now)?;
    recount(rows, &numbers, now)
}

/// The tasks before a redefinition.
struct Old {
    /// Numbers of those that stay.
    kept: BTreeSet<u32>,
    /// Numbers of those that go.
    removed: Vec<u32>,
    /// Numbers by name, without items.
    named: HashMap<String, u32>,
}

/// Tells what a redefinition keeps; changes nothing, so that a refused one leaves the run as it was.
fn compare(rows: &mut dyn Rows, change: &Redefinition<'_>) -> Result<Old> {
    let defined: HashSet<&str> = change.tasks.iter().map(|task| task.name.as_str()).collect();
    let unchanged: HashSet<&str> =
        change.unchanged.iter().map(String::as_str).filter(|name| defined.contains(name)).collect();
    let mut old = Old { kept: BTreeSet::new(), removed: Vec::new(), named: HashMap::new() };
    for number in rows.numbers()? {
        let (parent, name) = (rows.task(number)?.parent, rows.name(number)?);
        // A task has a smaller number than its items.
        if parent.map_or_else(|| unchanged.contains(name.as_str()), |parent| old.kept.contains(&parent)) {
            old.kept.insert(number);
        } else {
            old.removed.push(number);
        }
        if parent.is_none() {
            old.named.insert(name, number);
        }
    }
    for number in &old.kept {
        for dependency in rows.dependencies(*number)? {
            if !old.kept.contains(&dependency) {
                let (task, other) = (rows.name(*number)?, rows.name(dependency)?);
                let message =
                    format!("task `{task}` is not unchanged: it waits for `{other}`, which changed");
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            }
        }
    }
    Ok(old)
}

/// Makes everything that did not end well run again, and forgives the attempts of what is ready.
fn reset_all(rows: &mut dyn Rows, numbers: &[u32], now: Millis) -> Result<()> {
    let mut again = HashSet::new();
    for number in numbers {
        let mut task = rows.task(*number)?;
        let ended_badly = match task.parent {
            None => ended_badly(&task),
            Some(parent) => is_item_again(rows, &task, again.contains(&parent))?,
        };
        if ended_badly {
            again.insert(*number);
            reset(rows, task, now)?;
        } else if task.state == TaskState::Ready {
            (task.forgiven, task.crashes) = (task.attempt, 0);
            // Its run was cancelled with this one: it is resumed, not joined.
            task.joining &= task.awaits.is_none();
            rows.save(&task)?;
        }
    }
    Ok(())
}

fn ended_badly(task: &TaskRow) -> bool {
    match task.state {
        TaskState::Failed | TaskState::Dead => task.on_failure != OnFailure::Continue,
        // One skipped by its own condition was claimed for it; one skipped by a failure never was.
        TaskState::Skipped => task.attempt == task.forgiven,
        _ => false,
    }
}

/// Tells whether a failed item runs again: where its task has failed or would fail for it. What its own policy says is no
/// matter then, and where the task has ended for good nothing is.
fn is_item_again(rows: &mut dyn Rows, item: &TaskRow, parent_again: bool) -> Result<bool> {
    let Some(parent) = item.parent else { return Ok(false) };
    if !item.state.has_failed() || parent_again {
        return Ok(item.state.has_failed());
    }
    let parent = rows.task(parent)?;
    Ok(parent.state == TaskState::Waiting && parent.on_failure != OnFailure::Continue)
}

fn reset(rows: &mut dyn Rows, mut task: TaskRow, now: Millis) -> Result<()> {
    task.state = TaskState::Blocked;
    task.forgiven = task.attempt;
    task.crashes = 0;
    task.ended_at = None;
    task.not_before = now;
    rows.set_error(task.number, None)?;
    rows.save(&task)
}

/// Derives every counter anew from the states, so that a resumed run starts from a consistent picture.
fn recount(rows: &mut dyn Rows, numbers: &[u32], now: Millis) -> Result<RunState> {
    let mut children: HashMap<u32, (u32, u32)> = HashMap::new();
    for number in numbers {
        let task = rows.task(*number)?;
        if let Some(parent) = task.parent {
            let (open, failed) = children.entry(parent).or_default();
            *open += u32::from(!task.state.is_ended());
            *failed += u32::from(task.state.has_failed());
        }
    }
    for number in numbers {
        let mut task = rows.task(*number)?;
        let asks = task.waits_for_people() && task.awaits.is_none();
        if !matches!(task.state, TaskState::Blocked | TaskState::Waiting) || asks {
            continue;
        }
        let mut remaining = 0;
        for dependency in rows.dependencies(*number)? {
            remaining += u32::from(!rows.task(dependency)?.state.is_ended());
        }
        task.remaining = remaining;
        (task.open_children, task.failed_children) = children.get(number).copied().unwrap_or_default();
        match children.get(number) {
            Some((1.., _)) => (task.state, task.joining) = (TaskState::Waiting, false),
            Some(_) => (task.state, task.joining) = (TaskState::Ready, true),
            None if remaining == 0 => {
                (task.state, task.joining, task.open_questions) = (TaskState::Ready, false, 0);
            }
            None => {}
        }
        rows.save(&task)?;
    }
    let mut counted = (0, 0, 0, 0);
    let mut waiting = 0;
    for number in numbers {
        let task = rows.task(*number)?;
        waiting += u32::from(task.waits_for_people());
        match task.state {
            TaskState::Done => counted.1 += 1,
            TaskState::Failed | TaskState::Dead => counted.2 += 1,
            TaskState::Skipped => counted.3 += 1,
            _ => counted.0 += 1,
        }
    }
    let run = rows.run();
    run.tasks = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    (run.open, run.done, run.failed, run.skipped) = counted;
    (run.fatal, run.waiting, run.awaiting) = (0, waiting, 0);
    run.ended_at = None;
    // The time of a run that failed before its time was over has passed meanwhile.
    if run.deadline.is_some_and(|deadline| deadline <= now) {
        run.deadline = None;
    }
    rows.set_run_error(None)?;
    change_run(rows, RunState::Running, None, now)?;
    settle(rows, now)
}
