//! Every run of a store in one process, and what happens to them: what the stores in memory and in sled share.
//!
//! Pure but for what it holds: it reads no clock, waits for nothing, and knows nothing of files. Whoever keeps rows
//! elsewhere learns from it which of them changed.

mod admin;
mod commands;
mod index;
mod read;
mod rows;
mod run;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, News, Rows};
use motet_core::store::{RunState, WorkerInfo};

use index::Index;
use rows::RunRows;
pub(crate) use run::StoredRun;

/// Holds runs and works on them.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    runs: Runs,
    /// Runs by the key that they were submitted with.
    keys: HashMap<String, RunId>,
    index: Index,
    /// Workers that were seen.
    workers: HashMap<String, WorkerInfo>,
    /// What changed, where somebody wants to know.
    touched: Option<HashSet<Touch>>,
    /// Runs whose end has to be seen to; none between two commands.
    abandoned: Vec<Abandoned>,
}

/// Runs that a task of a run started, or any of its tasks, and that nobody wants any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Abandoned {
    slot: usize,
    task: Option<u32>,
}

/// Runs by place, the place being the order in which they were stored.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    slots: Vec<Option<Box<StoredRun>>>,
    places: HashMap<RunId, usize>,
    /// Places of runs whose parent is not there, by its id.
    orphans: HashMap<RunId, Vec<usize>>,
    /// Places of runs whose top is not there, by its id.
    rootless: HashMap<RunId, Vec<usize>>,
}

/// A row that changed, was made, or is gone: which of these shows when one looks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Touch {
    /// The scheduling row of a run, and what made it fail.
    Run(usize),
    /// What was submitted.
    Definition(usize),
    /// The scheduling row of a task, and why it failed.
    Task(usize, u32),
    /// What was submitted as a task.
    New(usize, u32),
    /// A result.
    Output(usize, u32),
    /// A journal entry, by its sequence number.
    Entry(usize, u64),
    /// An event, by its sequence number.
    Event(usize, u64),
    /// A question, by its step.
    Question(usize, String),
    /// The log of an item.
    Item(usize, String),
    /// A run with all that belongs to it; it is gone.
    Gone(RunId),
    /// A worker, by its name.
    Worker(String),
}

impl Runs {
    pub(crate) fn place(&self, run: &RunId) -> Option<usize> {
        self.places.get(run).copied()
    }

    pub(crate) fn at(&self, slot: usize) -> Option<&StoredRun> {
        self.slots.get(slot)?.as_deref()
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut StoredRun> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    pub(crate) fn get(&self, run: &RunId) -> Option<&StoredRun> {
        self.at(self.place(run)?)
    }

    fn known(&self, run: &RunId) -> Result<&StoredRun> {
        self.get(run).ok_or_else(|| crate::no_such_run(run))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &StoredRun> {
        self.slots.iter().flatten().map(|run| &**run)
    }

    /// Adds a run behind all others; gives its place, and those of runs whose top it turns out to be.
    fn add(&mut self, mut run: StoredRun) -> (usize, Vec<usize>) {
        let slot = self.slots.len();
        run.root = slot;
        if let Some(parent) = &run.row.parent {
            match self.place(&parent.root) {
                Some(root) => run.root = root,
                None => self.rootless.entry(parent.root.clone()).or_default().push(slot),
            }
            match self.place(&parent.run).and_then(|place| self.at_mut(place)) {
                Some(parent) => parent.started.push(slot),
                None => self.orphans.entry(parent.run.clone()).or_default().push(slot),
            }
        }
        run.started = self.orphans.remove(&run.row.id).unwrap_or_default();
        let below = self.rootless.remove(&run.row.id).unwrap_or_default();
        self.places.insert(run.row.id.clone(), slot);
        self.slots.push(Some(Box::new(run)));
        (slot, below)
    }
}

impl Machine {
    /// Makes an empty machine that notes what changes.
    pub(crate) fn noting() -> Self {
        Self { touched: Some(HashSet::new()), ..Self::default() }
    }

    /// Gives what changed since the last time.
    pub(crate) fn take_touched(&mut self) -> HashSet<Touch> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    fn touch(&mut self, touch: impl FnOnce() -> Touch) {
        if let Some(touched) = &mut self.touched {
            touched.insert(touch());
        }
    }

    /// Adds a run behind all others and gives its place.
    fn add(&mut self, run: StoredRun) -> usize {
        let (slot, below) = self.runs.add(run);
        for place in below {
            let Some(run) = self.runs.at_mut(place) else { continue };
            self.index.hide(run);
            run.root = slot;
            self.index.show(place, run, run.row.has_room());
        }
        slot
    }

    /// Works on the rows of one run, and tells the runs that wait for it what became of it.
    fn change<T>(
        &mut self,
        run: &RunId,
        now: Millis,
        work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
    ) -> Result<T> {
        let slot = self.runs.place(run).ok_or_else(|| crate::no_such_run(run))?;
        self.change_at(slot, now, work)
    }

    fn change_at<T>(
        &mut self,
        slot: usize,
        now: Millis,
        work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
    ) -> Result<T> {
        let (mut news, result) = self.work_on(slot, now, work);
        while let Some(told) = news {
            // A parent that was removed needs to be told nothing.
            let Some(parent) = self.runs.place(&told.parent.run) else { break };
            news = self.work_on(parent, now, |rows| schedule::child_changed(rows, &told, now)).0;
        }
        self.cancel_abandoned(now);
        result
    }

    /// Cancels the runs that nobody wants any more, and by that what these started.
    fn cancel_abandoned(&mut self, now: Millis) {
        while let Some(Abandoned { slot, task }) = self.abandoned.pop() {
            for child in self.open_children(slot) {
                let parent = self.runs.at(child).and_then(|run| run.row.parent.as_ref());
                if task.is_none() || parent.map(|parent| parent.task) == task {
                    // One that has ended or is about to needs nothing.
                    let _ = self.change_at(child, now, |rows| schedule::cancel(rows, now));
                }
            }
        }
    }

    /// Works on the rows of one run; gives what its parent must learn.
    fn work_on<T>(
        &mut self,
        slot: usize,
        now: Millis,
        work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
    ) -> (Option<News>, Result<T>) {
        let Self { runs, index, touched, abandoned, .. } = self;
        let Some(mut run) = runs.slots.get_mut(slot).and_then(Option::take) else {
            return (None, Err(crate::no_run_at(slot)));
        };
        let before = (run.row.state, run.row.deadline, run.row.active, run.row.has_room());
        let touched = touched.as_mut();
        let mut rows = RunRows { slot, run: &mut run, index, others: runs, touched, abandoned, now };
        rows.touch(Touch::Run);
        let result = work(&mut rows);
        let (state, deadline, active, had_room) = before;
        let news = schedule::news(state, &run.row);
        index.active = index.active + run.row.active - active;
        index.show(slot, &mut run, had_room);
        index.set_times(slot, &run, (state.is_ended(), deadline));
        if let Some(place) = runs.slots.get_mut(slot) {
            *place = Some(run);
        }
        (news, result)
    }

    /// Makes the tasks claimable whose delay is over.
    fn promote(&mut self, now: Millis) {
        while let Some((at, slot, number)) = self.index.delayed.first().copied().filter(|(at, ..)| *at <= now)
        {
            // Where its run is gone, so is the task.
            self.index.delayed.remove(&(at, slot, number));
            let Some(run) = self.runs.at_mut(slot) else { continue };
            self.index.move_task(slot, run, number, run::Place::Lane(at));
            self.index.show(slot, run, run.row.has_room());
        }
    }

    /// Gives the runs that the tasks of a run started and that have not ended.
    fn open_children(&self, parent: usize) -> Vec<usize> {
        let started = self.runs.at(parent).map(|run| run.started.as_slice()).unwrap_or_default();
        let is_open = |slot: &usize| self.runs.at(*slot).is_some_and(|run| !run.row.state.is_ended());
        started.iter().copied().filter(is_open).collect()
    }

    /// Does something to a run and to all that it started.
    fn change_tree(
        &mut self,
        slot: usize,
        now: Millis,
        work: fn(&mut dyn Rows, Millis) -> Result<RunState>,
    ) -> Result<()> {
        self.change_at(slot, now, |rows| work(rows, now))?;
        let mut left = self.open_children(slot);
        while let Some(child) = left.pop() {
            left.extend(self.open_children(child));
            // One that has ended or is about to needs nothing.
            let _ = self.change_at(child, now, |rows| work(rows, now));
        }
        Ok(())
    }
}

/// Tells whether a worker was seen within a day.
fn is_fresh(worker: &WorkerInfo, now: Millis) -> bool {
    worker.seen_at.after(Duration::from_secs(24 * 3600)) >= now
}
