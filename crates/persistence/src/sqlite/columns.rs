//! How words of ours stand in columns: enum values as small numbers, times in milliseconds, the rest as JSON.
//!
//! The numbers are stored, so they never change.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::schedule::{RunRow, TaskRow};
use motet_core::store::{LeaseToken, Nonce, ParentTask, RunState, RunSummary, Task, TaskLimit, TaskState};
use motet_core::workflow::{OnFailure, Priority, RetryPolicy};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::{RunFacts, TaskFacts};

/// Columns of a run that [`run`] and [`summary`] read.
macro_rules! run_columns {
    () => {
        "id, state, tasks, next, open, active, done, failed, skipped, fatal, seq, ended_at, name, kind, created_at, waiting, \
         awaiting, events, max_active, deadline, parent, parent_task, root, error, definition"
    };
}

/// Columns of a task that [`task`] reads.
macro_rules! task_columns {
    () => {
        "n, state, remaining, attempt, forgiven, crashes, parent, open_children, failed_children, joining, \
         on_failure, retry, not_before, token, worker, lease_until, started_at, ended_at, journal, journal_after, \
         error IS NOT NULL, open_questions, awaits, delay, limit_key, limit_max"
    };
}

/// Columns of a task that [`facts`] reads: what is shown, and scheduling need not know.
macro_rules! fact_columns {
    () => {
        "name, queue, prio, error, \
         (SELECT coalesce((SELECT blob.body FROM blob WHERE blob.hash = payload.blob), payload.body) FROM payload \
         WHERE payload.run = task.run AND payload.n = task.n)"
    };
}

/// Columns of a task that [`view`] reads.
macro_rules! view_columns {
    () => {
        concat!(
            $crate::sqlite::columns::fact_columns!(),
            ", ",
            $crate::sqlite::columns::task_columns!(),
            ", (SELECT run.state FROM run WHERE run.key = task.run)"
        )
    };
}

pub(super) use {fact_columns, run_columns, task_columns, view_columns};

/// How many columns `fact_columns!` gives.
pub(super) const FACTS_WIDTH: usize = 5;

/// How many columns `task_columns!` gives.
const TASK_WIDTH: usize = 26;

/// Reads the state of a run.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<RunState> {
    Ok(row.get::<_, Place<RunState>>(column)?.0)
}

/// Reads the state of a task.
pub(super) fn task_state(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskState> {
    Ok(row.get::<_, Place<TaskState>>(column)?.0)
}

/// Reads the scheduling row of a run.
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get::<_, Id>(0)?.0,
        state: row.get::<_, Place<RunState>>(1)?.0,
        tasks: row.get(2)?,
        next: row.get(3)?,
        open: row.get(4)?,
        active: row.get(5)?,
        done: row.get(6)?,
        failed: row.get(7)?,
        skipped: row.get(8)?,
        fatal: row.get(9)?,
        waiting: row.get(15)?,
        seq: unsigned(row.get(10)?),
        ended_at: row.get::<_, Option<i64>>(11)?.map(Millis),
        awaiting: row.get(16)?,
        events: unsigned(row.get(17)?),
        max_active: row.get(18)?,
        deadline: row.get::<_, Option<i64>>(19)?.map(Millis),
        parent: parent(row)?,
        definition: row.get(24)?,
    })
}

fn parent(row: &Row<'_>) -> rusqlite::Result<Option<ParentTask>> {
    let Some(run) = row.get::<_, Option<Id>>(20)? else { return Ok(None) };
    Ok(Some(ParentTask { run: run.0, task: row.get(21)?, root: row.get::<_, Id>(22)?.0 }))
}

/// Reads what is shown of a run.
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let facts = RunFacts {
        name: row.get(12)?,
        kind: row.get(13)?,
        created_at: Millis(row.get(14)?),
        error: row.get::<_, Option<Json<ErrorReport>>>(23)?.map(|json| json.0),
    };
    Ok(crate::summary(&run(row)?, facts))
}

/// Reads the scheduling row of a task, and whether it has an error; its columns begin at `first`.
pub(super) fn task(row: &Row<'_>, first: usize, run: &RunId) -> rusqlite::Result<(TaskRow, bool)> {
    let number = row.get(first)?;
    let task = TaskRow {
        number,
        state: row.get::<_, Place<TaskState>>(first + 1)?.0,
        remaining: row.get(first + 2)?,
        attempt: row.get(first + 3)?,
        forgiven: row.get(first + 4)?,
        crashes: row.get(first + 5)?,
        parent: row.get(first + 6)?,
        open_children: row.get(first + 7)?,
        failed_children: row.get(first + 8)?,
        open_questions: row.get(first + 21)?,
        joining: row.get(first + 9)?,
        awaits: row.get::<_, Option<Id>>(first + 22)?.map(|id| id.0),
        delay: Duration::from_millis(unsigned(row.get(first + 23)?)),
        limit: match row.get(first + 24)? {
            Some(key) => Some(TaskLimit { key, max: row.get(first + 25)? }),
            None => None,
        },
        on_failure: row.get::<_, Place<OnFailure>>(first + 10)?.0,
        retry: row.get::<_, Option<Json<RetryPolicy>>>(first + 11)?.map(|json| json.0).unwrap_or_default(),
        not_before: Millis(row.get(first + 12)?),
        token: row.get::<_, Option<Lease>>(first + 13)?.map(|Lease { attempt, nonce }| LeaseToken {
            run: run.clone(),
            task: number,
            attempt,
            nonce,
        }),
        worker: row.get::<_, Option<String>>(first + 14)?.map(WorkerId::from_stored),
        lease_until: Millis(row.get(first + 15)?),
        started_at: row.get::<_, Option<i64>>(first + 16)?.map(Millis),
        ended_at: row.get::<_, Option<i64>>(first + 17)?.map(Millis),
        journal: unsigned(row.get(first + 18)?),
        journal_after: unsigned(row.get(first + 19)?),
    };
    Ok((task, row.get(first + 20)?))
}

/// Reads what is shown of a task.
pub(super) fn view(row: &Row<'_>, run: &RunId) -> rusqlite::Result<Task> {
    let state = row.get::<_, Place<RunState>>(FACTS_WIDTH + TASK_WIDTH)?.0;
    Ok(crate::task(&task(row, FACTS_WIDTH, run)?.0, facts(row, (run, state))?))
}

/// Reads what is shown of a task beside its scheduling row.
pub(super) fn facts(row: &Row<'_>, (run, run_state): (&RunId, RunState)) -> rusqlite::Result<TaskFacts> {
    Ok(TaskFacts {
        run: run.clone(),
        run_state,
        name: row.get(0)?,
        queue: row.get(1)?,
        priority: row.get::<_, Place<Priority>>(2)?.0,
        error: row.get::<_, Option<Json<ErrorReport>>>(3)?.map(|json| json.0),
        payload: row.get::<_, Option<Json<Value>>>(4)?.map_or(Value::Null, |json| json.0),
    })
}

/// Writes a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Store, "a value cannot be written as JSON").with_source(error))
}

/// Writes a lease as it stands in its column: the attempt and the random part.
pub(super) fn lease(token: &LeaseToken) -> String {
    format!("{}-{}", token.attempt, token.nonce)
}

/// Writes a count; SQLite has no unsigned numbers.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a count.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A list of values whose places are the stored numbers.
pub(super) trait Places: Copy + PartialEq + 'static {
    /// All values in the order of their numbers.
    const VALUES: &'static [Self];

    /// Gives the number that is stored.
    fn place(self) -> i64 {
        let place = Self::VALUES.iter().position(|value| *value == self);
        place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
    }
}

impl Places for RunState {
    const VALUES: &'static [Self] = RunState::ALL;
}

impl Places for TaskState {
    const VALUES: &'static [Self] = TaskState::ALL;
}

impl Places for OnFailure {
    const VALUES: &'static [Self] = &[OnFailure::Fail, OnFailure::SkipDependents, OnFailure::Continue];
}

impl Places for Priority {
    const VALUES: &'static [Self] = &[Priority::Urgent, Priority::High, Priority::Normal, Priority::Low];
}

struct Place<T>(T);

impl<T: Places> FromSql for Place<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        let known = usize::try_from(number).ok().and_then(|place| T::VALUES.get(place));
        known.map(|value| Self(*value)).ok_or(FromSqlError::OutOfRange(number))
    }
}

/// A value stored as JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A run's id.
pub(super) struct Id(pub(super) RunId);

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text: StrDeserializer<'_, serde::de::value::Error> = value.as_str()?.into_deserializer();
        RunId::deserialize(text).map(Self).map_err(FromSqlError::other)
    }
}

struct Lease {
    attempt: u32,
    nonce: Nonce,
}

impl FromSql for Lease {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (attempt, nonce) = value.as_str()?.split_once('-').ok_or(FromSqlError::InvalidType)?;
        let attempt = attempt.parse().map_err(FromSqlError::other)?;
        Ok(Self { attempt, nonce: nonce.to_owned().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_that_the_indexes_name_are_those_of_the_states() {
        assert_eq!(TaskState::Ready.place(), 1);
        assert_eq!(TaskState::Running.place(), 2);
    }

    #[test]
    fn priorities_are_stored_by_their_rank() {
        for priority in Priority::VALUES {
            assert_eq!(priority.place(), i64::from(priority.rank()));
        }
    }

    #[test]
    fn every_column_of_a_task_is_counted() {
        assert_eq!(task_columns!().split(", ").count(), TASK_WIDTH);
        let (short, _) = fact_columns!().split_once('(').unwrap();
        assert_eq!(short.matches(',').count() + 1, FACTS_WIDTH);
    }
}
