//! Workflows for Python: reading, running, resuming, and what runs came to.

use std::path::PathBuf;

use motet::core::store::{self, RunFilter, Task};
use motet::core::workflow::WorkflowSpec;
use motet::core::{Cost, Error, ErrorKind, Millis, ModelId, RunId};
use motet::workflow::Definition;
use motet::workflows::dag::plan::RunSettings;
use motet::workflows::dag::read::Problems;
use motet::{RunReport, Runtime};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::convert::{from_python, to_python, type_name};
use crate::error::{Failure, instance};
use crate::response::Usage;
use crate::show::show;

/// Where a workflow is written.
pub(crate) enum Source {
    File(PathBuf),
    Value(Value),
}

impl Source {
    /// Reads a path or a dictionary.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyDict>() {
            return from_python(object, "workflow").map(Source::Value);
        }
        object.extract().map(Source::File).map_err(|_| {
            let found = type_name(object);
            PyTypeError::new_err(format!("a workflow is the path of a file or a dict, not {found}"))
        })
    }

    fn read(
        &self,
        runtime: &Runtime,
        model: Option<ModelId>,
    ) -> Result<(WorkflowSpec, RunSettings), Failure> {
        match self {
            Source::File(path) => {
                let file = runtime.read_workflow(path)?;
                let settings = file.run_settings(model);
                Ok((file.spec, settings))
            }
            Source::Value(value) => {
                let spec = runtime.read_workflow_value(value).map_err(Failure::Problems)?;
                let directory = std::env::current_dir().map_err(|error| {
                    Error::new(ErrorKind::Configuration, "the current directory cannot be found")
                        .with_source(error)
                })?;
                Ok((spec, RunSettings { model, ..RunSettings::in_directory(&directory) }))
            }
        }
    }
}

/// A run as it stands, with the results of its tasks.
pub(crate) struct Ran {
    report: RunReport,
    results: Vec<(Task, Option<Value>)>,
}

/// Reads a workflow and works on a run of it to the end.
pub(crate) async fn run(
    runtime: Runtime,
    source: Source,
    inputs: Map<String, Value>,
    model: Option<ModelId>,
    cancellation: CancellationToken,
) -> Result<Ran, Failure> {
    let (spec, settings) = source.read(&runtime, model)?;
    let run = runtime.start(&spec, inputs, &settings).await?;
    work(&runtime, &run, &cancellation).await
}

/// Goes on with a run that failed or was interrupted.
pub(crate) async fn resume(
    runtime: Runtime,
    run: RunId,
    cancellation: CancellationToken,
) -> Result<Ran, Failure> {
    runtime.resume(&run, Definition::AsStored).await?;
    work(&runtime, &run, &cancellation).await
}

async fn work(runtime: &Runtime, run: &RunId, cancellation: &CancellationToken) -> Result<Ran, Failure> {
    let report = runtime.work(run, None, cancellation).await;
    let report = report.map_err(|error| error.with_context("run", run.as_str()))?;
    let results = runtime.results(run).await?;
    Ok(Ran { report, results })
}

/// Tells how a run stands; `None` when there is no such run.
pub(crate) async fn status(runtime: Runtime, run: RunId) -> Result<Option<Ran>, Failure> {
    match runtime.report(&run).await {
        Ok(report) => Ok(Some(Ran { report, results: runtime.results(&run).await? })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finds what is wrong with a workflow; nothing when it is sound.
pub(crate) fn check(runtime: &Runtime, source: &Source) -> Result<Option<Problems>, Failure> {
    match source.read(runtime, None) {
        Ok(_) => Ok(None),
        Err(Failure::Problems(problems)) => Ok(Some(problems)),
        Err(failure) => Err(failure),
    }
}

/// Lists the newest runs.
pub(crate) async fn list(runtime: Runtime, limit: u32) -> Result<Vec<store::RunSummary>, Failure> {
    let filter = RunFilter { limit, ..RunFilter::default() };
    Ok(runtime.store().await?.runs(&filter).await?)
}

/// One thing that is wrong with a workflow.
#[pyclass(frozen, eq, get_all, module = "motet")]
#[derive(PartialEq)]
pub(crate) struct Problem {
    /// What is wrong.
    message: String,
    /// The line, from 1; `None` for a dictionary.
    line: Option<usize>,
    /// The column, from 1, in characters; `None` for a dictionary.
    column: Option<usize>,
    /// The path in a dictionary, such as `tasks[2].params.model`; `None` for a file.
    path: Option<String>,
    /// What to do about it.
    hint: Option<String>,
}

impl Problem {
    /// Makes the list of all problems.
    pub(crate) fn list<'py>(py: Python<'py>, problems: &Problems) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for problem in problems {
            let in_text = problem.path.is_none();
            list.append(Py::new(
                py,
                Self {
                    message: problem.message.clone(),
                    line: in_text.then_some(problem.line),
                    column: in_text.then_some(problem.column),
                    path: problem.path.clone(),
                    hint: problem.hint.clone(),
                },
            )?)?;
        }
        Ok(list)
    }
}

#[pymethods]
impl Problem {
    fn __str__(&self) -> String {
        match (self.line, self.column, &self.path) {
            (Some(line), Some(column), _) => format!("{line}:{column}: {}", self.message),
            (_, _, Some(path)) => format!("{path}: {}", self.message),
            _ => self.message.clone(),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["message", "line", "column", "path", "hint"])
    }
}

/// How one task of a run stands.
#[pyclass(frozen, get_all, module = "motet")]
pub(crate) struct TaskResult {
    /// Name of the task.
    name: String,
    /// `blocked`, `ready`, `running`, `waiting`, `done`, `failed`, or `skipped`.
    status: &'static str,
    /// What the task gave; `None` when it gave nothing.
    result: Py<PyAny>,
    /// Why it failed or was skipped.
    error: Option<Py<PyAny>>,
    /// Attempts made.
    attempts: u32,
}

impl TaskResult {
    fn new(py: Python<'_>, task: &Task, result: Option<&Value>) -> PyResult<Self> {
        let error = task.error.as_ref().map(|report| instance(py, report).map(Bound::unbind));
        Ok(Self {
            name: task.name.clone(),
            status: task.state.as_str(),
            result: to_python(py, result.unwrap_or(&Value::Null))?.unbind(),
            error: error.transpose()?,
            attempts: task.attempt,
        })
    }
}

#[pymethods]
impl TaskResult {
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["name", "status", "result", "error"])
    }
}

/// How a run stands, as the Python half builds its `WorkflowRun` of it.
#[pyclass(frozen, get_all, module = "motet._motet")]
pub(crate) struct Report {
    /// Id of the run.
    id: String,
    /// Name of the workflow.
    name: String,
    /// How it stands.
    state: &'static str,
    /// The workflow's outputs.
    outputs: Py<PyAny>,
    /// Its tasks, in the order written.
    tasks: Vec<Py<TaskResult>>,
    /// Recorded model calls.
    model_calls: u32,
    /// Those of them that were answered from the cache.
    cached_calls: u32,
    /// Tokens of all model calls.
    usage: Py<Usage>,
    /// US dollars of all model calls.
    cost: Option<f64>,
    /// The same in nano-dollars.
    cost_nanos: Option<u64>,
    /// From the start to the end, or to now.
    seconds: f64,
}

impl Report {
    /// Makes the report that Python sees.
    pub(crate) fn new(py: Python<'_>, ran: Ran) -> PyResult<Self> {
        let Ran { report, results } = ran;
        let task =
            |(task, result): &(Task, Option<Value>)| Py::new(py, TaskResult::new(py, task, result.as_ref())?);
        Ok(Self {
            outputs: to_python(py, &Value::Object(report.outputs))?.unbind(),
            tasks: results.iter().map(task).collect::<PyResult<_>>()?,
            model_calls: report.model_calls,
            cached_calls: report.cached_calls,
            usage: Py::new(py, Usage(report.usage))?,
            cost: report.cost.map(Cost::dollars),
            cost_nanos: report.cost.map(Cost::nanos),
            seconds: report.seconds,
            id: report.id.to_string(),
            name: report.name,
            state: report.state.as_str(),
        })
    }
}

/// A run in brief.
#[pyclass(frozen, get_all, module = "motet")]
pub(crate) struct RunSummary {
    /// Id of the run.
    id: String,
    /// Name of the workflow.
    name: String,
    /// What kind of work it is, such as `workflow`.
    kind: String,
    /// `running`, `failing`, `cancelling`, `completed`, `failed`, `cancelled`, or `waiting`.
    state: &'static str,
    /// When it was stored, in UTC.
    created_at: Py<PyAny>,
    /// When it ended; `None` while it goes on.
    ended_at: Option<Py<PyAny>>,
    /// How many tasks it has, items of `for_each` included.
    tasks: u32,
    /// How many are done.
    done: u32,
    /// How many failed.
    failed: u32,
    /// How many were skipped.
    skipped: u32,
}

impl RunSummary {
    /// Makes the list of runs that Python sees.
    pub(crate) fn list(py: Python<'_>, runs: Vec<store::RunSummary>) -> PyResult<Bound<'_, PyList>> {
        let list = PyList::empty(py);
        for run in runs {
            let summary = Self {
                created_at: datetime(py, run.created_at)?,
                ended_at: run.ended_at.map(|at| datetime(py, at)).transpose()?,
                id: run.id.to_string(),
                name: run.name,
                kind: run.kind,
                state: run.state.as_str(),
                tasks: run.tasks,
                done: run.done,
                failed: run.failed,
                skipped: run.skipped,
            };
            list.append(Py::new(py, summary)?)?;
        }
        Ok(list)
    }
}

#[pymethods]
impl RunSummary {
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["id", "name", "state", "created_at", "tasks", "done", "failed", "skipped"])
    }
}

/// Makes a `datetime` in UTC, exact to the millisecond.
fn datetime(py: Python<'_>, at: Millis) -> PyResult<Py<PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    let start = module.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    let since = PyDict::new(py);
    since.set_item("milliseconds", at.0)?;
    let since = module.getattr("timedelta")?.call((), Some(&since))?;
    Ok(start.add(since)?.unbind())
}
