//! Going on with a run that failed or was cancelled, with its old definition or a new one.

use std::collections::{HashMap, HashSet};

use super::{Rows, TaskRow, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Millis;
use crate::store::{NewTask, RunState, TaskState};
use crate::workflow::OnFailure;

/// Makes everything that did not end well ready to run again; what is done stays done.
///
/// # Errors
/// `Conflict` when the run is completed; the rows' own errors.
pub fn resume(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    match run.state {
        RunState::Running => return Ok(RunState::Running),
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
    for number in &numbers {
        let task = rows.task(*number)?;
        if ended_badly(&task) {
            reset(rows, task, now)?;
        }
    }
    recount(rows, &numbers, now)
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
/// `Conflict` when a task runs; `InvalidRequest` when the new tasks make no graph; the rows' own errors.
pub fn redefine(rows: &mut dyn Rows, change: &Redefinition<'_>, now: Millis) -> Result<RunState> {
    super::check_graph(change.tasks)?;
    let run = rows.run();
    if run.active > 0 {
        return Err(Error::new(ErrorKind::Conflict, format!("tasks of run `{}` still run", run.id))
            .with_hint("wait for them, or cancel the run first"));
    }
    let (seq, mut next) = (run.seq, run.next);
    let (kept, named) = remove_changed(rows, change, now)?;
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
    rows.run().next = next;
    let numbers = rows.numbers()?;
    recount(rows, &numbers, now)
}

/// Removes what changed, resets what ended badly; gives the numbers kept and the numbers by name.
fn remove_changed(
    rows: &mut dyn Rows,
    change: &Redefinition<'_>,
    now: Millis,
) -> Result<(HashSet<u32>, HashMap<String, u32>)> {
    let unchanged: HashSet<&str> = change.unchanged.iter().map(String::as_str).collect();
    let mut kept = HashSet::new();
    let mut named = HashMap::new();
    for number in rows.numbers()? {
        let (task, name) = (rows.task(number)?, rows.name(number)?);
        let stays =
            task.parent.map_or_else(|| unchanged.contains(name.as_str()), |parent| kept.contains(&parent));
        if !stays {
            rows.remove(number)?;
        } else {
            kept.insert(number);
            if ended_badly(&task) {
                reset(rows, task.clone(), now)?;
            }
        }
        if task.parent.is_none() {
            named.insert(name, number);
        }
    }
    Ok((kept, named))
}

fn ended_badly(task: &TaskRow) -> bool {
    match task.state {
        TaskState::Failed => task.on_failure != OnFailure::Continue,
        // One skipped by its own condition was claimed for it; one skipped by a failure never was.
        TaskState::Skipped => task.attempt == task.forgiven,
        _ => false,
    }
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
            let (count, open) = children.entry(parent).or_default();
            *count += 1;
            *open += u32::from(!task.state.is_ended());
        }
    }
    for number in numbers {
        let mut task = rows.task(*number)?;
        if !matches!(task.state, TaskState::Blocked | TaskState::Waiting) {
            continue;
        }
        let mut remaining = 0;
        for dependency in rows.dependencies(*number)? {
            remaining += u32::from(!rows.task(dependency)?.state.is_ended());
        }
        task.remaining = remaining;
        (task.open_children, task.failed_children) = (0, 0);
        match children.get(number) {
            Some((_, open)) if *open > 0 => {
                task.state = TaskState::Waiting;
                task.open_children = *open;
            }
            Some(_) => (task.state, task.joining) = (TaskState::Ready, true),
            None if remaining == 0 => task.state = TaskState::Ready,
            None => {}
        }
        rows.save(&task)?;
    }
    let mut counted = (0, 0, 0, 0);
    for number in numbers {
        match rows.task(*number)?.state {
            TaskState::Done => counted.1 += 1,
            TaskState::Failed => counted.2 += 1,
            TaskState::Skipped => counted.3 += 1,
            _ => counted.0 += 1,
        }
    }
    let run = rows.run();
    run.tasks = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    (run.open, run.done, run.failed, run.skipped) = counted;
    run.fatal = 0;
    run.state = RunState::Running;
    run.ended_at = None;
    Ok(settle(rows, now))
}
