//! One run's rows inside a transaction: read once, changed in memory, and written back where they differ.
//!
//! Decides nothing: what changes is up to `motet_core::schedule`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use motet_core::error::{ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{Rows, RunRow, TaskRow};
use motet_core::store::{AskedQuestion, NewRun, NewTask, RunEvent, RunState, Task, TaskState};
use motet_core::workflow::RetryPolicy;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::columns::{self, Places as _, json, run_columns, signed, task_columns, view_columns};
use super::failure::OrStore as _;
use super::{events, questions};

/// The rows of one run. What changes in them is written by [`RunRows::flush`]; inserting and removing is immediate.
pub(super) struct RunRows<'a> {
    connection: &'a Connection,
    now: Millis,
    key: i64,
    run: RunRow,
    stored: RunRow,
    tasks: BTreeMap<u32, Cached>,
}

struct Cached {
    row: TaskRow,
    changed: bool,
    has_error: bool,
    /// The error as JSON, where it is to be written.
    error: Option<Option<String>>,
}

impl<'a> RunRows<'a> {
    /// Loads a run, `None` when there is none.
    pub(super) fn load(connection: &'a Connection, run: &RunId, now: Millis) -> Result<Option<Self>> {
        let key = find_run(connection, run)?;
        key.map(|key| Self::load_key(connection, key, now)).transpose()
    }

    /// Loads a run by its number in this file.
    pub(super) fn load_key(connection: &'a Connection, key: i64, now: Millis) -> Result<Self> {
        const SQL: &str = concat!("SELECT ", run_columns!(), " FROM run WHERE key = ?1");
        let run = connection.prepare_cached(SQL).or_store()?.query_row([key], columns::run).or_store()?;
        Ok(Self { connection, now, key, stored: run.clone(), run, tasks: BTreeMap::new() })
    }

    /// Stores a new run without its tasks.
    pub(super) fn create(connection: &'a Connection, run: RunRow, new: &NewRun, now: Millis) -> Result<Self> {
        const RUN: &str = "INSERT INTO run (id, name, kind, state, tasks, next, open, active, done, failed, skipped, \
                           fatal, seq, created_at, max_active, deadline, parent, parent_task, root, submit_key) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, 0, 0, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        const DEFINITION: &str =
            "INSERT INTO definition (run, definition, inputs, settings) VALUES (?1, ?2, ?3, ?4)";
        connection
            .prepare_cached(RUN)
            .and_then(|mut statement| {
                statement.execute(params![
                    run.id.as_str(),
                    new.name,
                    new.kind,
                    run.state.place(),
                    run.tasks,
                    run.next,
                    run.open,
                    now.0,
                    run.max_active,
                    run.deadline.map(|time| time.0),
                    run.parent.as_ref().map(|parent| parent.run.as_str()),
                    run.parent.as_ref().map(|parent| parent.task),
                    run.parent.as_ref().map(|parent| parent.root.as_str()),
                    new.key
                ])
            })
            .or_store()?;
        let key = connection.last_insert_rowid();
        let (definition, inputs, settings) =
            (json(&new.definition)?, json(&new.inputs)?, json(&new.settings)?);
        connection
            .prepare_cached(DEFINITION)
            .and_then(|mut statement| statement.execute(params![key, definition, inputs, settings]))
            .or_store()?;
        Ok(Self { connection, now, key, stored: run.clone(), run, tasks: BTreeMap::new() })
    }

    /// Gives what is shown of a task, with changes that are not written yet.
    pub(super) fn view(&mut self, number: u32) -> Result<Task> {
        const SQL: &str = concat!("SELECT ", view_columns!(), " FROM task WHERE run = ?1 AND n = ?2");
        self.flush()?;
        let mut statement = self.connection.prepare_cached(SQL).or_store()?;
        let view = statement.query_row((self.key, number), |row| columns::view(row, &self.run.id));
        view.optional().or_store()?.ok_or_else(|| crate::no_such_task(&self.run.id, number))
    }

    /// Replaces the definition.
    pub(super) fn define(&self, definition: &Value) -> Result<()> {
        self.execute("UPDATE definition SET definition = ?2 WHERE run = ?1", (self.key, json(definition)?))
    }

    /// Appends an entry to the journal, whose number the caller has counted already.
    pub(super) fn append(&self, task: u32, record: &motet_core::run_log::Record) -> Result<()> {
        self.execute(
            "INSERT INTO journal (run, seq, task, at, step, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (self.key, signed(self.run.seq), task, record.at().0, record.step(), json(record)?),
        )
    }

    /// Writes what changed.
    pub(super) fn flush(&mut self) -> Result<()> {
        let (now, parked) = (self.now, self.run.state != RunState::Running);
        for cached in self.tasks.values_mut() {
            if std::mem::take(&mut cached.changed) {
                write_task(self.connection, self.key, &cached.row, (parked, now))?;
            }
            if let Some(error) = cached.error.take() {
                cached.has_error = error.is_some();
                const SQL: &str = "UPDATE task SET error = ?3 WHERE run = ?1 AND n = ?2";
                let mut statement = self.connection.prepare_cached(SQL).or_store()?;
                statement.execute(params![self.key, cached.row.number, error]).or_store()?;
            }
        }
        if self.run != self.stored {
            self.write_run()?;
        }
        Ok(())
    }

    fn write_run(&mut self) -> Result<()> {
        let run = &self.run;
        self.execute(
            "UPDATE run SET state = ?2, tasks = ?3, next = ?4, open = ?5, active = ?6, done = ?7, failed = ?8, \
             skipped = ?9, fatal = ?10, seq = ?11, ended_at = ?12, waiting = ?13, awaiting = ?14, events = ?15, \
             deadline = ?16, definition = ?17 WHERE key = ?1",
            params![
                self.key,
                run.state.place(),
                run.tasks,
                run.next,
                run.open,
                run.active,
                run.done,
                run.failed,
                run.skipped,
                run.fatal,
                signed(run.seq),
                run.ended_at.map(|time| time.0),
                run.waiting,
                run.awaiting,
                signed(run.events),
                run.deadline.map(|time| time.0),
                run.definition
            ],
        )?;
        let goes_on = |state: RunState| state == RunState::Running;
        match (goes_on(self.stored.state), goes_on(run.state)) {
            (true, false) => self.execute(
                "UPDATE task INDEXED BY ready_of_run SET parked = 1, due = NULL \
                 WHERE run = ?1 AND state = 1 AND parked = 0",
                [self.key],
            )?,
            (false, true) => self.execute(
                "UPDATE task SET parked = 0, due = CASE WHEN not_before > ?2 THEN not_before END \
                 WHERE run = ?1 AND state = 1 AND parked = 1",
                (self.key, self.now.0),
            )?,
            _ => {}
        }
        self.stored = self.run.clone();
        Ok(())
    }

    fn cached(&mut self, number: u32) -> Result<&mut Cached> {
        match self.tasks.entry(number) {
            Entry::Occupied(cached) => Ok(cached.into_mut()),
            Entry::Vacant(place) => {
                const SQL: &str = concat!("SELECT ", task_columns!(), " FROM task WHERE run = ?1 AND n = ?2");
                let mut statement = self.connection.prepare_cached(SQL).or_store()?;
                let found = statement.query_row((self.key, number), |row| columns::task(row, &self.run.id));
                let found = found.optional().or_store()?;
                let (row, has_error) = found.ok_or_else(|| crate::no_such_task(&self.run.id, number))?;
                Ok(place.insert(Cached { row, changed: false, has_error, error: None }))
            }
        }
    }

    /// Reads tasks into the cache and gives their numbers in the order read.
    fn preload(&mut self, sql: &str, number: Option<u32>) -> Result<Vec<u32>> {
        let mut statement = self.connection.prepare_cached(sql).or_store()?;
        let mut rows = match number {
            Some(number) => statement.query((self.key, number)),
            None => statement.query([self.key]),
        }
        .or_store()?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next().or_store()? {
            let number = row.get(0).or_store()?;
            numbers.push(number);
            if let Entry::Vacant(place) = self.tasks.entry(number) {
                let (row, has_error) = columns::task(row, &self.run.id).or_store()?;
                place.insert(Cached { row, changed: false, has_error, error: None });
            }
        }
        Ok(numbers)
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql).or_store()?;
        statement.execute(params).or_store()?;
        Ok(())
    }
}

impl Rows for RunRows<'_> {
    fn run(&mut self) -> &mut RunRow {
        &mut self.run
    }

    fn task(&mut self, number: u32) -> Result<TaskRow> {
        self.cached(number).map(|cached| cached.row.clone())
    }

    fn save(&mut self, task: &TaskRow) -> Result<()> {
        let cached = self.cached(task.number)?;
        if cached.row != *task {
            cached.row = task.clone();
            cached.changed = true;
        }
        Ok(())
    }

    fn name(&mut self, number: u32) -> Result<String> {
        const SQL: &str = "SELECT name FROM task WHERE run = ?1 AND n = ?2";
        let mut statement = self.connection.prepare_cached(SQL).or_store()?;
        let name = statement.query_row((self.key, number), |row| row.get(0)).optional().or_store()?;
        name.ok_or_else(|| crate::no_such_task(&self.run.id, number))
    }

    fn dependents(&mut self, number: u32) -> Result<Vec<u32>> {
        const SQL: &str = concat!(
            "SELECT ",
            task_columns!(),
            " FROM edge CROSS JOIN task ON task.run = edge.run AND task.n = edge.dst \
             WHERE edge.run = ?1 AND edge.src = ?2 ORDER BY edge.dst"
        );
        self.preload(SQL, Some(number))
    }

    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>> {
        const SQL: &str =
            "SELECT src FROM edge INDEXED BY edge_by_dst WHERE run = ?1 AND dst = ?2 ORDER BY src";
        let mut statement = self.connection.prepare_cached(SQL).or_store()?;
        let numbers = statement.query_map((self.key, number), |row| row.get(0)).or_store()?;
        numbers.collect::<rusqlite::Result<_>>().or_store()
    }

    fn numbers(&mut self) -> Result<Vec<u32>> {
        self.preload(concat!("SELECT ", task_columns!(), " FROM task WHERE run = ?1 ORDER BY n"), None)
    }

    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()> {
        let parked = self.run.state != RunState::Running;
        insert_task(self.connection, self.key, (row, task), (parked, self.now))?;
        for dependency in &task.dependencies {
            self.execute(
                "INSERT OR IGNORE INTO edge (run, src, dst) VALUES (?1, ?2, ?3)",
                (self.key, dependency, row.number),
            )?;
        }
        if !task.payload.is_null() {
            self.execute(
                "INSERT INTO payload (run, n, body) VALUES (?1, ?2, ?3)",
                (self.key, row.number, json(&task.payload)?),
            )?;
        }
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        self.tasks.remove(&number);
        for sql in [
            "DELETE FROM edge INDEXED BY edge_by_dst WHERE run = ?1 AND dst = ?2",
            "DELETE FROM payload WHERE run = ?1 AND n = ?2",
            "DELETE FROM output WHERE run = ?1 AND task = ?2",
            "DELETE FROM question WHERE run = ?1 AND task = ?2",
            "DELETE FROM task WHERE run = ?1 AND n = ?2",
        ] {
            self.execute(sql, (self.key, number))?;
        }
        Ok(())
    }

    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()> {
        let error = error.map(json).transpose()?;
        let cached = self.cached(number)?;
        if error.is_some() || cached.has_error || cached.error.is_some() {
            cached.error = Some(error);
        }
        Ok(())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO output (run, task, body) VALUES (?1, ?2, ?3)",
            (self.key, number, json(output)?),
        )
    }

    fn has_ready(&mut self) -> Result<bool> {
        self.flush()?;
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM task INDEXED BY ready_of_run \
                           WHERE run = ?1 AND state = 1 AND parked = 0)";
        self.connection.prepare_cached(SQL).or_store()?.query_row([self.key], |row| row.get(0)).or_store()
    }

    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>> {
        questions::find(self.connection, self.key, &self.run.id, step)
    }

    fn set_question(&mut self, question: &AskedQuestion) -> Result<()> {
        questions::put(self.connection, self.key, question)
    }

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        events::append(self.connection, self.key, &event)
    }

    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()> {
        let error = error.map(json).transpose()?;
        self.execute("UPDATE run SET error = ?2 WHERE key = ?1", (self.key, error))
    }

    fn active_with(&mut self, key: &str) -> Result<u32> {
        self.flush()?;
        const SQL: &str = "SELECT count(*) FROM task INDEXED BY limited WHERE limit_key = ?1 AND state = 2";
        self.connection.prepare_cached(SQL).or_store()?.query_row([key], |row| row.get(0)).or_store()
    }

    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>> {
        let mut statement =
            self.connection.prepare_cached("SELECT state FROM run WHERE id = ?1").or_store()?;
        let state = statement.query_row([run.as_str()], |row| columns::state(row, 0)).optional();
        state.or_store()
    }
}

/// Gives a run's number in this file.
pub(super) fn find_run(connection: &Connection, run: &RunId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT key FROM run WHERE id = ?1").or_store()?;
    statement.query_row([run.as_str()], |row| row.get(0)).optional().or_store()
}

/// Gives when a task's lease, delay, or waiting ends, as the index of such times keeps it.
fn due(task: &TaskRow, parked: bool, now: Millis) -> Option<i64> {
    if parked { None } else { task.due(now).map(|due| due.0) }
}

fn retry(policy: &RetryPolicy) -> Result<Option<String>> {
    (*policy != RetryPolicy::default()).then(|| json(policy)).transpose()
}

fn write_task(connection: &Connection, run: i64, task: &TaskRow, at: (bool, Millis)) -> Result<()> {
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

fn insert_task(
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
