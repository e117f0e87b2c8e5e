//! Handing out ready tasks: most urgent first, then in the order of readiness, past whatever a limit forbids.
//!
//! Reads the tasks by an index in small pages, and steps over all tasks of a full run at once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use motet_core::error::Result;
use motet_core::schedule::{self, Rows as _, Turn};
use motet_core::store::{Claim, ClaimRequest};
use rusqlite::Connection;

use super::failure::OrStore as _;
use super::read;
use super::rows::RunRows;
use super::writer::Session;

/// Ready tasks of a queue behind a place, most urgent first, then in the order of readiness.
const READY: &str = "SELECT prio, not_before, run, n, limit_key, limit_max FROM task INDEXED BY ready \
                     WHERE state = 1 AND parked = 0 AND queue = ?1 \
                     AND (prio, not_before, run, n) > (?2, ?3, ?4, ?5) ORDER BY prio, not_before, run, n LIMIT ?6";

/// The same for one run.
const READY_OF_RUN: &str = "SELECT prio, not_before, run, n, limit_key, limit_max FROM task INDEXED BY ready_of_run \
                            WHERE state = 1 AND parked = 0 AND queue = ?1 \
                            AND (prio, not_before, n) > (?2, ?3, ?5) AND run = ?7 \
                            ORDER BY prio, not_before, n LIMIT ?6";

/// The statements that every claim runs, so that a test can look at how they find their rows.
#[cfg(test)]
pub(super) const CLAIMS: [&str; 2] = [READY, READY_OF_RUN];

/// The indexes that these read, since version 8: with the limits, so that a full key needs no look at its tasks.
pub(super) const INDEXES: &str = "
DROP INDEX ready;
DROP INDEX ready_of_run;
CREATE INDEX ready ON task (queue, prio, not_before, run, n, limit_key, limit_max) WHERE state = 1 AND parked = 0;
CREATE INDEX ready_of_run ON task (run, queue, prio, not_before, n, limit_key, limit_max)
    WHERE state = 1 AND parked = 0;
";

/// Tasks that a claim reads at first beyond those that it wants.
const SPARE: usize = 1;

/// Leases ready tasks to a worker.
pub(super) fn claim(session: &Session<'_>, request: &ClaimRequest) -> Result<Vec<Claim>> {
    enlist(session, request)?;
    let limit = match request.max_active {
        Some(most) => request.limit.min(most.saturating_sub(read::active(session.connection)?)),
        None => request.limit,
    } as usize;
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut taking =
        Taking { session, request, limit, runs: BTreeMap::new(), active: HashMap::new(), claims: Vec::new() };
    let runs = match &request.run {
        None => vec![None],
        Some(root) => read::tree(session.connection, root)?.into_iter().map(Some).collect(),
    };
    let queues: BTreeSet<String> = match request.queues.as_slice() {
        [] => read::ready_queues(session.connection)?.into_iter().collect(),
        queues => queues.iter().cloned().collect(),
    };
    let mut streams = Vec::with_capacity(queues.len() * runs.len());
    for queue in &queues {
        let stream = |run: &Option<i64>| Stream {
            queue,
            run: *run,
            behind: (i64::MIN, i64::MIN, 0, 0),
            page: VecDeque::new(),
            is_read: false,
        };
        streams.extend(runs.iter().map(stream));
    }
    taking.take(streams)?;
    Ok(taking.claims)
}

/// Notes that the worker lives.
fn enlist(session: &Session<'_>, request: &ClaimRequest) -> Result<()> {
    let workers = &session.shared.workers;
    workers.enlist(&request.worker)?;
    if workers.is_crowded() {
        let mut busy: HashSet<String> = read::busy_workers(session.connection)?.into_iter().collect();
        busy.insert(request.worker.as_str().to_owned());
        workers.keep_only(&busy);
    }
    Ok(())
}

/// Where a task stands in the order of claiming: its priority, when it became ready, the number of its run in this file,
/// and its own.
type Place = (i64, i64, i64, u32);

/// A ready task as the index shows it.
struct Ready {
    place: Place,
    limit: Option<(String, u32)>,
}

/// The ready tasks of one queue, of all runs or of one, read as far as they are wanted.
struct Stream<'q> {
    queue: &'q str,
    run: Option<i64>,
    /// What was read ends here.
    behind: (i64, i64, i64, i64),
    page: VecDeque<Ready>,
    is_read: bool,
}

impl Stream<'_> {
    /// Reads a page unless there is one.
    fn fill(&mut self, connection: &Connection, page: usize, now: i64) -> Result<()> {
        // Once more for each priority whose tasks are to wait.
        while self.page.is_empty() && !self.is_read {
            self.read(connection, page, now)?;
        }
        Ok(())
    }

    /// Reads a page, or what comes before tasks that are to wait.
    fn read(&mut self, connection: &Connection, page: usize, now: i64) -> Result<()> {
        let sql = if self.run.is_some() { READY_OF_RUN } else { READY };
        let mut statement = connection.prepare_cached(sql).or_store()?;
        let (priority, time, run, number) = self.behind;
        let limit = i64::try_from(page).unwrap_or(i64::MAX);
        let mut rows = match self.run {
            Some(of) => statement.query((self.queue, priority, time, run, number, limit, of)),
            None => statement.query((self.queue, priority, time, run, number, limit)),
        }
        .or_store()?;
        let mut count = 0;
        while let Some(row) = rows.next().or_store()? {
            count += 1;
            let place: Place = (
                row.get(0).or_store()?,
                row.get(1).or_store()?,
                row.get(2).or_store()?,
                row.get(3).or_store()?,
            );
            if place.1 > now {
                // All of this priority that follow are later still.
                self.behind = (place.0, i64::MAX, i64::MAX, i64::MAX);
                return Ok(());
            }
            let limit = match row.get(4).or_store()? {
                Some(key) => Some((key, row.get(5).or_store()?)),
                None => None,
            };
            self.behind = (place.0, place.1, place.2, i64::from(place.3));
            self.page.push_back(Ready { place, limit });
        }
        self.is_read = count < page;
        Ok(())
    }

    /// Steps over the tasks of this priority that a run has at this time.
    fn skip_run(&mut self, (priority, time, run, _): Place) {
        let is_same = |next: &Ready| (next.place.0, next.place.1, next.place.2) == (priority, time, run);
        while self.page.front().is_some_and(is_same) {
            self.page.pop_front();
        }
        if self.page.is_empty() {
            self.behind = self.behind.max((priority, time, run, i64::MAX));
        }
        if self.run == Some(run) {
            self.page.clear();
            self.is_read = true;
        }
    }
}

/// A claim in progress.
struct Taking<'a, 'r> {
    session: &'r Session<'a>,
    request: &'r ClaimRequest,
    limit: usize,
    runs: BTreeMap<i64, RunRows<'a>>,
    /// How many tasks of a limit's key are in workers' hands.
    active: HashMap<String, u32>,
    claims: Vec<Claim>,
}

impl<'a> Taking<'a, '_> {
    /// Takes tasks until there are enough.
    fn take(&mut self, mut streams: Vec<Stream<'_>>) -> Result<()> {
        let mut page = self.limit + SPARE;
        while self.claims.len() < self.limit {
            for stream in &mut streams {
                stream.fill(self.session.connection, page, self.session.now.0)?;
            }
            let heads = streams.iter_mut().filter(|stream| !stream.page.is_empty());
            let first = heads.min_by_key(|stream| stream.page.front().map(|ready| ready.place));
            let Some(stream) = first else { return Ok(()) };
            let Some(ready) = stream.page.pop_front() else { return Ok(()) };
            if !self.rows(ready.place.2)?.run().has_room() {
                stream.skip_run(ready.place);
                continue;
            }
            match self.take_one(&ready)? {
                Turn::Take => {}
                // Many of one key may stand in a row.
                Turn::Pass => page = page.saturating_mul(2).min(1024),
                Turn::TakeAlone | Turn::Stop => self.limit = self.claims.len(),
            }
        }
        Ok(())
    }

    fn rows(&mut self, run: i64) -> Result<&mut RunRows<'a>> {
        match self.runs.entry(run) {
            Entry::Occupied(rows) => Ok(rows.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(RunRows::load_key(self.session, run)?)),
        }
    }

    /// Leases a task unless the limit of its key forbids it, or it is not its turn.
    fn take_one(&mut self, ready: &Ready) -> Result<Turn> {
        let (_, _, run, number) = ready.place;
        if let Some((key, max)) = &ready.limit
            && self.active.get(key).is_some_and(|active| active >= max)
        {
            return Ok(Turn::Pass);
        }
        let has_others = self.request.in_hand > 0 || !self.claims.is_empty();
        let (worker, now) = (&self.request.worker, self.session.now);
        let until = now.after(self.request.ttl);
        let rows = self.rows(run)?;
        let facts = rows.facts(number)?;
        let turn = rows.turn(number, has_others)?;
        if matches!(turn, Turn::Pass | Turn::Stop) {
            return Ok(turn);
        }
        let leased = schedule::lease(rows, number, worker, now, until)?;
        rows.flush()?;
        let claim = match leased {
            Some(token) => {
                let (task, definition) = (rows.task(number)?, rows.run().definition);
                Some(Claim { token, task: crate::task(&task, facts), definition })
            }
            None => None,
        };
        if let Some((key, _)) = &ready.limit {
            let active = rows.active_with(key)?;
            self.active.insert(key.clone(), active);
        }
        let is_taken = claim.is_some();
        self.claims.extend(claim);
        Ok(if is_taken { turn } else { Turn::Pass })
    }
}
