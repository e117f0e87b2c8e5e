//! One run as the machine holds it, and how it is shown.
//!
//! Knows nothing of other runs, nor of where rows are kept.

use std::collections::{BTreeSet, HashMap};

use motet_core::error::ErrorReport;
use motet_core::id::Millis;
use motet_core::run_log::Record;
use motet_core::schedule::{RunRow, TaskRow};
use motet_core::store::{
    AskedQuestion, NewRun, NewTask, Run, RunDump, RunEvent, RunSummary, Sequenced, Task, TaskDump, TaskLimit,
};
use serde_json::Value;

use super::index::Head;
use crate::{RunFacts, TaskFacts};

#[derive(Debug)]
pub(crate) struct StoredRun {
    pub(crate) row: RunRow,
    /// Everything that was submitted but the tasks.
    pub(crate) new: NewRun,
    pub(crate) created_at: Millis,
    pub(crate) error: Option<ErrorReport>,
    pub(crate) questions: Vec<AskedQuestion>,
    pub(crate) body: Body,
    /// False where the body is kept elsewhere.
    pub(crate) is_resident: bool,
    /// Place of the run at the top of those that wait for this one.
    pub(super) root: usize,
    /// Places of the runs that its tasks started.
    pub(super) started: Vec<usize>,
    /// Ready tasks, those that are delayed included.
    pub(super) ready: u32,
    /// Tasks that something is to be done about at some time.
    pub(super) timers: u32,
    pub(super) lanes: Vec<Lane>,
}

/// What only somebody who works on a run or looks at it needs.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) tasks: Vec<Option<StoredTask>>,
    pub(super) dependents: Vec<Vec<u32>>,
    /// Items by the number of their task.
    pub(super) items_of: HashMap<u32, Vec<u32>>,
    pub(crate) journal: Vec<Sequenced>,
    pub(crate) events: Vec<RunEvent>,
    pub(crate) items: HashMap<String, Vec<Record>>,
}

#[derive(Debug)]
pub(crate) struct StoredTask {
    pub(crate) row: TaskRow,
    pub(crate) new: NewTask,
    pub(crate) error: Option<Box<ErrorReport>>,
    pub(crate) output: Option<Value>,
    /// Places of its entries in the run's journal.
    pub(super) entries: Vec<u32>,
    pub(super) lane: u32,
    pub(super) place: Place,
}

/// Where a task stands in the machine's indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere.
    Out,
    /// Ready since this time.
    Lane(Millis),
    /// Ready at this time.
    Delayed(Millis),
    /// To be looked at when it is this time.
    Due(Millis),
}

/// Ready tasks of one queue and one limit, as they are to be claimed.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) queue: String,
    pub(super) limit: Option<TaskLimit>,
    /// Whether these are run alone, so that claims pass over them or take nothing else.
    pub(super) is_suspect: bool,
    pub(super) ready: BTreeSet<(u8, Millis, u32)>,
    /// What the heads of all lanes hold of this one.
    pub(super) shown: Option<Head>,
    /// True until the heads are told of a change.
    pub(super) is_changed: bool,
}

impl StoredRun {
    pub(super) fn new(row: RunRow, new: NewRun, created_at: Millis) -> Self {
        Self {
            row,
            new,
            created_at,
            error: None,
            questions: Vec::new(),
            body: Body::default(),
            is_resident: true,
            root: 0,
            started: Vec::new(),
            ready: 0,
            timers: 0,
            lanes: Vec::new(),
        }
    }

    pub(crate) fn task(&self, number: u32) -> Option<&StoredTask> {
        self.body.tasks.get(number as usize)?.as_ref()
    }

    pub(super) fn task_mut(&mut self, number: u32) -> Option<&mut StoredTask> {
        self.body.tasks.get_mut(number as usize)?.as_mut()
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &StoredTask> {
        self.body.tasks.iter().flatten()
    }

    /// Puts a task in its place; the indices of the machine are another matter.
    pub(super) fn put(&mut self, row: TaskRow, mut new: NewTask) {
        new.dependencies.sort_unstable();
        new.dependencies.dedup();
        let number = row.number;
        for dependency in &new.dependencies {
            at(&mut self.body.dependents, *dependency, |dependents| dependents.push(number));
        }
        if let Some(parent) = row.parent {
            self.body.items_of.entry(parent).or_default().push(number);
        }
        let lane = self.lane(&new, row.is_suspect());
        let (place, entries) = (Place::Out, Vec::new());
        let task = StoredTask { row, new, error: None, output: None, entries, lane, place };
        at(&mut self.body.tasks, number, |place| *place = Some(task));
    }

    /// Gives a task the lane that its row asks for; it must stand in none.
    pub(super) fn change_lane(&mut self, number: u32) {
        let Some(task) = self.body.tasks.get_mut(number as usize).and_then(Option::take) else { return };
        let lane = self.lane(&task.new, task.row.is_suspect());
        at(&mut self.body.tasks, number, |place| *place = Some(StoredTask { lane, ..task }));
    }

    /// Gives the lane of a task.
    fn lane(&mut self, task: &NewTask, is_suspect: bool) -> u32 {
        let fits = |lane: &Lane| {
            lane.is_suspect == is_suspect && lane.queue == task.queue && lane.limit == task.limit
        };
        // Neighbours mostly share a lane.
        let place = match self.lanes.iter().rposition(fits) {
            Some(place) => place,
            None => {
                let (queue, limit) = (task.queue.clone(), task.limit.clone());
                self.lanes.push(Lane {
                    queue,
                    limit,
                    is_suspect,
                    ready: BTreeSet::new(),
                    shown: None,
                    is_changed: false,
                });
                self.lanes.len() - 1
            }
        };
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Appends to the journal.
    pub(super) fn append(&mut self, entry: Sequenced) {
        let place = u32::try_from(self.body.journal.len()).unwrap_or(u32::MAX);
        if let Some(task) = self.task_mut(entry.task) {
            task.entries.push(place);
        }
        self.body.journal.push(entry);
    }

    pub(crate) fn summary(&self) -> RunSummary {
        let (name, kind) = (self.new.name.clone(), self.new.kind.clone());
        let facts = RunFacts { name, kind, created_at: self.created_at, error: self.error.clone() };
        crate::summary(&self.row, facts)
    }

    pub(crate) fn view(&self) -> Run {
        Run {
            summary: self.summary(),
            definition: self.new.definition.clone(),
            inputs: self.new.inputs.clone(),
            settings: self.new.settings.clone(),
        }
    }

    pub(crate) fn task_view(&self, task: &StoredTask) -> Task {
        let StoredTask { row, new, error, .. } = task;
        let facts = TaskFacts {
            run: self.row.id.clone(),
            run_state: self.row.state,
            name: new.name.clone(),
            queue: new.queue.clone(),
            priority: new.priority,
            payload: new.payload.clone(),
            error: error.as_deref().cloned(),
        };
        crate::task(row, facts)
    }

    pub(crate) fn dump(&self) -> RunDump {
        let mut items: Vec<_> =
            self.body.items.iter().map(|(name, log)| (name.clone(), log.clone())).collect();
        items.sort_by(|one, other| one.0.cmp(&other.0));
        RunDump {
            row: self.row.clone(),
            new: self.new.clone(),
            created_at: self.created_at,
            error: self.error.clone(),
            tasks: self.tasks().map(StoredTask::dump).collect(),
            journal: self.body.journal.clone(),
            events: self.body.events.clone(),
            questions: self.questions.clone(),
            items,
        }
    }

    /// Makes a run of a copy. Nothing of it stands in the machine's indices.
    pub(super) fn of_dump(dump: RunDump) -> Self {
        let mut run = Self::new(dump.row, NewRun { tasks: Vec::new(), ..dump.new }, dump.created_at);
        run.error = dump.error;
        run.questions = dump.questions;
        for task in dump.tasks {
            let number = task.row.number;
            run.put(task.row, task.new);
            if let Some(stored) = run.task_mut(number) {
                stored.error = task.error.map(Box::new);
                stored.output = task.output;
            }
        }
        dump.journal.into_iter().for_each(|entry| run.append(entry));
        run.body.events = dump.events;
        run.body.items = dump.items.into_iter().collect();
        run
    }
}

impl StoredTask {
    fn dump(&self) -> TaskDump {
        let Self { row, new, error, output, .. } = self;
        let error = error.as_deref().cloned();
        TaskDump { row: row.clone(), new: new.clone(), error, output: output.clone() }
    }
}

/// Changes the element of this number, and makes those up to it where they are not there.
fn at<T: Default>(list: &mut Vec<T>, number: u32, change: impl FnOnce(&mut T)) {
    let place = number as usize;
    if list.len() <= place {
        list.resize_with(place + 1, T::default);
    }
    if let Some(element) = list.get_mut(place) {
        change(element);
    }
}
