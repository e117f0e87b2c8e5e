//! What changes a store: each command runs inside a transaction of the writing thread.
//!
//! Moves rows between the tables and `motet_core::schedule`, which decides what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use motet_core::error::{ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::schedule::{self, Redefinition, Rows};
use motet_core::store::{
    Applied, Control, LeaseState, LeaseToken, NewRun, Outcome, Progress, RunState, TaskState,
};
use rusqlite::OptionalExtension as _;

use super::columns::Id;
use super::failure::OrStore as _;
use super::read;
use super::rows::{RunRows, find_run};
use super::writer::Session;

/// Stores a run whose graph was checked.
pub(super) fn submit(session: &Session<'_>, new: &NewRun) -> Result<RunId> {
    if find_run(session.connection, &new.id)?.is_some() {
        return Err(crate::run_exists(&new.id));
    }
    if let Some(first) = submitted_as(session, new)? {
        return Ok(first);
    }
    let mut rows = RunRows::create(session, schedule::new_run(new), new, session.now)?;
    schedule::submit(&mut rows, &new.tasks, session.now)?;
    rows.flush()?;
    session.wake();
    Ok(new.id.clone())
}

/// Gives the run that was submitted with the same key.
pub(super) fn submitted_as(session: &Session<'_>, new: &NewRun) -> Result<Option<RunId>> {
    let Some(key) = &new.key else { return Ok(None) };
    let mut statement =
        session.connection.prepare_cached("SELECT id FROM run WHERE submit_key = ?1").or_store()?;
    statement.query_row([key], |row| Ok(row.get::<_, Id>(0)?.0)).optional().or_store()
}

/// Works on the rows of a run, and tells the runs that wait for it what became of it.
pub(super) fn change<T>(
    session: &Session<'_>,
    mut rows: RunRows<'_>,
    work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
) -> Result<T> {
    let mut abandoned = Vec::new();
    let before = rows.run().state;
    let result = work(&mut rows)?;
    let mut news = schedule::news(before, rows.run());
    abandoned.append(&mut rows.abandoned);
    rows.flush()?;
    drop(rows);
    while let Some(told) = news {
        // A parent that was removed needs to be told nothing.
        let Some(mut parent) = RunRows::load(session, &told.parent.run)? else {
            break;
        };
        let before = parent.run().state;
        schedule::child_changed(&mut parent, &told, session.now)?;
        news = schedule::news(before, parent.run());
        abandoned.append(&mut parent.abandoned);
        parent.flush()?;
    }
    for (run, task) in abandoned {
        cancel_abandoned(session, &run, task)?;
    }
    session.wake();
    Ok(result)
}

/// Cancels the runs that nobody wants any more, and by that what these started.
fn cancel_abandoned(session: &Session<'_>, run: &RunId, task: Option<u32>) -> Result<()> {
    for child in read::children(session.connection, run, task)? {
        let Some(rows) = RunRows::load(session, &child)? else { continue };
        match change(session, rows, |rows| schedule::cancel(rows, session.now)) {
            // One that is about to end needs nothing.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            changed => drop(changed?),
        }
    }
    Ok(())
}

/// Does something to a run and to all that it started.
fn change_tree(
    session: &Session<'_>,
    run: &RunId,
    work: fn(&mut dyn Rows, Millis) -> Result<RunState>,
) -> Result<()> {
    let load = |run: &RunId| RunRows::load(session, run)?.ok_or_else(|| crate::no_such_run(run));
    change(session, load(run)?, |rows| work(rows, session.now))?;
    let mut left = read::children(session.connection, run, None)?;
    while let Some(child) = left.pop() {
        left.extend(read::children(session.connection, &child, None)?);
        match change(session, load(&child)?, |rows| work(rows, session.now)) {
            // One that is about to end needs nothing.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            changed => drop(changed?),
        }
    }
    Ok(())
}

/// Extends leases.
pub(super) fn renew(session: &Session<'_>, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
    let until = session.now.after(ttl);
    let mut runs: BTreeMap<&RunId, Option<RunRows<'_>>> = BTreeMap::new();
    let mut states = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let std::collections::btree_map::Entry::Vacant(place) = runs.entry(&token.run) {
            place.insert(RunRows::load(session, &token.run)?);
        }
        let Some(Some(rows)) = runs.get_mut(&token.run) else {
            states.push(LeaseState::Lost);
            continue;
        };
        let mut task = match rows.task(token.task) {
            Ok(task) => task,
            Err(error) if error.kind() == motet_core::ErrorKind::NotFound => {
                states.push(LeaseState::Lost);
                continue;
            }
            Err(error) => return Err(error),
        };
        states.push(schedule::renew(rows.run(), &mut task, token, until));
        rows.save(&task)?;
    }
    for rows in runs.values_mut().flatten() {
        rows.flush()?;
    }
    Ok(states)
}

/// Appends to the journal of a leased task.
pub(super) fn journal(
    session: &Session<'_>,
    token: &LeaseToken,
    expect: u64,
    records: &[Record],
) -> Result<u64> {
    let mut rows = RunRows::load(session, &token.run)?.ok_or_else(|| token.stale())?;
    let found = rows.task(token.task);
    let mut task = found.map_err(|error| crate::stale_if_gone(error, token))?;
    crate::check_append(&task, token, expect)?;
    for record in records {
        rows.run().seq += 1;
        task.journal += 1;
        let seq = rows.run().seq;
        rows.append(token.task, seq, record)?;
    }
    rows.save(&task)?;
    rows.flush()?;
    session.wake();
    Ok(task.journal)
}

/// Ends a lease.
pub(super) fn complete(session: &Session<'_>, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
    let rows = RunRows::load(session, &token.run)?.ok_or_else(|| token.stale())?;
    change(session, rows, |rows| schedule::complete(rows, token, outcome, session.now))
}

/// Takes back the leases whose time is over or whose worker is dead.
pub(super) fn reclaim(session: &Session<'_>) -> Result<Progress> {
    let mut progress = Progress::default();
    let workers = &session.shared.workers;
    let mut dead: BTreeMap<String, bool> = BTreeMap::new();
    let leases = read::leases(session.connection)?;
    for lease in leases {
        let is_over = lease.until <= session.now
            || *dead.entry(lease.worker).or_insert_with_key(|worker| workers.is_dead(worker));
        if is_over {
            let rows = RunRows::load_key(session, lease.run)?;
            let state = change(session, rows, |rows| schedule::reclaim(rows, lease.task, session.now))?;
            progress.reclaimed += 1;
            progress.dead += u32::from(state == TaskState::Dead);
        }
    }
    for (run, task) in read::late_tasks(session.connection, session.now)? {
        let rows = RunRows::load_key(session, run)?;
        change(session, rows, |rows| schedule::wake(rows, task, session.now))?;
        progress.woken += 1;
    }
    for run in read::late_runs(session.connection, session.now)? {
        let rows = RunRows::load_key(session, run)?;
        change(session, rows, |rows| schedule::time_out(rows, session.now))?;
        progress.timed_out += 1;
    }
    workers.sweep();
    progress.next_due = read::next_due(session.connection, session.now)?.map(|due| due.since(session.now));
    Ok(progress)
}

/// Cancels, resumes, or redefines a run.
pub(super) fn control(session: &Session<'_>, run: &RunId, control: &Control) -> Result<()> {
    let load = || RunRows::load(session, run)?.ok_or_else(|| crate::no_such_run(run));
    match control {
        Control::Cancel => change_tree(session, run, schedule::cancel),
        Control::Pause => change_tree(session, run, schedule::pause),
        Control::Resume | Control::ResumeUntil { .. } => {
            change(session, load()?, |rows| crate::resume(rows, control, session.now))?;
            // Those that were paused with it go on with it; others are resumed by the tasks that wait for them.
            for child in read::children(session.connection, run, None)? {
                change_tree(session, &child, schedule::unpause)?;
            }
            Ok(())
        }
        Control::Redefine { definition, tasks, unchanged } => change(session, load()?, |rows| {
            rows.define(definition)?;
            schedule::redefine(rows, &Redefinition { tasks, unchanged }, session.now)?;
            Ok(())
        }),
        other => Err(crate::unknown_control(other)),
    }
}
