//! The store that lives as long as the process: the reference for all others, and what tests use.
//!
//! Holds nothing but maps behind one lock that is never held across an await.

mod answers;
mod conversations;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::conversation::ConversationStore;
use motet_core::decision::Decision;
use motet_core::error::{ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::schedule::{self, Redefinition, Rows, RunRow, TaskRow};
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, NewTask, Outcome, Progress, Run, RunFilter, RunState, RunSummary, Sequenced, Store,
    Task, TaskState,
};
use serde_json::Value;

use crate::books::Books;
use crate::wake::Wake;

/// Keeps runs in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    books: Mutex<Books>,
    wake: Wake,
    answers: answers::Answers,
    conversations: conversations::Conversations,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<RunId, StoredRun>,
    ready: BTreeSet<ReadyKey>,
}

/// Sorts ready tasks as they are to be claimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ReadyKey {
    priority: u8,
    not_before: Millis,
    run: RunId,
    number: u32,
}

#[derive(Debug)]
struct StoredRun {
    row: RunRow,
    new: NewRun,
    created_at: Millis,
    /// How many runs were stored before it.
    place: usize,
    tasks: BTreeMap<u32, StoredTask>,
    dependents: HashMap<u32, Vec<u32>>,
    journal: Vec<Sequenced>,
    items: HashMap<String, Vec<Record>>,
    questions: Vec<AskedQuestion>,
}

#[derive(Debug)]
struct StoredTask {
    row: TaskRow,
    new: NewTask,
    error: Option<ErrorReport>,
    output: Option<Value>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run(&self, run: &RunId) -> Result<&StoredRun> {
        self.runs.get(run).ok_or_else(|| crate::no_such_run(run))
    }

    fn run_mut(&mut self, run: &RunId) -> Result<&mut StoredRun> {
        self.runs.get_mut(run).ok_or_else(|| crate::no_such_run(run))
    }

    /// Gives the rows of one run together with the index of ready tasks.
    fn rows(&mut self, run: &RunId) -> Result<RunRows<'_>> {
        let State { runs, ready } = self;
        let run = runs.get_mut(run).ok_or_else(|| crate::no_such_run(run))?;
        Ok(RunRows { run, ready })
    }
}

struct RunRows<'a> {
    run: &'a mut StoredRun,
    ready: &'a mut BTreeSet<ReadyKey>,
}

impl RunRows<'_> {
    fn stored(&self, number: u32) -> Result<&StoredTask> {
        self.run.tasks.get(&number).ok_or_else(|| crate::no_such_task(&self.run.row.id, number))
    }

    fn key(&self, task: &StoredTask) -> Option<ReadyKey> {
        (task.row.state == TaskState::Ready).then(|| ReadyKey {
            priority: task.new.priority.rank(),
            not_before: task.row.not_before,
            run: self.run.row.id.clone(),
            number: task.row.number,
        })
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut StoredTask)) -> Result<()> {
        if let Some(key) = self.key(self.stored(number)?) {
            self.ready.remove(&key);
        }
        if let Some(task) = self.run.tasks.get_mut(&number) {
            change(task);
        }
        if let Some(key) = self.key(self.stored(number)?) {
            self.ready.insert(key);
        }
        Ok(())
    }
}

impl Rows for RunRows<'_> {
    fn run(&mut self) -> &mut RunRow {
        &mut self.run.row
    }

    fn task(&mut self, number: u32) -> Result<TaskRow> {
        self.stored(number).map(|task| task.row.clone())
    }

    fn save(&mut self, row: &TaskRow) -> Result<()> {
        self.change(row.number, |task| task.row = row.clone())
    }

    fn name(&mut self, number: u32) -> Result<String> {
        self.stored(number).map(|task| task.new.name.clone())
    }

    fn dependents(&mut self, number: u32) -> Result<Vec<u32>> {
        Ok(self.run.dependents.get(&number).cloned().unwrap_or_default())
    }

    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>> {
        self.stored(number).map(|task| task.new.dependencies.clone())
    }

    fn numbers(&mut self) -> Result<Vec<u32>> {
        Ok(self.run.tasks.keys().copied().collect())
    }

    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()> {
        let mut new = task.clone();
        new.dependencies.sort_unstable();
        new.dependencies.dedup();
        for dependency in &new.dependencies {
            self.run.dependents.entry(*dependency).or_default().push(row.number);
        }
        let stored = StoredTask { row: row.clone(), new, error: None, output: None };
        self.ready.extend(self.key(&stored));
        self.run.tasks.insert(row.number, stored);
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        if let Some(key) = self.key(self.stored(number)?) {
            self.ready.remove(&key);
        }
        for dependency in self.dependencies(number)? {
            if let Some(list) = self.run.dependents.get_mut(&dependency) {
                list.retain(|dependent| *dependent != number);
            }
        }
        self.run.tasks.remove(&number);
        self.run.questions.retain(|question| question.task != number);
        Ok(())
    }

    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()> {
        self.change(number, |task| task.error = error.cloned())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.change(number, |task| task.output = Some(output.clone()))
    }

    fn has_ready(&mut self) -> Result<bool> {
        Ok(self.run.tasks.values().any(|task| task.row.state == TaskState::Ready))
    }

    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>> {
        Ok(self.run.questions.iter().find(|asked| asked.question.step == step).cloned())
    }

    fn set_question(&mut self, question: &AskedQuestion) -> Result<()> {
        let questions = &mut self.run.questions;
        match questions.iter_mut().find(|asked| asked.question.step == question.question.step) {
            Some(asked) => *asked = question.clone(),
            None => questions.push(question.clone()),
        }
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn submit(&self, new: NewRun) -> Result<RunId> {
        schedule::check_graph(&new.tasks)?;
        let now = Millis::now();
        let id = new.id.clone();
        let mut state = self.state();
        if state.runs.contains_key(&id) {
            return Err(crate::run_exists(&id));
        }
        let tasks = new.tasks.clone();
        let run = StoredRun {
            row: schedule::new_run(id.clone(), tasks.len()),
            new: NewRun { tasks: Vec::new(), ..new },
            created_at: now,
            place: state.runs.len(),
            tasks: BTreeMap::new(),
            dependents: HashMap::new(),
            journal: Vec::new(),
            items: HashMap::new(),
            questions: Vec::new(),
        };
        state.runs.insert(id.clone(), run);
        let mut rows = state.rows(&id)?;
        for (number, task) in (0u32..).zip(&tasks) {
            rows.insert(&TaskRow::new(number, task, now), task)?;
        }
        drop(state);
        self.wake.notify();
        Ok(id)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        let now = Millis::now();
        let mut state = self.state();
        let wanted: Vec<ReadyKey> = state
            .ready
            .iter()
            .filter(|key| key.not_before <= now && request.run.as_ref().is_none_or(|run| *run == key.run))
            .filter(|key| {
                let run = state.runs.get(&key.run);
                let task = run.and_then(|run| run.tasks.get(&key.number));
                run.is_some_and(|run| run.row.state == RunState::Running)
                    && task.is_some_and(|task| request.queues.contains(&task.new.queue))
            })
            .take(request.limit as usize)
            .cloned()
            .collect();
        let mut claims = Vec::with_capacity(wanted.len());
        for key in wanted {
            let mut rows = state.rows(&key.run)?;
            let mut task = rows.task(key.number)?;
            let token = schedule::lease(rows.run(), &mut task, &request.worker, now, now.after(request.ttl));
            rows.save(&task)?;
            claims.push(Claim { token, task: view(&key.run, rows.stored(key.number)?) });
        }
        Ok(claims)
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        let until = Millis::now().after(ttl);
        let mut state = self.state();
        tokens
            .iter()
            .map(|token| {
                let Ok(run) = state.run_mut(&token.run) else { return Ok(LeaseState::Lost) };
                let Some(task) = run.tasks.get_mut(&token.task) else { return Ok(LeaseState::Lost) };
                Ok(schedule::renew(&run.row, &mut task.row, token, until))
            })
            .collect()
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        let mut state = self.state();
        let run = state.runs.get_mut(&token.run).ok_or_else(|| token.stale())?;
        let task = run.tasks.get_mut(&token.task).ok_or_else(|| token.stale())?;
        crate::check_append(&task.row, token, expect)?;
        for record in records {
            run.row.seq += 1;
            task.row.journal += 1;
            run.journal.push(Sequenced { seq: run.row.seq, task: token.task, record });
        }
        let entries = task.row.journal;
        drop(state);
        self.wake.notify();
        Ok(entries)
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let mut state = self.state();
        let mut rows = state.rows(&token.run).map_err(|error| crate::stale_if_gone(error, token))?;
        let applied = schedule::complete(&mut rows, token, outcome, Millis::now())?;
        drop(state);
        self.wake.notify();
        Ok(applied)
    }

    async fn advance(&self) -> Result<Progress> {
        let now = Millis::now();
        let mut state = self.state();
        let mut expired = Vec::new();
        let mut next_due: Option<Millis> = None;
        for (id, run) in &state.runs {
            for task in run.tasks.values() {
                let due = match task.row.state {
                    TaskState::Running if task.row.lease_until <= now => {
                        expired.push((id.clone(), task.row.number));
                        continue;
                    }
                    TaskState::Running => task.row.lease_until,
                    TaskState::Ready if task.row.not_before > now => task.row.not_before,
                    _ => continue,
                };
                next_due = Some(next_due.map_or(due, |earlier| earlier.min(due)));
            }
        }
        let mut progress = Progress { next_due, ..Progress::default() };
        for (run, number) in expired {
            progress.reclaimed += 1;
            let state = schedule::reclaim(&mut state.rows(&run)?, number, now)?;
            progress.dead += u32::from(state == TaskState::Failed);
        }
        drop(state);
        if progress.reclaimed > 0 {
            self.wake.notify();
        }
        Ok(progress)
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        let now = Millis::now();
        let mut state = self.state();
        let mut rows = state.rows(run)?;
        match control {
            Control::Cancel => schedule::cancel(&mut rows, now)?,
            Control::Resume => schedule::resume(&mut rows, now)?,
            Control::Redefine { definition, tasks, unchanged } => {
                let state = schedule::redefine(
                    &mut rows,
                    &Redefinition { tasks: &tasks, unchanged: &unchanged },
                    now,
                )?;
                rows.run.new.definition = definition;
                state
            }
            other => return Err(crate::unknown_control(&other)),
        };
        drop(state);
        self.wake.notify();
        Ok(())
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        let state = self.state();
        if let Some(run) = run {
            return Ok(state.run(run)?.questions.clone());
        }
        let mut all: Vec<_> = state.runs.values().flat_map(|run| run.questions.iter().cloned()).collect();
        all.sort_by_key(|asked| asked.asked_at);
        Ok(all)
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        let mut state = self.state();
        schedule::decide(&mut state.rows(run)?, step, decision, Millis::now())?;
        drop(state);
        self.wake.notify();
        Ok(())
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        let state = self.state();
        Ok(state.runs.get(run).map(|run| Run {
            summary: summary(run),
            definition: run.new.definition.clone(),
            inputs: run.new.inputs.clone(),
            settings: run.new.settings.clone(),
        }))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        let state = self.state();
        let mut newest: Vec<&StoredRun> = state.runs.values().collect();
        newest.sort_unstable_by_key(|run| std::cmp::Reverse(run.place));
        let wanted = newest.into_iter().map(summary).filter(|run| {
            filter.state.is_none_or(|state| state == run.state)
                && filter.name.as_ref().is_none_or(|name| run.name.contains(name))
        });
        Ok(wanted.take(limit).collect())
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        let state = self.state();
        Ok(state.run(run)?.tasks.values().map(|task| view(run, task)).collect())
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        let state = self.state();
        let run = state.run(run)?;
        Ok(tasks.iter().map(|number| run.tasks.get(number).and_then(|task| task.output.clone())).collect())
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        let state = self.state();
        let newer = state.run(run)?.journal.iter().filter(|entry| entry.seq > after);
        Ok(newer.take(limit as usize).cloned().collect())
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        let state = self.state();
        let run = state.run(run)?;
        let after = run.tasks.get(&task).map_or(0, |task| task.row.journal_after);
        let entries = run.journal.iter().filter(|entry| entry.task == task && entry.seq > after);
        Ok(entries.map(|entry| entry.record.clone()).collect())
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        let mut state = self.state();
        let run = state.runs.get_mut(&token.run).ok_or_else(|| token.stale())?;
        if !run.tasks.get(&token.task).is_some_and(|task| task.row.is_held_by(token)) {
            return Err(token.stale());
        }
        match write {
            ItemWrite::Append(records) => run.items.entry(item.to_owned()).or_default().extend(records),
            ItemWrite::Replace(records) => drop(run.items.insert(item.to_owned(), records)),
        }
        Ok(())
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let state = self.state();
        let later = |name: &&String| after.is_none_or(|after| name.as_str() > after);
        let mut names: Vec<String> = state.run(run)?.items.keys().filter(later).cloned().collect();
        names.sort_unstable();
        names.truncate(limit as usize);
        Ok(names)
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        Ok(self.state().run(run)?.items.get(item).cloned().unwrap_or_default())
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.wake.changed(seen, at_most).await
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        self.books().reserve(reservation, Millis::now())
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        self.books().settle(reservation, spent);
        Ok(())
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        Ok(MemoryStore::books(self).list(Millis::now()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "memory", durability: Durability::None, multi_process: false }
    }

    fn answers(&self) -> Option<&dyn AnswerStore> {
        Some(&self.answers)
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        Some(&self.conversations)
    }
}

fn summary(run: &StoredRun) -> RunSummary {
    crate::summary(&run.row, &run.new.name, &run.new.kind, run.created_at)
}

fn view(run: &RunId, task: &StoredTask) -> Task {
    let StoredTask { row, new, error, .. } = task;
    let NewTask { name, queue, payload, .. } = new.clone();
    crate::task(
        row,
        crate::TaskFacts {
            run: run.clone(),
            name,
            queue,
            priority: new.priority,
            payload,
            error: error.clone(),
        },
    )
}
