//! Tools that are Python functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use motet::agents::CallContext;
use motet::core::request::ToolSpec;
use motet::core::tool::Effect;
use motet::core::{Result, RunContext, Tool, ToolOutput};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::callback::Function;
use crate::convert::{from_python, to_python};
use crate::request::seconds;

/// Who must agree to a call.
enum Approval {
    /// Nobody, or a person for every call.
    Fixed(bool),
    /// A person, where a function of the arguments says so.
    Asked(Py<PyAny>),
}

/// A Python function that a model may call.
pub(crate) struct PythonTool {
    spec: ToolSpec,
    effect: Effect,
    timeout: Option<Duration>,
    approval: Approval,
    function: Function,
}

impl PythonTool {
    /// Reads a `motet.Tool`.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Tool>> {
        let parameters = from_python(&object.getattr("parameters")?, "parameters")?;
        let name: String = object.getattr("name")?.extract()?;
        let description: String = object.getattr("description")?.extract()?;
        let approval = object.getattr("needs_approval")?;
        let timeout = object.getattr("timeout")?;
        Ok(Arc::new(Self {
            spec: ToolSpec::new(name, description, parameters),
            effect: effect(&object.getattr("effect")?)?,
            timeout: if timeout.is_none() { None } else { Some(seconds(&timeout, "timeout")?) },
            approval: match approval.extract::<bool>() {
                Ok(fixed) => Approval::Fixed(fixed),
                Err(_) => Approval::Asked(approval.unbind()),
            },
            function: Function::of(object)?,
        }))
    }
}

fn effect(object: &Bound<'_, PyAny>) -> PyResult<Effect> {
    match object.extract::<&str>()? {
        "pure" => Ok(Effect::Pure),
        "idempotent" => Ok(Effect::Idempotent),
        "at_most_once" => Ok(Effect::AtMostOnce),
        other => Err(PyValueError::new_err(format!(
            "`effect` must be `pure`, `idempotent`, or `at_most_once`, not `{other}`"
        ))),
    }
}

#[async_trait]
impl Tool for PythonTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, context: &motet::core::ToolContext<'_>) -> Result<ToolOutput> {
        let call = CallContext::of(context);
        let arguments = move |py: Python<'_>| Ok(PyTuple::new(py, [to_python(py, &arguments)?])?.unbind());
        self.function.call(arguments, Some(call)).await.map(|value| ToolOutput::json(&value))
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// A function that fails asks for agreement, as nothing may happen that somebody might have refused.
    fn needs_approval(&self, arguments: &Value) -> bool {
        match &self.approval {
            Approval::Fixed(fixed) => *fixed,
            Approval::Asked(function) => {
                Python::try_attach(|py| function.call1(py, (to_python(py, arguments)?,))?.is_truthy(py))
                    .is_none_or(|asked| asked.unwrap_or(true))
            }
        }
    }
}

/// What a tool may know of the call that it answers.
#[pyclass(frozen, module = "motet")]
pub(crate) struct ToolContext {
    call: CallContext,
    /// Agents run within the call so far, which names their steps apart.
    inner: AtomicU32,
}

impl ToolContext {
    /// Makes what a function is told.
    pub(crate) fn new(call: CallContext) -> Self {
        Self { call, inner: AtomicU32::new(0) }
    }

    /// Gives the context of an agent that the call runs: its steps are named below the call's own, and it ends with the
    /// call.
    pub(crate) fn inner_run(&self, name: &str) -> RunContext {
        let number = self.inner.fetch_add(1, Ordering::Relaxed);
        let run = self.call.run.child(&format!("{name}.{number}"));
        let token: CancellationToken = run.cancellation().child_token();
        run.with_cancellation(token)
    }
}

#[pymethods]
impl ToolContext {
    /// Id of the call.
    #[getter]
    fn call_id(&self) -> &str {
        &self.call.call_id
    }

    /// A key that is the same for every attempt at this call, for other services to recognise repeats by.
    #[getter]
    fn idempotency_key(&self) -> &str {
        &self.call.idempotency_key
    }

    /// Id of the run that the call belongs to.
    #[getter]
    fn run_id(&self) -> &str {
        self.call.run.run_id().as_str()
    }

    /// True when the run or the call has ended or is about to, so that the function had better end too.
    #[getter]
    fn cancelled(&self) -> bool {
        self.call.run.check().is_err()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::show::show(slf.as_any(), &["call_id", "idempotency_key", "run_id"])
    }
}
