//! What tasks ask people, in a table of its own, and the answers.
//!
//! Decides nothing: which task goes on after an answer is up to `motet_core::schedule`.

use motet_core::decision::{Decision, Question};
use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::schedule;
use motet_core::store::AskedQuestion;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{Id, Json, json};
use super::commands;
use super::failure::OrStore as _;
use super::read;
use super::rows::RunRows;
use super::writer::Session;

/// The table and its view; `n` is the place of the question among those of its run.
pub(super) const TABLE: &str = "
ALTER TABLE run ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN open_questions INTEGER NOT NULL DEFAULT 0;
CREATE TABLE question (
    run INTEGER NOT NULL, step TEXT NOT NULL, n INTEGER NOT NULL, task INTEGER NOT NULL, body TEXT NOT NULL,
    answer TEXT, asked_at INTEGER NOT NULL, decided_at INTEGER, PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE VIEW questions AS SELECT run.id AS run, question.step, question.body ->> '$.reason' AS reason,
    question.body ->> '$.tool' AS tool, question.body -> '$.arguments' AS arguments,
    question.answer ->> '$.decision' AS decision, datetime(asked_at / 1000, 'unixepoch') AS asked_at,
    datetime(decided_at / 1000, 'unixepoch') AS decided_at FROM question JOIN run ON run.key = question.run;
";

/// Answers a question.
pub(super) fn decide(session: &Session<'_>, run: &RunId, step: &str, decision: Decision) -> Result<()> {
    let rows = RunRows::load(session, run)?;
    let rows = rows.ok_or_else(|| crate::no_such_run(run))?;
    commands::change(session, rows, |rows| schedule::decide(rows, step, decision, session.now))?;
    Ok(())
}

/// Gives what is asked at a step of a run.
pub(super) fn find(
    connection: &Connection,
    key: i64,
    run: &RunId,
    step: &str,
) -> Result<Option<AskedQuestion>> {
    const SQL: &str =
        "SELECT task, body, answer, asked_at, decided_at FROM question WHERE run = ?1 AND step = ?2";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    statement.query_row((key, step), |row| asked(row, run.clone())).optional().or_store()
}

/// Stores a question in the place of what was asked at its step.
pub(super) fn put(connection: &Connection, key: i64, asked: &AskedQuestion) -> Result<()> {
    const SQL: &str = "INSERT INTO question (run, step, n, task, body, answer, asked_at, decided_at) VALUES (?1, ?2, \
                       (SELECT coalesce(max(n), 0) + 1 FROM question WHERE run = ?1), ?3, ?4, ?5, ?6, ?7) \
                       ON CONFLICT (run, step) DO UPDATE SET task = excluded.task, body = excluded.body, \
                       answer = excluded.answer, asked_at = excluded.asked_at, decided_at = excluded.decided_at";
    let answer = asked.answer.as_ref().map(json).transpose()?;
    let (asked_at, decided_at) = (asked.asked_at.0, asked.decided_at.map(|time| time.0));
    let body = json(&asked.question)?;
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    statement
        .execute(params![key, asked.question.step, asked.task, body, answer, asked_at, decided_at])
        .or_store()?;
    Ok(())
}

/// Gives what is asked, by one run or by all.
pub(super) fn list(connection: &Connection, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
    const ALL: &str = "SELECT task, body, answer, asked_at, decided_at, id FROM question JOIN run ON run.key = question.run \
                       ORDER BY asked_at, question.run, n";
    const OF_RUN: &str =
        "SELECT task, body, answer, asked_at, decided_at FROM question WHERE run = ?1 ORDER BY n";
    if let Some(run) = run {
        let key = read::existing(connection, run)?;
        let mut statement = connection.prepare_cached(OF_RUN).or_store()?;
        let rows = statement.query_map([key], |row| asked(row, run.clone())).or_store()?;
        return rows.collect::<rusqlite::Result<_>>().or_store();
    }
    let mut statement = connection.prepare_cached(ALL).or_store()?;
    let rows = statement.query_map((), |row| asked(row, row.get::<_, Id>(5)?.0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

fn asked(row: &Row<'_>, run: RunId) -> rusqlite::Result<AskedQuestion> {
    Ok(AskedQuestion {
        run,
        task: row.get(0)?,
        question: row.get::<_, Json<Question>>(1)?.0,
        answer: row.get::<_, Option<Json<Decision>>>(2)?.map(|json| json.0),
        asked_at: Millis(row.get(3)?),
        decided_at: row.get::<_, Option<i64>>(4)?.map(Millis),
    })
}
