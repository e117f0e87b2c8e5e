//! The rows of one run while something changes them.
//!
//! Decides nothing: what changes is `motet_core::schedule`'s to say.

use std::collections::HashSet;

use motet_core::error::{ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{Rows, RunRow, TaskRow};
use motet_core::store::{AskedQuestion, NewTask, RunEvent, RunState, TaskState};
use serde_json::Value;

use super::index::Index;
use super::run::{Place, StoredRun, StoredTask};
use super::{Abandoned, Runs, Touch};

pub(super) struct RunRows<'a> {
    pub(super) slot: usize,
    pub(super) run: &'a mut StoredRun,
    pub(super) index: &'a mut Index,
    pub(super) others: &'a Runs,
    pub(super) touched: Option<&'a mut HashSet<Touch>>,
    pub(super) abandoned: &'a mut Vec<Abandoned>,
    pub(super) now: Millis,
}

impl RunRows<'_> {
    pub(super) fn stored(&self, number: u32) -> Result<&StoredTask> {
        self.run.task(number).ok_or_else(|| crate::no_such_task(&self.run.row.id, number))
    }

    fn stored_mut(&mut self, number: u32) -> Result<&mut StoredTask> {
        let StoredRun { row, body, .. } = &mut *self.run;
        let found = body.tasks.get_mut(number as usize).and_then(Option::as_mut);
        found.ok_or_else(|| crate::no_such_task(&row.id, number))
    }

    pub(super) fn touch(&mut self, touch: impl FnOnce(usize) -> Touch) {
        if let Some(touched) = &mut self.touched {
            touched.insert(touch(self.slot));
        }
    }

    /// Enters a task in the indices, as its row says, or takes it out of them where there is none.
    pub(super) fn enter(&mut self, number: u32, row: Option<TaskRow>) {
        let Self { run, index, .. } = self;
        let Some(task) = run.task_mut(number) else { return };
        let old = counted(&task.row);
        if let (true, Some(limit)) = (old.running, &task.row.limit) {
            index.count(&limit.key, |count| count.saturating_sub(1));
        }
        let new = row.as_ref().map(counted).unwrap_or_default();
        let place = row.as_ref().map_or(Place::Out, |row| place(row, self.now));
        let moves = row.as_ref().is_some_and(|row| row.is_suspect() != task.row.is_suspect());
        if let Some(row) = row {
            task.row = row;
        }
        if let (true, Some(limit)) = (new.running, &task.row.limit) {
            index.count(&limit.key, |count| count + 1);
        }
        run.ready = run.ready + u32::from(new.ready) - u32::from(old.ready);
        if moves {
            index.move_task(self.slot, run, number, Place::Out);
            run.change_lane(number);
        }
        index.move_task(self.slot, run, number, place);
    }
}

#[derive(Default)]
struct Counted {
    running: bool,
    ready: bool,
}

fn counted(row: &TaskRow) -> Counted {
    Counted { running: row.state == TaskState::Running, ready: row.state == TaskState::Ready }
}

/// Tells where a task stands in the indices.
pub(super) fn place(row: &TaskRow, now: Millis) -> Place {
    match row.state {
        TaskState::Ready if row.not_before <= now => Place::Lane(row.not_before),
        TaskState::Ready => Place::Delayed(row.not_before),
        TaskState::Running => Place::Due(row.lease_until),
        TaskState::Waiting => row.due(now).map_or(Place::Out, Place::Due),
        _ => Place::Out,
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
        self.give(row.clone())
    }

    fn give(&mut self, row: TaskRow) -> Result<()> {
        let number = row.number;
        self.stored(number)?;
        self.touch(|slot| Touch::Task(slot, number));
        self.enter(number, Some(row));
        Ok(())
    }

    fn release(&mut self, number: u32, now: Millis) -> Result<bool> {
        let task = self.stored_mut(number)?;
        if task.row.state != TaskState::Blocked {
            return Ok(false);
        }
        if task.row.remaining > 1 {
            // It stays where it is in the indices: in none.
            task.row.dependency_ended(now);
            self.touch(|slot| Touch::Task(slot, number));
            return Ok(false);
        }
        let mut row = task.row.clone();
        row.dependency_ended(now);
        self.give(row)?;
        Ok(true)
    }

    fn release_dependents(&mut self, number: u32, now: Millis) -> Result<u32> {
        let list = self.run.body.dependents.get_mut(number as usize);
        // Nothing asks for it before it is put back.
        let dependents = list.map(std::mem::take).unwrap_or_default();
        let mut ready = Ok(0);
        for number in &dependents {
            ready = self.release(*number, now).and_then(|is_ready| Ok(ready? + u32::from(is_ready)));
        }
        if let Some(list) = self.run.body.dependents.get_mut(number as usize) {
            *list = dependents;
        }
        ready
    }

    fn name(&mut self, number: u32) -> Result<String> {
        self.stored(number).map(|task| task.new.name.clone())
    }

    fn dependents(&mut self, number: u32) -> Result<Vec<u32>> {
        Ok(self.run.body.dependents.get(number as usize).cloned().unwrap_or_default())
    }

    fn dependencies(&mut self, number: u32) -> Result<Vec<u32>> {
        self.stored(number).map(|task| task.new.dependencies.clone())
    }

    fn numbers(&mut self) -> Result<Vec<u32>> {
        Ok(self.run.tasks().map(|task| task.row.number).collect())
    }

    fn insert(&mut self, row: &TaskRow, task: &NewTask) -> Result<()> {
        let number = row.number;
        // It is entered as one that is in no index yet.
        self.run.put(TaskRow { state: TaskState::Blocked, ..row.clone() }, task.clone());
        self.touch(|slot| Touch::New(slot, number));
        self.touch(|slot| Touch::Task(slot, number));
        self.enter(number, Some(row.clone()));
        Ok(())
    }

    fn remove(&mut self, number: u32) -> Result<()> {
        let dependencies = self.dependencies(number)?;
        self.enter(number, None);
        let body = &mut self.run.body;
        for dependency in dependencies {
            if let Some(list) = body.dependents.get_mut(dependency as usize) {
                list.retain(|dependent| *dependent != number);
            }
        }
        let removed = body.tasks.get_mut(number as usize).and_then(Option::take);
        if let Some(items) =
            removed.and_then(|task| task.row.parent).and_then(|parent| body.items_of.get_mut(&parent))
        {
            items.retain(|item| *item != number);
        }
        let (gone, left) =
            std::mem::take(&mut self.run.questions).into_iter().partition(|asked| asked.task == number);
        let gone: Vec<AskedQuestion> = gone;
        self.run.questions = left;
        for asked in gone {
            self.touch(|slot| Touch::Question(slot, asked.question.step));
        }
        self.touch(|slot| Touch::New(slot, number));
        self.touch(|slot| Touch::Task(slot, number));
        self.touch(|slot| Touch::Output(slot, number));
        Ok(())
    }

    fn set_error(&mut self, number: u32, error: Option<&ErrorReport>) -> Result<()> {
        let task = self.stored_mut(number)?;
        if task.error.as_deref() != error {
            task.error = error.cloned().map(Box::new);
            self.touch(|slot| Touch::Task(slot, number));
        }
        Ok(())
    }

    fn set_output(&mut self, number: u32, output: &Value) -> Result<()> {
        self.give_output(number, output.clone())
    }

    fn give_output(&mut self, number: u32, output: Value) -> Result<()> {
        self.stored_mut(number)?.output = Some(output);
        self.touch(|slot| Touch::Output(slot, number));
        Ok(())
    }

    fn has_ready(&mut self) -> Result<bool> {
        Ok(self.run.ready > 0)
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
        self.touch(|slot| Touch::Question(slot, question.question.step.clone()));
        Ok(())
    }

    fn append_event(&mut self, event: RunEvent) -> Result<()> {
        let seq = event.seq;
        self.run.body.events.push(event);
        self.touch(|slot| Touch::Event(slot, seq));
        Ok(())
    }

    fn set_run_error(&mut self, error: Option<&ErrorReport>) -> Result<()> {
        self.run.error = error.cloned();
        Ok(())
    }

    fn active_with(&mut self, key: &str) -> Result<u32> {
        Ok(self.index.limited.get(key).copied().unwrap_or_default())
    }

    fn other_run(&mut self, run: &RunId) -> Result<Option<RunState>> {
        Ok(self.others.get(run).map(|run| run.row.state))
    }

    fn abandon(&mut self, task: Option<u32>) {
        self.abandoned.push(Abandoned { slot: self.slot, task });
    }
}
