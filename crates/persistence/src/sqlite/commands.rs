//! What changes a store: each command runs inside a transaction of the writing thread.
//!
//! Moves rows between the tables and `motet_core::schedule`, which decides what becomes of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule::{self, Redefinition, Rows as _, TaskRow};
use motet_core::store::{
    Applied, Claim, ClaimRequest, Control, LeaseState, LeaseToken, NewRun, Outcome, Progress, TaskState,
};
use motet_core::workflow::Priority;

use super::columns::Places as _;
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
    let row = schedule::new_run(new.id.clone(), new.tasks.len());
    let mut rows = RunRows::create(session.connection, row, new, session.now)?;
    for (number, task) in (0u32..).zip(&new.tasks) {
        rows.insert(&TaskRow::new(number, task, session.now), task)?;
    }
    rows.flush()?;
    session.wake();
    Ok(new.id.clone())
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
    let mut runs: BTreeMap<i64, RunRows<'_>> = BTreeMap::new();
    let mut claims = Vec::new();
    for (_, run, number) in ready(session, request)? {
        if let std::collections::btree_map::Entry::Vacant(place) = runs.entry(run) {
            place.insert(RunRows::load_key(session.connection, run, session.now)?);
        }
        let Some(rows) = runs.get_mut(&run) else { continue };
        let mut task = rows.task(number)?;
        let until = session.now.after(request.ttl);
        let token = schedule::lease(rows.run(), &mut task, &request.worker, session.now, until);
        rows.save(&task)?;
        claims.push((run, token));
    }
    let mut claimed = Vec::with_capacity(claims.len());
    for (run, token) in claims {
        if let Some(rows) = runs.get_mut(&run) {
            claimed.push(Claim { task: rows.view(token.task)?, token });
        }
    }
    Ok(claimed)
}

/// Gives the most urgent ready tasks: when they became ready, their run, and their number.
fn ready(session: &Session<'_>, request: &ClaimRequest) -> Result<Vec<(i64, i64, u32)>> {
    let run = match &request.run {
        None => None,
        Some(run) => match find_run(session.connection, run)? {
            None => return Ok(Vec::new()),
            found => found,
        },
    };
    let sql = if run.is_some() { READY_OF_RUN } else { READY };
    let mut statement = session.connection.prepare_cached(sql).or_store()?;
    let queues: BTreeSet<&str> = request.queues.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for priority in Priority::VALUES {
        let left = (request.limit as usize).saturating_sub(found.len());
        if left == 0 {
            break;
        }
        let mut equals = Vec::new();
        for queue in &queues {
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
    let mut rows =
        RunRows::load(session.connection, &token.run, session.now)?.ok_or_else(|| token.stale())?;
    let applied = schedule::complete(&mut rows, token, outcome, session.now)?;
    rows.flush()?;
    session.wake();
    Ok(applied)
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
            let mut rows = RunRows::load_key(session.connection, lease.run, session.now)?;
            let state = schedule::reclaim(&mut rows, lease.task, session.now)?;
            rows.flush()?;
            progress.reclaimed += 1;
            progress.dead += u32::from(state == TaskState::Failed);
        }
    }
    if progress.reclaimed > 0 {
        session.wake();
    }
    workers.sweep();
    progress.next_due = read::next_due(session.connection, session.now)?;
    Ok(progress)
}

/// Cancels, resumes, or redefines a run.
pub(super) fn control(session: &Session<'_>, run: &RunId, control: &Control) -> Result<()> {
    let (now, missing) = (session.now, || crate::no_such_run(run));
    let mut rows = RunRows::load(session.connection, run, now)?.ok_or_else(missing)?;
    match control {
        Control::Cancel => schedule::cancel(&mut rows, now)?,
        Control::Resume => schedule::resume(&mut rows, now)?,
        Control::Redefine { definition, tasks, unchanged } => {
            rows.define(definition)?;
            schedule::redefine(&mut rows, &Redefinition { tasks, unchanged }, now)?
        }
        other => return Err(crate::unknown_control(other)),
    };
    session.wake();
    rows.flush()
}
