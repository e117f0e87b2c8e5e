//! Counts, workers seen, and the removal of old runs.
//!
//! A run is hidden at once and its rows go bit by bit, so that no transaction holds up the workers for long.

use std::path::Path;

use motet_core::error::Result;
use motet_core::id::Millis;
use motet_core::store::{PruneRequest, Pruned, RunState, StoreStats, TaskState, WorkerInfo};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{self, Json, Places as _, json, unsigned};
use super::failure::OrStore as _;
use super::writer::Session;

/// The tables since version 8. `removed` names runs that nobody sees any more and whose rows are not all gone yet.
pub(super) const TABLES: &str = "
CREATE TABLE worker (id TEXT NOT NULL PRIMARY KEY, seen_at INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW workers AS SELECT id, body ->> '$.host' AS host, body ->> '$.pid' AS pid, body -> '$.queues' AS queues,
    body ->> '$.capacity' AS capacity, body ->> '$.version' AS version,
    datetime((body ->> '$.started_at') / 1000, 'unixepoch') AS started_at,
    datetime(seen_at / 1000, 'unixepoch') AS seen_at FROM worker;
CREATE TABLE removed (run INTEGER PRIMARY KEY);
CREATE INDEX run_by_end ON run (ended_at) WHERE ended_at IS NOT NULL;
";

/// How long a worker is remembered.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Rows that one transaction removes, roughly.
const BIT: u32 = 4_000;

/// Free pages that one transaction gives back.
const PAGES: u32 = 2_000;

/// The tables with rows of runs, and by which column these go.
const ROWS: &[(&str, &str)] = &[
    ("task", "n"),
    ("payload", "n"),
    ("output", "task"),
    ("edge", "src"),
    ("journal", "seq"),
    ("event", "seq"),
    ("question", "step"),
    ("item", "name"),
];

/// Counts what the store holds.
pub(super) fn stats(connection: &Connection, now: Millis) -> Result<StoreStats> {
    const RUNS: &str = "SELECT state, count(*), sum(seq), sum(events) FROM run GROUP BY state ORDER BY state";
    // By run first, so that what each run shows of its tasks is looked up once.
    const TASKS: &str = "SELECT run.state, counted.state, counted.count FROM (SELECT run, state, count(*) AS count \
                         FROM task GROUP BY run, state) AS counted JOIN run ON run.key = counted.run";
    const READY: &str = "SELECT queue, count(*) FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 \
                         AND not_before <= ?1 GROUP BY queue ORDER BY queue";
    let mut stats = StoreStats::default();
    let mut statement = connection.prepare_cached(RUNS).or_store()?;
    let mut rows = statement.query(()).or_store()?;
    while let Some(row) = rows.next().or_store()? {
        let count = |column| row.get(column).map(unsigned).or_store();
        stats.runs.push((columns::state(row, 0).or_store()?, count(1)?));
        stats.journal += count(2)?;
        stats.events += count(3)?;
    }
    let mut statement = connection.prepare_cached(TASKS).or_store()?;
    let mut rows = statement.query(()).or_store()?;
    let mut shown = std::collections::BTreeMap::<TaskState, u64>::new();
    while let Some(row) = rows.next().or_store()? {
        let state = columns::task_state(row, 1).or_store()?.shown(columns::state(row, 0).or_store()?);
        *shown.entry(state).or_default() += row.get(2).map(unsigned).or_store()?;
    }
    stats.tasks = shown.into_iter().collect();
    let mut statement = connection.prepare_cached(READY).or_store()?;
    let ready = statement.query_map([now.0], |row| Ok((row.get(0)?, unsigned(row.get(1)?)))).or_store()?;
    stats.ready = ready.collect::<rusqlite::Result<_>>().or_store()?;
    Ok(stats)
}

/// Gives how many bytes the file and its write-ahead log take up.
pub(super) fn bytes(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    Some(size(path).ok()? + size(Path::new(&log)).unwrap_or(0))
}

/// Notes that a worker lives, and forgets those that were not seen for long.
pub(super) fn seen(session: &Session<'_>, worker: WorkerInfo) -> Result<()> {
    const SEEN: &str = "INSERT INTO worker (id, seen_at, body) VALUES (?1, ?2, ?3) \
                        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, body = excluded.body";
    let (connection, now) = (session.connection, session.now);
    let worker = WorkerInfo { seen_at: now, ..worker };
    let mut statement = connection.prepare_cached(SEEN).or_store()?;
    statement.execute((worker.id.as_str(), now.0, json(&worker)?)).or_store()?;
    let mut statement = connection.prepare_cached("DELETE FROM worker WHERE seen_at < ?1").or_store()?;
    statement.execute([long_ago(now)]).or_store()?;
    Ok(())
}

fn long_ago(now: Millis) -> i64 {
    now.0.saturating_sub(i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX))
}

/// Gives the workers that were seen, the newest first.
pub(super) fn workers(connection: &Connection, now: Millis) -> Result<Vec<WorkerInfo>> {
    const SQL: &str = "SELECT body FROM worker WHERE seen_at >= ?1 ORDER BY seen_at DESC, id";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows =
        statement.query_map([long_ago(now)], |row| Ok(row.get::<_, Json<WorkerInfo>>(0)?.0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// What must be true of the run `top` so that it may go, with all that it started.
const MAY_GO: &str = "top.ended_at < ?1 AND top.state IN (3, 4, 5) \
    AND (?2 = '[]' OR top.state IN (SELECT value FROM json_each(?2))) \
    AND (top.root IS NULL OR NOT EXISTS (SELECT 1 FROM run AS above WHERE above.id = top.root)) \
    AND NOT EXISTS (SELECT 1 FROM run AS below WHERE below.root = top.id AND below.state NOT IN (3, 4, 5))";

/// Gives the numbers in this file of the runs that may go with all that they started, oldest first.
pub(super) fn ended_trees(connection: &Connection, request: &PruneRequest) -> Result<Vec<i64>> {
    let sql = format!(
        "SELECT key FROM run AS top INDEXED BY run_by_end WHERE ended_at IS NOT NULL AND {MAY_GO} \
         ORDER BY ended_at, key LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql).or_store()?;
    let states = states(request)?;
    let rows =
        statement.query_map((request.ended_before.0, states, request.limit), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

fn states(request: &PruneRequest) -> Result<String> {
    json(&request.states.iter().map(|state: &RunState| state.place()).collect::<Vec<_>>())
}

/// The runs of a tree.
const TREE: &str = "SELECT key, tasks FROM run WHERE key = ?1 UNION ALL \
                    SELECT key, tasks FROM run INDEXED BY run_by_root WHERE root = (SELECT id FROM run WHERE key = ?1)";

/// Counts what would go with a run.
pub(super) fn count(connection: &Connection, top: i64) -> Result<Pruned> {
    Ok(members(connection, top)?.1)
}

fn members(connection: &Connection, top: i64) -> Result<(Vec<i64>, Pruned)> {
    let (mut keys, mut pruned) = (Vec::new(), Pruned::default());
    let mut statement = connection.prepare_cached(TREE).or_store()?;
    let mut rows = statement.query([top]).or_store()?;
    while let Some(row) = rows.next().or_store()? {
        keys.push(row.get(0).or_store()?);
        pruned.runs += 1;
        pruned.tasks += unsigned(row.get(1).or_store()?);
    }
    Ok((keys, pruned))
}

/// Hides a run with all that it started, if it still may go.
pub(super) fn hide(session: &Session<'_>, top: i64, request: &PruneRequest) -> Result<Pruned> {
    let connection = session.connection;
    // Somebody may have resumed it meanwhile.
    let sql = format!("SELECT 1 FROM run AS top WHERE key = ?3 AND {MAY_GO}");
    let mut statement = connection.prepare_cached(&sql).or_store()?;
    let may_go = statement.query_row((request.ended_before.0, states(request)?, top), |_| Ok(())).optional();
    if may_go.or_store()?.is_none() {
        return Ok(Pruned::default());
    }
    let (keys, pruned) = members(connection, top)?;
    for key in keys {
        for sql in [
            "INSERT INTO removed (run) VALUES (?1)",
            "UPDATE task SET due = NULL WHERE run = ?1 AND due IS NOT NULL",
            "DELETE FROM definition WHERE run = ?1",
            "DELETE FROM run WHERE key = ?1",
        ] {
            connection.prepare_cached(sql).or_store()?.execute([key]).or_store()?;
        }
        session.cache.borrow_mut().forget(key);
    }
    session.wake();
    Ok(pruned)
}

/// Removes some rows of runs that are hidden, then gives free pages back to the disk; tells whether more is to be done.
pub(super) fn sweep(session: &Session<'_>) -> Result<bool> {
    let connection = session.connection;
    let mut statement = connection.prepare_cached("SELECT min(run) FROM removed").or_store()?;
    let Some(run) = statement.query_row((), |row| row.get::<_, Option<i64>>(0)).or_store()? else {
        return shrink(connection);
    };
    let mut left = BIT as usize;
    for (table, column) in ROWS {
        let sql = format!(
            "DELETE FROM {table} WHERE run = ?1 AND {column} <= (SELECT max(place) FROM \
             (SELECT {column} AS place FROM {table} WHERE run = ?1 ORDER BY {column} LIMIT ?2))"
        );
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        let removed = connection.prepare_cached(&sql).or_store()?.execute(params![run, limit]).or_store()?;
        left = left.saturating_sub(removed);
        if left == 0 {
            return Ok(true);
        }
    }
    let mut statement = connection.prepare_cached("DELETE FROM removed WHERE run = ?1").or_store()?;
    statement.execute([run]).or_store()?;
    Ok(true)
}

/// Gives free pages back to the system, at most so many.
pub(super) fn vacuum(connection: &Connection, pages: u32) -> Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})")).or_store()?;
    let mut rows = statement.query(()).or_store()?;
    // Each step gives one page back.
    while rows.next().or_store()?.is_some() {}
    Ok(())
}

/// Gives some free pages back; tells whether there are more.
fn shrink(connection: &Connection) -> Result<bool> {
    let free =
        || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0)).or_store();
    let before = free()?;
    if before == 0 {
        return Ok(false);
    }
    vacuum(connection, PAGES)?;
    let after = free()?;
    Ok(after > 0 && after < before)
}
