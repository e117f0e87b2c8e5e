//! Stores behind one contract: memory and SQLite.
//!
//! Knows nothing of models, workflows, or what the payloads mean.

pub mod backends;
mod books;
pub mod memory;
pub mod sqlite;
mod wake;

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{RunRow, TaskRow};
use motet_core::store::{Control, LeaseToken, RunSummary, Task};
use motet_core::workflow::Priority;
use serde_json::Value;

pub use backends::{BACKENDS, Backend, open, open_in};

fn no_such_run(run: &RunId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no run `{run}` in this store"))
        .with_hint("`motet workflow list` shows the runs; the setting `store` says which store is read")
}

fn no_such_task(run: &RunId, number: u32) -> Error {
    Error::new(ErrorKind::NotFound, format!("run `{run}` has no task {number}"))
}

fn run_exists(run: &RunId) -> Error {
    Error::new(ErrorKind::Conflict, format!("there is a run `{run}` already"))
}

/// A task that a redefinition removed is held by nobody, whatever token one has for it.
fn stale_if_gone(error: Error, token: &LeaseToken) -> Error {
    if error.kind() == ErrorKind::NotFound { token.stale() } else { error }
}

fn unknown_control(control: &Control) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this store does not know the control {control:?}"))
}

fn check_append(task: &TaskRow, token: &LeaseToken, expect: u64) -> Result<()> {
    if !task.is_held_by(token) {
        return Err(token.stale());
    }
    if task.journal == expect {
        return Ok(());
    }
    let message = format!("the journal of task {} has {} entries, not {expect}", task.number, task.journal);
    Err(Error::new(ErrorKind::Conflict, message).with_context("run", token.run.as_str()))
}

fn summary(row: &RunRow, name: &str, kind: &str, created_at: Millis) -> RunSummary {
    RunSummary {
        id: row.id.clone(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        state: row.state,
        created_at,
        ended_at: row.ended_at,
        tasks: row.tasks,
        done: row.done,
        failed: row.failed,
        skipped: row.skipped,
    }
}

/// What a task has beside its scheduling row.
struct TaskFacts {
    run: RunId,
    name: String,
    queue: String,
    priority: Priority,
    payload: Value,
    error: Option<ErrorReport>,
}

fn task(row: &TaskRow, facts: TaskFacts) -> Task {
    Task {
        run: facts.run,
        number: row.number,
        name: facts.name,
        queue: facts.queue,
        priority: facts.priority,
        state: row.state,
        remaining: row.remaining,
        attempt: row.attempt,
        crashes: row.crashes,
        parent: row.parent,
        open_children: row.open_children,
        joining: row.joining,
        on_failure: row.on_failure,
        retry: row.retry.clone(),
        payload: facts.payload,
        error: facts.error,
        not_before: row.not_before,
        started_at: row.started_at,
        ended_at: row.ended_at,
        journal: row.journal,
    }
}
