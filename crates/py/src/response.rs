//! What a model answered, as Python sees it: the shapes of `docs/reference/json-output.md` with attributes.

use std::sync::Arc;

use motet_core::message::{Part, ToolCall as CoreToolCall};
use motet_core::usage::Usage as CoreUsage;
use motet_core::{ChatResponse, Cost, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use crate::convert::{map_to_python, to_python};
use crate::error::raise;
use crate::show::show;

/// A whole answer.
#[pyclass(frozen, eq, module = "motet")]
#[derive(PartialEq)]
pub(crate) struct Response {
    response: Arc<ChatResponse>,
    json: Option<Value>,
}

impl Response {
    /// Makes the answer of a call; `json` is the checked value where one was asked for.
    pub(crate) fn new(response: ChatResponse, json: Option<Value>) -> Self {
        Self { response: Arc::new(response), json }
    }
}

#[pymethods]
impl Response {
    #[getter]
    fn text(&self) -> String {
        self.response.text()
    }

    #[getter]
    fn reasoning(&self) -> Option<String> {
        Some(self.response.message.reasoning_text()).filter(|text| !text.is_empty())
    }

    #[getter]
    fn refusal(&self) -> Option<&str> {
        self.response.message.parts.iter().find_map(|part| match part {
            Part::Refusal { text } => Some(text.as_str()),
            _ => None,
        })
    }

    #[getter]
    fn tool_calls(&self) -> Vec<ToolCall> {
        self.response.message.tool_calls().cloned().map(ToolCall).collect()
    }

    #[getter]
    fn finish_reason(&self) -> &'static str {
        self.response.finish_reason.as_str()
    }

    #[getter]
    fn raw_finish_reason(&self) -> Option<&str> {
        self.response.raw_finish_reason.as_deref()
    }

    #[getter]
    fn usage(&self) -> Option<Usage> {
        self.response.usage.map(Usage)
    }

    #[getter]
    fn cost(&self) -> Option<f64> {
        self.response.cost.map(Cost::dollars)
    }

    #[getter]
    fn cost_nanos(&self) -> Option<u64> {
        self.response.cost.map(Cost::nanos)
    }

    #[getter]
    fn model(&self) -> String {
        self.response.model.to_string()
    }

    #[getter]
    fn served_model(&self) -> Option<&str> {
        self.response.served_model.as_deref()
    }

    #[getter]
    fn provider(&self) -> &str {
        self.response.model.provider()
    }

    #[getter]
    fn response_id(&self) -> Option<&str> {
        self.response.response_id.as_deref()
    }

    #[getter]
    fn request_id(&self) -> Option<&str> {
        self.response.request_id.as_deref()
    }

    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.json.as_ref().map(|value| to_python(py, value)).transpose()
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        map_to_python(py, &self.response.metadata)
    }

    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let message = serde_json::to_value(&self.response.message).map_err(|error| {
            raise(py, &Error::new(ErrorKind::Internal, "a message cannot be written").with_source(error))
        })?;
        to_python(py, &message)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["text", "tool_calls", "finish_reason", "usage", "cost", "model"])
    }
}

/// A call of a tool that the model asks for.
#[pyclass(frozen, eq, module = "motet")]
#[derive(PartialEq)]
pub(crate) struct ToolCall(CoreToolCall);

#[pymethods]
impl ToolCall {
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.0.parsed_arguments() {
            Ok(Value::Object(arguments)) => map_to_python(py, &arguments).map(Some),
            _ => Ok(None),
        }
    }

    #[getter]
    fn arguments_raw(&self) -> &str {
        &self.0.arguments
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["id", "name", "arguments_raw"])
    }
}

/// Tokens used.
#[pyclass(frozen, eq, module = "motet")]
#[derive(PartialEq)]
pub(crate) struct Usage(pub(crate) CoreUsage);

#[pymethods]
impl Usage {
    #[getter]
    fn input(&self) -> u64 {
        self.0.input
    }

    #[getter]
    fn output(&self) -> u64 {
        self.0.output
    }

    #[getter]
    fn cached_input(&self) -> u64 {
        self.0.cached_input
    }

    #[getter]
    fn cache_write(&self) -> u64 {
        self.0.cache_write
    }

    #[getter]
    fn reasoning(&self) -> u64 {
        self.0.reasoning
    }

    #[getter]
    fn audio_input(&self) -> u64 {
        self.0.audio_input
    }

    #[getter]
    fn audio_output(&self) -> u64 {
        self.0.audio_output
    }

    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["input", "output", "cached_input", "cache_write", "reasoning"])
    }
}
