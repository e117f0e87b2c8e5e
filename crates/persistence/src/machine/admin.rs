//! Removing runs, copying them in and out, and putting their bodies aside.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::store::{Outcome, PruneRequest, Pruned, RunDump, TaskState, WorkerInfo};

use super::rows::place;
use super::run::{Body, StoredRun};
use super::{Machine, Touch};

impl Machine {
    pub(crate) fn prune(&mut self, request: &PruneRequest) -> Pruned {
        let fits = |run: &&StoredRun| {
            let ended = run.row.ended_at.filter(|_| run.row.state.is_ended());
            // One that a task of a run waits for goes with that run.
            let is_top = run.row.parent.as_ref().is_none_or(|parent| self.runs.place(&parent.run).is_none());
            let states = &request.states;
            is_top
                && ended.is_some_and(|at| at < request.ended_before)
                && (states.is_empty() || states.contains(&run.row.state))
        };
        let mut found: Vec<_> =
            self.runs.iter().filter(fits).map(|run| (run.row.ended_at, run.row.id.clone())).collect();
        found.sort();
        let mut pruned = Pruned::default();
        let goes_on = |slot: &usize| self.runs.at(*slot).is_some_and(|run| !run.row.state.is_ended());
        let trees = found.into_iter().map(|(_, id)| self.tree(&id));
        let ended = trees.filter(|tree| !tree.iter().any(goes_on)).take(request.limit as usize);
        for tree in ended.collect::<Vec<_>>() {
            for slot in tree {
                let Some(run) = self.runs.at(slot) else { continue };
                pruned.runs += 1;
                pruned.tasks += u64::from(run.row.tasks);
                if !request.dry_run {
                    self.remove(slot);
                }
            }
        }
        pruned
    }

    /// Gives the places of a run and of all that it started.
    fn tree(&self, run: &RunId) -> Vec<usize> {
        let mut tree: Vec<usize> = self.runs.place(run).into_iter().collect();
        let mut next = 0;
        while let Some(run) = tree.get(next).and_then(|slot| self.runs.at(*slot)) {
            tree.extend(run.started.iter().copied().filter(|slot| self.runs.at(*slot).is_some()));
            next += 1;
        }
        tree
    }

    fn remove(&mut self, slot: usize) {
        let Some(mut run) = self.runs.slots.get_mut(slot).and_then(Option::take) else { return };
        self.index.forget(slot, &mut run);
        self.index.active = self.index.active.saturating_sub(run.row.active);
        self.runs.places.remove(&run.row.id);
        if let Some(key) = &run.new.key
            && self.keys.get(key) == Some(&run.row.id)
        {
            self.keys.remove(key);
        }
        self.touch(|| Touch::Gone(run.row.id.clone()));
    }

    pub(crate) fn dump(&self, run: &RunId) -> Option<RunDump> {
        self.runs.get(run).map(StoredRun::dump)
    }

    /// Adds a run of another store. What workers have in hand there is ready here.
    pub(crate) fn load(&mut self, dump: RunDump, now: Millis) -> Result<()> {
        let id = dump.row.id.clone();
        if self.runs.place(&id).is_some() {
            return Err(crate::run_exists(&id));
        }
        let slot = self.restore(dump, now);
        let held: Vec<_> = match self.runs.at(slot) {
            Some(run) => run.tasks().filter(|task| task.row.state == TaskState::Running).collect(),
            None => Vec::new(),
        };
        let tokens: Vec<_> = held.into_iter().filter_map(|task| task.row.token.clone()).collect();
        for token in tokens {
            self.complete(&token, Outcome::Released, now)?;
        }
        self.touch_all(slot);
        Ok(())
    }

    /// Adds a run as it was at its place, which lies behind those of all others.
    pub(crate) fn restore_at(&mut self, place: usize, dump: RunDump, now: Millis) {
        if self.runs.slots.len() < place {
            self.runs.slots.resize_with(place, || None);
        }
        self.restore(dump, now);
    }

    /// Adds a run as it was; gives its place.
    fn restore(&mut self, dump: RunDump, now: Millis) -> usize {
        let run = StoredRun::of_dump(dump);
        if let Some(key) = &run.new.key {
            self.keys.entry(key.clone()).or_insert_with(|| run.row.id.clone());
        }
        let slot = self.add(run);
        self.enter_all(slot, now);
        slot
    }

    /// Enters a run and its tasks in the indices.
    fn enter_all(&mut self, slot: usize, now: Millis) {
        let Some(run) = self.runs.slots.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let ended = run.row.state.is_ended();
        let places: Vec<_> = run.tasks().map(|task| (task.row.number, place(&task.row, now))).collect();
        for (number, place) in places {
            let Some(task) = run.task(number) else { continue };
            let is_ready = task.row.state == TaskState::Ready;
            if let (TaskState::Running, Some(limit)) = (task.row.state, &task.row.limit) {
                self.index.count(&limit.key, |count| count + 1);
            }
            run.ready += u32::from(is_ready);
            self.index.move_task(slot, run, number, place);
        }
        self.index.active += run.row.active;
        self.index.show(slot, run, false);
        self.index.set_times(slot, run, (ended, None));
    }

    /// Notes that every row of a run is new.
    fn touch_all(&mut self, slot: usize) {
        let Self { runs, touched: Some(touched), .. } = self else { return };
        let Some(run) = runs.at(slot) else { return };
        touched.extend([Touch::Run(slot), Touch::Definition(slot)]);
        for task in run.tasks() {
            let number = task.row.number;
            touched.extend([Touch::Task(slot, number), Touch::New(slot, number)]);
            touched.extend(task.output.as_ref().map(|_| Touch::Output(slot, number)));
        }
        touched.extend(run.body.journal.iter().map(|entry| Touch::Entry(slot, entry.seq)));
        touched.extend(run.body.events.iter().map(|event| Touch::Event(slot, event.seq)));
        touched.extend(run.questions.iter().map(|asked| Touch::Question(slot, asked.question.step.clone())));
        touched.extend(run.body.items.keys().map(|name| Touch::Item(slot, name.clone())));
    }

    pub(crate) fn restore_worker(&mut self, worker: WorkerInfo) {
        self.workers.insert(worker.id.as_str().to_owned(), worker);
    }

    /// Puts the body of a run aside that has ended; whoever asks must give it back before the run is worked on.
    pub(crate) fn put_aside(&mut self, run: &RunId) {
        let Some(run) = self.runs.place(run).and_then(|slot| self.runs.slots.get_mut(slot)?.as_deref_mut())
        else {
            return;
        };
        if run.row.state.is_ended() && run.timers == 0 && run.is_resident {
            (run.body, run.is_resident) = (Body::default(), false);
            (run.lanes, run.ready) = (Vec::new(), 0);
        }
    }

    /// Gives the body of a run back that was put aside.
    pub(crate) fn give_back(&mut self, dump: RunDump, now: Millis) {
        let Some(slot) = self.runs.place(&dump.row.id) else { return };
        let mut back = StoredRun::of_dump(dump);
        let Some(run) = self.runs.at_mut(slot).filter(|run| !run.is_resident) else { return };
        (run.body, run.lanes, run.is_resident) =
            (std::mem::take(&mut back.body), std::mem::take(&mut back.lanes), true);
        run.new = back.new;
        self.enter_all(slot, now);
    }
}
