//! What a run came to: state, outputs, tasks, tokens, and money.

use std::collections::{BTreeMap, HashMap, HashSet};

use motet_core::cassette::RecordedTask;
use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::run_log::{Costs, Total};
use motet_core::store::{Run, RunFilter, RunState, RunSummary, SharedStore, Task, TaskPages, TaskState};
use motet_core::usage::{Cost, Usage};
use motet_core::workflow::WorkflowSpec;
use motet_workflows::dag::reference::{Root, Step, references, substitute};
use motet_workflows::dag::scope::{RunScope, TaskResult};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::agent;
use crate::batch;
use crate::recording;

/// How many journal entries are read at a time.
const PAGE: u32 = 1_000;

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// Its id.
    pub id: RunId,
    /// Name of the workflow.
    pub name: String,
    /// How it stands.
    pub state: RunState,
    /// What it gives back; empty unless it is completed.
    pub outputs: Map<String, Value>,
    /// Its tasks in order, items of `for_each` after all others.
    pub tasks: Vec<TaskReport>,
    /// Model calls that were recorded.
    pub model_calls: u32,
    /// Model calls that were answered from the cache.
    pub cached_calls: u32,
    /// Tokens of all model calls that were not.
    pub usage: Usage,
    /// What all model calls cost, written as US dollars; null when a price is unknown.
    #[serde(serialize_with = "dollars")]
    pub cost: Option<Cost>,
    /// Seconds from its start to its end, or to now.
    pub seconds: f64,
    /// What made it fail first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Runs that its tasks started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildReport>,
}

/// A run that a task started.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChildReport {
    /// Its id.
    pub id: RunId,
    /// Name of its workflow.
    pub name: String,
    /// Name of the task that started it.
    pub task: String,
    /// How it stands; `done` where it ended well, as a task does.
    pub state: &'static str,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskReport {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: TaskState,
    /// Attempts made.
    pub attempt: u32,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl RunReport {
    /// Gives the tasks that failed; items of a failed `for_each` stand for it.
    pub fn failures(&self) -> impl Iterator<Item = &TaskReport> {
        self.tasks.iter().filter(|task| task.state.has_failed())
    }
}

#[expect(clippy::ref_option, reason = "serde gives the field by reference")]
fn dollars<S: Serializer>(cost: &Option<Cost>, serializer: S) -> Result<S::Ok, S::Error> {
    cost.map(Cost::dollars).serialize(serializer)
}

pub(crate) fn no_such_run(run: &RunId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no run `{run}` in this store"))
        .with_hint("`motet workflow list` shows the runs; the setting `store` says which store is read")
}

/// Reads everything that a report tells.
pub(crate) async fn report(store: &SharedStore, id: &RunId) -> Result<RunReport> {
    let run = store.run(id).await?.ok_or_else(|| no_such_run(id))?;
    let (tasks, shown) = tasks(store, id, run.summary.state).await?;
    let outputs = if run.summary.state == RunState::Completed {
        outputs(store, &run, &tasks).await?
    } else {
        Map::new()
    };
    let paid = match run.summary.kind.as_str() {
        batch::KIND => paid_by_batch(store, id).await?,
        _ => paid(store, id).await?,
    };
    let summary = run.summary;
    let children = children(store, &summary, &tasks).await?;
    Ok(RunReport {
        children,
        outputs,
        model_calls: u32::try_from(paid.calls).unwrap_or(u32::MAX),
        cached_calls: u32::try_from(paid.cached).unwrap_or(u32::MAX),
        usage: paid.usage,
        cost: (paid.unknown == 0).then_some(paid.cost),
        seconds: summary.ended_at.unwrap_or_else(Millis::now).since(summary.created_at).as_secs_f64(),
        tasks: shown,
        error: summary.error,
        id: summary.id,
        name: summary.name,
        state: summary.state,
    })
}

/// Reads the tasks of a run: those of its own and those that wait for runs as they are stored, and all as they are shown.
async fn tasks(store: &SharedStore, id: &RunId, state: RunState) -> Result<(Vec<Task>, Vec<TaskReport>)> {
    let (mut own, mut shown) = (Vec::new(), Vec::new());
    let mut pages = TaskPages::of(id);
    while let Some(page) = pages.next(&**store).await? {
        for task in page {
            shown.push(TaskReport {
                name: task.name.clone(),
                state: task.state.shown(state),
                attempt: task.attempt,
                error: task.error.clone(),
            });
            if task.parent.is_none() || task.awaits.is_some() {
                own.push(task);
            }
        }
    }
    Ok((own, shown))
}

/// Reads the tasks of a run without the items of `for_each`.
pub(crate) async fn own_tasks(store: &SharedStore, id: &RunId) -> Result<Vec<Task>> {
    let mut own = Vec::new();
    let mut pages = TaskPages::of(id);
    while let Some(page) = pages.next(&**store).await? {
        own.extend(page.into_iter().filter(|task| task.parent.is_none()));
    }
    Ok(own)
}

/// Finds the runs that the tasks of a run started.
async fn children(store: &SharedStore, run: &RunSummary, tasks: &[Task]) -> Result<Vec<ChildReport>> {
    if tasks.iter().all(|task| task.awaits.is_none()) {
        return Ok(Vec::new());
    }
    let tree = store.runs(&RunFilter { root: Some(run.root().clone()), ..RunFilter::default() }).await?;
    let own = tree.into_iter().rev().filter_map(|child| {
        let number = child.parent.as_ref().filter(|parent| parent.run == run.id)?.task;
        let task = tasks.iter().find(|task| task.number == number)?;
        let state = match child.state {
            RunState::Completed => TaskState::Done.as_str(),
            other => other.as_str(),
        };
        Some(ChildReport { id: child.id, name: child.name, task: task.name.clone(), state })
    });
    Ok(own.collect())
}

/// Reads the tasks of a run with their results, without the items of `for_each`.
pub(crate) async fn results(store: &SharedStore, id: &RunId) -> Result<Vec<(Task, Option<Value>)>> {
    let tasks = own_tasks(store, id).await?;
    let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
    let results = store.outputs(id, &numbers).await?;
    Ok(tasks.into_iter().zip(results).collect())
}

/// Reads what all tasks of a run came to, items of `for_each` included.
pub(crate) async fn recorded_tasks(store: &SharedStore, id: &RunId) -> Result<Vec<RecordedTask>> {
    let tasks = store.tasks(id).await?;
    let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
    let outputs = store.outputs(id, &numbers).await?;
    Ok(tasks.iter().zip(outputs).map(|(task, output)| recorded(task, output)).collect())
}

/// Gives what a task came to.
pub(crate) fn recorded(task: &Task, output: Option<Value>) -> RecordedTask {
    RecordedTask {
        number: task.number,
        name: task.name.clone(),
        state: task.state,
        attempt: task.attempt,
        parent: task.parent,
        output,
        error: task.error.clone(),
        started_at: task.started_at,
        ended_at: task.ended_at,
    }
}

/// Gives what a completed run gives back.
pub(crate) async fn outputs(store: &SharedStore, run: &Run, tasks: &[Task]) -> Result<Map<String, Value>> {
    if run.summary.kind == batch::KIND {
        let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
        let results = store.outputs(&run.summary.id, &numbers).await?;
        let named = tasks.iter().zip(results);
        return Ok(named.map(|(task, result)| (task.name.clone(), result.unwrap_or_default())).collect());
    }
    if run.summary.kind == agent::KIND {
        let result = store.outputs(&run.summary.id, &[0]).await?.into_iter().flatten().next();
        return Ok(agent_outputs(result.as_ref()));
    }
    if run.summary.kind == recording::KIND {
        let answer = store.outputs(&run.summary.id, &[0]).await?.into_iter().flatten().next();
        let Some(Value::Object(mut answer)) = answer else { return Ok(Map::new()) };
        answer.shift_remove("response");
        return Ok(answer);
    }
    let spec: WorkflowSpec = serde_json::from_value(run.definition.clone()).map_err(|error| {
        Error::new(ErrorKind::Store, "the stored definition cannot be read").with_source(error)
    })?;
    let own: Vec<&Task> = tasks.iter().filter(|task| task.parent.is_none()).collect();
    if spec.outputs.is_empty() {
        let numbers: Vec<u32> = own.iter().map(|task| task.number).collect();
        let results = store.outputs(&run.summary.id, &numbers).await?;
        let named =
            own.iter().zip(results).map(|(task, result)| (task.name.clone(), result.unwrap_or_default()));
        return Ok(named.collect());
    }
    let results = wanted_results(store, run, &spec, &own).await?;
    let scope = RunScope {
        inputs: &run.inputs,
        environment: &BTreeMap::new(),
        names: spec.tasks.iter().filter_map(|task| Some((task.name.as_deref()?, task.id.as_str()))).collect(),
        tasks: own
            .iter()
            .zip(results)
            .map(|(task, result)| (task.name.as_str(), task_result(task, result)))
            .collect(),
        item: None,
        index: None,
    };
    match substitute(&Value::Object(spec.outputs), &scope)? {
        Value::Object(outputs) => Ok(outputs),
        _ => Err(Error::new(ErrorKind::Internal, "outputs became something else")),
    }
}

/// Reads the results that a workflow's outputs refer to, one place for each task: the result of a task over many items is
/// large, and often only its state is asked for.
async fn wanted_results(
    store: &SharedStore,
    run: &Run,
    spec: &WorkflowSpec,
    own: &[&Task],
) -> Result<Vec<Option<Value>>> {
    let outputs = Value::Object(spec.outputs.clone());
    let refers = |path: &[Step]| !matches!(path.first(), Some(Step::Field(field)) if field == "status" || field == "error");
    let named: HashSet<String> = references(&outputs)
        .iter()
        .filter(|reference| refers(reference.path()))
        .filter_map(|reference| match reference.root() {
            Root::Task(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    let freer = |id: &str| spec.tasks.iter().find(|task| task.id == id).and_then(|task| task.name.as_deref());
    let wanted = |task: &&&Task| {
        named.contains(&task.name) || freer(&task.name).is_some_and(|name| named.contains(name))
    };
    let numbers: Vec<u32> = own.iter().filter(wanted).map(|task| task.number).collect();
    let found = store.outputs(&run.summary.id, &numbers).await?;
    let mut found: HashMap<u32, Option<Value>> = numbers.into_iter().zip(found).collect();
    Ok(own.iter().map(|task| found.remove(&task.number).flatten()).collect())
}

/// Gives what people look for in the result of an agent; the whole is the result of its task.
pub(crate) fn agent_outputs(result: Option<&Value>) -> Map<String, Value> {
    let field = |name: &str| Some((name.to_owned(), result?.get(name)?.clone()));
    ["text", "value"].into_iter().filter_map(field).collect()
}

fn task_result(task: &Task, result: Option<Value>) -> TaskResult {
    TaskResult {
        status: task.state.as_str(),
        result: result.unwrap_or_default(),
        error: task.error.as_ref().map(|error| json!(error)),
    }
}

/// Gives the sums of a batch, which keeps its answers elsewhere than in the journal.
async fn paid_by_batch(store: &SharedStore, run: &RunId) -> Result<Total> {
    let Some(sums) = batch::last_summary(store, run).await? else { return Ok(Total::default()) };
    Ok(Total {
        calls: sums.model_calls,
        usage: sums.usage,
        cost: sums.known_cost,
        unknown: sums.unpriced,
        ..Total::default()
    })
}

/// Adds up what the journal says was used and paid.
async fn paid(store: &SharedStore, run: &RunId) -> Result<Total> {
    let mut costs = Costs::default();
    let mut after = 0;
    loop {
        let page = store.records(run, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(costs.total()) };
        after = last.seq;
        page.iter().for_each(|entry| {
            costs.add(entry);
        });
    }
}
