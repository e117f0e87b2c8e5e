//! Follows a run by its events, from any place on and without a gap, wherever its workers are.
//!
//! Works on nothing itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use motet_core::RunId;
use motet_core::error::Result;
use motet_core::store::{RunEvent, RunState, SharedStore, TaskPages};
use motet_workflows::dag::worker::{Unserved, unserved};
use serde::Serialize;
use tokio::time::Instant;

use crate::report;
use crate::runtime::Runtime;

/// How many events are read at a time.
const PAGE: u32 = 1_000;

/// Longest sleep of who waits for the store to change.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long nothing may happen before it is looked whether anybody serves the queues of what is ready.
const QUIET: Duration = Duration::from_secs(5);

/// What comes next of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Watched {
    /// Something happened.
    Event(Box<NamedEvent>),
    /// A task is ready and no worker takes it; told once for each queue.
    Unserved(Unserved),
    /// Nothing more happens unless a person decides or resumes it.
    Stopped(RunState),
}

/// An event with the name of its task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedEvent {
    /// The run.
    pub run: RunId,
    /// Name of the task; `None` where the run itself changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened, and its place.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// Follows one run.
pub struct Watch {
    store: SharedStore,
    run: RunId,
    /// Place of the newest event that was read.
    after: u64,
    read: VecDeque<RunEvent>,
    unserved: VecDeque<Unserved>,
    names: HashMap<u32, String>,
    told: HashSet<String>,
    quiet_since: Instant,
    seen: u64,
}

impl Runtime {
    /// Begins to follow a run by its events behind a place; 0 gives all of them.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store fails.
    pub async fn watch(&self, run: &RunId, after: u64) -> Result<Watch> {
        let store = self.store().await?;
        store.run(run).await?.ok_or_else(|| report::no_such_run(run))?;
        Ok(Watch {
            store,
            run: run.clone(),
            after,
            read: VecDeque::new(),
            unserved: VecDeque::new(),
            names: HashMap::new(),
            told: HashSet::new(),
            quiet_since: Instant::now(),
            seen: 0,
        })
    }
}

impl Watch {
    /// Waits for what comes next. May be dropped at any time; nothing is lost by it.
    ///
    /// # Errors
    /// `NotFound` when the run was removed; `Store` when the store fails.
    pub async fn next(&mut self) -> Result<Watched> {
        loop {
            if let Some(event) = self.read.front().cloned() {
                let name = self.name(event.task).await?;
                self.read.pop_front();
                return Ok(Watched::Event(Box::new(NamedEvent { run: self.run.clone(), name, event })));
            }
            if let Some(found) = self.unserved.pop_front() {
                return Ok(Watched::Unserved(found));
            }
            // The state is read first: what led to it is among the events that are read then.
            let state = self.state().await?;
            let page = self.store.events(&self.run, self.after, PAGE).await?;
            if let Some(last) = page.last() {
                self.after = last.seq;
                self.quiet_since = Instant::now();
                self.read = page.into();
                continue;
            }
            if state.is_ended() || state.is_halted() {
                return Ok(Watched::Stopped(state));
            }
            if self.quiet_since.elapsed() >= QUIET {
                self.quiet_since = Instant::now();
                let found = unserved(&self.store, &self.run, &[]).await?;
                self.unserved =
                    found.into_iter().filter(|found| self.told.insert(found.queue.clone())).collect();
                if !self.unserved.is_empty() {
                    continue;
                }
            }
            self.seen = self.store.changed(self.seen, LONGEST_WAIT).await;
        }
    }

    async fn state(&self) -> Result<RunState> {
        let found = self.store.run(&self.run).await?;
        found.map(|found| found.summary.state).ok_or_else(|| report::no_such_run(&self.run))
    }

    /// Gives the name of a task; all of them are read again when one is new.
    async fn name(&mut self, task: Option<u32>) -> Result<Option<String>> {
        let Some(number) = task else { return Ok(None) };
        if !self.names.contains_key(&number) {
            self.names.clear();
            let mut pages = TaskPages::of(&self.run);
            while let Some(page) = pages.next(&*self.store).await? {
                self.names.extend(page.into_iter().map(|task| (task.number, task.name)));
            }
        }
        Ok(self.names.get(&number).cloned())
    }
}
