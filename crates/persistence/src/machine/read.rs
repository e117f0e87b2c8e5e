//! What the machine tells of its runs; changes nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::store::{
    AskedQuestion, Run, RunEvent, RunFilter, RunState, RunSummary, Sequenced, StoreStats, Task, TaskState,
    WorkerInfo,
};
use serde_json::Value;

use super::Machine;

impl Machine {
    pub(crate) fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        if let Some(run) = run {
            return Ok(self.runs.known(run)?.questions.clone());
        }
        let mut all: Vec<_> = self.runs.iter().flat_map(|run| run.questions.iter().cloned()).collect();
        all.sort_by_key(|asked| asked.asked_at);
        Ok(all)
    }

    pub(crate) fn run(&self, run: &RunId) -> Option<Run> {
        self.runs.get(run).map(super::StoredRun::view)
    }

    pub(crate) fn list(&self, filter: &RunFilter) -> Vec<RunSummary> {
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        let wanted = self.runs.iter().rev().filter(|run| {
            let root = run.row.parent.as_ref().map_or(&run.row.id, |parent| &parent.root);
            filter.state.is_none_or(|state| state == run.row.state)
                && filter.name.as_ref().is_none_or(|name| run.new.name.contains(name))
                && filter.root.as_ref().is_none_or(|wanted| run.row.id == *wanted || root == wanted)
        });
        wanted.take(limit).map(super::StoredRun::summary).collect()
    }

    pub(crate) fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        let run = self.runs.known(run)?;
        Ok(run.tasks().map(|task| run.task_view(task)).collect())
    }

    pub(crate) fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        let run = self.runs.known(run)?;
        let later = run.tasks().filter(|task| after.is_none_or(|after| task.row.number > after));
        Ok(later.take(limit as usize).map(|task| run.task_view(task)).collect())
    }

    pub(crate) fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        Ok(self.runs.known(run)?.body.items_of.get(&task).cloned().unwrap_or_default())
    }

    pub(crate) fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        let run = self.runs.known(run)?;
        Ok(tasks.iter().map(|number| run.task(*number).and_then(|task| task.output.clone())).collect())
    }

    pub(crate) fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        Ok(page(&self.runs.known(run)?.body.journal, after, limit))
    }

    pub(crate) fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        Ok(page(&self.runs.known(run)?.body.events, after, limit))
    }

    pub(crate) fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        let run = self.runs.known(run)?;
        let Some(task) = run.task(task) else { return Ok(Vec::new()) };
        let entries = task.entries.iter().filter_map(|place| run.body.journal.get(*place as usize));
        let entries = entries.filter(|entry| entry.seq > task.row.journal_after);
        Ok(entries.map(|entry| entry.record.clone()).collect())
    }

    pub(crate) fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let later = |name: &&String| after.is_none_or(|after| name.as_str() > after);
        let items = &self.runs.known(run)?.body.items;
        let mut names: Vec<&String> = items.keys().filter(later).collect();
        names.sort_unstable();
        Ok(names.into_iter().take(limit as usize).cloned().collect())
    }

    pub(crate) fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        Ok(self.runs.known(run)?.body.items.get(item).cloned().unwrap_or_default())
    }

    pub(crate) fn workers(&self, now: Millis) -> Vec<WorkerInfo> {
        let fresh = self.workers.values().filter(|worker| super::is_fresh(worker, now));
        let mut workers: Vec<WorkerInfo> = fresh.cloned().collect();
        workers.sort_by_key(|worker| Reverse(worker.seen_at));
        workers
    }

    pub(crate) fn worker(&self, name: &str) -> Option<&WorkerInfo> {
        self.workers.get(name)
    }

    pub(crate) fn stats(&mut self, now: Millis) -> StoreStats {
        self.promote(now);
        let (mut runs, mut tasks, mut ready) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut journal, mut events) = (0, 0);
        for run in self.runs.iter() {
            *runs.entry(run.row.state).or_default() += 1;
            (journal, events) =
                (journal + run.body.journal.len() as u64, events + run.body.events.len() as u64);
            for task in run.tasks() {
                *tasks.entry(task.row.state.shown(run.row.state)).or_default() += 1u64;
            }
            for lane in run.lanes.iter().filter(|_| run.row.state == RunState::Running) {
                *ready.entry(lane.queue.clone()).or_default() += lane.ready.len() as u64;
            }
        }
        StoreStats {
            runs: runs.into_iter().collect(),
            tasks: tasks.into_iter().filter(|(_, count): &(TaskState, u64)| *count > 0).collect(),
            ready: ready.into_iter().filter(|(_, count)| *count > 0).collect(),
            journal,
            events,
            bytes: None,
        }
    }
}

/// Gives what follows so many elements of a list that has no gaps.
fn page<T: Clone>(list: &[T], after: u64, limit: u32) -> Vec<T> {
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    list.iter().skip(after).take(limit as usize).cloned().collect()
}
