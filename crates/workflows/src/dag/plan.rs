//! Turns a specification into a run for a store: tasks by number, and what stays when the specification changes.
//!
//! Pure: knows no store and no file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use motet_core::Millis;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model_id::ModelId;
use motet_core::store::{DEFAULT_QUEUE, NewRun, NewTask, TaskLimit};
use motet_core::workflow::{Priority, TaskSpec, WorkflowSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The kind under which workflow runs are stored.
pub const KIND: &str = "workflow";

/// What a run needs to know beside its specification; stored with it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunSettings {
    /// The workflow's directory, absolute: where relative paths start.
    pub directory: String,
    /// The file it was read from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Model that stands in for the workflow's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Model that the settings named when the run began, for a replay elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ModelId>,
    /// How often the settings let a structured answer be asked for again when the run began, for a replay elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_repairs: Option<u32>,
    /// Priority of the tasks that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl RunSettings {
    /// Makes the settings of a run in a directory.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_string_lossy().into_owned(), ..Self::default() }
    }
}

/// Makes the run of a workflow.
///
/// # Errors
/// `InvalidRequest` when an input is not declared, a declared one without default is not given, or a dependency is unknown.
pub fn plan(spec: &WorkflowSpec, inputs: Map<String, Value>, settings: &RunSettings) -> Result<NewRun> {
    Ok(NewRun {
        definition: to_json(spec)?,
        inputs: complete_inputs(spec, inputs)?,
        settings: to_json(settings)?.as_object().cloned().unwrap_or_default(),
        max_active: spec.max_parallel_tasks,
        deadline: spec.timeout.map(|timeout| Millis::now().after(timeout)),
        ..NewRun::new(KIND, spec.name.clone(), tasks(spec, settings)?)
    })
}

/// Gives the tasks of a run of a specification in the order written, dependencies as numbers.
///
/// # Errors
/// `InvalidRequest` when a dependency is unknown.
pub fn tasks(spec: &WorkflowSpec, settings: &RunSettings) -> Result<Vec<NewTask>> {
    let numbers: HashMap<&str, u32> =
        (0u32..).zip(&spec.tasks).map(|(number, task)| (task.id.as_str(), number)).collect();
    let number_of = |task: &TaskSpec, dependency: &String| {
        numbers.get(dependency.as_str()).copied().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("task `{}` depends on unknown task `{dependency}`", task.id),
            )
        })
    };
    spec.tasks
        .iter()
        .map(|task| {
            let queue = task.queue.as_ref().or(spec.queue.as_ref());
            Ok(NewTask {
                queue: queue.cloned().unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
                priority: task.priority.or(settings.priority).unwrap_or_default(),
                dependencies: task
                    .dependencies
                    .iter()
                    .map(|name| number_of(task, name))
                    .collect::<Result<_>>()?,
                on_failure: task.on_failure,
                retry: task.retry.clone(),
                delay: task.delay.unwrap_or_default(),
                not_before: task.not_before,
                limit: limit(spec, task),
                ..NewTask::named(task.id.clone())
            })
        })
        .collect()
}

/// Gives the limit that a task names; one that its workflow does not set is no limit.
pub(crate) fn limit(spec: &WorkflowSpec, task: &TaskSpec) -> Option<TaskLimit> {
    let key = task.limit.as_ref()?;
    spec.limits.get(key).map(|max| TaskLimit { key: key.clone(), max: *max })
}

/// Names the tasks that are the same in both specifications, and so is everything they depend on.
///
/// A change of what every task sees, such as the default model or the listed environment, changes all tasks.
#[must_use]
pub fn unchanged(old: &WorkflowSpec, new: &WorkflowSpec) -> Vec<String> {
    if old.model != new.model || old.env != new.env || old.inputs != new.inputs {
        return Vec::new();
    }
    let before: HashMap<&str, &TaskSpec> = old.tasks.iter().map(|task| (task.id.as_str(), task)).collect();
    let same = |task: &TaskSpec| before.get(task.id.as_str()).is_some_and(|old| *old == task);
    let mut changed: HashSet<&str> =
        new.tasks.iter().filter(|task| !same(task)).map(|task| task.id.as_str()).collect();
    loop {
        let count = changed.len();
        for task in &new.tasks {
            if task.dependencies.iter().any(|name| changed.contains(name.as_str())) {
                changed.insert(&task.id);
            }
        }
        if changed.len() == count {
            break;
        }
    }
    new.tasks.iter().filter(|task| !changed.contains(task.id.as_str())).map(|task| task.id.clone()).collect()
}

/// Gives the inputs of a run as far as they are known: those given, and the defaults of the others, which may be null.
///
/// # Errors
/// `InvalidRequest` when an input is not declared.
pub fn known_inputs(spec: &WorkflowSpec, mut given: Map<String, Value>) -> Result<Map<String, Value>> {
    if let Some(unknown) = given.keys().find(|name| !spec.inputs.contains_key(*name)) {
        let known: Vec<&str> = spec.inputs.keys().map(String::as_str).collect();
        let hint = if known.is_empty() {
            "it declares no inputs".to_owned()
        } else {
            format!("it declares {}", known.join(", "))
        };
        return Err(Error::new(ErrorKind::InvalidRequest, format!("the workflow has no input `{unknown}`"))
            .with_hint(hint));
    }
    let known = spec.inputs.iter().map(|(name, default)| {
        let value = given.remove(name).unwrap_or_else(|| default.clone());
        (name.clone(), value)
    });
    Ok(known.collect())
}

fn complete_inputs(spec: &WorkflowSpec, given: Map<String, Value>) -> Result<Map<String, Value>> {
    let inputs = known_inputs(spec, given)?;
    match inputs.iter().find(|(_, value)| value.is_null()) {
        None => Ok(inputs),
        Some((name, _)) => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the input `{name}` is not given and has no default"),
        )
        .with_hint(format!("give it with `--input {name}=VALUE`"))),
    }
}

fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a run cannot be written as JSON").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(tasks: &Value) -> WorkflowSpec {
        serde_json::from_value(json!({"name": "w", "inputs": {"x": null, "y": 2}, "tasks": tasks})).unwrap()
    }

    #[test]
    fn inputs_are_completed_and_unknown_or_missing_ones_refused() {
        let spec = spec(&json!([{"id": "a", "method": "m"}]));
        let settings = RunSettings::default();
        let given = |value: Value| value.as_object().cloned().unwrap();
        assert_eq!(
            plan(&spec, given(json!({"x": 1})), &settings).unwrap().inputs,
            given(json!({"x": 1, "y": 2}))
        );
        let missing = plan(&spec, Map::new(), &settings).unwrap_err();
        assert_eq!(missing.message(), "the input `x` is not given and has no default");
        let unknown = plan(&spec, given(json!({"z": 1})), &settings).unwrap_err();
        assert_eq!(unknown.hint(), Some("it declares x, y"));
    }

    #[test]
    fn the_priority_of_a_run_is_that_of_the_tasks_that_have_none() {
        let spec = spec(&json!([
            {"id": "a", "method": "m"},
            {"id": "b", "method": "m", "priority": "normal"},
            {"id": "c", "method": "m", "priority": "low"},
        ]));
        let priorities = |settings: &RunSettings| -> Vec<Priority> {
            tasks(&spec, settings).unwrap().iter().map(|task| task.priority).collect()
        };
        assert_eq!(priorities(&RunSettings::default()), [Priority::Normal, Priority::Normal, Priority::Low]);
        let urgent = RunSettings { priority: Some(Priority::Urgent), ..RunSettings::default() };
        assert_eq!(priorities(&urgent), [Priority::Urgent, Priority::Normal, Priority::Low]);
    }

    #[test]
    fn a_changed_task_changes_everything_after_it() {
        let old = spec(&json!([
            {"id": "a", "method": "m"},
            {"id": "b", "method": "m", "dependencies": ["a"]},
            {"id": "c", "method": "m", "dependencies": ["b"]},
            {"id": "d", "method": "m", "dependencies": ["a"]},
        ]));
        let mut new = old.clone();
        new.tasks[1].params.insert("p".into(), json!(1));
        assert_eq!(unchanged(&old, &new), ["a", "d"]);
        assert_eq!(unchanged(&old, &old).len(), 4);
        new.model = Some("scripted:x".parse().unwrap());
        assert!(unchanged(&old, &new).is_empty());
    }
}
