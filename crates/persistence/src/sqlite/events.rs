//! What happened to runs and tasks, in a table of its own.
//!
//! Decides nothing: `motet_core::schedule` says what is worth noting.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::store::{Change, RunEvent};
use rusqlite::{Connection, Row, params};

use super::columns::{Json, json, signed, unsigned};
use super::failure::OrStore as _;
use super::read;

/// The tables of events and of what limits tasks and runs.
pub(super) const TABLES: &str = "
ALTER TABLE run ADD COLUMN awaiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN definition INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN max_active INTEGER;
ALTER TABLE run ADD COLUMN deadline INTEGER;
ALTER TABLE run ADD COLUMN parent TEXT;
ALTER TABLE run ADD COLUMN parent_task INTEGER;
ALTER TABLE run ADD COLUMN root TEXT;
ALTER TABLE run ADD COLUMN error TEXT;
ALTER TABLE run ADD COLUMN submit_key TEXT;
CREATE UNIQUE INDEX run_by_submit_key ON run (submit_key) WHERE submit_key IS NOT NULL;
CREATE INDEX run_by_parent ON run (parent) WHERE parent IS NOT NULL;
CREATE INDEX run_by_root ON run (root) WHERE root IS NOT NULL;
CREATE INDEX run_by_deadline ON run (deadline) WHERE deadline IS NOT NULL;
ALTER TABLE task ADD COLUMN awaits TEXT;
ALTER TABLE task ADD COLUMN delay INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN limit_key TEXT;
ALTER TABLE task ADD COLUMN limit_max INTEGER;
CREATE INDEX limited ON task (limit_key) WHERE limit_key IS NOT NULL AND state = 2;
CREATE TABLE event (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, task INTEGER, body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE VIEW events AS SELECT run.id AS run, event.seq, datetime(event.at / 1000, 'unixepoch') AS at,
    event.task AS n, task.name AS task, event.body ->> '$.event' AS event, event.body
    FROM event JOIN run ON run.key = event.run LEFT JOIN task ON task.run = event.run AND task.n = event.task;
";

/// Appends an event.
pub(super) fn append(connection: &Connection, run: i64, event: &RunEvent) -> Result<()> {
    const SQL: &str = "INSERT INTO event (run, seq, at, task, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let body = json(&event.change)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    statement.execute(params![run, signed(event.seq), event.at.0, event.task, body]).or_store()?;
    Ok(())
}

/// Gives the events of a run in order.
pub(super) fn list(connection: &Connection, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
    const SQL: &str =
        "SELECT seq, at, task, body FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let key = read::existing(connection, run)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let event = |row: &Row<'_>| {
        Ok(RunEvent {
            seq: unsigned(row.get(0)?),
            at: Millis(row.get(1)?),
            task: row.get(2)?,
            change: row.get::<_, Json<Change>>(3)?.0,
        })
    };
    let rows = statement.query_map((key, signed(after), limit), event).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}
