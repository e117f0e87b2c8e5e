//! One run's rows inside a transaction: read once, changed in memory, and written back where they differ.
//!
//! Decides nothing: what changes is up to `motet_core::schedule`.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, Rows, RunRow, TaskRow, Turn};
use motet_core::store::{AskedQuestion, NewRun, NewTask, RunEvent, RunState, TaskDump, TaskState};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::columns::{self, FACTS_WIDTH, Places as _, fact_columns, json, run_columns, signed, task_columns};
use super::failure::OrStore as _;
use super::task_rows::{Changed, insert_task, write_task};
use super::writer::Session;
use super::{blobs, events, questions};
use crate::TaskFacts;

/// Runs with more tasks than this in the cache lose them when a transaction ends.
const MOST_TASKS: usize = 4096;

/// With more runs than this in the cache, all are dropped when a transaction ends.
const MOST_RUNS: usize = 256;

/// The rows of runs that were read, kept over the commands of a transaction and, as long as no other process writes,
/// over transactions.
///
/// Between two commands everything is written but the counters of runs: those are written once for each transaction.
#[derive(Default)]
pub(super) struct Cache {
    runs: HashMap<i64, Loaded>,
    keys: HashMap<RunId, i64>,
    /// The runs that the command in progress has taken, as they were before it and as they are written; `None` for one
    /// that it made.
    touched: Vec<(i64, Option<(RunRow, RunRow)>)>,
}

struct Loaded {
    run: RunRow,
    stored: RunRow,
    tasks: BTreeMap<u32, Cached>,
}

struct Cached {
    row: TaskRow,
    changed: Changed,
    has_error: bool,
    /// The error as JSON, where it is to be written.
    error: Option<Option<String>>,
}

impl Cache {
    /// Forgets everything, as after changes by another process or a transaction that was lost.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.keys.clear();
        self.touched.clear();
    }

    /// Forgets a run that is removed.
    pub(super) fn forget(&mut self, key: i64) {
        self.runs.remove(&key);
        self.keys.retain(|_, kept| *kept != key);
    }

    /// Ends a command; of one that failed, nothing stays.
    pub(super) fn end_command(&mut self, succeeded: bool) {
        if succeeded {
            self.touched.clear();
            return;
        }
        // The last first, so that a run taken twice is as it was in the beginning.
        for (key, before) in std::mem::take(&mut self.touched).into_iter().rev() {
            match (before, self.runs.get_mut(&key)) {
                (Some((run, stored)), Some(loaded)) => {
                    *loaded = Loaded { run, stored, tasks: BTreeMap::new() };
                }
                _ => self.forget(key),
            }
        }
    }

    /// Writes what is left to write before a transaction is made durable.
    pub(super) fn flush(&mut self, connection: &Connection, now: Millis) -> Result<()> {
        for (key, loaded) in &mut self.runs {
            if loaded.run != loaded.stored {
                write_run(connection, *key, loaded, now)?;
            }
            if loaded.tasks.len() > MOST_TASKS {
                loaded.tasks.clear();
            }
        }
        if self.runs.len() > MOST_RUNS {
            self.clear();
        }
        Ok(())
    }
}

/// The rows of one run, taken from the cache for as long as this lives. What changes in them is written by
/// [`RunRows::flush`]; inserting and removing is immediate.
pub(super) struct RunRows<'a> {
    connection: &'a Connection,
    cache: &'a RefCell<Cache>,
    now: Millis,
    key: i64,
    /// Runs that tasks of this one started, or one of them, and that nobody wants any more.
    pub(super) abandoned: Vec<(RunId, Option<u32>)>,
    loaded: Loaded,
    /// Tasks that are to be written, some of them twice.
    changed: Vec<u32>,
    events: Vec<RunEvent>,
}

impl Drop for RunRows<'_> {
    fn drop(&mut self) {
        let run = self.loaded.run.clone();
        let empty = Loaded { run: run.clone(), stored: run, tasks: BTreeMap::new() };
        let loaded = std::mem::replace(&mut self.loaded, empty);
        self.cache.borrow_mut().runs.insert(self.key, loaded);
    }
}

impl<'a> RunRows<'a> {
    /// Loads a run, `None` when there is none.
    pub(super) fn load(session: &Session<'a>, run: &RunId) -> Result<Option<Self>> {
        let known = session.cache.borrow().keys.get(run).copied();
        let key = match known {
            Some(key) => Some(key),
            None => find_run(session.connection, run)?,
        };
        key.map(|key| Self::load_key(session, key)).transpose()
    }

    /// Loads a run by its number in this file.
    pub(super) fn load_key(session: &Session<'a>, key: i64) -> Result<Self> {
        const SQL: &str = concat!("SELECT ", run_columns!(), " FROM run WHERE key = ?1");
        let known = session.cache.borrow_mut().runs.remove(&key);
        let loaded = match known {
            Some(loaded) => loaded,
            None if session.cache.borrow().touched.iter().any(|(touched, _)| *touched == key) => {
                return Err(Error::new(ErrorKind::Internal, "a run is taken twice by one command"));
            }
            None => {
                let mut statement = session.connection.prepare_cached(SQL).or_store()?;
                let run = statement.query_row([key], columns::run).or_store()?;
                session.cache.borrow_mut().keys.insert(run.id.clone(), key);
                Loaded { stored: run.clone(), run, tasks: BTreeMap::new() }
            }
        };
        let before = (loaded.run.clone(), loaded.stored.clone());
        Ok(Self::of(session, key, loaded, Some(before)))
    }

    fn of(session: &Session<'a>, key: i64, loaded: Loaded, before: Option<(RunRow, RunRow)>) -> Self {
        session.cache.borrow_mut().touched.push((key, before));
        let (connection, cache, now) = (session.connection, session.cache, session.now);
        let (abandoned, changed, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { connection, cache, now, key, abandoned, loaded, changed, events }
    }

    /// Stores a new run without its tasks.
    pub(super) fn create(
        session: &Session<'a>,
        run: RunRow,
        new: &NewRun,
        created_at: Millis,
    ) -> Result<Self> {
        // The number of a run that was removed may still stand at rows that wait for their removal.
        const RUN: &str = "INSERT INTO run (key, id, name, kind, state, tasks, next, open, active, done, failed, skipped, \
                           fatal, seq, created_at, max_active, deadline, parent, parent_task, root, submit_key) VALUES ( \
                           1 + max(coalesce((SELECT max(key) FROM run), 0), coalesce((SELECT max(run) FROM removed), 0)), \
                           ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, 0, 0, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        const DEFINITION: &str =
            "INSERT INTO definition (run, definition, inputs, settings) VALUES (?1, ?2, ?3, ?4)";
        let connection = session.connection;
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
                    created_at.0,
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
        let loaded = Loaded { stored: run.clone(), run, tasks: BTreeMap::new() };
        Ok(Self::of(session, key, loaded, None))
    }

    /// Reads what is shown of a task beside its row; nothing of it may wait to be written.
    pub(super) fn facts(&mut self, number: u32) -> Result<TaskFacts> {
        const ALL: &str = concat!(
            "SELECT ",
            fact_columns!(),
            ", ",
            task_columns!(),
            " FROM task WHERE run = ?1 AND n = ?2"
        );
        const FACTS: &str = concat!("SELECT ", fact_columns!(), " FROM task WHERE run = ?1 AND n = ?2");
        let Loaded { run, tasks, .. } = &mut self.loaded;
        let entry = tasks.entry(number);
        let sql = if matches!(entry, Entry::Vacant(_)) { ALL } else { FACTS };
        let mut statement = self.connection.prepare_cached(sql).or_store()?;
        let found = statement.query_row((self.key, number), |row| {
            if let Entry::Vacant(place) = entry {
                let (row, has_error) = columns::task(row, FACTS_WIDTH, &run.id)?;
                place.insert(Cached { row, changed: Changed::default(), has_error, error: None });
            }
            columns::facts(row, (&run.id, run.state))
        });
        found.optional().or_store()?.ok_or_else(|| crate::no_such_task(&run.id, number))
    }

    /// Writes the row of a task with everything that scheduling needs to know of it, as another store gave it.
    pub(super) fn restore(&mut self, dump: &TaskDump) -> Result<()> {
        self.insert(&dump.row, &dump.new)?;
        let cached = self.cached(dump.row.number)?;
        (cached.row, cached.changed) = (dump.row.clone(), Changed::ALL);
        self.changed.push(dump.row.number);
        self.set_error(dump.row.number, dump.error.as_ref())?;
        if let Some(output) = &dump.output {
            self.set_output(dump.row.number, output)?;
        }
        Ok(())
    }

    /// Says what a claim does with a ready task, by whether the worker has others.
    pub(super) fn turn(&mut self, number: u32, has_others: bool) -> Result<Turn> {
        let now = self.now;
        Ok(schedule::turn(&self.cached(number)?.row, has_others, now))
    }

    /// Gives the run's number in this file.
    pub(super) fn key(&self) -> i64 {
        self.key
    }

    /// Replaces the definition.
    pub(super) fn define(&self, definition: &Value) -> Result<()> {
        self.execute("UPDATE definition SET definition = ?2 WHERE run = ?1", (self.key, json(definition)?))
    }

    /// Appends an entry to the journal, whose number the caller has counted already.
    pub(super) fn append(&self, task: u32, seq: u64, record: &motet_core::run_log::Record) -> Result<()> {
        self.execute(
            "INSERT INTO journal (run, seq, task, at, step, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (self.key, signed(seq), task, record.at().0, record.step(), json(record)?),
        )
    }

    /// Writes the run's own row, all of it.
    pub(super) fn write(&mut self) -> Result<()> {
        write_run(self.connection, self.key, &mut self.loaded, self.now)
    }

    /// Writes what changed; of the run itself only what other commands look for.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Loaded { run, stored, tasks } = &mut self.loaded;
        let (now, parked) = (self.now, run.state != RunState::Running);
        for number in self.changed.drain(..) {
            let Some(cached) = tasks.get_mut(&number) else { continue };
            let changed = std::mem::take(&mut cached.changed);
            if changed != Changed::default() {
                write_task(self.connection, self.key, (&cached.row, changed), (parked, now))?;
            }
            if let Some(error) = cached.error.take() {
                cached.has_error = error.is_some();
                const SQL: &str = "UPDATE task SET error = ?3 WHERE run = ?1 AND n = ?2";
                let mut statement = self.connection.prepare_cached(SQL).or_store()?;
                statement.execute(params![self.key, cached.row.number, error]).or_store()?;
            }
        }
        for event in self.events.drain(..) {
            events::append(self.connection, self.key, &event)?;
        }
        if run.state != stored.state || run.deadline != stored.deadline {
            write_run(self.connection, self.key, &mut self.loaded, now)?;
        }
        Ok(())
    }

    fn cached(&mut self, number: u32) -> Result<&mut Cached> {
        match self.loaded.tasks.entry(number) {
            Entry::Occupied(cached) => Ok(cached.into_mut()),
            Entry::Vacant(place) => {
                const SQL: &str = concat!("SELECT ", task_columns!(), " FROM task WHERE run = ?1 AND n = ?2");
                let mut statement = self.connection.prepare_cached(SQL).or_store()?;
                let found =
                    statement.query_row((self.key, number), |row| columns::task(row, 0, &self.loaded.run.id));
                let found = found.optional().or_store()?;
                let (row, has_error) =
                    found.ok_or_else(|| crate::no_such_task(&self.loaded.run.id, number))?;
                Ok(place.insert(Cached { row, changed: Changed::default(), has_error, error: None }))
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
            if let Entry::Vacant(place) = self.loaded.tasks.entry(number) {
                let (row, has_error) = columns::task(row, 0, &self.loaded.run.id).or_store()?;
                place.insert(Cached { row, changed: Changed::default(), has_error, error: None });
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
        &mut self.loaded.run
    }

    fn task(&mut self, number: u32) -> Result<TaskRow> {
        self.cached(number).map(|cached| cached.row.clone())
    }

    fn save(&mut self, task: &TaskRow) -> Result<()> {
        self.give(task.clone())
    }

    fn give(&mut self, task: TaskRow) -> Result<()> {
        let number = task.number;
        let cached = self.cached(number)?;
        let changed = Changed::between(&cached.row, &task);
        if changed != Changed::default() {
            cached.row = task;
            cached.changed = cached.changed.and(changed);
            self.changed.push(number);
        }
        Ok(())
    }

    fn release(&mut self, number: u32, now: Millis) -> Result<bool> {
        let cached = self.cached(number)?;
        if cached.row.state != TaskState::Blocked {
            return Ok(false);
        }
        let is_ready = cached.row.dependency_ended(now);
        cached.changed = cached.changed.and(if is_ready { Changed::READY } else { Changed::REMAINING });
        self.changed.push(number);
        Ok(is_ready)
    }

    fn name(&mut self, number: u32) -> Result<String> {
        const SQL: &str = "SELECT name FROM task WHERE run = ?1 AND n = ?2";
        let mut statement = self.connection.prepare_cached(SQL).or_store()?;
        let name = statement.query_row((self.key, number), |row| row.get(0)).optional().or_store()?;
        name.ok_or_else(|| crate::no_such_task(&self.loaded.run.id, number))
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
        let parked = self.loaded.run.state != RunState::Running;
        insert_task(self.connection, self.key, (row, task), (parked, self.now))?;
        for dependency in &task.dependencies {
            self.execute(
                "INSERT OR IGNORE INTO edge (run, src, dst) VALUES (?1, ?2, ?3)",
                (self.key, dependency, row.number),
            )?;
        }
        if !task.payload.is_null() {
            let (body, blob) = blobs::place(self.connection, json(&task.payload)?)?;
            self.execute(
                "INSERT INTO payload (run, n, body, blob) VALUES (?1, ?2, ?3, ?4)",
                (self.key, row.number, body, blob),
            )?;
        }
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        self.loaded.tasks.remove(&number);
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
            self.changed.push(number);
        }
        Ok(())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.give_output_text(number, json(output)?)
    }

    fn give_output_text(&mut self, number: u32, output: String) -> Result<()> {
        let (body, blob) = blobs::place(self.connection, output)?;
        self.execute(
            "INSERT INTO output (run, task, body, blob) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (run, task) DO UPDATE SET body = excluded.body, blob = excluded.blob",
            (self.key, number, body, blob),
        )
    }

    fn has_ready(&mut self) -> Result<bool> {
        self.flush()?;
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM task INDEXED BY ready_of_run \
                           WHERE run = ?1 AND state = 1 AND parked = 0)";
        self.connection.prepare_cached(SQL).or_store()?.query_row([self.key], |row| row.get(0)).or_store()
    }

    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>> {
        questions::find(self.connection, self.key, &self.loaded.run.id, step)
    }

    fn set_question(&mut self, question: &AskedQuestion) -> Result<()> {
        questions::put(self.connection, self.key, question)
    }

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        self.events.push(event);
        Ok(())
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

    fn abandon(&mut self, task: Option<u32>) {
        self.abandoned.push((self.loaded.run.id.clone(), task));
    }
}

/// Gives a run's number in this file.
pub(super) fn find_run(connection: &Connection, run: &RunId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT key FROM run WHERE id = ?1").or_store()?;
    statement.query_row([run.as_str()], |row| row.get(0)).optional().or_store()
}

/// Writes the row of a run, and what its state means for its ready tasks.
fn write_run(connection: &Connection, key: i64, loaded: &mut Loaded, now: Millis) -> Result<()> {
    const SQL: &str = "UPDATE run SET state = ?2, tasks = ?3, next = ?4, open = ?5, active = ?6, done = ?7, failed = ?8, \
                       skipped = ?9, fatal = ?10, seq = ?11, ended_at = ?12, waiting = ?13, awaiting = ?14, events = ?15, \
                       deadline = ?16, definition = ?17 WHERE key = ?1";
    const PARK: &str = "UPDATE task INDEXED BY ready_of_run SET parked = 1, due = NULL \
                        WHERE run = ?1 AND state = 1 AND parked = 0";
    const UNPARK: &str = "UPDATE task SET parked = 0, due = CASE WHEN not_before > ?2 THEN not_before END \
                          WHERE run = ?1 AND state = 1 AND parked = 1";
    let run = &loaded.run;
    connection
        .prepare_cached(SQL)
        .and_then(|mut statement| {
            statement.execute(params![
                key,
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
            ])
        })
        .or_store()?;
    let goes_on = |state: RunState| state == RunState::Running;
    let parked = match (goes_on(loaded.stored.state), goes_on(run.state)) {
        (true, false) => connection.prepare_cached(PARK).and_then(|mut statement| statement.execute([key])),
        (false, true) => {
            connection.prepare_cached(UNPARK).and_then(|mut statement| statement.execute((key, now.0)))
        }
        _ => Ok(0),
    };
    parked.or_store()?;
    loaded.stored = loaded.run.clone();
    Ok(())
}
