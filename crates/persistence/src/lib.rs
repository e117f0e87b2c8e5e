//! Stores behind one contract: memory, SQLite, sled, Redis, and any of them behind a server.
//!
//! Knows nothing of models, workflows, or what the payloads mean.

pub mod backends;
mod books;
mod clock;
mod machine;
pub mod memory;
pub mod migrate;
pub mod redis;
pub mod remote;
pub mod sled;
pub mod sqlite;
mod wake;

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, Rows, RunRow, TaskRow};
use motet_core::store::{Control, LeaseToken, RunState, RunSummary, Task};
use motet_core::workflow::Priority;
use serde_json::Value;

pub use backends::{BACKENDS, Backend, Opening, backend, is_there, open, open_in};

fn no_such_run(run: &RunId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no run `{run}` in this store"))
        .with_hint("`motet workflow list` shows the runs; the setting `store` says which store is read")
}

fn no_run_at(place: usize) -> Error {
    Error::new(ErrorKind::Internal, format!("there is no run at place {place} of the store"))
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

/// Lets a run go on as a control says it.
fn resume(rows: &mut dyn Rows, control: &Control, now: Millis) -> Result<RunState> {
    match control {
        Control::ResumeUntil { deadline } => schedule::resume_until(rows, *deadline, now),
        _ => schedule::resume(rows, now),
    }
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

/// What a run has beside its scheduling row.
struct RunFacts {
    name: String,
    kind: String,
    created_at: Millis,
    error: Option<ErrorReport>,
}

fn summary(row: &RunRow, facts: RunFacts) -> RunSummary {
    RunSummary {
        id: row.id.clone(),
        name: facts.name,
        kind: facts.kind,
        state: row.state,
        created_at: facts.created_at,
        ended_at: row.ended_at,
        tasks: row.tasks,
        done: row.done,
        failed: row.failed,
        skipped: row.skipped,
        active: row.active,
        deadline: row.deadline,
        parent: row.parent.clone(),
        error: facts.error,
    }
}

/// What a task has beside its scheduling row.
struct TaskFacts {
    run: RunId,
    run_state: RunState,
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
        state: row.state.shown(facts.run_state),
        remaining: row.remaining,
        attempt: row.attempt,
        crashes: row.crashes,
        parent: row.parent,
        open_children: row.open_children,
        joining: row.joining,
        awaits: row.awaits.clone(),
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
