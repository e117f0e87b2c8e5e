//! What references of a task can see: inputs, listed environment, results of other tasks, and the item at hand.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::reference::{Scope, TaskView};

/// How a task ended, as references see it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskResult {
    /// `done`, `failed`, or `skipped`.
    pub status: &'static str,
    /// Its result; null when it has none.
    pub result: Value,
    /// Why it failed or was skipped.
    pub error: Option<Value>,
}

/// Everything that one attempt may refer to.
#[derive(Debug)]
pub struct RunScope<'a> {
    /// Values given to the run.
    pub inputs: &'a Map<String, Value>,
    /// Environment variables that the workflow lists and that are set.
    pub environment: &'a BTreeMap<String, String>,
    /// Ids of tasks by their freer names.
    pub names: HashMap<&'a str, &'a str>,
    /// Results by task id.
    pub tasks: HashMap<&'a str, TaskResult>,
    /// The item of `for_each`.
    pub item: Option<&'a Value>,
    /// The place of the item, from 0.
    pub index: Option<&'a Value>,
}

impl Scope for RunScope<'_> {
    fn task(&self, name: &str) -> Option<TaskView<'_>> {
        let id = self.names.get(name).copied().unwrap_or(name);
        let task = self.tasks.get(id)?;
        Some(TaskView { status: task.status, result: &task.result, error: task.error.as_ref() })
    }

    fn task_names(&self) -> Vec<&str> {
        self.tasks.keys().copied().collect()
    }

    fn inputs(&self) -> &Map<String, Value> {
        self.inputs
    }

    fn env(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    fn item(&self) -> Option<&Value> {
        self.item
    }

    fn index(&self) -> Option<&Value> {
        self.index
    }
}
