//! Agents for Python: what is written of them, what Python adds, and their runs.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use motet::Runtime;
use motet::agent::{AddedGuardrail, AddedHook, AddedTool, Additions, AgentFile, Extended, Keeping};
use motet::agents::{Prompt, Toolbox as CoreToolbox};
use motet::core::run_log::MemoryLog;
use motet::core::{Error, ErrorKind, RunContext, RunId, Tool};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::agent_result::Finish;
use crate::agent_stream::{AgentStream, Source};
use crate::awaiting::{Build, built};
use crate::callback::Caller;
use crate::conversation::Conversation;
use crate::convert::{from_python, type_name};
use crate::decision::PythonDecisions;
use crate::engine::{Engine, Mode, run_id};
use crate::error::{Failure, raise};
use crate::hook::{added_guardrail, added_hook};
use crate::request::{messages, seconds};
use crate::tool::{PythonTool, ToolContext};
use crate::toolbox::Toolbox;

/// How deep agents may run each other within their tools.
const MAX_DEPTH: usize = 8;

/// An agent: what is written of it, and what Python adds.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct AgentCore(Arc<Definition>);

/// What an agent is made of.
pub(crate) struct Definition {
    pub(crate) file: AgentFile,
    tools: Vec<Offered>,
    handoffs: Vec<Arc<Definition>>,
    hooks: Vec<AddedHook>,
    guardrails: Vec<AddedGuardrail>,
    reader: Option<Py<PyAny>>,
}

/// What Python lets an agent call.
enum Offered {
    Tool(Arc<dyn Tool>),
    /// Those that are switched on when a run begins.
    Toolbox(CoreToolbox),
    Agent(Arc<Definition>),
}

impl Offered {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(agent) = object.cast::<AgentCore>() {
            return Ok(Offered::Agent(Arc::clone(&agent.get().0)));
        }
        if let Ok(toolbox) = object.cast::<Toolbox>() {
            return Ok(Offered::Toolbox(toolbox.get().0.clone()));
        }
        PythonTool::of(object).map(Offered::Tool)
    }
}

impl Definition {
    /// Gives the agent as the engine runs it.
    pub(crate) fn extended(&self) -> Extended {
        let mut tools = Vec::with_capacity(self.tools.len());
        for offered in &self.tools {
            match offered {
                Offered::Tool(tool) => tools.push(AddedTool::Tool(Arc::clone(tool))),
                Offered::Toolbox(toolbox) => tools.extend(toolbox.tools().into_iter().map(AddedTool::Tool)),
                Offered::Agent(agent) => tools.push(AddedTool::Agent(Box::new(agent.extended()))),
            }
        }
        let handoffs = self.handoffs.iter().map(|agent| agent.extended()).collect();
        let additions =
            Additions { tools, handoffs, hooks: self.hooks.clone(), guardrails: self.guardrails.clone() };
        Extended { file: self.file.clone(), additions }
    }

    /// Reads what a run is given beside its prompt; `run` is the one that goes on, where none begins.
    pub(crate) fn begin(
        &self,
        engine: &Bound<'_, Engine>,
        options: &Bound<'_, PyDict>,
        run: Option<&RunId>,
    ) -> PyResult<Begun> {
        let py = engine.py();
        let given = |name: &str| Ok::<_, PyErr>(options.get_item(name)?.filter(|value| !value.is_none()));
        let is = |name: &str| given(name)?.map_or(Ok(false), |value| value.is_truthy());
        let parent = given("parent")?;
        let parent = parent.as_ref().map(|parent| parent.cast::<ToolContext>()).transpose()?;
        let named = given("run_id")?.map(|id| run_id(id.cast::<PyString>()?)).transpose()?;
        let keeping = if is("keep")? { Keeping::InStore } else { Keeping::Nowhere };
        if parent.is_some() && (named.is_some() || keeping == Keeping::InStore) {
            return Err(raise(py, &part_of_a_run()));
        }
        let mut context = match (parent, named.as_ref().or(run)) {
            (Some(parent), _) => self.inner_context(parent)?,
            (None, Some(id)) => RunContext::with_log(id.clone(), Arc::new(MemoryLog::default())),
            (None, None) => RunContext::new(),
        };
        if let Some(timeout) = given("timeout")? {
            context = context.with_timeout(seconds(&timeout, "timeout")?);
        }
        if let Some(decide) = given("decide")? {
            let run = run.unwrap_or_else(|| context.run_id()).clone();
            let decisions = PythonDecisions::of(&decide, run)?;
            context = context.with_decisions(Arc::new(decisions));
        }
        let finish = Finish {
            reader: self.reader.as_ref().map(|reader| reader.clone_ref(py)),
            checks: is("check")?,
            is_inner: parent.is_some(),
            run: run.unwrap_or_else(|| context.run_id()).clone(),
        };
        Ok(Begun { runtime: engine.get().runtime(py, None)?, keeping, context, finish })
    }

    fn inner_context(&self, parent: &Bound<'_, ToolContext>) -> PyResult<RunContext> {
        let context = parent.get().inner_run(&self.file.name());
        let depth = context.step_name().split('/').filter(|piece| *piece == "tool").count();
        if depth <= MAX_DEPTH {
            return Ok(context);
        }
        let message = format!("agents have run each other {MAX_DEPTH} deep, which is the limit");
        let error =
            Error::new(ErrorKind::LimitReached, message).with_hint("do the work without another agent");
        Err(raise(parent.py(), &error))
    }
}

fn part_of_a_run() -> Error {
    Error::new(ErrorKind::InvalidRequest, "`keep` and `run_id` are of no use to a run within a tool")
        .with_hint("the run around it is kept with all its parts")
}

/// A run that is about to begin.
pub(crate) struct Begun {
    pub(crate) runtime: Runtime,
    pub(crate) context: RunContext,
    pub(crate) keeping: Keeping,
    pub(crate) finish: Finish,
}

impl Begun {
    /// Gives what ends the run.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.context.cancellation().clone()
    }
}

/// Makes the result of a run for Python.
pub(crate) fn finished(result: Result<motet::agents::AgentResult, Error>, finish: Finish) -> Build {
    built(result, move |py, result| finish.result(py, result))
}

/// Lets the answers of an agent of a file have a schema that a program gives. Where the file has one, a type may read what
/// satisfies that; another schema beside it would have no effect.
fn give_output(file: &mut AgentFile, schema: Value, is_type: bool) -> Result<(), Error> {
    if file.spec.output.is_none() {
        file.spec.output = Some(schema);
    } else if !is_type {
        return Err(Error::new(ErrorKind::Configuration, "the file has an `output` of its own")
            .with_hint("give no schema, or a type that reads what satisfies the file's"));
    }
    Ok(())
}

fn parts<T>(list: &Bound<'_, PyList>, part: impl Fn(&Bound<'_, PyAny>) -> PyResult<T>) -> PyResult<Vec<T>> {
    list.iter().map(|item| part(&item)).collect()
}

#[pymethods]
impl AgentCore {
    #[new]
    fn new(
        engine: &Bound<'_, Engine>,
        source: &Bound<'_, PyAny>,
        added: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let py = engine.py();
        let list = |name: &str| match added.get_item(name)? {
            Some(list) => Ok(list.cast_into::<PyList>()?),
            None => Ok::<_, PyErr>(PyList::empty(py)),
        };
        let is_whole = list("tools")?.is_empty();
        let mut file = if source.is_instance_of::<PyDict>() {
            let value = from_python(source, "agent")?;
            let read = match is_whole {
                true => Runtime::read_agent_value(&value),
                false => Runtime::read_agent_value_to_extend(&value),
            };
            read.map_err(|error| Failure::from(error).raise(py))?
        } else {
            let path: PathBuf = source.extract().map_err(|_| {
                PyTypeError::new_err(format!("an agent is the path of a file, not {}", type_name(source)))
            })?;
            let runtime = engine.get().runtime(py, None)?;
            let read = match is_whole {
                true => runtime.read_agent(&path),
                false => runtime.read_agent_to_extend(&path),
            };
            read.map_err(|error| Failure::from(error).raise(py))?
        };
        let reader = added.get_item("reader")?.filter(|reader| !reader.is_none()).map(Bound::unbind);
        if let Some(schema) = added.get_item("output")?.filter(|schema| !schema.is_none()) {
            give_output(&mut file, from_python(&schema, "output")?, reader.is_some())
                .map_err(|error| raise(py, &error))?;
        }
        let handoff = |object: &Bound<'_, PyAny>| Ok(Arc::clone(&object.cast::<AgentCore>()?.get().0));
        Ok(Self(Arc::new(Definition {
            file,
            tools: parts(&list("tools")?, Offered::of)?,
            handoffs: parts(&list("handoffs")?, handoff)?,
            hooks: parts(&list("hooks")?, added_hook)?,
            guardrails: parts(&list("guardrails")?, added_guardrail)?,
            reader,
        })))
    }

    #[getter]
    fn name(&self) -> Cow<'_, str> {
        self.0.file.name()
    }

    #[pyo3(signature = (engine, prompt, options, *, blocking))]
    fn run<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        prompt: &Bound<'py, PyAny>,
        options: &Bound<'py, PyDict>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = Prompt(messages(prompt)?);
        let caller = Caller::here(engine.py(), blocking)?;
        let begun = self.0.begin(engine, options, None)?;
        let (cancellation, agent) = (begun.cancellation(), self.0.extended());
        let Begun { runtime, context, keeping, finish } = begun;
        let work = async move { finished(runtime.run_agent(&context, agent, prompt, keeping).await, finish) };
        Mode::of(blocking).finish(engine.py(), &cancellation, caller.during(work))
    }

    fn stream(
        &self,
        engine: &Bound<'_, Engine>,
        prompt: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<AgentStream> {
        let prompt = Prompt(messages(prompt)?);
        let begun = self.0.begin(engine, options, None)?;
        let (cancellation, agent) = (begun.cancellation(), Box::new(self.0.extended()));
        let Begun { runtime, context, keeping, finish } = begun;
        let source = Source::Run { runtime, context, agent, prompt, keeping };
        Ok(AgentStream::new(source, cancellation, finish))
    }

    #[pyo3(signature = (engine, run, options, *, blocking))]
    fn resume<'py>(
        &self,
        engine: &Bound<'py, Engine>,
        run: &Bound<'py, PyString>,
        options: &Bound<'py, PyDict>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let run: RunId = run_id(run)?;
        let caller = Caller::here(engine.py(), blocking)?;
        let begun = self.0.begin(engine, options, Some(&run))?;
        let (cancellation, agent) = (begun.cancellation(), self.0.extended());
        let Begun { runtime, context, finish, .. } = begun;
        let work = async move {
            finished(runtime.resume_agent_with(&context, &run, &agent.additions).await, finish)
        };
        Mode::of(blocking).finish(engine.py(), &cancellation, caller.during(work))
    }

    fn conversation(&self, py: Python<'_>, id: Option<String>) -> PyResult<Conversation> {
        Conversation::new(py, Arc::clone(&self.0), id)
    }
}
