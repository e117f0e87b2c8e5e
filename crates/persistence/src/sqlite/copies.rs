//! Whole runs, given to other stores and taken from them.
//!
//! Decides nothing but that what workers have in hand elsewhere is released here.

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule::{self, Rows as _};
use motet_core::store::{NewRun, NewTask, Outcome, RunDump, Sequenced, TaskDump, TaskState};
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value};

use super::columns::{self, FACTS_WIDTH, Json, json, run_columns, view_columns};
use super::failure::OrStore as _;
use super::rows::{RunRows, find_run};
use super::writer::Session;
use super::{commands, events, questions, read};

/// Gives everything that is kept of a run.
pub(super) fn dump(connection: &Connection, run: &RunId) -> Result<Option<RunDump>> {
    const RUN: &str = concat!(
        "SELECT ",
        run_columns!(),
        ", (SELECT definition.definition FROM definition WHERE definition.run = run.key) AS body, \
         (SELECT inputs FROM definition WHERE definition.run = run.key) AS inputs, \
         (SELECT settings FROM definition WHERE definition.run = run.key) AS settings, submit_key, key \
         FROM run WHERE id = ?1"
    );
    let mut statement = connection.prepare_cached(RUN).or_store()?;
    let found = statement.query_row([run.as_str()], |row| {
        let (row_of_run, summary) = (columns::run(row)?, columns::summary(row)?);
        let map = |column: &str| row.get::<_, Json<Map<String, Value>>>(column).map(|json| json.0);
        let new = NewRun {
            id: summary.id,
            name: summary.name,
            kind: summary.kind,
            definition: row.get::<_, Json<Value>>("body")?.0,
            inputs: map("inputs")?,
            settings: map("settings")?,
            tasks: Vec::new(),
            max_active: row_of_run.max_active,
            deadline: row_of_run.deadline,
            parent: row_of_run.parent.clone(),
            key: row.get("submit_key")?,
        };
        Ok((row.get::<_, i64>("key")?, row_of_run, new, summary.created_at, summary.error))
    });
    let Some((key, row, new, created_at, error)) = found.optional().or_store()? else { return Ok(None) };
    Ok(Some(RunDump {
        row,
        new,
        created_at,
        error,
        tasks: tasks(connection, key, run)?,
        journal: read::records(connection, run, 0, u32::MAX)?,
        events: events::list(connection, run, 0, u32::MAX)?,
        questions: questions::list(connection, Some(run))?,
        items: items(connection, key)?,
    }))
}

fn tasks(connection: &Connection, key: i64, run: &RunId) -> Result<Vec<TaskDump>> {
    const TASKS: &str = concat!("SELECT ", view_columns!(), " FROM task WHERE run = ?1 ORDER BY n");
    const EDGES: &str = "SELECT dst, src FROM edge INDEXED BY edge_by_dst WHERE run = ?1 ORDER BY dst, src";
    let mut statement = connection.prepare_cached(EDGES).or_store()?;
    let mut edges = statement.query([key]).or_store()?;
    let mut dependencies = std::collections::HashMap::<u32, Vec<u32>>::new();
    while let Some(row) = edges.next().or_store()? {
        dependencies.entry(row.get(0).or_store()?).or_default().push(row.get(1).or_store()?);
    }
    let mut statement = connection.prepare_cached(TASKS).or_store()?;
    let mut rows = statement.query([key]).or_store()?;
    let mut tasks = Vec::new();
    while let Some(found) = rows.next().or_store()? {
        let (row, _) = columns::task(found, FACTS_WIDTH, run).or_store()?;
        let facts = columns::facts(found, (run, motet_core::store::RunState::Running)).or_store()?;
        let new = NewTask {
            name: facts.name,
            queue: facts.queue,
            priority: facts.priority,
            dependencies: dependencies.remove(&row.number).unwrap_or_default(),
            on_failure: row.on_failure,
            retry: row.retry.clone(),
            payload: facts.payload,
            delay: row.delay,
            // What was asked for is part of the row's own time.
            not_before: None,
            limit: row.limit.clone(),
        };
        let output = read::outputs(connection, run, &[row.number])?.pop().flatten();
        tasks.push(TaskDump { row, new, error: facts.error, output });
    }
    Ok(tasks)
}

fn items(connection: &Connection, key: i64) -> Result<Vec<(String, Vec<Record>)>> {
    const SQL: &str = "SELECT name, body FROM item WHERE run = ?1 ORDER BY name, n";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let mut rows = statement.query([key]).or_store()?;
    let mut items: Vec<(String, Vec<Record>)> = Vec::new();
    while let Some(row) = rows.next().or_store()? {
        let (name, record) = (row.get(0).or_store()?, row.get::<_, Json<Record>>(1).or_store()?.0);
        match items.last_mut() {
            Some((last, records)) if *last == name => records.push(record),
            _ => items.push((name, vec![record])),
        }
    }
    Ok(items)
}

/// Stores a run as another store gave it.
pub(super) fn load(session: &Session<'_>, dump: &RunDump) -> Result<()> {
    let connection = session.connection;
    let id = &dump.row.id;
    if find_run(connection, id)?.is_some() {
        return Err(crate::run_exists(id));
    }
    if let Some(first) = commands::submitted_as(session, &dump.new)? {
        let message = format!("run `{first}` was submitted with the key of run `{id}` already");
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("a key stands for one run: copy the run into another store"));
    }
    let new = NewRun { deadline: dump.row.deadline, ..dump.new.clone() };
    let mut rows = RunRows::create(session, dump.row.clone(), &new, dump.created_at)?;
    for task in &dump.tasks {
        rows.restore(task)?;
    }
    rows.set_run_error(dump.error.as_ref())?;
    rows.flush()?;
    rows.write()?;
    let key = rows.key();
    for Sequenced { seq, task, record } in &dump.journal {
        rows.append(*task, *seq, record)?;
    }
    for event in &dump.events {
        events::append(connection, key, event)?;
    }
    for question in &dump.questions {
        questions::put(connection, key, question)?;
    }
    const ITEM: &str = "INSERT INTO item (run, name, n, at, step, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut statement = connection.prepare_cached(ITEM).or_store()?;
    for (name, records) in &dump.items {
        for (number, record) in (1_i64..).zip(records) {
            statement.execute((key, name, number, record.at().0, record.step(), json(record)?)).or_store()?;
        }
    }
    release(session, rows, dump)
}

/// Gives back what workers have in hand in the other store.
fn release(session: &Session<'_>, rows: RunRows<'_>, dump: &RunDump) -> Result<()> {
    commands::change(session, rows, |rows| {
        for task in dump.tasks.iter().filter(|task| task.row.state == TaskState::Running) {
            if let Some(token) = &task.row.token {
                schedule::complete(rows, token, Outcome::Released, session.now)?;
            }
        }
        Ok(())
    })
}
