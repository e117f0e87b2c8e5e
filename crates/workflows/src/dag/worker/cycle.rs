//! The worker's loop: claim, start, wait, collect; over one run, or over all runs of some queues.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use motet_core::RunId;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::StreamEvent;
use motet_core::store::{Claim, ClaimRequest, Outcome, RunFilter, RunState, TaskPages, TaskState};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::definitions::Definitions;
use super::leases::{Guard, Leases};
use super::outage::{self, Outage, is_outage};
use super::{Shared, attempt, unserved};
use crate::dag::plan;

/// Longest sleep of a worker that waits for the store to change.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long nothing may happen before it is looked whether anybody serves the queues of what is ready.
const UNSERVED_AFTER: Duration = Duration::from_secs(5);

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Worked {
    /// Attempts whose outcome was stored.
    pub ended: u64,
    /// Tasks that were given back because the worker stopped.
    pub released: u64,
    /// Attempts whose outcome was not used: another worker had the task, or the store could not be reached.
    pub lost: u64,
}

/// When a worker stops.
pub(super) struct Stop {
    /// Stop what runs and give it back.
    pub(super) now: CancellationToken,
    /// Take nothing new.
    pub(super) drain: CancellationToken,
    /// Stop when nothing is left to do.
    pub(super) when_idle: bool,
}

type Ended = (RunId, Result<TaskState>);

/// One worker at work.
pub(super) struct Cycle<'a> {
    shared: &'a Arc<Shared>,
    run: Option<RunId>,
    definitions: Definitions,
    limit: u32,
    tasks: JoinSet<Ended>,
    /// Whether what is in hand is run alone, because it may be what kills its workers.
    is_alone: bool,
    leases: Leases,
    /// When to look for ended leases and delays next.
    sweep: Instant,
    /// How long a store that cannot be reached is tried again when an outcome is to be stored.
    patience: Duration,
    seen: u64,
    worked: Worked,
    /// Since when nothing was taken and nothing was in hand.
    idle_since: Option<Instant>,
    /// Queues that were told to be served by nobody.
    told: HashSet<String>,
}

impl<'a> Cycle<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, run: Option<RunId>) -> Self {
        let lease = shared.config.lease;
        Self {
            shared,
            patience: if run.is_some() { Duration::ZERO } else { lease },
            run,
            definitions: Definitions::default(),
            limit: shared.config.max_parallel_tasks.max(1),
            tasks: JoinSet::new(),
            is_alone: false,
            leases: Leases::new(Arc::clone(&shared.store), lease),
            sweep: Instant::now(),
            seen: 0,
            worked: Worked::default(),
            idle_since: None,
            told: HashSet::new(),
        }
    }

    /// Works on one run until nothing more happens to it.
    pub(super) async fn run_to_end(
        mut self,
        run: &RunId,
        cancellation: &CancellationToken,
    ) -> Result<RunState> {
        loop {
            if cancellation.is_cancelled() {
                self.give_back().await;
                return Err(Error::new(ErrorKind::Cancelled, "the run was interrupted"));
            }
            let busy = self.turn().await?;
            if self.idle_since.is_some() {
                let state = self.state(run).await?;
                if state.is_ended() || state.is_halted() {
                    return Ok(state);
                }
                self.tell_of_unserved(run).await?;
            }
            if !busy {
                self.wait(cancellation.cancelled()).await?;
            }
            self.collect()?;
        }
    }

    /// Works on any run until it is told to stop.
    pub(super) async fn serve(mut self, stop: &Stop) -> Worked {
        let mut outage = Outage::default();
        let mut looked = Instant::now();
        loop {
            if stop.now.is_cancelled() || stop.drain.is_cancelled() {
                return self.end(stop).await;
            }
            let mut turned = self.turn().await;
            if turned.is_ok() && stop.when_idle && self.idle_since.is_some() && Instant::now() >= looked {
                looked = Instant::now() + LONGEST_WAIT / 4;
                match self.is_all_done().await {
                    Ok(true) => return self.worked,
                    Ok(false) => {}
                    Err(error) => turned = Err(error),
                }
            }
            let stopped = async {
                tokio::select! { () = stop.now.cancelled() => {}, () = stop.drain.cancelled() => {} }
            };
            match turned {
                Ok(busy) => {
                    outage.over();
                    // What a task's end has to tell is collected below; here nothing ends the worker.
                    if !busy && let Err(error) = self.wait(stopped).await {
                        self.warn(None, &error.to_string());
                    }
                }
                Err(error) => {
                    self.warn(None, &format!("the store cannot be reached; trying again: {error}"));
                    let pause = outage.pause();
                    tokio::select! { () = tokio::time::sleep(pause) => {}, () = stopped => {} }
                }
            }
            while let Some(joined) = self.tasks.try_join_next() {
                if let Err(error) = self.joined(joined) {
                    self.warn(None, &error.to_string());
                }
            }
        }
    }

    /// Lets what runs finish, as long as there is time and nobody is in a hurry, and gives the rest back.
    async fn end(mut self, stop: &Stop) -> Worked {
        let deadline = Instant::now() + self.shared.config.drain_timeout;
        while !stop.now.is_cancelled() && !self.tasks.is_empty() && Instant::now() < deadline {
            tokio::select! {
                Some(joined) = self.tasks.join_next() => {
                    if let Err(error) = self.joined(joined) {
                        self.warn(None, &error.to_string());
                    }
                }
                () = tokio::time::sleep_until(deadline) => {}
                () = stop.now.cancelled() => {}
            }
        }
        self.give_back().await;
        self.worked
    }

    async fn give_back(&mut self) {
        self.leases.cancel_all();
        while let Some(joined) = self.tasks.join_next().await {
            if matches!(joined, Ok((_, Ok(TaskState::Ready)))) {
                self.worked.released += 1;
            } else if let Err(error) = self.joined(joined) {
                self.warn(None, &error.to_string());
            }
        }
    }

    /// Takes tasks and starts them, and looks after what is due; gives whether there may be more to take at once.
    async fn turn(&mut self) -> Result<bool> {
        self.is_alone &= !self.tasks.is_empty();
        let free = if self.is_alone { 0 } else { self.limit.saturating_sub(self.in_hand()) };
        let claimed = if free > 0 { self.claim(free).await? } else { 0 };
        let is_idle = claimed == 0 && self.tasks.is_empty();
        self.idle_since = is_idle.then(|| self.idle_since.unwrap_or_else(Instant::now));
        if claimed > 0 && claimed == free as usize {
            return Ok(true);
        }
        self.sweep().await?;
        Ok(false)
    }

    fn in_hand(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX)
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self, stopped: impl Future<Output = ()>) -> Result<()> {
        tokio::select! {
            Some(joined) = self.tasks.join_next(), if !self.tasks.is_empty() => self.joined(joined)?,
            newest = self.shared.store.changed(self.seen, LONGEST_WAIT) => self.seen = newest,
            () = tokio::time::sleep_until(self.sweep) => {}
            () = stopped => {}
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<()> {
        while let Some(joined) = self.tasks.try_join_next() {
            self.joined(joined)?;
        }
        Ok(())
    }

    /// Takes tasks and starts them; gives how many.
    async fn claim(&mut self, free: u32) -> Result<usize> {
        let config = &self.shared.config;
        let request = ClaimRequest {
            worker: self.shared.id.clone(),
            queues: config.queues.clone(),
            run: self.run.clone(),
            limit: free,
            ttl: config.lease,
            max_active: config.max_running,
            in_hand: self.in_hand(),
        };
        let asked = Instant::now();
        let claims = self.shared.store.claim(request).await?;
        // All are held before the first is started, as reading definitions may take longer than a lease.
        let held: Vec<_> =
            claims.into_iter().map(|claim| (self.leases.hold(claim.token.clone(), asked), claim)).collect();
        let count = held.len();
        self.is_alone = held.iter().any(|(_, claim)| claim.task.is_suspect());
        for (guard, claim) in held {
            self.start(claim, guard).await;
        }
        Ok(count)
    }

    /// Starts a task. One whose run cannot be read has failed by that, and hurts no other.
    async fn start(&mut self, claim: Claim, guard: Guard) {
        let (shared, patience) = (Arc::clone(self.shared), self.patience);
        let definition = self.definitions.of(&shared, &claim).await;
        self.tasks.spawn(async move {
            let run = claim.token.run.clone();
            let ended = match definition {
                Ok(definition) => {
                    attempt::run(&shared, &definition, claim, guard.cancellation(), patience).await
                }
                Err(error) => {
                    // A store that cannot be read now may be later, and another kind of run is somebody else's.
                    let outcome = if is_outage(&error) || error.kind() == ErrorKind::Conflict {
                        Outcome::Released
                    } else {
                        Outcome::Failed { error: error.report(), chance: rand::random() }
                    };
                    let applied = outage::complete(&shared.store, &claim.token, outcome, patience).await;
                    applied.map(|applied| applied.state)
                }
            };
            drop(guard);
            (run, ended)
        });
    }

    /// Takes back ended leases, now and then, and learns when the next lease or delay ends.
    async fn sweep(&mut self) -> Result<()> {
        if Instant::now() < self.sweep {
            return Ok(());
        }
        let progress = self.shared.store.advance().await?;
        let due = progress.next_due.unwrap_or(LONGEST_WAIT);
        self.sweep = Instant::now() + due.clamp(Duration::from_millis(1), LONGEST_WAIT);
        Ok(())
    }

    async fn state(&self, run: &RunId) -> Result<RunState> {
        let found = self.shared.store.run(run).await?;
        found.map(|found| found.summary.state).ok_or_else(|| attempt::no_such_run(run))
    }

    /// Tells whether no run of a workflow has a task that this worker could take by and by.
    async fn is_all_done(&self) -> Result<bool> {
        let store = &self.shared.store;
        let going_on = RunState::ALL.iter().filter(|state| !state.is_ended() && !state.is_halted());
        let mut runs = Vec::new();
        for state in going_on {
            runs.extend(store.runs(&RunFilter { state: Some(*state), ..RunFilter::default() }).await?);
        }
        for run in runs.into_iter().filter(|run| run.kind == plan::KIND) {
            let mut pages = TaskPages::of(&run.id);
            while let Some(tasks) = pages.next(&**store).await? {
                let goes_on = tasks.iter().any(|task| match task.state {
                    // Whatever another worker does may make tasks of this one's queues ready.
                    TaskState::Running => true,
                    TaskState::Ready => self.shared.config.queues.contains(&task.queue),
                    _ => false,
                });
                if goes_on {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Warns of tasks that wait for a worker that is not there, once for each queue.
    async fn tell_of_unserved(&mut self, run: &RunId) -> Result<()> {
        let idle = self.idle_since.map_or(Duration::ZERO, |since| since.elapsed());
        if idle < UNSERVED_AFTER || self.shared.config.queues.is_empty() {
            return Ok(());
        }
        self.idle_since = Some(Instant::now());
        for found in unserved(&self.shared.store, run, &self.shared.config.queues).await? {
            if self.told.insert(found.queue.clone()) {
                self.warn(Some(&found.run), &found.to_string());
            }
        }
        Ok(())
    }

    fn joined(&mut self, joined: std::result::Result<Ended, JoinError>) -> Result<()> {
        let (run, ended) =
            joined.map_err(|error| Error::new(ErrorKind::Internal, "a task broke off").with_source(error))?;
        match ended {
            Ok(state) => {
                self.worked.ended += 1;
                if state == TaskState::Ready {
                    // A task that is tried again has a delay, which the next look finds.
                    self.sweep = Instant::now();
                }
                Ok(())
            }
            // The lease was lost: another worker has the task, and this attempt does not count.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.worked.lost += 1;
                self.warn(Some(&run), &error.to_string());
                Ok(())
            }
            Err(error) => {
                self.worked.lost += 1;
                Err(error)
            }
        }
    }

    /// Warns who listens to a run; what belongs to none goes to the log.
    fn warn(&self, run: Option<&RunId>, message: &str) {
        match run.or(self.run.as_ref()).and_then(|run| self.shared.listener(run)) {
            Some(listener) => listener.emit(&StreamEvent::Warning { message: message.to_owned() }),
            None => tracing::warn!("{message}"),
        }
    }
}
