//! Which task is run alone because it may be what kills its workers.
//!
//! A worker that dies takes with it whatever it has in hand, and each of these tasks counts the same crash. Before a task
//! is given up it is therefore run alone: what dies then dies by itself, and its neighbours are not given up with it.

use std::time::Duration;

use super::{MAX_CRASHES, TaskRow};
use crate::id::Millis;

/// How long a suspect that is ready is passed over by workers who have other tasks in hand. After that they take nothing
/// that comes behind it, so that the first of them who has nothing in hand runs it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Tells whether the next crash of a task with so many of them gives it up.
#[must_use]
pub fn is_suspect(crashes: u32) -> bool {
    crashes + 1 >= MAX_CRASHES
}

/// What a claim does with a ready task that it comes upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It takes it, and may take more.
    Take,
    /// It takes it and nothing else.
    TakeAlone,
    /// It leaves it and goes on with those behind it.
    Pass,
    /// It leaves it and those behind it.
    Stop,
}

/// Says what a claim does with a ready task, by whether the worker has others, those of this claim included.
#[must_use]
pub fn turn(task: &TaskRow, has_others: bool, now: Millis) -> Turn {
    match (task.is_suspect(), has_others) {
        (false, _) => Turn::Take,
        (true, false) => Turn::TakeAlone,
        (true, true) if task.not_before.after(PATIENCE) > now => Turn::Pass,
        (true, true) => Turn::Stop,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{NewTask, TaskState};

    const GIVEN_UP: u32 = MAX_CRASHES;

    fn ready(crashes: u32) -> TaskRow {
        TaskRow { crashes, ..TaskRow::new(0, &NewTask::named("a"), Millis(0)) }
    }

    #[test]
    fn a_suspect_is_taken_alone_and_not_passed_over_for_ever() {
        let late = Millis(0).after(PATIENCE);
        for (crashes, has_others, now, expected) in [
            (0, true, late, Turn::Take),
            (1, true, late, Turn::Take),
            (2, false, Millis(0), Turn::TakeAlone),
            (2, true, Millis(0), Turn::Pass),
            (2, true, Millis(late.0 - 1), Turn::Pass),
            (2, true, late, Turn::Stop),
            (2, false, late, Turn::TakeAlone),
        ] {
            assert_eq!(turn(&ready(crashes), has_others, now), expected, "{crashes} {has_others} {now}");
        }
    }

    /// Workers with some slots each over tasks of which some kill them.
    struct World {
        tasks: Vec<TaskRow>,
        poison: Vec<bool>,
        hands: Vec<Vec<usize>>,
        now: Millis,
    }

    impl World {
        /// Lets a worker claim up to so many tasks, in the order of readiness.
        fn claim(&mut self, worker: usize, slots: usize) {
            let mut order: Vec<usize> =
                (0..self.tasks.len()).filter(|n| self.tasks[*n].state == TaskState::Ready).collect();
            order.sort_by_key(|number| (self.tasks[*number].not_before, *number));
            let hand = &mut self.hands[worker];
            if hand.iter().any(|number| self.tasks[*number].is_suspect()) {
                return;
            }
            for number in order {
                let turn = turn(&self.tasks[number], !hand.is_empty(), self.now);
                if hand.len() >= slots || turn == Turn::Stop {
                    break;
                }
                if turn != Turn::Pass {
                    self.tasks[number].state = TaskState::Running;
                    hand.push(number);
                }
                if turn == Turn::TakeAlone {
                    break;
                }
            }
        }

        /// Kills a worker that has poison in hand, at any moment; else ends one of its tasks.
        fn go_on(&mut self, worker: usize, pick: usize) {
            let hand = &mut self.hands[worker];
            if hand.iter().any(|number| self.poison[*number]) {
                for number in std::mem::take(hand) {
                    let task = &mut self.tasks[number];
                    task.crashes += 1;
                    let is_dead = task.crashes >= GIVEN_UP;
                    (task.state, task.not_before) =
                        (if is_dead { TaskState::Dead } else { TaskState::Ready }, self.now);
                }
            } else if !hand.is_empty() {
                let number = hand.swap_remove(pick % hand.len());
                self.tasks[number].state = TaskState::Done;
            }
        }
    }

    proptest! {
        #[test]
        fn what_kills_its_workers_is_given_up_and_nothing_else(
            poison in proptest::collection::vec(proptest::bool::weighted(0.2), 1..20),
            slots in proptest::collection::vec(1usize..9, 1..4),
            steps in proptest::collection::vec((any::<usize>(), any::<usize>(), 0u64..20_000), 400),
        ) {
            let tasks = vec![ready(0); poison.len()];
            let hands = vec![Vec::new(); slots.len()];
            let mut world = World { tasks, poison, hands, now: Millis(0) };
            for (worker, pick, passes) in steps {
                let worker = worker % slots.len();
                world.claim(worker, slots[worker]);
                world.go_on(worker, pick);
                world.now = world.now.after(Duration::from_millis(passes));
            }
            for (task, is_poison) in world.tasks.iter().zip(&world.poison) {
                prop_assert_ne!(task.state == TaskState::Dead, !is_poison, "{:?}", task);
                prop_assert!(task.state.is_ended(), "{:?}", task);
            }
        }
    }
}
