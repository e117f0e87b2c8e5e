//! What only reads: a few threads, each with a connection of its own, and the queries that they run.
//!
//! Each query sees one consistent state; writers are not held up.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::store::{Run, RunFilter, RunSummary, Sequenced, Task};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::columns::{self, Json, Places as _, run_columns, signed, unsigned, view_columns};
use super::failure::OrStore as _;
use super::rows::find_run;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The reading threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Readers {
    sender: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    path: PathBuf,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(connections: Vec<Connection>, path: PathBuf) -> Result<Self> {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        let spawn = |connection| {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name("motet-sqlite-read".to_owned())
                .spawn(move || work(&connection, &receiver))
                .map_err(|error| {
                    Error::new(ErrorKind::Store, "a thread of the store cannot be started").with_source(error)
                })
        };
        let threads = connections.into_iter().map(spawn).collect::<Result<_>>()?;
        Ok(Self { sender: Some(sender), threads, path })
    }

    /// Runs a query on a consistent state of the store.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if !sender.is_closed() {
                // Nobody is told when the caller waits no longer.
                let _ = sender.send(in_snapshot(connection, query));
            }
        });
        let gone = || Error::new(ErrorKind::Store, "the store's reading threads have ended");
        self.sender.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?.map_err(|error| match error.kind() {
            ErrorKind::Store => error.with_context("file", self.path.display().to_string()),
            _ => error,
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.sender.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(connection);
    }
}

fn in_snapshot<T>(connection: &Connection, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    // Dropped without a commit, it is rolled back, which for a read is the same.
    let transaction = connection.unchecked_transaction().or_store()?;
    query(&transaction)
}

pub(super) fn existing(connection: &Connection, run: &RunId) -> Result<i64> {
    find_run(connection, run)?.ok_or_else(|| crate::no_such_run(run))
}

/// Gives a run with its definition.
pub(super) fn run(connection: &Connection, run: &RunId) -> Result<Option<Run>> {
    const RUN: &str = concat!("SELECT ", run_columns!(), ", key FROM run WHERE id = ?1");
    const DEFINITION: &str = "SELECT definition, inputs, settings FROM definition WHERE run = ?1";
    let mut statement = connection.prepare_cached(RUN).or_store()?;
    let found = statement
        .query_row([run.as_str()], |row| Ok((columns::summary(row)?, row.get::<_, i64>("key")?)))
        .optional()
        .or_store()?;
    let Some((summary, key)) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(DEFINITION).or_store()?;
    let (definition, inputs, settings) = statement
        .query_row([key], |row| {
            let map = |column| row.get::<_, Json<Map<String, Value>>>(column).map(|json| json.0);
            Ok((row.get::<_, Json<Value>>(0)?.0, map(1)?, map(2)?))
        })
        .or_store()?;
    Ok(Some(Run { summary, definition, inputs, settings }))
}

/// Gives the newest runs first.
pub(super) fn runs(connection: &Connection, filter: &RunFilter) -> Result<Vec<RunSummary>> {
    const SQL: &str = concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR instr(name, ?2) > 0) \
         AND (?4 IS NULL OR id = ?4 OR root = ?4) ORDER BY key DESC LIMIT ?3"
    );
    let limit = if filter.limit == 0 { -1 } else { i64::from(filter.limit) };
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let state = filter.state.map(|state| state.place());
    let rows = statement
        .query_map(
            params![state, filter.name, limit, filter.root.as_ref().map(RunId::as_str)],
            columns::summary,
        )
        .or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the tasks of a run by number.
pub(super) fn tasks(connection: &Connection, run: &RunId) -> Result<Vec<Task>> {
    const SQL: &str = concat!("SELECT ", view_columns!(), " FROM task WHERE run = ?1 ORDER BY n");
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map([key], |row| columns::view(row, run)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives tasks of a run with numbers above one, in order.
pub(super) fn tasks_after(
    connection: &Connection,
    run: &RunId,
    after: Option<u32>,
    limit: u32,
) -> Result<Vec<Task>> {
    const SQL: &str =
        concat!("SELECT ", view_columns!(), " FROM task WHERE run = ?1 AND n > ?2 ORDER BY n LIMIT ?3");
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let after = after.map_or(-1, i64::from);
    let rows = statement.query_map((key, after, limit), |row| columns::view(row, run)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the numbers of the items of a task.
pub(super) fn items_of(connection: &Connection, run: &RunId, task: u32) -> Result<Vec<u32>> {
    const SQL: &str = "SELECT n FROM task WHERE run = ?1 AND parent = ?2 ORDER BY n";
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map((key, task), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Reads a result, be it long or short.
const OUTPUT: &str = "SELECT coalesce((SELECT blob.body FROM blob WHERE blob.hash = output.blob), body) FROM output \
                      WHERE run = ?1 AND task = ?2";

/// Gives the results of tasks in the order asked.
pub(super) fn outputs(connection: &Connection, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(OUTPUT).or_store()?;
    let mut output = |task: &u32| {
        let found = statement.query_row((key, task), |row| row.get::<_, Json<Value>>(0)).optional();
        Ok(found.or_store()?.map(|json| json.0))
    };
    tasks.iter().map(&mut output).collect()
}

/// Gives journal entries of a run in order.
pub(super) fn records(
    connection: &Connection,
    run: &RunId,
    after: u64,
    limit: u32,
) -> Result<Vec<Sequenced>> {
    const SQL: &str = "SELECT seq, task, body FROM journal WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let entry = |row: &rusqlite::Row<'_>| {
        Ok(Sequenced {
            seq: unsigned(row.get(0)?),
            task: row.get(1)?,
            record: row.get::<_, Json<Record>>(2)?.0,
        })
    };
    let rows = statement.query_map((key, signed(after), limit), entry).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the journal entries of one task that count.
pub(super) fn task_records(connection: &Connection, run: &RunId, task: u32) -> Result<Vec<Record>> {
    const SQL: &str = "SELECT body FROM journal INDEXED BY journal_by_task WHERE run = ?1 AND task = ?2 \
                       AND seq > coalesce((SELECT journal_after FROM task WHERE run = ?1 AND n = ?2), 0) ORDER BY seq";
    let key = existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map((key, task), |row| Ok(row.get::<_, Json<Record>>(0)?.0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// A task in a worker's hands.
pub(super) struct Lease {
    /// The run's number in this file.
    pub(super) run: i64,
    /// Number of the task.
    pub(super) task: u32,
    /// Who holds it.
    pub(super) worker: String,
    /// When it ends.
    pub(super) until: Millis,
}

/// Gives all leases.
pub(super) fn leases(connection: &Connection) -> Result<Vec<Lease>> {
    const SQL: &str = "SELECT run, n, coalesce(worker, ''), lease_until FROM task INDEXED BY due \
                       WHERE due IS NOT NULL AND state = 2 ORDER BY run, n";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let lease = |row: &rusqlite::Row<'_>| {
        let (run, task, worker) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Lease { run, task, worker, until: Millis(row.get(3)?) })
    };
    let rows = statement.query_map((), lease).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the workers that hold a task.
pub(super) fn busy_workers(connection: &Connection) -> Result<Vec<String>> {
    const SQL: &str = "SELECT DISTINCT worker FROM task INDEXED BY due WHERE due IS NOT NULL AND state = 2 AND worker IS NOT NULL";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map((), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the numbers in this file of a run and of those that its tasks started, at any depth.
pub(super) fn tree(connection: &Connection, root: &RunId) -> Result<Vec<i64>> {
    const SQL: &str = "SELECT key FROM run WHERE id = ?1 UNION ALL \
                       SELECT key FROM run INDEXED BY run_by_root WHERE root = ?1 AND state = 0";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map([root.as_str()], |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the queues that have a ready task, jumping from one to the next instead of reading all tasks.
pub(super) fn ready_queues(connection: &Connection) -> Result<Vec<String>> {
    const SQL: &str = "WITH RECURSIVE queues (name) AS (
            SELECT min(queue) FROM task INDEXED BY ready WHERE state = 1 AND parked = 0
            UNION ALL
            SELECT (SELECT min(queue) FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 AND queue > queues.name)
            FROM queues WHERE queues.name IS NOT NULL
        ) SELECT name FROM queues WHERE name IS NOT NULL";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map((), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives how many tasks are in workers' hands.
pub(super) fn active(connection: &Connection) -> Result<u32> {
    const SQL: &str = "SELECT count(*) FROM task INDEXED BY due WHERE due IS NOT NULL AND state = 2";
    connection.prepare_cached(SQL).or_store()?.query_row((), |row| row.get(0)).or_store()
}

/// Tells whether the time of a lease, of a task that waits for people, or of a run is over.
pub(super) fn is_due(connection: &Connection, now: Millis) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM task INDEXED BY due WHERE due <= ?1 AND state = 2) \
                       OR EXISTS (SELECT 1 FROM task INDEXED BY due WHERE due <= ?1 AND state = 3 \
                       AND open_questions > 0 AND (SELECT state FROM run WHERE key = task.run) NOT IN (3, 4, 5)) \
                       OR EXISTS (SELECT 1 FROM run INDEXED BY run_by_deadline WHERE deadline <= ?1 \
                       AND state NOT IN (3, 4, 5))";
    connection.prepare_cached(SQL).or_store()?.query_row([now.0], |row| row.get(0)).or_store()
}

/// Gives the tasks that waited long enough for people: their run's number in this file, and theirs.
pub(super) fn late_tasks(connection: &Connection, now: Millis) -> Result<Vec<(i64, u32)>> {
    const SQL: &str = "SELECT run, n FROM task INDEXED BY due WHERE due <= ?1 AND state = 3 AND open_questions > 0 \
                       AND (SELECT state FROM run WHERE key = task.run) NOT IN (3, 4, 5) ORDER BY run, n";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map([now.0], |row| Ok((row.get(0)?, row.get(1)?))).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the runs whose time is over and that have not ended.
pub(super) fn late_runs(connection: &Connection, now: Millis) -> Result<Vec<i64>> {
    const SQL: &str = "SELECT key FROM run INDEXED BY run_by_deadline WHERE deadline <= ?1 \
                       AND state NOT IN (3, 4, 5) ORDER BY key";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map([now.0], |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the runs that a task of a run started, or any of its tasks where `None`, and that have not ended.
pub(super) fn children(connection: &Connection, parent: &RunId, task: Option<u32>) -> Result<Vec<RunId>> {
    const SQL: &str = "SELECT id FROM run INDEXED BY run_by_parent WHERE parent = ?1 AND state NOT IN (3, 4, 5) \
                       AND (?2 IS NULL OR parent_task = ?2)";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows =
        statement.query_map((parent.as_str(), task), |row| Ok(row.get::<_, columns::Id>(0)?.0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives when the next lease, delay, or waiting of a task, or the time of a run ends.
pub(super) fn next_due(connection: &Connection, now: Millis) -> Result<Option<Millis>> {
    const SQL: &str = "SELECT min(due) FROM (SELECT min(due) AS due FROM task INDEXED BY due WHERE due > ?1 UNION ALL \
                       SELECT min(deadline) FROM run INDEXED BY run_by_deadline WHERE deadline > ?1)";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let due: Option<i64> = statement.query_row([now.0], |row| row.get(0)).or_store()?;
    Ok(due.map(Millis))
}

/// Gives the time that the store has seen last.
pub(super) fn clock(connection: &Connection) -> Result<Millis> {
    let mut statement = connection.prepare_cached("SELECT v FROM meta WHERE k = 'clock'").or_store()?;
    let seen = statement.query_row((), |row| row.get(0)).optional().or_store()?;
    Ok(Millis(seen.unwrap_or_default()))
}
