//! Writes the scheduling rows of tasks.
//!
//! Knows nothing of what has changed in them, nor when it is written.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::schedule::TaskRow;
use motet_core::store::{NewTask, TaskState};
use motet_core::workflow::RetryPolicy;
use rusqlite::{Connection, ToSql, params};

use super::columns::{self, Places as _, json, signed};
use super::failure::OrStore as _;

/// Gives when a task's lease, delay, or waiting ends, as the index of such times keeps it.
fn due(task: &TaskRow, parked: bool, now: Millis) -> Option<i64> {
    if parked { None } else { task.due(now).map(|due| due.0) }
}

fn retry(policy: &RetryPolicy) -> Result<Option<String>> {
    (*policy != RetryPolicy::default()).then(|| json(policy)).transpose()
}

/// Which parts of a task's row differ from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changed(u8);

impl Changed {
    const STATE: Self = Self(1);
    /// The dependencies that it waits for.
    pub(super) const REMAINING: Self = Self(2);
    const NOT_BEFORE: Self = Self(4);
    /// Whose hands it is in, or was.
    const LEASE: Self = Self(8);
    const ENDED_AT: Self = Self(16);
    const OTHERS: Self = Self(32);
    /// All that may change when it becomes ready.
    pub(super) const READY: Self = Self(Self::STATE.0 | Self::REMAINING.0 | Self::NOT_BEFORE.0);
    const TAKEN: Self = Self(Self::STATE.0 | Self::LEASE.0);
    const ENDED: Self = Self(Self::STATE.0 | Self::ENDED_AT.0);
    pub(super) const ALL: Self = Self(63);

    /// Compares the row before with the row after.
    pub(super) fn between(before: &TaskRow, after: &TaskRow) -> Self {
        let lease = |row: &TaskRow| (row.attempt, row.lease_until, row.started_at);
        let parts = [
            (before.state != after.state, Self::STATE),
            (before.remaining != after.remaining, Self::REMAINING),
            (before.not_before != after.not_before, Self::NOT_BEFORE),
            (
                lease(before) != lease(after) || before.token != after.token || before.worker != after.worker,
                Self::LEASE,
            ),
            (before.ended_at != after.ended_at, Self::ENDED_AT),
            (others(before) != others(after), Self::OTHERS),
        ];
        parts
            .into_iter()
            .filter(|(differs, _)| *differs)
            .fold(Self::default(), |all, (_, part)| all.and(part))
    }

    /// Gives what differs by the one or the other.
    pub(super) fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    fn is_within(self, part: Self) -> bool {
        self.0 & !part.0 == 0
    }
}

/// What changes seldom; what is left out here never does.
fn others(row: &TaskRow) -> impl PartialEq + '_ {
    let counts = (row.forgiven, row.crashes, row.open_children, row.failed_children, row.open_questions);
    (counts, row.joining, row.awaits.as_ref(), row.journal, row.journal_after)
}

/// Writes what has changed in the row of a task.
pub(super) fn write_task(
    connection: &Connection,
    run: i64,
    (task, changed): (&TaskRow, Changed),
    (parked, now): (bool, Millis),
) -> Result<()> {
    const REMAINING: &str = "UPDATE task SET remaining = ?3 WHERE run = ?1 AND n = ?2";
    const READY: &str = "UPDATE task SET state = ?3, parked = ?4, due = ?5, remaining = ?6, not_before = ?7 \
                         WHERE run = ?1 AND n = ?2";
    const TAKEN: &str = "UPDATE task SET state = ?3, parked = ?4, due = ?5, attempt = ?6, token = ?7, worker = ?8, \
                         lease_until = ?9, started_at = ?10 WHERE run = ?1 AND n = ?2";
    const ENDED: &str = "UPDATE task SET state = ?3, parked = ?4, due = ?5, ended_at = ?6 \
                         WHERE run = ?1 AND n = ?2";
    let parked = parked && task.state == TaskState::Ready;
    let (number, state, due) = (task.number, task.state.place(), due(task, parked, now));
    let execute = |sql: &str, params: &[&dyn ToSql]| {
        let written = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
        written.map(drop).or_store()
    };
    if changed.is_within(Changed::REMAINING) {
        execute(REMAINING, params![run, number, task.remaining])
    } else if changed.is_within(Changed::READY) {
        execute(READY, params![run, number, state, parked, due, task.remaining, task.not_before.0])
    } else if changed.is_within(Changed::TAKEN) {
        let token = task.token.as_ref().map(columns::lease);
        let worker = task.worker.as_ref().map(|worker| worker.as_str());
        let (until, started) = (task.lease_until.0, task.started_at.map(|time| time.0));
        execute(TAKEN, params![run, number, state, parked, due, task.attempt, token, worker, until, started])
    } else if changed.is_within(Changed::ENDED) {
        execute(ENDED, params![run, number, state, parked, due, task.ended_at.map(|time| time.0)])
    } else {
        write_all(connection, run, task, (parked, due))
    }
}

/// Writes all that can change in the row of a task.
fn write_all(
    connection: &Connection,
    run: i64,
    task: &TaskRow,
    (parked, due): (bool, Option<i64>),
) -> Result<()> {
    const SQL: &str = "UPDATE task SET state = ?3, remaining = ?4, attempt = ?5, forgiven = ?6, crashes = ?7, \
                       open_children = ?8, failed_children = ?9, joining = ?10, not_before = ?11, token = ?12, \
                       worker = ?13, lease_until = ?14, started_at = ?15, ended_at = ?16, journal = ?17, \
                       journal_after = ?18, parked = ?19, due = ?20, open_questions = ?21, awaits = ?22 \
                       WHERE run = ?1 AND n = ?2";
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
                due,
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
