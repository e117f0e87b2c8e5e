//! What a model answered, as Python sees it: the shapes of `docs/reference/json-output.md` with attributes.

use std::sync::Arc;

use motet::core::message::{Part, ToolCall as CoreToolCall};
use motet::core::usage::Usage as CoreUsage;
use motet::core::{ChatResponse, Cost, Error, ErrorKind};
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
    /// All visible text.
    #[getter]
    fn text(&self) -> String {
        self.response.text()
    }

    /// What the model showed of its reasoning; `None` when it showed nothing.
    #[getter]
    fn reasoning(&self) -> Option<String> {
        Some(self.response.message.reasoning_text()).filter(|text| !text.is_empty())
    }

    /// The model's words when it declined.
    #[getter]
    fn refusal(&self) -> Option<&str> {
        self.response.message.parts.iter().find_map(|part| match part {
            Part::Refusal { text } => Some(text.as_str()),
            _ => None,
        })
    }

    /// The tools that the model asks for, in its order.
    #[getter]
    fn tool_calls(&self) -> Vec<ToolCall> {
        self.response.message.tool_calls().cloned().map(ToolCall).collect()
    }

    /// Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, `other`, or `unknown`.
    #[getter]
    fn finish_reason(&self) -> &'static str {
        self.response.finish_reason.as_str()
    }

    /// The reason in the provider's own word.
    #[getter]
    fn raw_finish_reason(&self) -> Option<&str> {
        self.response.raw_finish_reason.as_deref()
    }

    /// Tokens used; `None` when the provider did not say.
    #[getter]
    fn usage(&self) -> Option<Usage> {
        self.response.usage.map(Usage)
    }

    /// US dollars; `None` when the price is not known.
    #[getter]
    fn cost(&self) -> Option<f64> {
        self.response.cost.map(Cost::dollars)
    }

    /// The cost exactly, in nano-dollars.
    #[getter]
    fn cost_nanos(&self) -> Option<u64> {
        self.response.cost.map(Cost::nanos)
    }

    /// The model that was asked, as `provider:model`.
    #[getter]
    fn model(&self) -> String {
        self.response.model.to_string()
    }

    /// The model that answered, in the provider's words.
    #[getter]
    fn served_model(&self) -> Option<&str> {
        self.response.served_model.as_deref()
    }

    /// The provider.
    #[getter]
    fn provider(&self) -> &str {
        self.response.model.provider()
    }

    /// The provider's id of the answer.
    #[getter]
    fn response_id(&self) -> Option<&str> {
        self.response.response_id.as_deref()
    }

    /// The provider's id of the request, which its support asks for.
    #[getter]
    fn request_id(&self) -> Option<&str> {
        self.response.request_id.as_deref()
    }

    /// The value that satisfies the schema; `None` without a schema.
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.json.as_ref().map(|value| to_python(py, value)).transpose()
    }

    /// Further facts about the answer.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        map_to_python(py, &self.response.metadata)
    }

    /// The answer as a message, to be put into the next conversation.
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
    /// Name of the call within the conversation; its result carries the same.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    /// Name of the tool.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The arguments; `None` when the model did not write a JSON object.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        match self.0.parsed_arguments() {
            Ok(Value::Object(arguments)) => map_to_python(py, &arguments).map(Some),
            _ => Ok(None),
        }
    }

    /// The arguments exactly as the model wrote them.
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
    /// Tokens read by the model, cached ones and cache writes included.
    #[getter]
    fn input(&self) -> u64 {
        self.0.input
    }

    /// Tokens written by the model, reasoning included.
    #[getter]
    fn output(&self) -> u64 {
        self.0.output
    }

    /// Part of `input` that was read from the provider's cache.
    #[getter]
    fn cached_input(&self) -> u64 {
        self.0.cached_input
    }

    /// Part of `input` that was written to the provider's cache.
    #[getter]
    fn cache_write(&self) -> u64 {
        self.0.cache_write
    }

    /// Part of `output` that was spent on reasoning.
    #[getter]
    fn reasoning(&self) -> u64 {
        self.0.reasoning
    }

    /// Part of `input` that is audio.
    #[getter]
    fn audio_input(&self) -> u64 {
        self.0.audio_input
    }

    /// Part of `output` that is audio.
    #[getter]
    fn audio_output(&self) -> u64 {
        self.0.audio_output
    }

    /// Input plus output.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &["input", "output", "cached_input", "cache_write", "reasoning"])
    }
}
