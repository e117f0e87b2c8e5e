//! What changes a store: each command runs inside a transaction of the writing thread.
//!
//! Moves rows between the tables and `motet_core::schedule`, which decides what becomes of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use motet_core::error::{ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::schedule::{self, Redefinition, Rows};
use motet_core::store::{
    Applied, Claim, ClaimRequest, Control, LeaseState, LeaseToken, NewRun, Outcome, Progress, RunState,
    TaskState,
};
use motet_core::workflow::Priority;
use rusqlite::OptionalExtension as _;

use super::columns::{Id, Places as _};
use super::failure::OrStore as _;
use super::read;
use super::rows::{RunRows, find_run};
use super::writer::Session;

/// Ready tasks of a queue and priority whose time has come, in the order of readiness.
const READY: &str = "SELECT not_before, run, n FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 \
                     AND queue = ?1 AND prio = ?2 AND not_before <= ?3 ORDER BY not_before, run, n";

/// The same for one run.
const READY_OF_RUN: &str = "SELECT not_before, run, n FROM task INDEXED BY ready_of_run \
                            WHERE state = 1 AND parked = 0 AND queue = ?1 AND prio = ?2 AND not_before <= ?3 \
                            AND run = ?4 ORDER BY not_before, n";

/// The statements that every claim runs, so that a test can look at how they find their rows.
#[cfg(test)]
pub(super) const CLAIMS: [&str; 2] = [READY, READY_OF_RUN];

/// Stores a run whose graph was checked.
pub(super) fn submit(session: &Session<'_>, new: &NewRun) -> Result<RunId> {
    if find_run(session.connection, &new.id)?.is_some() {
        return Err(crate::run_exists(&new.id));
    }
    if let Some(first) = submitted_as(session, new)? {
        return Ok(first);
    }
    let mut rows = RunRows::create(session.connection, schedule::new_run(new), new, session.now)?;
    schedule::submit(&mut rows, &new.tasks, session.now)?;
    rows.flush()?;
    session.wake();
    Ok(new.id.clone())
}

/// Gives the run that was submitted with the same key.
fn submitted_as(session: &Session<'_>, new: &NewRun) -> Result<Option<RunId>> {
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
    let before = rows.run().state;
    let result = work(&mut rows)?;
    let mut news = schedule::news(before, rows.run());
    rows.flush()?;
    while let Some(told) = news {
        // A parent that was removed needs to be told nothing.
        let Some(mut parent) = RunRows::load(session.connection, &told.parent.run, session.now)? else {
            break;
        };
        let before = parent.run().state;
        schedule::child_changed(&mut parent, &told, session.now)?;
        news = schedule::news(before, parent.run());
        parent.flush()?;
    }
    session.wake();
    Ok(result)
}

/// Does something to a run and to all that it started.
fn change_tree(
    session: &Session<'_>,
    run: &RunId,
    work: fn(&mut dyn Rows, Millis) -> Result<RunState>,
) -> Result<()> {
    let load = |run: &RunId| {
        RunRows::load(session.connection, run, session.now)?.ok_or_else(|| crate::no_such_run(run))
    };
    change(session, load(run)?, |rows| work(rows, session.now))?;
    let mut left = read::children(session.connection, run)?;
    while let Some(child) = left.pop() {
        left.extend(read::children(session.connection, &child)?);
        match change(session, load(&child)?, |rows| work(rows, session.now)) {
            // One that is about to end needs nothing.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            changed => drop(changed?),
        }
    }
    Ok(())
}

/// Leases ready tasks to a worker.
pub(super) fn claim(session: &Session<'_>, request: &ClaimRequest) -> Result<Vec<Claim>> {
    let workers = &session.shared.workers;
    workers.enlist(&request.worker)?;
    if workers.is_crowded() {
        let mut busy: HashSet<String> = read::busy_workers(session.connection)?.into_iter().collect();
        busy.insert(request.worker.as_str().to_owned());
        workers.keep_only(&busy);
    }
    let limit = match request.max_active {
        Some(most) => request.limit.min(most.saturating_sub(read::active(session.connection)?)),
        None => request.limit,
    } as usize;
    let mut runs: BTreeMap<i64, RunRows<'_>> = BTreeMap::new();
    let mut claims = Vec::new();
    let mut seen = HashSet::new();
    let mut looks_at = limit;
    // Limits may forbid the first ones, so that more must be looked at than are wanted.
    while claims.len() < limit {
        let found = ready(session, request, looks_at)?;
        let (is_all, until) = (found.len() < looks_at, session.now.after(request.ttl));
        for (_, run, number) in found {
            if claims.len() >= limit || !seen.insert((run, number)) {
                continue;
            }
            if let std::collections::btree_map::Entry::Vacant(place) = runs.entry(run) {
                place.insert(RunRows::load_key(session.connection, run, session.now)?);
            }
            let Some(rows) = runs.get_mut(&run) else { continue };
            if let Some(token) = schedule::lease(rows, number, &request.worker, session.now, until)? {
                claims.push((run, token));
            }
        }
        if is_all {
            break;
        }
        looks_at = looks_at.saturating_mul(8);
    }
    let mut claimed = Vec::with_capacity(claims.len());
    for (run, token) in claims {
        if let Some(rows) = runs.get_mut(&run) {
            let definition = rows.run().definition;
            claimed.push(Claim { task: rows.view(token.task)?, token, definition });
        }
    }
    Ok(claimed)
}

/// Gives the most urgent ready tasks, at most so many: when they became ready, their run, and their number.
fn ready(session: &Session<'_>, request: &ClaimRequest, limit: usize) -> Result<Vec<(i64, i64, u32)>> {
    let runs = match &request.run {
        None => vec![None],
        Some(root) => read::tree(session.connection, root)?.into_iter().map(Some).collect(),
    };
    let queues: BTreeSet<String> = match request.queues.as_slice() {
        [] => read::ready_queues(session.connection)?.into_iter().collect(),
        queues => queues.iter().cloned().collect(),
    };
    let sql = if request.run.is_some() { READY_OF_RUN } else { READY };
    let mut statement = session.connection.prepare_cached(sql).or_store()?;
    let mut found = Vec::new();
    for priority in Priority::VALUES {
        let left = limit.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        let mut equals = Vec::new();
        for queue in &queues {
            for run in &runs {
                let (place, now) = (priority.place(), session.now.0);
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                let rows = match run {
                    Some(run) => statement.query_map((queue, place, now, run), row),
                    None => statement.query_map((queue, place, now), row),
                };
                for row in rows.or_store()?.take(left) {
                    equals.push(row.or_store()?);
                }
            }
        }
        equals.sort_unstable();
        found.extend(equals.into_iter().take(left));
    }
    Ok(found)
}

/// Extends leases.
pub(super) fn renew(session: &Session<'_>, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
    let until = session.now.after(ttl);
    let mut runs: BTreeMap<&RunId, Option<RunRows<'_>>> = BTreeMap::new();
    let mut states = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let std::collections::btree_map::Entry::Vacant(place) = runs.entry(&token.run) {
            place.insert(RunRows::load(session.connection, &token.run, session.now)?);
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
    let mut rows =
        RunRows::load(session.connection, &token.run, session.now)?.ok_or_else(|| token.stale())?;
    let found = rows.task(token.task);
    let mut task = found.map_err(|error| crate::stale_if_gone(error, token))?;
    crate::check_append(&task, token, expect)?;
    for record in records {
        rows.run().seq += 1;
        task.journal += 1;
        rows.append(token.task, record)?;
    }
    rows.save(&task)?;
    rows.flush()?;
    session.wake();
    Ok(task.journal)
}

/// Ends a lease.
pub(super) fn complete(session: &Session<'_>, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
    let rows = RunRows::load(session.connection, &token.run, session.now)?.ok_or_else(|| token.stale())?;
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
            let rows = RunRows::load_key(session.connection, lease.run, session.now)?;
            let state = change(session, rows, |rows| schedule::reclaim(rows, lease.task, session.now))?;
            progress.reclaimed += 1;
            progress.dead += u32::from(state == TaskState::Dead);
        }
    }
    for (run, task) in read::late_tasks(session.connection, session.now)? {
        let rows = RunRows::load_key(session.connection, run, session.now)?;
        change(session, rows, |rows| schedule::wake(rows, task, session.now))?;
        progress.woken += 1;
    }
    for run in read::late_runs(session.connection, session.now)? {
        let mut rows = RunRows::load_key(session.connection, run, session.now)?;
        let id = rows.run().id.clone();
        change(session, rows, |rows| schedule::time_out(rows, session.now))?;
        for child in read::children(session.connection, &id)? {
            change_tree(session, &child, schedule::cancel)?;
        }
        progress.timed_out += 1;
    }
    workers.sweep();
    progress.next_due = read::next_due(session.connection, session.now)?;
    Ok(progress)
}

/// Cancels, resumes, or redefines a run.
pub(super) fn control(session: &Session<'_>, run: &RunId, control: &Control) -> Result<()> {
    let load = || RunRows::load(session.connection, run, session.now)?.ok_or_else(|| crate::no_such_run(run));
    match control {
        Control::Cancel => change_tree(session, run, schedule::cancel),
        Control::Pause => change_tree(session, run, schedule::pause),
        Control::Resume => {
            change(session, load()?, |rows| schedule::resume(rows, session.now))?;
            // Those that were paused with it go on with it; others are resumed by the tasks that wait for them.
            for child in read::children(session.connection, run)? {
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
