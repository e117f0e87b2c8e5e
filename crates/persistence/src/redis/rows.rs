//! The rows of one run as the scheduler sees them: what was read, and over it what the scheduler changed.
//!
//! Reads nothing itself. What is missing is noted, so that it can be read and the scheduler be asked again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::RunId;
use motet_core::schedule::{Rows, RunRow, TaskRow};
use motet_core::store::{AskedQuestion, NewTask, RunEvent, RunState, TaskState};
use serde_json::Value;

use super::row::Fields;

/// What was read of a run.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) row: RunRow,
    /// Everything in the run's hash.
    pub(super) fields: Fields,
    /// Number of its changes when it was read.
    pub(super) version: u64,
    /// Tasks that are ready, those whose delay is not over included.
    pub(super) ready: i64,
    /// `None` where there is no such task.
    pub(super) tasks: HashMap<u32, Option<Entry>>,
    /// Who waits for a task.
    pub(super) after: HashMap<u32, Vec<u32>>,
    pub(super) questions: HashMap<String, Option<AskedQuestion>>,
    pub(super) others: HashMap<RunId, Option<RunState>>,
    /// All tasks, all who wait, and all questions were read.
    pub(super) is_whole: bool,
}

/// A task that was read.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) row: TaskRow,
    pub(super) new: NewTask,
}

/// What the scheduler needs and was not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Need {
    Task(u32),
    /// Who waits for a task, and their rows.
    After(u32),
    Question(String),
    Other(RunId),
    Whole,
}

/// What the scheduler changed.
#[derive(Debug)]
pub(super) struct RunRows<'a> {
    pub(super) fetched: &'a Fetched,
    pub(super) run: RunRow,
    pub(super) ready: i64,
    pub(super) tasks: BTreeMap<u32, TaskRow>,
    pub(super) inserted: BTreeMap<u32, NewTask>,
    pub(super) removed: BTreeSet<u32>,
    pub(super) after: BTreeMap<u32, Vec<u32>>,
    pub(super) errors: BTreeMap<u32, Option<ErrorReport>>,
    pub(super) outputs: BTreeMap<u32, Value>,
    pub(super) questions: BTreeMap<String, AskedQuestion>,
    /// Steps of those questions, in the order asked.
    pub(super) asked: Vec<String>,
    pub(super) gone_questions: BTreeSet<String>,
    pub(super) events: Vec<RunEvent>,
    pub(super) run_error: Option<Option<ErrorReport>>,
    pub(super) definition: Option<Value>,
    /// Tasks whose runs nobody wants any more; `None` stands for all tasks.
    pub(super) abandoned: BTreeSet<Option<u32>>,
    pub(super) need: Option<Need>,
}

impl<'a> RunRows<'a> {
    pub(super) fn new(fetched: &'a Fetched) -> Self {
        Self {
            fetched,
            run: fetched.row.clone(),
            ready: fetched.ready,
            tasks: BTreeMap::new(),
            inserted: BTreeMap::new(),
            removed: BTreeSet::new(),
            after: BTreeMap::new(),
            errors: BTreeMap::new(),
            outputs: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: Vec::new(),
            gone_questions: BTreeSet::new(),
            events: Vec::new(),
            run_error: None,
            definition: None,
            abandoned: BTreeSet::new(),
            need: None,
        }
    }

    /// Tells whether the scheduler changed nothing.
    pub(super) fn is_unchanged(&self) -> bool {
        self.run == self.fetched.row
            && self.tasks.is_empty()
            && self.inserted.is_empty()
            && self.removed.is_empty()
            && self.questions.is_empty()
            && self.errors.is_empty()
            && self.run_error.is_none()
            && self.definition.is_none()
    }

    /// Gives what a task is, once it is read or added.
    pub(super) fn new_of(&self, number: u32) -> Option<&NewTask> {
        let fetched = || self.fetched.tasks.get(&number)?.as_ref().map(|entry| &entry.new);
        self.inserted.get(&number).or_else(fetched)
    }

    /// Gives a task's row before the change.
    pub(super) fn before(&self, number: u32) -> Option<&TaskRow> {
        self.fetched.tasks.get(&number)?.as_ref().map(|entry| &entry.row)
    }

    fn needs(&mut self, need: Need) -> Error {
        self.need.get_or_insert(need);
        Error::new(ErrorKind::Internal, "rows of the run are not read yet")
    }

    fn find(&mut self, number: u32) -> Result<&NewTask> {
        let is_known = self.inserted.contains_key(&number) || self.fetched.is_whole;
        if !is_known && !self.fetched.tasks.contains_key(&number) {
            return Err(self.needs(Need::Task(number)));
        }
        let gone = self.removed.contains(&number) && !self.inserted.contains_key(&number);
        let found = if gone { None } else { self.new_of(number) };
        found.ok_or_else(|| crate::no_such_task(&self.run.id, number))
    }
}

impl Rows for RunRows<'_> {
    fn run(&mut self) -> &mut RunRow {
        &mut self.run
    }

    fn task(&mut self, number: u32) -> Result<TaskRow> {
        self.find(number)?;
        let row = self.tasks.get(&number).or_else(|| self.before(number));
        row.cloned().ok_or_else(|| crate::no_such_task(&self.run.id, number))
    }

    fn save(&mut self, task: &TaskRow) -> Result<()> {
        let before = self.task(task.number)?.state;
        self.ready += i64::from(task.state == TaskState::Ready) - i64::from(before == TaskState::Ready);
        self.tasks.insert(task.number, task.clone());
        Ok(())
    }

    fn name(&mut self, number: u32) -> Result<String> {
        Ok(self.find(number)?.name.clone())
    }

    fn dependents(&mut self, number: u32) -> Result<Vec<u32>> {
        if let Some(waiting) = self.after.get(&number).or_else(|| self.fetched.after.get(&number)) {
            return Ok(waiting.clone());
        }
        if self.fetched.is_whole || self.inserted.contains_key(&number) {
            return Ok(Vec::new());
        }
        Err(self.needs(Need::After(number)))
    }

    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>> {
        Ok(self.find(number)?.dependencies.clone())
    }

    fn numbers(&mut self) -> Result<Vec<u32>> {
        if !self.fetched.is_whole {
            return Err(self.needs(Need::Whole));
        }
        let known = self.fetched.tasks.iter().filter(|(_, entry)| entry.is_some()).map(|(number, _)| *number);
        let mut numbers: BTreeSet<u32> = known.filter(|number| !self.removed.contains(number)).collect();
        numbers.extend(self.inserted.keys());
        Ok(numbers.into_iter().collect())
    }

    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()> {
        let mut new = task.clone();
        new.dependencies.sort_unstable();
        new.dependencies.dedup();
        for dependency in &new.dependencies {
            let mut waiting = self.dependents(*dependency)?;
            waiting.push(row.number);
            self.after.insert(*dependency, waiting);
        }
        self.ready += i64::from(row.state == TaskState::Ready);
        self.tasks.insert(row.number, row.clone());
        self.inserted.insert(row.number, new);
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        if !self.fetched.is_whole {
            return Err(self.needs(Need::Whole));
        }
        let row = self.task(number)?;
        self.ready -= i64::from(row.state == TaskState::Ready);
        for dependency in self.dependencies(number)? {
            let mut waiting = self.dependents(dependency)?;
            waiting.retain(|dependent| *dependent != number);
            self.after.insert(dependency, waiting);
        }
        self.tasks.remove(&number);
        self.inserted.remove(&number);
        self.removed.insert(number);
        let asked = self.fetched.questions.iter().filter_map(|(step, asked)| Some((step, asked.as_ref()?)));
        let gone = asked.filter(|(_, asked)| asked.task == number).map(|(step, _)| step.clone());
        self.gone_questions.extend(gone);
        Ok(())
    }

    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()> {
        self.errors.insert(number, error.cloned());
        Ok(())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.outputs.insert(number, output.clone());
        Ok(())
    }

    fn has_ready(&mut self) -> Result<bool> {
        Ok(self.ready > 0)
    }

    fn question(&mut self, step: &str) -> Result<Option<AskedQuestion>> {
        if let Some(asked) = self.questions.get(step) {
            return Ok(Some(asked.clone()));
        }
        match self.fetched.questions.get(step) {
            Some(asked) => Ok(asked.clone()),
            None if self.fetched.is_whole => Ok(None),
            None => Err(self.needs(Need::Question(step.to_owned()))),
        }
    }

    fn set_question(&mut self, question: &AskedQuestion) -> Result<()> {
        let step = question.question.step.clone();
        if self.questions.insert(step.clone(), question.clone()).is_none() {
            self.asked.push(step);
        }
        Ok(())
    }

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        self.events.push(event);
        Ok(())
    }

    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()> {
        self.run_error = Some(error.cloned());
        Ok(())
    }

    fn active_with(&mut self, _key: &str) -> Result<u32> {
        // Leases are given by a script, which counts there.
        Err(Error::new(ErrorKind::Internal, "tasks are leased by the script of this store alone"))
    }

    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>> {
        match self.fetched.others.get(run) {
            Some(state) => Ok(*state),
            None => Err(self.needs(Need::Other(run.clone()))),
        }
    }

    fn abandon(&mut self, task: Option<u32>) {
        self.abandoned.insert(task);
    }
}
