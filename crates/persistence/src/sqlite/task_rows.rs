//! Writes the scheduling rows of tasks.
//!
//! Knows nothing of what has changed in them, nor when it is written.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::schedule::TaskRow;
use motet_core::store::{NewTask, TaskState};
use motet_core::workflow::RetryPolicy;
use rusqlite::{Connection, params};

use super::columns::{self, Places as _, json, signed};
use super::failure::OrStore as _;

/// Gives when a task's lease, delay, or waiting ends, as the index of such times keeps it.
fn due(task: &TaskRow, parked: bool, now: Millis) -> Option<i64> {
    if parked { None } else { task.due(now).map(|due| due.0) }
}

fn retry(policy: &RetryPolicy) -> Result<Option<String>> {
    (*policy != RetryPolicy::default()).then(|| json(policy)).transpose()
}

/// Writes what can change in the row of a task.
pub(super) fn write_task(
    connection: &Connection,
    run: i64,
    task: &TaskRow,
    at: (bool, Millis),
) -> Result<()> {
    const SQL: &str = "UPDATE task SET state = ?3, remaining = ?4, attempt = ?5, forgiven = ?6, crashes = ?7, \
                       open_children = ?8, failed_children = ?9, joining = ?10, not_before = ?11, token = ?12, \
                       worker = ?13, lease_until = ?14, started_at = ?15, ended_at = ?16, journal = ?17, \
                       journal_after = ?18, parked = ?19, due = ?20, open_questions = ?21, awaits = ?22 \
                       WHERE run = ?1 AND n = ?2";
    let (parked, now) = at;
    let parked = parked && task.state == TaskState::Ready;
    connection
        .prepare_cached(SQL)
        .and_then(|mut statement| {
            statement.execute(params![
                run,
                task.number,
                task.state.place(),
                task.remaining,
                task.attempt,
                task.forgiven,
                task.crashes,
                task.open_children,
                task.failed_children,
                task.joining,
                task.not_before.0,
                task.token.as_ref().map(columns::lease),
                task.worker.as_ref().map(|worker| worker.as_str()),
                task.lease_until.0,
                task.started_at.map(|time| time.0),
                task.ended_at.map(|time| time.0),
                signed(task.journal),
                signed(task.journal_after),
                parked,
                due(task, parked, now),
                task.open_questions,
                task.awaits.as_ref().map(RunId::as_str)
            ])
        })
        .or_store()?;
    Ok(())
}

/// Stores the row of a new task.
pub(super) fn insert_task(
    connection: &Connection,
    run: i64,
    (row, task): (&TaskRow, &NewTask),
    (parked, now): (bool, Millis),
) -> Result<()> {
    const SQL: &str = "INSERT INTO task (run, n, name, queue, prio, state, parked, remaining, attempt, forgiven, \
                       crashes, parent, open_children, failed_children, joining, on_failure, retry, not_before, \
                       lease_until, journal, journal_after, due, delay, limit_key, limit_max) VALUES (?1, ?2, ?3, ?4, \
                       ?5, ?6, ?7, ?8, 0, 0, 0, ?9, 0, 0, 0, ?10, ?11, ?12, 0, 0, ?13, ?14, ?15, ?16, ?17)";
    let parked = parked && row.state == TaskState::Ready;
    let retry = retry(&row.retry)?;
    connection
        .prepare_cached(SQL)
        .and_then(|mut statement| {
            statement.execute(params![
                run,
                row.number,
                task.name,
                task.queue,
                task.priority.place(),
                row.state.place(),
                parked,
                row.remaining,
                row.parent,
                row.on_failure.place(),
                retry,
                row.not_before.0,
                signed(row.journal_after),
                due(row, parked, now),
                signed(u64::try_from(row.delay.as_millis()).unwrap_or(u64::MAX)),
                row.limit.as_ref().map(|limit| limit.key.as_str()),
                row.limit.as_ref().map(|limit| limit.max)
            ])
        })
        .or_store()?;
    Ok(())
}
