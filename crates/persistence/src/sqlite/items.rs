//! The logs of single items of runs, in a table of their own.
//!
//! Knows nothing of what an item is.

use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule::Rows as _;
use motet_core::store::{ItemWrite, LeaseToken};
use rusqlite::Connection;

use super::columns::{Json, json};
use super::failure::OrStore as _;
use super::read;
use super::rows::{RunRows, find_run};
use super::writer::Session;

/// The table; `name` is the item's, `n` the place of the entry in the item's log.
pub(super) const TABLE: &str = "
CREATE TABLE item (
    run INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, step TEXT NOT NULL,
    kind TEXT AS (body ->> '$.entry') VIRTUAL, body TEXT NOT NULL, PRIMARY KEY (run, name, n)
) WITHOUT ROWID;
";

/// Changes the log of an item under the lease of a task of its run.
pub(super) fn write(session: &Session<'_>, token: &LeaseToken, item: &str, write: &ItemWrite) -> Result<()> {
    let connection = session.connection;
    let key = find_run(connection, &token.run)?.ok_or_else(|| token.stale())?;
    let mut rows = RunRows::load_key(session, key)?;
    let task = rows.task(token.task).map_err(|error| crate::stale_if_gone(error, token))?;
    if !task.is_held_by(token) {
        return Err(token.stale());
    }
    let records = match write {
        ItemWrite::Append(records) => records,
        ItemWrite::Replace(records) => {
            let mut statement =
                connection.prepare_cached("DELETE FROM item WHERE run = ?1 AND name = ?2").or_store()?;
            statement.execute((key, item)).or_store()?;
            records
        }
    };
    const LAST: &str = "SELECT coalesce(max(n), 0) FROM item WHERE run = ?1 AND name = ?2";
    let mut last = connection.prepare_cached(LAST).or_store()?;
    let last: i64 = last.query_row((key, item), |row| row.get(0)).or_store()?;
    let mut insert = connection
        .prepare_cached("INSERT INTO item (run, name, n, at, step, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .or_store()?;
    for (number, record) in (last + 1..).zip(records) {
        insert.execute((key, item, number, record.at().0, record.step(), json(record)?)).or_store()?;
    }
    Ok(())
}

/// Gives the names of items that have a log, after a name.
pub(super) fn names(
    connection: &Connection,
    run: &RunId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>> {
    let key = read::existing(connection, run)?;
    const SQL: &str =
        "SELECT DISTINCT name FROM item WHERE run = ?1 AND (?2 IS NULL OR name > ?2) ORDER BY name LIMIT ?3";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let rows = statement.query_map((key, after, limit), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Gives the log of an item.
pub(super) fn read(connection: &Connection, run: &RunId, item: &str) -> Result<Vec<Record>> {
    let key = read::existing(connection, run)?;
    let mut statement = connection
        .prepare_cached("SELECT body FROM item WHERE run = ?1 AND name = ?2 ORDER BY n")
        .or_store()?;
    let rows = statement.query_map((key, item), |row| Ok(row.get::<_, Json<Record>>(0)?.0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}
