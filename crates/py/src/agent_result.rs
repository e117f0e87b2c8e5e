//! What a run of an agent came to, as Python sees it.

use motet::agents::machine::ToolUse as CoreToolUse;
use motet::agents::{AgentResult as CoreResult, Outcome};
use motet::core::{Cost, Error, ErrorKind, Message, RunId};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyType};

use crate::convert::to_python;
use crate::decision::Question;
use crate::error::{instance, raise};
use crate::response::Usage;
use crate::show::show;

/// How the result of a run is handed to Python.
pub(crate) struct Finish {
    /// Makes the typed value of the JSON value.
    pub(crate) reader: Option<Py<PyAny>>,
    /// Whether a run that did not complete raises.
    pub(crate) checks: bool,
    /// Whether a run that waits for a person raises too, as one within a tool does.
    pub(crate) is_inner: bool,
    /// The run.
    pub(crate) run: RunId,
}

impl Finish {
    /// Makes the result, or raises what ended the run with the result at hand.
    pub(crate) fn result<'py>(&self, py: Python<'py>, result: CoreResult) -> PyResult<Bound<'py, PyAny>> {
        let raises = self.checks && (self.is_inner || result.outcome != Outcome::Waiting);
        let error = result.error().filter(|_| raises);
        let value = result.value.as_ref().map(|value| to_python(py, value)).transpose()?;
        let is_typed = matches!(result.outcome, Outcome::Completed);
        let read = match (value, self.reader.as_ref().filter(|_| is_typed)) {
            (Some(value), Some(reader)) => reader.call1(py, (value,)),
            (value, _) => Ok(value.map_or_else(|| py.None(), Bound::unbind)),
        };
        let (value, unread) = match read {
            Ok(value) => (value, None),
            Err(error) => (py.None(), Some(error)),
        };
        let made = Bound::new(py, AgentResult { result, run: self.run.clone(), value })?.into_any();
        if let Some(unread) = unread {
            let message = format!("the value does not fit its type: {}", unread.value(py));
            let error = Error::new(ErrorKind::InvalidOutput, message);
            let raised = instance(py, &error.report())?;
            raised.setattr("result", made)?;
            let raised = PyErr::from_value(raised);
            raised.set_cause(py, Some(unread));
            return Err(raised);
        }
        let Some(error) = error else { return Ok(made) };
        let raised = instance(py, &error.report())?;
        raised.setattr("result", made)?;
        Err(PyErr::from_value(raised))
    }
}

/// How a run of an agent ended, and all it had by then.
#[pyclass(frozen, module = "motet")]
pub(crate) struct AgentResult {
    result: CoreResult,
    run: RunId,
    value: Py<PyAny>,
}

impl AgentResult {
    /// Gives the error of a run that did not complete, with what it waits for.
    pub(crate) fn error_of_run(&self) -> Option<Error> {
        self.result.error()
    }
}

fn messages<'py>(py: Python<'py>, messages: &[Message]) -> PyResult<Bound<'py, PyAny>> {
    let written = serde_json::to_value(messages).map_err(|error| {
        raise(py, &Error::new(ErrorKind::Internal, "messages cannot be written").with_source(error))
    })?;
    to_python(py, &written)
}

#[pymethods]
impl AgentResult {
    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, _item: &Bound<'py, PyAny>) -> Bound<'py, PyType> {
        class.clone()
    }

    /// How the run ended: `completed`, `tools_requested`, `limit_reached`, `deadline_passed`, `cancelled`, `waiting`,
    /// `stuck`, `budget_exceeded`, `blocked`, or `failed`.
    #[getter]
    fn outcome(&self) -> &'static str {
        self.result.outcome.as_str()
    }

    /// The final text; of a run that did not complete, the last text that the model wrote.
    #[getter]
    fn text(&self) -> &str {
        &self.result.text
    }

    /// The value that the answer holds, of the type that the agent was given; `None` where it was given none.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.value.clone_ref(py)
    }

    /// The value as JSON; `None` where no type or schema was given.
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.result.value.as_ref().map(|value| to_python(py, value)).transpose()
    }

    /// The error of a run that did not complete; `None` of one that did.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.result.error().map(|error| instance(py, &error.report())).transpose()
    }

    /// Id of the run, by which a kept one is resumed.
    #[getter]
    fn run_id(&self) -> &str {
        self.run.as_str()
    }

    /// The whole transcript, to go on with: instructions, input, and what the run added.
    #[getter]
    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        messages(py, &self.result.messages)
    }

    /// The messages that the run added.
    #[getter]
    fn new_messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        messages(py, self.result.new_messages())
    }

    /// The tool calls that were answered, in the order asked.
    #[getter]
    fn tool_history(&self) -> Vec<ToolUse> {
        self.result.tool_history.iter().cloned().map(ToolUse).collect()
    }

    /// What a person must decide before the run can go on.
    #[getter]
    fn questions(&self) -> Vec<Question> {
        let questions = self.result.questions.iter();
        questions.map(|question| Question::open(question.clone(), self.run.clone())).collect()
    }

    /// Tokens of all model calls.
    #[getter]
    fn usage(&self) -> Usage {
        Usage(self.result.usage)
    }

    /// US dollars of all model calls; `None` when a price is not known.
    #[getter]
    fn cost(&self) -> Option<f64> {
        self.result.cost.map(Cost::dollars)
    }

    /// The cost exactly, in nano-dollars.
    #[getter]
    fn cost_nanos(&self) -> Option<u64> {
        self.result.cost.map(Cost::nanos)
    }

    /// How often the model was called.
    #[getter]
    fn model_calls(&self) -> u32 {
        self.result.model_calls
    }

    /// The model that was asked, as `provider:model`.
    #[getter]
    fn model(&self) -> String {
        self.result.model.to_string()
    }

    /// Why the last answer stopped; `None` when there was none.
    #[getter]
    fn finish_reason(&self) -> Option<&'static str> {
        self.result.finish_reason.map(motet::FinishReason::as_str)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["outcome", "text", "value", "usage", "cost", "run_id"])
    }
}

/// One tool call of a run and its answer.
#[pyclass(frozen, eq, module = "motet")]
#[derive(PartialEq)]
pub(crate) struct ToolUse(CoreToolUse);

#[pymethods]
impl ToolUse {
    /// Number of the model call that asked for it, from 0.
    #[getter]
    fn round(&self) -> u32 {
        self.0.round
    }

    /// Id of the call.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    /// Name of the tool, as the model wrote it.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Arguments exactly as the model wrote them.
    #[getter]
    fn arguments(&self) -> &str {
        &self.0.arguments
    }

    /// Text of the answer.
    #[getter]
    fn result(&self) -> &str {
        &self.0.result
    }

    /// True when the answer tells of a failure.
    #[getter]
    fn is_error(&self) -> bool {
        self.0.is_error
    }

    /// False when the call was refused, and no tool was given it.
    #[getter]
    fn executed(&self) -> bool {
        self.0.executed
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["round", "name", "arguments", "result", "is_error"])
    }
}
