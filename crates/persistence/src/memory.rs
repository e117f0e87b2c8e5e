//! The store that lives as long as the process: the reference for all others, and what tests use.
//!
//! Holds nothing but maps behind one lock that is never held across an await.

mod answers;
mod conversations;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
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
use motet_core::schedule::{self, News, Redefinition, Rows, RunRow, TaskRow};
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, NewTask, Outcome, Progress, Run, RunEvent, RunFilter, RunState, RunSummary,
    Sequenced, Store, Task, TaskState, WorkerInfo,
};
use serde_json::Value;

use crate::books::Books;
use crate::wake::Wake;
use crate::{RunFacts, TaskFacts};

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
    /// Runs by the key that they were submitted with.
    keys: HashMap<String, RunId>,
    /// How many tasks of each key of a limit are in workers' hands.
    limited: HashMap<String, u32>,
    /// Workers that were seen.
    workers: HashMap<String, WorkerInfo>,
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
    events: Vec<RunEvent>,
    error: Option<ErrorReport>,
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

    /// Works on the rows of one run, and tells the runs that wait for it what became of it.
    fn change<T>(
        &mut self,
        run: &RunId,
        now: Millis,
        work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
    ) -> Result<T> {
        let (mut news, result) = self.work_on(run, work)?;
        while let Some(told) = news {
            // A parent that was removed needs to be told nothing.
            let parent = self.work_on(&told.parent.run, |rows| schedule::child_changed(rows, &told, now));
            news = parent.map_or(None, |(news, _)| news);
        }
        result
    }

    /// Works on the rows of one run; gives what its parent must learn.
    fn work_on<T>(
        &mut self,
        id: &RunId,
        work: impl FnOnce(&mut RunRows<'_>) -> Result<T>,
    ) -> Result<(Option<News>, Result<T>)> {
        let Self { runs, ready, limited, .. } = self;
        let mut run = runs.remove(id).ok_or_else(|| crate::no_such_run(id))?;
        let before = run.row.state;
        let result = work(&mut RunRows { run: &mut run, ready, limited, others: runs });
        let news = schedule::news(before, &run.row);
        runs.insert(id.clone(), run);
        Ok((news, result))
    }

    /// Gives the ready task after another one that a request asks for.
    fn next_ready(&self, last: Option<&ReadyKey>, request: &ClaimRequest, now: Millis) -> Option<ReadyKey> {
        let is_in_tree = |run: &StoredRun| {
            request.run.as_ref().is_none_or(|root| {
                run.row.id == *root || run.row.parent.as_ref().is_some_and(|parent| parent.root == *root)
            })
        };
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let fits = |key: &&ReadyKey| {
            let run = self.runs.get(&key.run).filter(|run| run.row.has_room() && is_in_tree(run));
            let task = run.and_then(|run| run.tasks.get(&key.number));
            let in_queue =
                |task: &StoredTask| request.queues.is_empty() || request.queues.contains(&task.new.queue);
            key.not_before <= now && task.is_some_and(in_queue)
        };
        self.ready.range((from, Bound::Unbounded)).find(fits).cloned()
    }

    /// Gives the runs that the tasks of a run started and that have not ended.
    fn children(&self, parent: &RunId) -> Vec<RunId> {
        let open = self.runs.values().filter(|run| !run.row.state.is_ended());
        let of_parent = open.filter(|run| run.row.parent.as_ref().is_some_and(|found| found.run == *parent));
        of_parent.map(|run| run.row.id.clone()).collect()
    }

    /// Does something to a run and to all that it started.
    fn change_tree(
        &mut self,
        run: &RunId,
        now: Millis,
        work: fn(&mut dyn Rows, Millis) -> Result<RunState>,
    ) -> Result<()> {
        self.change(run, now, |rows| work(rows, now))?;
        let mut left = self.children(run);
        while let Some(child) = left.pop() {
            left.extend(self.children(&child));
            // One that has ended or is about to needs nothing.
            let _ = self.change(&child, now, |rows| work(rows, now));
        }
        Ok(())
    }
}

struct RunRows<'a> {
    run: &'a mut StoredRun,
    ready: &'a mut BTreeSet<ReadyKey>,
    limited: &'a mut HashMap<String, u32>,
    others: &'a BTreeMap<RunId, StoredRun>,
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
        self.count(number, |count| count.saturating_sub(1))?;
        if let Some(task) = self.run.tasks.get_mut(&number) {
            change(task);
        }
        if let Some(key) = self.key(self.stored(number)?) {
            self.ready.insert(key);
        }
        self.count(number, |count| count + 1)
    }

    /// Counts a task under its limit's key while it is in a worker's hands.
    fn count(&mut self, number: u32, change: impl FnOnce(u32) -> u32) -> Result<()> {
        let row = &self.stored(number)?.row;
        if row.state == TaskState::Running
            && let Some(limit) = &row.limit
        {
            let key = limit.key.clone();
            let count = self.limited.entry(key).or_default();
            *count = change(*count);
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

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        self.run.events.push(event);
        Ok(())
    }

    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()> {
        self.run.error = error.cloned();
        Ok(())
    }

    fn active_with(&mut self, key: &str) -> Result<u32> {
        Ok(self.limited.get(key).copied().unwrap_or_default())
    }

    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>> {
        Ok(self.others.get(run).map(|run| run.row.state))
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
        if let Some(first) = new.key.as_ref().and_then(|key| state.keys.get(key)) {
            return Ok(first.clone());
        }
        if let Some(key) = &new.key {
            state.keys.insert(key.clone(), id.clone());
        }
        let row = schedule::new_run(&new);
        let tasks = new.tasks.clone();
        let run = StoredRun {
            row,
            new: NewRun { tasks: Vec::new(), ..new },
            created_at: now,
            place: state.runs.len(),
            tasks: BTreeMap::new(),
            dependents: HashMap::new(),
            journal: Vec::new(),
            items: HashMap::new(),
            questions: Vec::new(),
            events: Vec::new(),
            error: None,
        };
        state.runs.insert(id.clone(), run);
        state.change(&id, now, |rows| schedule::submit(rows, &tasks, now))?;
        drop(state);
        self.wake.notify();
        Ok(id)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        let now = Millis::now();
        let mut state = self.state();
        let active: u32 = match request.max_active {
            Some(_) => state.runs.values().map(|run| run.row.active).sum(),
            None => 0,
        };
        let limit = request.limit.min(request.max_active.unwrap_or(u32::MAX).saturating_sub(active));
        let mut claims = Vec::new();
        let mut last = None;
        while claims.len() < limit as usize {
            let Some(key) = state.next_ready(last.as_ref(), &request, now) else { break };
            let until = now.after(request.ttl);
            let claim = state.change(&key.run, now, |rows| {
                let token = schedule::lease(rows, key.number, &request.worker, now, until)?;
                let Some(token) = token else { return Ok(None) };
                let task = view(rows.run, rows.stored(key.number)?);
                Ok(Some(Claim { token, task, definition: rows.run.row.definition }))
            })?;
            claims.extend(claim);
            last = Some(key);
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
        let now = Millis::now();
        let applied = state
            .change(&token.run, now, |rows| schedule::complete(rows, token, outcome, now))
            .map_err(|error| crate::stale_if_gone(error, token))?;
        drop(state);
        self.wake.notify();
        Ok(applied)
    }

    async fn advance(&self) -> Result<Progress> {
        let now = Millis::now();
        let mut state = self.state();
        let mut due_tasks = Vec::new();
        let mut late_runs = Vec::new();
        let mut next_due: Option<Millis> = None;
        let mut note_due = |due: Millis| next_due = Some(next_due.map_or(due, |earlier| earlier.min(due)));
        for (id, run) in state.runs.iter().filter(|(_, run)| !run.row.state.is_ended()) {
            match run.row.deadline {
                Some(deadline) if deadline <= now => late_runs.push(id.clone()),
                Some(deadline) => note_due(deadline),
                None => {}
            }
            for task in run.tasks.values() {
                match task.row.due(now) {
                    Some(due) if due <= now => due_tasks.push((id.clone(), task.row.number)),
                    Some(due) => note_due(due),
                    None => {}
                }
            }
        }
        let mut progress = Progress { next_due, ..Progress::default() };
        for (run, number) in due_tasks {
            let before = state.run(&run)?.tasks.get(&number).map(|task| task.row.state);
            if before == Some(TaskState::Waiting) {
                progress.woken += 1;
                state.change(&run, now, |rows| schedule::wake(rows, number, now))?;
                continue;
            }
            progress.reclaimed += 1;
            let after = state.change(&run, now, |rows| schedule::reclaim(rows, number, now))?;
            progress.dead += u32::from(after == TaskState::Dead);
        }
        for run in late_runs {
            progress.timed_out += 1;
            state.change(&run, now, |rows| schedule::time_out(rows, now))?;
            for child in state.children(&run) {
                state.change_tree(&child, now, schedule::cancel)?;
            }
        }
        drop(state);
        if progress != (Progress { next_due, ..Progress::default() }) {
            self.wake.notify();
        }
        Ok(progress)
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        let now = Millis::now();
        let mut state = self.state();
        match control {
            Control::Cancel => state.change_tree(run, now, schedule::cancel)?,
            Control::Pause => state.change_tree(run, now, schedule::pause)?,
            Control::Resume => {
                state.change(run, now, |rows| schedule::resume(rows, now))?;
                // Those that were paused with it go on with it; others are resumed by the tasks that wait for them.
                for child in state.children(run) {
                    state.change_tree(&child, now, schedule::unpause)?;
                }
            }
            Control::Redefine { definition, tasks, unchanged } => {
                state.change(run, now, |rows| {
                    let change = Redefinition { tasks: &tasks, unchanged: &unchanged };
                    schedule::redefine(rows, &change, now)?;
                    rows.run.new.definition = definition;
                    Ok(())
                })?;
            }
            other => return Err(crate::unknown_control(&other)),
        }
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
        let now = Millis::now();
        state.change(run, now, |rows| schedule::decide(rows, step, decision, now))?;
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
                && filter.root.as_ref().is_none_or(|root| run.id == *root || run.root() == root)
        });
        Ok(wanted.take(limit).collect())
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        let state = self.state();
        let run = state.run(run)?;
        Ok(run.tasks.values().map(|task| view(run, task)).collect())
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

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        let state = self.state();
        let newer = state.run(run)?.events.iter().filter(|event| event.seq > after);
        Ok(newer.take(limit as usize).cloned().collect())
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        let worker = WorkerInfo { seen_at: Millis::now(), ..worker.clone() };
        self.state().workers.insert(worker.id.as_str().to_owned(), worker);
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let mut workers: Vec<WorkerInfo> = self.state().workers.values().cloned().collect();
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.seen_at));
        Ok(workers)
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
    let (name, kind) = (run.new.name.clone(), run.new.kind.clone());
    crate::summary(&run.row, RunFacts { name, kind, created_at: run.created_at, error: run.error.clone() })
}

fn view(run: &StoredRun, task: &StoredTask) -> Task {
    let StoredTask { row, new, error, .. } = task;
    let NewTask { name, queue, payload, .. } = new.clone();
    let facts = TaskFacts {
        run: run.row.id.clone(),
        run_state: run.row.state,
        name,
        queue,
        priority: new.priority,
        payload,
        error: error.clone(),
    };
    crate::task(row, facts)
}
