//! Workflows from file to result: read, start, work, resume.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventSink;
use motet_core::store::{Control, NewRun, Run, RunState, Task};
use motet_core::workflow::WorkflowSpec;
use motet_core::{ModelId, RunId};
use motet_workflows::dag::plan::{self, RunSettings};
use motet_workflows::dag::read::{self, Problems};
use motet_workflows::dag::worker::{Worker, WorkerConfig};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::batch;
use crate::recording;
use crate::report::{self, RunReport};
use crate::runtime::Runtime;

/// The largest workflow file that is read: 8 MiB.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// A workflow that was read and found sound.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowFile {
    /// What it says.
    pub spec: WorkflowSpec,
    /// Where it was read.
    pub path: PathBuf,
}

impl WorkflowFile {
    /// Gives the settings of a run of this file; `model` stands in for the workflow's own default.
    #[must_use]
    pub fn run_settings(&self, model: Option<ModelId>) -> RunSettings {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        RunSettings {
            file: Some(self.path.to_string_lossy().into_owned()),
            model,
            ..RunSettings::in_directory(directory)
        }
    }
}

/// Why a workflow file was not taken.
#[derive(Debug)]
pub enum FileError {
    /// It could not be read at all.
    Unreadable(Error),
    /// It was read and has problems, each with its place.
    Problems(Problems),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unreadable(error) => error,
            FileError::Problems(problems) => problems.into(),
        }
    }
}

/// What a run is resumed with.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Definition {
    /// The definition it began with.
    #[default]
    AsStored,
    /// The file as it is now: tasks that are the same keep their results.
    Changed(Box<WorkflowFile>),
}

impl Runtime {
    /// Reads and checks a workflow file.
    ///
    /// # Errors
    /// All its problems at once, or why it could not be read.
    pub fn read_workflow(&self, path: &Path) -> Result<WorkflowFile, FileError> {
        let bytes = read_file(path).map_err(FileError::Unreadable)?;
        let methods = self.known_methods(&self.outline(&bytes));
        let spec = read::read(&bytes, &methods.rules(self)).map_err(FileError::Problems)?;
        let path = path.canonicalize().map_err(|error| FileError::Unreadable(unreadable(path, error)))?;
        Ok(WorkflowFile { spec, path })
    }

    /// Checks a workflow that is a value already, such as a Python dictionary.
    ///
    /// Its relative paths start in the directory of its [`RunSettings`], which the caller chooses.
    ///
    /// # Errors
    /// All its problems at once, with paths instead of lines.
    pub fn read_workflow_value(&self, value: &Value) -> Result<WorkflowSpec, Problems> {
        let methods = self.known_methods(value);
        read::read_value(value, &methods.rules(self))
    }

    /// Gives what a workflow holds, as far as that matters to which methods it can call.
    pub(crate) fn outline(&self, bytes: &[u8]) -> Value {
        read::outline(bytes, self.settings().remote.file.is_some())
    }

    /// Stores a run of a workflow; nothing is executed yet.
    ///
    /// # Errors
    /// `InvalidRequest` when the inputs do not fit; `Store` when it cannot be stored.
    pub async fn start(
        &self,
        spec: &WorkflowSpec,
        inputs: Map<String, Value>,
        settings: &RunSettings,
    ) -> Result<RunId> {
        self.start_once(spec, inputs, settings, None).await
    }

    /// Stores a run as [`start`](Self::start) does; where an earlier run has the same key, gives that one and stores
    /// nothing.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_once(
        &self,
        spec: &WorkflowSpec,
        inputs: Map<String, Value>,
        settings: &RunSettings,
        key: Option<String>,
    ) -> Result<RunId> {
        let mut settings = settings.clone();
        if settings.default_model.is_none() {
            settings.default_model.clone_from(&self.settings().model);
        }
        settings.max_repairs.get_or_insert(self.settings().structured.max_repairs);
        let run = NewRun { key, ..plan::plan(spec, inputs, &settings)? };
        self.store().await?.submit(run).await
    }

    /// Works on a run until it has ended or waits for people, and reports it.
    ///
    /// # Errors
    /// `Cancelled` when the token fires: the run can go on later; `Store` when the store fails.
    pub async fn work(
        &self,
        run: &RunId,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<RunReport> {
        let store = self.store().await?;
        if self.is_agent(run).await? {
            self.work_on_agent(run, events, cancellation).await?;
            return report::report(&store, run).await;
        }
        if let Some(call) = recording::find(&store, run).await? {
            recording::resume(self, call, events, cancellation).await?;
            return report::report(&store, run).await;
        }
        let mut worker = Worker::new(Arc::clone(&store), self.methods(), self.worker_config());
        if let Some(events) = events {
            worker = worker.with_events(events);
        }
        worker.run_to_end(run, cancellation).await?;
        report::report(&store, run).await
    }

    /// Makes a failed, cancelled, or interrupted run ready to go on; [`work`](Self::work) then does what is missing.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Conflict` when it is completed.
    pub async fn resume(&self, run: &RunId, definition: Definition) -> Result<()> {
        let store = self.store().await?;
        // Tasks of a worker that died are taken back first, or they would count as running.
        store.advance().await?;
        if store.run(run).await?.is_some_and(|found| found.summary.kind == batch::KIND) {
            return Err(Error::new(ErrorKind::Unsupported, format!("run `{run}` is a batch"))
                .with_hint(format!("`motet batch` goes on with it by `--resume {run}`")));
        }
        if matches!(definition, Definition::Changed(_)) && self.is_agent(run).await? {
            return Err(Error::new(ErrorKind::Unsupported, format!("run `{run}` is that of an agent"))
                .with_hint("it goes on as it was stored; start a new run of the changed file"));
        }
        match definition {
            Definition::AsStored => store.control(run, Control::Resume).await,
            Definition::Changed(file) => {
                let stored = store.run(run).await?.ok_or_else(|| report::no_such_run(run))?;
                store.control(run, redefinition(stored, &file.spec)?).await
            }
        }
    }

    /// Stops a run: nothing new starts, and what runs is told to stop.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Conflict` when it has ended otherwise.
    pub async fn cancel(&self, run: &RunId) -> Result<()> {
        let store = self.store().await?;
        // Tasks of a worker that died would keep the run from ending.
        store.advance().await?;
        store.control(run, Control::Cancel).await
    }

    /// Halts a run until it is resumed: nothing new starts, and what runs may finish.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Conflict` when it has ended.
    pub async fn pause(&self, run: &RunId) -> Result<()> {
        self.store().await?.control(run, Control::Pause).await
    }

    /// Reports how a run stands.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store fails.
    pub async fn report(&self, run: &RunId) -> Result<RunReport> {
        report::report(&self.store().await?, run).await
    }

    /// Gives the tasks of a run in the order written, each with its result; items of `for_each` are left out.
    ///
    /// # Errors
    /// `Store` when the store fails.
    pub async fn results(&self, run: &RunId) -> Result<Vec<(Task, Option<Value>)>> {
        report::results(&self.store().await?, run).await
    }

    pub(crate) fn worker_config(&self) -> WorkerConfig {
        let settings = self.settings();
        let mut config = WorkerConfig::default();
        config.max_parallel_tasks = settings.max_parallel_tasks;
        config.lease = settings.worker.lease;
        config.max_running = settings.worker.max_running;
        config.drain_timeout = settings.worker.drain_timeout;
        config.allowed_directories =
            settings.files.allow.iter().map(|path| self.directory().join(path)).collect();
        config.default_model.clone_from(&settings.model);
        config.run_time = settings.budget.run_time;
        config.counts_spending = settings.budget.run_cost.is_some() || settings.budget.run_tokens.is_some();
        config.tenant.clone_from(&settings.budget.tenant);
        let runtime = self.clone();
        config.environment =
            Arc::new(move |name| runtime.loaded().variable(name).map(|value| value.expose().to_owned()));
        config
    }
}

fn redefinition(stored: Run, new: &WorkflowSpec) -> Result<Control> {
    if stored.summary.state == RunState::Completed {
        return Err(Error::new(ErrorKind::Conflict, format!("run `{}` is completed", stored.summary.id))
            .with_hint("start a new run of the changed file"));
    }
    let old: WorkflowSpec = serde_json::from_value(stored.definition).map_err(|error| {
        Error::new(ErrorKind::Store, "the stored definition cannot be read").with_source(error)
    })?;
    let settings: RunSettings = serde_json::from_value(Value::Object(stored.settings)).map_err(|error| {
        Error::new(ErrorKind::Store, "the stored settings cannot be read").with_source(error)
    })?;
    let definition = serde_json::to_value(new).map_err(|error| {
        Error::new(ErrorKind::Internal, "a workflow cannot be written as JSON").with_source(error)
    })?;
    Ok(Control::Redefine {
        definition,
        tasks: plan::tasks(new, &settings)?,
        unchanged: plan::unchanged(&old, new),
    })
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{}` is a directory", path.display()))
            .with_hint("name a file such as `workflow.yaml`"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        let size = metadata.len() >> 20;
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{}` has {size} MiB", path.display()))
            .with_hint("such a file has at most 8 MiB; keep data in files of their own"));
    }
    std::fs::read(path).map_err(|error| unreadable(path, error))
}

pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == std::io::ErrorKind::NotFound {
        ErrorKind::NotFound
    } else {
        ErrorKind::InvalidRequest
    };
    Error::new(kind, format!("`{}` cannot be read: {error}", path.display())).with_source(error)
}
