//! One engine over one set of settings, as `motet.Client` and the functions of the package use it.
//!
//! An engine with settings of its own reads files and environment once. The one without follows the current directory
//! and the environment, so that changing them needs no restart.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use motet::Runtime;
use motet::core::request::Output;
use motet::core::{ChatRequest, Error, ErrorKind, ModelId, RunContext, RunId};
use motet::discover::{Discovered, discover};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};
use tokio_util::sync::CancellationToken;

use crate::awaiting::{Build, awaitable, built, wait};
use crate::callback::may_wait;
use crate::convert::{from_python, map_from_python};
use crate::decision::{self, Question};
use crate::error::raise;
use crate::hook;
use crate::request::{Asked, model_id};
use crate::response::Response;
use crate::stream::Stream;
use crate::workflow::{self, Problem, Report, RunSummary, Source};

/// How many runtimes an engine keeps: one for each address and, without settings, for each place it was used in.
const KEPT: usize = 8;

/// Options of a provider that may be given without its name; the model says which provider is meant.
const OF_THE_PROVIDER: &[&str] = &["base_url", "api_key"];

/// Settings and the runtimes made of them.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct Engine {
    overrides: Vec<(String, String)>,
    /// Where settings are looked for; the current directory at each call where it is not fixed.
    directory: Option<PathBuf>,
    made: Mutex<Vec<Made>>,
}

struct Made {
    key: Key,
    runtime: Runtime,
    /// How much of what is registered by name the runtime knows.
    told: u64,
}

/// What a runtime was made for; in another process, place, or environment it is another one.
#[derive(PartialEq)]
struct Key {
    process: u32,
    place: Option<(PathBuf, u64)>,
    base_url: Option<(String, String)>,
}

impl Engine {
    /// Gives the runtime for this process, place, and environment.
    pub(crate) fn runtime(&self, py: Python<'_>, base_url: Option<(String, String)>) -> PyResult<Runtime> {
        self.find(py, base_url).map_err(|error| raise(py, &error))
    }

    fn find(&self, py: Python<'_>, base_url: Option<(String, String)>) -> Result<Runtime, Error> {
        let (directory, place) = match &self.directory {
            Some(directory) => (directory.clone(), None),
            None => {
                let directory = current_directory()?;
                (directory.clone(), Some((directory, environment())))
            }
        };
        let key = Key { process: process::id(), place, base_url };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        leave_inherited(&mut made);
        let told = hook::changes();
        if let Some(found) = made.iter_mut().find(|made| made.key == key) {
            if std::mem::replace(&mut found.told, told) != told {
                hook::tell(&found.runtime);
            }
            return Ok(found.runtime.clone());
        }
        let runtime = self.make(&directory, key.base_url.as_ref())?;
        hook::tell(&runtime);
        let oldest = if made.len() >= KEPT { Some(made.remove(0)) } else { None };
        made.push(Made { key, runtime: runtime.clone(), told });
        drop(made);
        py.detach(|| drop(oldest));
        Ok(runtime)
    }

    fn make(&self, directory: &Path, base_url: Option<&(String, String)>) -> Result<Runtime, Error> {
        let by_code = |path: String, value: &str| (path, value.to_owned(), "Python code".to_owned());
        let (own, plain): (Vec<_>, Vec<_>) =
            self.overrides.iter().partition(|(path, _)| OF_THE_PROVIDER.contains(&path.as_str()));
        let mut overrides: Vec<_> = plain.iter().map(|(path, value)| by_code(path.clone(), value)).collect();
        if !own.is_empty() {
            let Discovered { loaded, .. } = discover(directory, overrides.clone())?;
            let model = loaded.settings.model.ok_or_else(no_provider)?;
            let path = |name: &str| format!("providers.{}.{name}", model.provider());
            overrides.extend(own.iter().map(|(name, value)| by_code(path(name), value)));
        }
        if let Some((provider, url)) = base_url {
            overrides.push(by_code(format!("providers.{provider}.base_url"), url));
        }
        let Discovered { loaded, directory } = discover(directory, overrides)?;
        Runtime::new(loaded, directory)
    }

    /// Makes everything that a call needs.
    fn call(&self, prompt: &Bound<'_, PyAny>, options: &Bound<'_, PyDict>) -> PyResult<Call> {
        let py = prompt.py();
        let mut asked = Asked::read(prompt, options)?;
        let mut runtime = None;
        let model = match asked.model.take() {
            Some(model) => model,
            None => {
                let found = self.runtime(py, None)?;
                runtime.insert(found).default_model().map_err(|error| raise(py, &error))?
            }
        };
        let runtime = match (runtime, asked.base_url.take()) {
            (Some(runtime), None) => runtime,
            (_, url) => self.runtime(py, url.map(|url| (model.provider().to_owned(), url)))?,
        };
        let mut context = RunContext::new();
        if let Some(timeout) = asked.timeout {
            context = context.with_timeout(timeout);
        }
        Ok(Call { runtime, context, request: asked.request(model) })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        leave_inherited(self.made.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Forgets what was made before a fork: it leans on threads that were left behind, so its end would be waited for in vain.
fn leave_inherited(made: &mut Vec<Made>) {
    if made.first().is_some_and(|first| first.key.process != process::id()) {
        mem::forget(mem::take(made));
    }
}

fn no_provider() -> Error {
    Error::new(ErrorKind::Configuration, "`base_url` and `api_key` need a model")
        .with_hint("name the model whose provider is meant, for example `custom:my-model`")
}

fn current_directory() -> Result<PathBuf, Error> {
    std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
    })
}

/// Gives a number that changes with the environment.
fn environment() -> u64 {
    let mut hasher = DefaultHasher::new();
    for variable in std::env::vars_os() {
        variable.hash(&mut hasher);
    }
    hasher.finish()
}

/// One call of a model.
struct Call {
    runtime: Runtime,
    context: RunContext,
    request: ChatRequest,
}

impl Call {
    async fn complete(self) -> Build {
        let Self { runtime, context, request } = self;
        let result = match request.output {
            Output::JsonSchema(_) => {
                runtime.structured(&context, request).await.map(|(value, response)| (response, Some(value)))
            }
            _ => runtime.complete(&context, &request).await.map(|response| (response, None)),
        };
        built(result, |py, (response, json)| Ok(Bound::new(py, Response::new(response, json))?.into_any()))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let Some(settings) = settings else {
            return Ok(Self { overrides: Vec::new(), directory: None, made: Mutex::default() });
        };
        let mut overrides = Vec::new();
        for (path, value) in settings.iter() {
            if !value.is_none() {
                overrides.push((path.extract::<String>()?.replace("__", "."), setting(&value)?));
            }
        }
        let directory = current_directory().map_err(|error| raise(py, &error))?;
        let engine = Self { overrides, directory: Some(directory), made: Mutex::default() };
        engine.runtime(py, None)?;
        Ok(engine)
    }

    fn complete<'py>(
        &self,
        prompt: &Bound<'py, PyAny>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = self.call(prompt, options)?;
        awaitable(prompt.py(), &call.context.cancellation().clone(), call.complete())
    }

    fn complete_sync<'py>(
        &self,
        prompt: &Bound<'py, PyAny>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = self.call(prompt, options)?;
        wait(prompt.py(), &call.context.cancellation().clone(), call.complete())
    }

    fn stream(&self, prompt: &Bound<'_, PyAny>, options: &Bound<'_, PyDict>) -> PyResult<Stream> {
        let Call { runtime, context, request } = self.call(prompt, options)?;
        Ok(Stream::new(runtime, context, request))
    }

    #[pyo3(signature = (workflow, inputs, model, *, blocking))]
    fn run_workflow<'py>(
        &self,
        workflow: &Bound<'py, PyAny>,
        inputs: &Bound<'py, PyAny>,
        model: Option<&Bound<'py, PyAny>>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        may_wait(workflow.py(), blocking)?;
        let source = Source::of(workflow)?;
        let inputs =
            if inputs.is_none() { serde_json::Map::new() } else { map_from_python(inputs, "inputs")? };
        let model: Option<ModelId> = model.map(model_id).transpose()?;
        let runtime = self.runtime(workflow.py(), None)?;
        let cancellation = CancellationToken::new();
        let work = workflow::run(runtime, source, inputs, model, cancellation.clone());
        Mode::of(blocking).finish(workflow.py(), &cancellation, async { report(work.await) })
    }

    #[pyo3(signature = (run, *, blocking))]
    fn resume_workflow<'py>(
        &self,
        run: &Bound<'py, PyString>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = run.py();
        may_wait(py, blocking)?;
        let run = run_id(run)?;
        let cancellation = CancellationToken::new();
        let work = workflow::resume(self.runtime(py, None)?, run, cancellation.clone());
        Mode::of(blocking).finish(py, &cancellation, async { report(work.await) })
    }

    #[pyo3(signature = (run, *, blocking))]
    fn workflow_status<'py>(
        &self,
        run: &Bound<'py, PyString>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = run.py();
        let run = run_id(run)?;
        let work = workflow::status(self.runtime(py, None)?, run);
        Mode::of(blocking).finish(py, &CancellationToken::new(), async {
            built(work.await, |py, ran| match ran {
                Some(ran) => Ok(Bound::new(py, Report::new(py, ran)?)?.into_any()),
                None => Ok(py.None().into_bound(py)),
            })
        })
    }

    #[pyo3(signature = (limit, *, blocking))]
    fn list_workflows<'py>(
        &self,
        py: Python<'py>,
        limit: u32,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let work = workflow::list(self.runtime(py, None)?, limit);
        Mode::of(blocking).finish(py, &CancellationToken::new(), async {
            built(work.await, |py, runs| Ok(RunSummary::list(py, runs)?.into_any()))
        })
    }

    #[pyo3(signature = (workflow, *, blocking))]
    fn check_workflow<'py>(
        &self,
        workflow: &Bound<'py, PyAny>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let source = Source::of(workflow)?;
        let runtime = self.runtime(workflow.py(), None)?;
        Mode::of(blocking).finish(workflow.py(), &CancellationToken::new(), async move {
            built(workflow::check(&runtime, &source), |py, problems| match problems {
                Some(problems) => Ok(Problem::list(py, &problems)?.into_any()),
                None => Ok(pyo3::types::PyList::empty(py).into_any()),
            })
        })
    }

    #[pyo3(signature = (run, *, blocking))]
    fn questions<'py>(
        &self,
        py: Python<'py>,
        run: Option<&Bound<'py, PyString>>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let run = run.map(run_id).transpose()?;
        let runtime = self.runtime(py, None)?;
        Mode::of(blocking).finish(py, &CancellationToken::new(), async move {
            built(
                runtime.questions(run.as_ref()).await,
                |py, asked| Ok(Question::list(py, asked)?.into_any()),
            )
        })
    }

    #[pyo3(signature = (run, decided, step, *, blocking))]
    fn decide<'py>(
        &self,
        run: &Bound<'py, PyString>,
        decided: &Bound<'py, PyAny>,
        step: Option<String>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = run.py();
        let work = decision::decide(self.runtime(py, None)?, run_id(run)?, step, decision::given(decided)?);
        Mode::of(blocking).finish(py, &CancellationToken::new(), async {
            built(work.await, |py, asked| Ok(Bound::new(py, Question::stored(asked))?.into_any()))
        })
    }

    #[pyo3(signature = (*, blocking))]
    fn open_store<'py>(&self, py: Python<'py>, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        let runtime = self.runtime(py, None)?;
        Mode::of(blocking).finish(py, &CancellationToken::new(), async move {
            built(runtime.store().await, |py, _| Ok(py.None().into_bound(py)))
        })
    }
}

fn report(result: Result<workflow::Ran, crate::error::Failure>) -> Build {
    built(result, |py, ran| Ok(Bound::new(py, Report::new(py, ran)?)?.into_any()))
}

/// Reads the id of a run.
pub(crate) fn run_id(text: &Bound<'_, PyString>) -> PyResult<RunId> {
    text.to_str()?.parse().map_err(|error| raise(text.py(), &error))
}

/// Whether Python awaits or blocks.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Awaiting,
    Blocking,
}

impl Mode {
    pub(crate) fn of(blocking: bool) -> Self {
        if blocking { Mode::Blocking } else { Mode::Awaiting }
    }

    /// Awaits the work, or blocks until it is done.
    pub(crate) fn finish<'py>(
        self,
        py: Python<'py>,
        cancellation: &CancellationToken,
        work: impl Future<Output = Build> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Mode::Awaiting => awaitable(py, cancellation, work),
            Mode::Blocking => wait(py, cancellation, work),
        }
    }
}

/// Writes a setting's value as on a command line.
fn setting(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.to_owned());
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(truth.is_true().to_string());
    }
    if let Ok(path) = value.extract::<PathBuf>() {
        return Ok(path.to_string_lossy().into_owned());
    }
    Ok(from_python(value, "setting")?.to_string())
}
