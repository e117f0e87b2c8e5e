//! What the machine finds without looking at every task: what to claim next, what is due, and what limits count.
//!
//! Knows places and times only; what they mean is the machine's.

use std::collections::{BTreeSet, HashMap};

use motet_core::id::Millis;
use motet_core::store::TaskState;

use super::run::{Place, StoredRun};

/// The next task of a lane; sorts as tasks are to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub(super) priority: u8,
    pub(super) since: Millis,
    pub(super) run: usize,
    pub(super) number: u32,
    pub(super) lane: u32,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The next task of each lane of runs that have room.
    pub(super) heads: BTreeSet<Head>,
    /// The same by the place of the run at the top, for those who work for one.
    pub(super) trees: HashMap<usize, BTreeSet<Head>>,
    /// Ready tasks whose delay is not over.
    pub(super) delayed: BTreeSet<(Millis, usize, u32)>,
    /// Leases, and waiting for people that does not go on for ever.
    pub(super) due: BTreeSet<(Millis, usize, u32)>,
    /// Ends of the time of runs.
    pub(super) deadlines: BTreeSet<(Millis, usize)>,
    /// How many tasks of each key of a limit are in workers' hands.
    pub(super) limited: HashMap<String, u32>,
    /// How many tasks are in workers' hands.
    pub(super) active: u32,
}

impl Index {
    /// Counts a task under a limit's key.
    pub(super) fn count(&mut self, key: &str, change: impl FnOnce(u32) -> u32) {
        match self.limited.get_mut(key) {
            Some(count) => *count = change(*count),
            None => drop(self.limited.insert(key.to_owned(), change(0))),
        }
    }

    /// Puts a task of a run in another place.
    pub(super) fn move_task(&mut self, slot: usize, run: &mut StoredRun, number: u32, to: Place) {
        let Some(task) = run.body.tasks.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let from = std::mem::replace(&mut task.place, to);
        if from == to {
            return;
        }
        let rank = task.new.priority.rank();
        let lane = run.lanes.get_mut(task.lane as usize);
        match (from, lane) {
            (Place::Lane(since), Some(lane)) => {
                lane.ready.remove(&(rank, since, number));
                lane.is_changed = true;
            }
            (Place::Delayed(at), _) => drop(self.delayed.remove(&(at, slot, number))),
            (Place::Due(at), _) => drop(self.due.remove(&(at, slot, number))),
            _ => {}
        }
        run.timers -= u32::from(matches!(from, Place::Delayed(_) | Place::Due(_)));
        run.timers += u32::from(matches!(to, Place::Delayed(_) | Place::Due(_)));
        match (to, run.lanes.get_mut(task.lane as usize)) {
            (Place::Lane(since), Some(lane)) => {
                lane.ready.insert((rank, since, number));
                lane.is_changed = true;
            }
            (Place::Delayed(at), _) => drop(self.delayed.insert((at, slot, number))),
            (Place::Due(at), _) => drop(self.due.insert((at, slot, number))),
            _ => {}
        }
    }

    /// Brings the heads up to date after a run has changed; `had_room` tells whether its tasks could start before.
    pub(super) fn show(&mut self, slot: usize, run: &mut StoredRun, had_room: bool) {
        let has_room = run.row.has_room();
        let root = run.root;
        for (place, lane) in (0u32..).zip(&mut run.lanes) {
            if !lane.is_changed && had_room == has_room {
                continue;
            }
            lane.is_changed = false;
            let first = lane.ready.first().filter(|_| has_room);
            let next = first.map(|(priority, since, number)| Head {
                priority: *priority,
                since: *since,
                run: slot,
                number: *number,
                lane: place,
            });
            if next == lane.shown {
                continue;
            }
            let tree = self.trees.entry(root).or_default();
            if let Some(shown) = lane.shown.take() {
                self.heads.remove(&shown);
                tree.remove(&shown);
            }
            if let Some(next) = next {
                self.heads.insert(next);
                tree.insert(next);
            } else if tree.is_empty() {
                self.trees.remove(&root);
            }
            lane.shown = next;
        }
    }

    /// Takes a run out of the heads until it is shown again.
    pub(super) fn hide(&mut self, run: &mut StoredRun) {
        for lane in &mut run.lanes {
            lane.is_changed = true;
            let Some(shown) = lane.shown.take() else { continue };
            self.heads.remove(&shown);
            if let Some(tree) = self.trees.get_mut(&run.root) {
                tree.remove(&shown);
                if tree.is_empty() {
                    self.trees.remove(&run.root);
                }
            }
        }
    }

    /// Brings the times up to date after a run has ended, goes on again, or has another deadline.
    pub(super) fn set_times(&mut self, slot: usize, run: &StoredRun, before: (bool, Option<Millis>)) {
        let ended = run.row.state.is_ended();
        let (was_ended, deadline) = before;
        let shown = |ended: bool, deadline: Option<Millis>| deadline.filter(|_| !ended);
        let (old, new) = (shown(was_ended, deadline), shown(ended, run.row.deadline));
        if old != new {
            old.map(|at| self.deadlines.remove(&(at, slot)));
            new.map(|at| self.deadlines.insert((at, slot)));
        }
        if run.timers == 0 || !(ended || was_ended) {
            return;
        }
        for task in run.tasks() {
            let (set, at) = match task.place {
                Place::Delayed(at) => (&mut self.delayed, at),
                Place::Due(at) => (&mut self.due, at),
                Place::Out | Place::Lane(_) => continue,
            };
            let key = (at, slot, task.row.number);
            if ended {
                set.remove(&key)
            } else {
                set.insert(key)
            };
        }
    }

    /// Forgets everything of a run that is to be removed.
    pub(super) fn forget(&mut self, slot: usize, run: &mut StoredRun) {
        let numbers: Vec<u32> = run.tasks().map(|task| task.row.number).collect();
        let held = run.tasks().filter(|task| task.row.state == TaskState::Running);
        for limit in held.filter_map(|task| task.row.limit.as_ref()) {
            self.count(&limit.key, |count| count.saturating_sub(1));
        }
        numbers.into_iter().for_each(|number| self.move_task(slot, run, number, Place::Out));
        self.show(slot, run, run.row.has_room());
        run.row.deadline.map(|at| self.deadlines.remove(&(at, slot)));
    }
}
