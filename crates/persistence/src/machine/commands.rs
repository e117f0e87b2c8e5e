//! What changes runs: submitting, claiming, renewing, journals, completing, and what people and time do.

use motet_core::decision::Decision;
use motet_core::error::Result;
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::run_log::Record;
use motet_core::schedule::{self, Redefinition, Rows as _, Turn};
use motet_core::store::{
    Applied, Claim, ClaimRequest, Control, ItemWrite, LeaseState, LeaseToken, NewRun, Outcome, Progress,
    Sequenced, TaskState, WorkerInfo,
};

use super::index::Head;
use super::run::StoredRun;
use super::{Machine, Touch};

impl Machine {
    pub(crate) fn submit(&mut self, mut new: NewRun, now: Millis) -> Result<RunId> {
        schedule::check_graph(&new.tasks)?;
        let id = new.id.clone();
        if self.runs.place(&id).is_some() {
            return Err(crate::run_exists(&id));
        }
        if let Some(first) = new.key.as_ref().and_then(|key| self.keys.get(key)) {
            return Ok(first.clone());
        }
        if let Some(key) = &new.key {
            self.keys.insert(key.clone(), id.clone());
        }
        let row = schedule::new_run(&new);
        let tasks = std::mem::take(&mut new.tasks);
        let mut run = StoredRun::new(row, new, now);
        run.body.tasks.reserve_exact(tasks.len());
        // A deadline is entered as one that is in no index yet.
        let deadline = run.row.deadline.take();
        let slot = self.add(run);
        self.touch(|| Touch::Definition(slot));
        self.change_at(slot, now, |rows| {
            rows.run().deadline = deadline;
            schedule::submit(rows, &tasks, now)
        })?;
        Ok(id)
    }

    pub(crate) fn claim(&mut self, request: &ClaimRequest, now: Millis) -> Result<Vec<Claim>> {
        self.promote(now);
        let room = request.max_active.unwrap_or(u32::MAX).saturating_sub(self.index.active);
        let limit = request.limit.min(room) as usize;
        let mut claims = Vec::with_capacity(limit.min(64));
        let mut passed = None;
        while claims.len() < limit {
            let Some(head) = self.next_head(passed, request) else { break };
            let has_others = request.in_hand > 0 || !claims.is_empty();
            let turn = self.turn(head, has_others, now);
            match turn {
                Turn::Take | Turn::TakeAlone => {}
                Turn::Pass => {
                    passed = Some(head);
                    continue;
                }
                Turn::Stop => break,
            }
            let until = now.after(request.ttl);
            let claim = self.change_at(head.run, now, |rows| {
                let token = schedule::lease(rows, head.number, &request.worker, now, until)?;
                let Some(token) = token else { return Ok(None) };
                let task = rows.run.task_view(rows.stored(head.number)?);
                Ok(Some(Claim { token, task, definition: rows.run.row.definition }))
            })?;
            match claim {
                Some(claim) => claims.push(claim),
                // A limit holds up all of its lane.
                None => {
                    passed = Some(head);
                    continue;
                }
            }
            if turn == Turn::TakeAlone {
                break;
            }
        }
        Ok(claims)
    }

    fn turn(&self, head: Head, has_others: bool, now: Millis) -> Turn {
        let run = self.runs.at(head.run);
        let is_suspect =
            run.and_then(|run| run.lanes.get(head.lane as usize)).is_some_and(|lane| lane.is_suspect);
        match run.and_then(|run| run.task(head.number)).filter(|_| is_suspect) {
            Some(task) => schedule::turn(&task.row, has_others, now),
            None => Turn::Take,
        }
    }

    /// Gives the first head after another one that a request asks for.
    fn next_head(&self, passed: Option<Head>, request: &ClaimRequest) -> Option<Head> {
        let heads = match &request.run {
            Some(run) => {
                let root = self.runs.get(run)?.root;
                self.index.trees.get(&root)?
            }
            None => &self.index.heads,
        };
        let fits = |head: &&Head| {
            let Some(run) = self.runs.at(head.run) else { return false };
            let in_tree =
                |id: &RunId| run.row.id == *id || run.row.parent.as_ref().is_some_and(|it| it.root == *id);
            let lane = run.lanes.get(head.lane as usize);
            let in_queue =
                request.queues.is_empty() || lane.is_some_and(|lane| request.queues.contains(&lane.queue));
            in_queue && request.run.as_ref().is_none_or(in_tree)
        };
        match passed {
            Some(passed) => {
                heads.range((std::ops::Bound::Excluded(passed), std::ops::Bound::Unbounded)).find(fits)
            }
            None => heads.iter().find(fits),
        }
        .copied()
    }

    pub(crate) fn renew(&mut self, tokens: &[LeaseToken], until: Millis) -> Vec<LeaseState> {
        let mut renewed = |token: &LeaseToken| {
            let slot = self.runs.place(&token.run)?;
            let (_, state) = self.work_on(slot, Millis::default(), |rows| {
                let mut task = rows.task(token.task)?;
                let state = schedule::renew(&rows.run.row, &mut task, token, until);
                if state != LeaseState::Lost {
                    rows.give(task)?;
                }
                Ok(state)
            });
            state.ok()
        };
        tokens.iter().map(|token| renewed(token).unwrap_or(LeaseState::Lost)).collect()
    }

    pub(crate) fn journal(&mut self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        let slot = self.runs.place(&token.run).ok_or_else(|| token.stale())?;
        let run = self.runs.at_mut(slot).ok_or_else(|| token.stale())?;
        let task = run.task_mut(token.task).ok_or_else(|| token.stale())?;
        crate::check_append(&task.row, token, expect)?;
        task.row.journal += records.len() as u64;
        let entries = task.row.journal;
        let mut places = Vec::new();
        for record in records {
            run.row.seq += 1;
            places.push(run.row.seq);
            run.append(Sequenced { seq: run.row.seq, task: token.task, record });
        }
        if let Some(touched) = &mut self.touched {
            touched.extend([Touch::Run(slot), Touch::Task(slot, token.task)]);
            touched.extend(places.into_iter().map(|seq| Touch::Entry(slot, seq)));
        }
        Ok(entries)
    }

    pub(crate) fn complete(&mut self, token: &LeaseToken, outcome: Outcome, now: Millis) -> Result<Applied> {
        self.change(&token.run, now, |rows| schedule::complete(rows, token, outcome, now))
            .map_err(|error| crate::stale_if_gone(error, token))
    }

    pub(crate) fn advance(&mut self, now: Millis) -> Result<Progress> {
        let mut progress = Progress::default();
        let due = self.index.due.iter().take_while(|(at, ..)| *at <= now);
        let mut due: Vec<_> = due.map(|(_, slot, number)| (*slot, *number)).collect();
        due.sort_unstable();
        let late: Vec<_> = self.index.deadlines.iter().take_while(|(at, _)| *at <= now).copied().collect();
        let state = |machine: &Self, slot: usize, number| {
            machine.runs.at(slot).and_then(|run| run.task(number)).map(|task| task.row.state)
        };
        for (slot, number) in due.iter().copied() {
            if state(self, slot, number) == Some(TaskState::Running) {
                progress.reclaimed += 1;
                let after = self.change_at(slot, now, |rows| schedule::reclaim(rows, number, now))?;
                progress.dead += u32::from(after == TaskState::Dead);
            }
        }
        for (slot, number) in due {
            if state(self, slot, number) == Some(TaskState::Waiting) {
                progress.woken += 1;
                self.change_at(slot, now, |rows| schedule::wake(rows, number, now))?;
            }
        }
        for (_, slot) in late {
            progress.timed_out += 1;
            self.change_at(slot, now, |rows| schedule::time_out(rows, now))?;
        }
        progress.next_due = self.next_due(now).map(|due| due.since(now));
        Ok(progress)
    }

    /// Gives when something is to be done next though nobody asks.
    fn next_due(&self, now: Millis) -> Option<Millis> {
        let delayed = self.index.delayed.iter().map(|(at, ..)| *at).find(|at| *at > now);
        let due = self.index.due.first().map(|(at, ..)| *at);
        let deadline = self.index.deadlines.first().map(|(at, _)| *at);
        [delayed, due, deadline].into_iter().flatten().min()
    }

    /// Takes back everything that workers have in hand; for when it is known that none of them lives but those behind a
    /// server, whose leases tell.
    pub(crate) fn reclaim_all(&mut self, now: Millis) -> Result<()> {
        let due: Vec<_> = self.index.due.iter().copied().collect();
        for (_, slot, number) in due {
            let task = self.runs.at(slot).and_then(|run| run.task(number));
            let worker = task.and_then(|task| task.row.worker.as_ref());
            if !worker.is_some_and(WorkerId::is_away) {
                self.change_at(slot, now, |rows| schedule::reclaim(rows, number, now))?;
            }
        }
        Ok(())
    }

    pub(crate) fn control(&mut self, run: &RunId, control: Control, now: Millis) -> Result<()> {
        let slot = self.runs.place(run).ok_or_else(|| crate::no_such_run(run))?;
        match control {
            Control::Cancel => self.change_tree(slot, now, schedule::cancel),
            Control::Pause => self.change_tree(slot, now, schedule::pause),
            resume @ (Control::Resume | Control::ResumeUntil { .. }) => {
                self.change_at(slot, now, |rows| crate::resume(rows, &resume, now))?;
                // Those that were paused with it go on with it; others are resumed by the tasks that wait for them.
                for child in self.open_children(slot) {
                    self.change_tree(child, now, schedule::unpause)?;
                }
                Ok(())
            }
            Control::Redefine { definition, tasks, unchanged } => self.change_at(slot, now, |rows| {
                let change = Redefinition { tasks: &tasks, unchanged: &unchanged };
                schedule::redefine(rows, &change, now)?;
                rows.run.new.definition = definition;
                rows.touch(Touch::Definition);
                Ok(())
            }),
            other => Err(crate::unknown_control(&other)),
        }
    }

    pub(crate) fn decide(&mut self, run: &RunId, step: &str, decision: Decision, now: Millis) -> Result<()> {
        self.change(run, now, |rows| schedule::decide(rows, step, decision, now)).map(drop)
    }

    pub(crate) fn write_item(&mut self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        let slot = self.runs.place(&token.run).ok_or_else(|| token.stale())?;
        let run = self.runs.at_mut(slot).ok_or_else(|| token.stale())?;
        if !run.task(token.task).is_some_and(|task| task.row.is_held_by(token)) {
            return Err(token.stale());
        }
        let items = &mut run.body.items;
        match write {
            ItemWrite::Append(records) => items.entry(item.to_owned()).or_default().extend(records),
            ItemWrite::Replace(records) => drop(items.insert(item.to_owned(), records)),
        }
        self.touch(|| Touch::Item(slot, item.to_owned()));
        Ok(())
    }

    pub(crate) fn seen(&mut self, worker: &WorkerInfo, now: Millis) {
        let worker = WorkerInfo { seen_at: now, ..worker.clone() };
        let name = worker.id.as_str().to_owned();
        self.touch(|| Touch::Worker(name.clone()));
        self.workers.insert(name, worker);
        let (left, forgotten): (Vec<_>, Vec<_>) = std::mem::take(&mut self.workers)
            .into_iter()
            .partition(|(_, worker)| super::is_fresh(worker, now));
        self.workers = left.into_iter().collect();
        for (name, _) in forgotten {
            self.touch(|| Touch::Worker(name));
        }
    }
}
