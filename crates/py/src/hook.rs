//! Hooks and guardrails that are Python functions, in agents and by the names that files use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use motet::Runtime;
use motet::agent::{AddedGuardrail, AddedHook};
use motet::agents::guardrails::{Custom, Finding, Guardrail, OnFailure, Place, Remedy};
use motet::agents::{Hook, HookEntry, HookSpec, OnError, Payload, Reaction, Stage};
use motet::core::{Error, ErrorKind, Result, RunContext};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::callback::Function;
use crate::convert::{from_python, map_to_python, to_python};
use crate::request::seconds;

/// A Python function that is called at stages of a run, with the options that a file gives it.
struct PythonHook {
    function: Arc<Function>,
    options: Map<String, Value>,
}

#[async_trait]
impl Hook for PythonHook {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let shown = written(payload)?;
        let options = &self.options;
        let arguments = |py: Python<'_>| {
            let (payload, options) = (to_python(py, &shown)?, map_to_python(py, options)?);
            Ok(PyTuple::new(py, [payload, options.into_any()])?.unbind())
        };
        match self.function.call(arguments, None).await? {
            Value::Null => Ok(Reaction::Continue),
            Value::String(reason) => Ok(Reaction::Stop { reason }),
            Value::Object(changes) => changed(payload, shown, changes),
            other => Err(Error::new(ErrorKind::ToolFailed, format!("it answered `{other}`"))
                .with_hint("return the changed payload, `motet.Stop`, or nothing")),
        }
    }
}

fn written(payload: &Payload) -> Result<Value> {
    serde_json::to_value(payload).map_err(|error| {
        Error::new(ErrorKind::Internal, "a payload cannot be written as JSON").with_source(error)
    })
}

/// Puts what a function changed into the payload; what it leaves out stays.
fn changed(before: &Payload, shown: Value, changes: Map<String, Value>) -> Result<Reaction> {
    let mut whole = shown;
    if let Value::Object(fields) = &mut whole {
        fields.extend(changes);
    }
    let payload: Payload = serde_json::from_value(whole).map_err(|error| {
        Error::new(
            ErrorKind::ToolFailed,
            format!("what it returned is no payload of `{}`: {error}", before.stage()),
        )
    })?;
    Ok(if payload == *before { Reaction::Continue } else { Reaction::Change(Box::new(payload)) })
}

/// Falls back to what a Python function makes of a payload; to the payload itself where that fails as well.
fn fallback(object: &Bound<'_, PyAny>) -> PyResult<OnError> {
    if let Ok(text) = object.extract::<String>() {
        return Ok(OnError::Fallback(Arc::new(move |payload| {
            let mut payload = payload.clone();
            payload.change_texts(&mut |_| Some(text.clone()));
            payload
        })));
    }
    let function = object.clone().unbind();
    Ok(OnError::Fallback(Arc::new(move |payload| {
        let made = Python::try_attach(|py| {
            let shown = written(payload).map_err(|error| crate::error::raise(py, &error))?;
            let made = function.call1(py, (to_python(py, &shown)?,))?;
            let Value::Object(changes) = from_python(made.bind(py), "payload")? else { return Ok(None) };
            Ok::<_, PyErr>(match changed(payload, shown, changes) {
                Ok(Reaction::Change(changed)) => Some(*changed),
                _ => None,
            })
        });
        made.and_then(std::result::Result::ok).flatten().unwrap_or_else(|| payload.clone())
    })))
}

/// Reads a hook of an agent: a `motet.Hook`, or a dictionary as in files.
pub(crate) fn added_hook(object: &Bound<'_, PyAny>) -> PyResult<AddedHook> {
    if object.is_instance_of::<PyDict>() {
        return read::<HookSpec>(object, "hook").map(AddedHook::Named);
    }
    let name: String = object.getattr("name")?.extract()?;
    let stages: Vec<Stage> = read(&object.getattr("stages")?, "stages")?;
    let fallback_to = object.getattr("fallback")?;
    let on_error = match object.getattr("on_error")?.extract::<&str>()? {
        "skip" => OnError::Skip,
        "abort" => OnError::Abort,
        "fallback" => fallback(&fallback_to)?,
        other => {
            let message = format!("`on_error` must be `skip`, `abort`, or `fallback`, not `{other}`");
            return Err(PyValueError::new_err(message));
        }
    };
    let hook = PythonHook { function: Arc::new(Function::of(object)?), options: Map::new() };
    let entry = HookEntry::new(name, stages, hook).on_error(on_error);
    Ok(AddedHook::Function(entry.timeout(seconds(&object.getattr("timeout")?, "timeout")?)))
}

/// Reads a guardrail of an agent: a `motet.Guardrail`, or a dictionary as in files.
pub(crate) fn added_guardrail(object: &Bound<'_, PyAny>) -> PyResult<AddedGuardrail> {
    if object.is_instance_of::<PyDict>() {
        return read(object, "guardrail").map(AddedGuardrail::Written);
    }
    let on_failure: OnFailure = read(&object.getattr("on_failure")?, "on_failure")?;
    let timeout = seconds(&object.getattr("timeout")?, "timeout")?;
    Ok(AddedGuardrail::Function { guardrail: guardrail(object)?, on_failure, timeout })
}

fn guardrail(object: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Guardrail>> {
    let name: String = object.getattr("name")?.extract()?;
    let places: Vec<Place> = read(&object.getattr("places")?, "places")?;
    let function = Arc::new(Function::of(object)?);
    Ok(Arc::new(Custom::asynchronous(name, places, move |_, looked| {
        let function = Arc::clone(&function);
        async move {
            let (text, place) = (looked.text.clone(), looked.place.as_str());
            let arguments = move |py: Python<'_>| Ok(PyTuple::new(py, [text.as_str(), place])?.unbind());
            let answer = function.call(arguments, None).await?;
            findings(&answer, &looked.text)
        }
    })))
}

/// Reads findings of the form `[action, start, end, text]`, whose places count characters.
fn findings(answer: &Value, text: &str) -> Result<Vec<Finding>> {
    let wrong = || Error::new(ErrorKind::ToolFailed, format!("`{answer}` are no findings"));
    let byte = |place: &Value| {
        let place = usize::try_from(place.as_u64()?).ok()?;
        let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        starts.nth(place)
    };
    let finding = |item: &Value| {
        let [action, start, end, said] = item.as_array()?.as_slice() else { return None };
        let end = if end.is_null() { text.len() } else { byte(end)? };
        let said = said.as_str()?.to_owned();
        let remedy = match action.as_str()? {
            "redact" => Remedy::Replace(said),
            "block" => Remedy::Block(said),
            _ => Remedy::AskAgain(said),
        };
        Some(Finding { span: byte(start)?..end, remedy })
    };
    answer.as_array().ok_or_else(wrong)?.iter().map(|item| finding(item).ok_or_else(wrong)).collect()
}

fn read<T: DeserializeOwned>(object: &Bound<'_, PyAny>, name: &str) -> PyResult<T> {
    let value = from_python(object, name)?;
    serde_json::from_value(value)
        .map_err(|error| PyValueError::new_err(format!("`{name}` does not fit: {error}")))
}

/// What is registered by name for files of agents, in every runtime of the process.
#[derive(Clone)]
enum Registered {
    Hook(Arc<Function>, Arc<Takes>),
    Guardrail(Arc<dyn Guardrail>),
}

static REGISTERED: Mutex<Vec<(String, Registered)>> = Mutex::new(Vec::new());
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Gives a number that grows with every registration.
pub(crate) fn changes() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

/// Makes a runtime know what is registered.
pub(crate) fn tell(runtime: &Runtime) {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (name, entry) in registered {
        match entry {
            Registered::Guardrail(guardrail) => runtime.register_guardrail(name, guardrail),
            Registered::Hook(function, takes) => runtime.register_hook(name, move |options| {
                takes.check(options)?;
                Ok(Arc::new(PythonHook { function: Arc::clone(&function), options: options.clone() }))
            }),
        }
    }
}

/// Which options a function takes. It is read once, as whoever builds an agent may hold a lock that a thread with the
/// interpreter waits for.
struct Takes {
    /// Their names; `None` where it takes any.
    names: Option<Vec<String>>,
    /// Those that it must be given.
    required: Vec<String>,
}

impl Takes {
    fn check(&self, options: &Map<String, Value>) -> Result<()> {
        let wrong = |problem: String| {
            Error::new(ErrorKind::Configuration, format!("the options do not fit: {problem}"))
        };
        if let Some(missing) = self.required.iter().find(|name| !options.contains_key(*name)) {
            return Err(wrong(format!("`{missing}` is missing")));
        }
        let Some(names) = &self.names else { return Ok(()) };
        match options.keys().find(|name| !names.contains(name)) {
            Some(unknown) => Err(wrong(format!("there is no `{unknown}`"))
                .with_hint(format!("the function takes {}", names.join(", ")))),
            None => Ok(()),
        }
    }
}

fn register(name: String, entry: Registered) {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    registered.retain(|(known, other)| {
        *known != name || std::mem::discriminant(other) != std::mem::discriminant(&entry)
    });
    registered.push((name, entry));
    CHANGES.fetch_add(1, Ordering::Release);
}

/// Registers a hook by name.
#[pyfunction]
pub(crate) fn register_hook(name: String, hook: &Bound<'_, PyAny>) -> PyResult<()> {
    let (names, required) = hook.call_method0("takes")?.extract()?;
    let takes = Takes { names, required };
    register(name, Registered::Hook(Arc::new(Function::of(hook)?), Arc::new(takes)));
    Ok(())
}

/// Registers a guardrail by name.
#[pyfunction]
pub(crate) fn register_guardrail(name: String, object: &Bound<'_, PyAny>) -> PyResult<()> {
    register(name, Registered::Guardrail(guardrail(object)?));
    Ok(())
}
