//! What runs ask people, and what they decide.

use async_trait::async_trait;
use motet::Runtime;
use motet::core::decision::{Decision, Decisions, Question as CoreQuestion};
use motet::core::store::AskedQuestion;
use motet::core::tool::ToolOutput;
use motet::core::{Error, ErrorKind, Result, RunId};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use serde_json::Value;

use crate::callback::Function;
use crate::convert::{from_python, to_python};
use crate::show::show;

/// Something that a run cannot decide by itself.
#[pyclass(frozen, module = "motet")]
pub(crate) struct Question {
    question: CoreQuestion,
    run: RunId,
    is_open: bool,
}

impl Question {
    /// Makes what Python sees of a question that is open.
    pub(crate) fn open(question: CoreQuestion, run: RunId) -> Self {
        Self { question, run, is_open: true }
    }

    /// Makes the list of stored questions.
    pub(crate) fn list(py: Python<'_>, asked: Vec<AskedQuestion>) -> PyResult<Bound<'_, PyList>> {
        let list = PyList::empty(py);
        for asked in asked {
            list.append(Py::new(py, Self::stored(asked))?)?;
        }
        Ok(list)
    }

    pub(crate) fn stored(asked: AskedQuestion) -> Self {
        Self { is_open: asked.is_open(), run: asked.run, question: asked.question }
    }
}

#[pymethods]
impl Question {
    /// Step at which the answer is recorded, by which the question is answered.
    #[getter]
    fn step(&self) -> &str {
        &self.question.step
    }

    /// Id of the run that waits.
    #[getter]
    fn run_id(&self) -> &str {
        self.run.as_str()
    }

    /// Why it is asked: `approval`, or `unknown_outcome` of a call that began before a crash.
    #[getter]
    fn reason(&self) -> &'static str {
        self.question.reason.as_str()
    }

    /// The agent that wants to go on.
    #[getter]
    fn agent(&self) -> Option<&str> {
        self.question.agent.as_deref()
    }

    /// The tool that is to be called.
    #[getter]
    fn tool(&self) -> &str {
        &self.question.tool
    }

    /// Id of the call.
    #[getter]
    fn call_id(&self) -> &str {
        &self.question.call_id
    }

    /// Arguments of the call.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.question.arguments)
    }

    /// JSON schema that other arguments must satisfy.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.question.schema)
    }

    /// Why the last answer could not be used, where there was one.
    #[getter]
    fn problem(&self) -> Option<&str> {
        self.question.problem.as_deref()
    }

    /// True while nobody has decided.
    #[getter]
    fn is_open(&self) -> bool {
        self.is_open
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["step", "run_id", "reason", "tool", "arguments"])
    }
}

/// Reads a decision as the Python half writes it: that of JSON, but with the result of `answer` as any value.
pub(crate) fn decision(value: Value) -> Result<Decision> {
    if value.get("decision").and_then(Value::as_str) == Some("answer") {
        let result = value.get("result").cloned().unwrap_or_default();
        return Ok(Decision::Answer { output: ToolOutput::json(&result) });
    }
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("this is no decision: {error}"))
            .with_hint("use `True`, `False`, `motet.Approve`, `motet.Deny`, or `motet.Answer`")
    })
}

/// Somebody who decides at once, as a Python function.
pub(crate) struct PythonDecisions {
    function: Function,
    run: RunId,
}

impl PythonDecisions {
    /// Reads the function that decides.
    pub(crate) fn of(object: &Bound<'_, PyAny>, run: RunId) -> PyResult<Self> {
        Ok(Self { function: Function::of(object)?, run })
    }
}

#[async_trait]
impl Decisions for PythonDecisions {
    async fn decide(&self, question: &CoreQuestion) -> Result<Option<Decision>> {
        let question = Question::open(question.clone(), self.run.clone());
        let arguments = move |py: Python<'_>| Ok(PyTuple::new(py, [Py::new(py, question)?])?.unbind());
        match self.function.call(arguments, None).await? {
            Value::Null => Ok(None),
            value => decision(value).map(Some),
        }
    }
}

/// Answers a question of a stored run.
pub(crate) async fn decide(
    runtime: Runtime,
    run: RunId,
    step: Option<String>,
    decided: Value,
) -> Result<AskedQuestion> {
    runtime.decide(&run, step.as_deref(), decision(decided)?).await
}

/// Reads a decision that Python gives.
pub(crate) fn given(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    from_python(object, "decision")
}
