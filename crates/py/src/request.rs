//! Reads what Python asks of a model: a prompt or a conversation, and options by keyword.
//!
//! Every option is one arm here and one line of `CompletionOptions` in the Python half; a test compares them.

use std::time::Duration;

use motet::core::request::{Output, ReasoningEffort, Sampling, ToolChoice, ToolSpec};
use motet::core::{ChatRequest, Error, ErrorKind, Message, ModelId};
use motet::written;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use serde_json::{Map, Value};

use crate::convert::{from_python, map_from_python, type_name};
use crate::error::raise;

/// Every option of a call, in the order of the documentation.
const OPTIONS: &[&str] = &[
    "model",
    "system",
    "schema",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "stop",
    "reasoning_effort",
    "base_url",
    "timeout",
    "metadata",
    "extra",
];

/// What is asked, before it is known which model answers.
#[derive(Default)]
pub(crate) struct Asked {
    /// The model, where the call names one.
    pub(crate) model: Option<ModelId>,
    /// Address that replaces the provider's own.
    pub(crate) base_url: Option<String>,
    /// Longest time of the whole call.
    pub(crate) timeout: Option<Duration>,
    messages: Vec<Message>,
    system: Option<String>,
    output: Output,
    tools: Vec<ToolSpec>,
    tool_choice: ToolChoice,
    parallel_tool_calls: Option<bool>,
    sampling: Sampling,
    max_tokens: Option<u32>,
    stop: Vec<String>,
    reasoning_effort: Option<ReasoningEffort>,
    metadata: Map<String, Value>,
    extra: Map<String, Value>,
}

impl Asked {
    /// Reads a prompt, or a list of messages, and the options of the call; `None` stands for an option not given.
    pub(crate) fn read(prompt: &Bound<'_, PyAny>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut asked = Self { messages: messages(prompt)?, ..Self::default() };
        for (name, value) in options.iter() {
            let name = name.cast_into::<PyString>()?;
            if !value.is_none() {
                asked.set(name.to_str()?, &value)?;
            } else if !OPTIONS.contains(&name.to_str()?) {
                return Err(unknown(name.to_str()?));
            }
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = Given { name, value };
        match name {
            "model" => self.model = Some(given.model()?),
            "system" => self.system = Some(given.text()?),
            "schema" => self.output = written::schema(Value::Object(given.dict()?)),
            "tools" => self.tools = given.engine(written::tools(given.json()?))?,
            "tool_choice" => self.tool_choice = given.engine(written::tool_choice(&given.json()?))?,
            "parallel_tool_calls" => self.parallel_tool_calls = Some(given.get("True or False")?),
            "temperature" => self.sampling.temperature = Some(given.number()?),
            "top_p" => self.sampling.top_p = Some(given.number()?),
            "top_k" => self.sampling.top_k = Some(given.count()?),
            "seed" => self.sampling.seed = Some(given.get("a whole number of 64 bits")?),
            "frequency_penalty" => self.sampling.frequency_penalty = Some(given.number()?),
            "presence_penalty" => self.sampling.presence_penalty = Some(given.number()?),
            "max_tokens" => self.max_tokens = Some(given.count()?),
            "stop" => self.stop = given.texts()?,
            "reasoning_effort" => self.reasoning_effort = Some(given.effort()?),
            "base_url" => self.base_url = Some(given.text()?),
            "timeout" => self.timeout = Some(given.seconds()?),
            "metadata" => self.metadata = given.dict()?,
            "extra" => self.extra = given.dict()?,
            unknown_name => return Err(unknown(unknown_name)),
        }
        Ok(())
    }

    /// Gives the request for the model that answers.
    pub(crate) fn request(self, model: ModelId) -> ChatRequest {
        let mut messages: Vec<Message> = self.system.map(Message::system).into_iter().collect();
        messages.extend(self.messages);
        let mut request = ChatRequest::new(model, messages);
        request.output = self.output;
        request.tools = self.tools;
        request.tool_choice = self.tool_choice;
        request.parallel_tool_calls = self.parallel_tool_calls;
        request.sampling = self.sampling;
        request.max_tokens = self.max_tokens;
        request.stop = self.stop;
        request.reasoning_effort = self.reasoning_effort;
        request.metadata = self.metadata;
        request.extra = self.extra;
        request
    }
}

fn unknown(name: &str) -> PyErr {
    PyTypeError::new_err(format!("there is no option `{name}`; options are {}", OPTIONS.join(", ")))
}

/// Reads a text, or a list of messages.
pub(crate) fn messages(prompt: &Bound<'_, PyAny>) -> PyResult<Vec<Message>> {
    if let Ok(text) = prompt.cast::<PyString>() {
        let text = text.to_str()?;
        if text.trim().is_empty() {
            let error = Error::new(ErrorKind::InvalidRequest, "there is no prompt")
                .with_hint("give a text or a list of messages");
            return Err(raise(prompt.py(), &error));
        }
        return Ok(vec![Message::user(text)]);
    }
    if !prompt.is_instance_of::<PyList>() && !prompt.is_instance_of::<PyTuple>() {
        let found = type_name(prompt);
        return Err(PyTypeError::new_err(format!(
            "the prompt must be a text or a list of messages, not {found}"
        )));
    }
    written::messages(from_python(prompt, "messages")?).map_err(|error| raise(prompt.py(), &error))
}

/// Reads the name of a model.
pub(crate) fn model_id(text: &Bound<'_, PyAny>) -> PyResult<ModelId> {
    Given { name: "model", value: text }.model()
}

/// Reads a length of time in seconds.
pub(crate) fn seconds(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    Given { name, value }.seconds()
}

/// An option and its value.
struct Given<'a, 'py> {
    name: &'a str,
    value: &'a Bound<'py, PyAny>,
}

impl<'py> Given<'_, 'py> {
    fn wrong(&self, expected: &str) -> PyErr {
        PyTypeError::new_err(format!("`{}` must be {expected}, not {}", self.name, type_name(self.value)))
    }

    fn refused(&self, expected: &str) -> PyErr {
        let shown = self.value.repr().map(|repr| repr.to_string()).unwrap_or_default();
        PyValueError::new_err(format!("`{}` must be {expected}, not {shown}", self.name))
    }

    fn engine<T>(&self, result: motet::core::Result<T>) -> PyResult<T> {
        result.map_err(|error| raise(self.value.py(), &error))
    }

    fn get<T: for<'a> FromPyObject<'a, 'py>>(&self, expected: &str) -> PyResult<T> {
        self.value.extract().map_err(|_| self.wrong(expected))
    }

    fn text(&self) -> PyResult<String> {
        self.get("a text")
    }

    fn json(&self) -> PyResult<Value> {
        from_python(self.value, self.name)
    }

    fn dict(&self) -> PyResult<Map<String, Value>> {
        map_from_python(self.value, self.name)
    }

    fn model(&self) -> PyResult<ModelId> {
        self.engine(self.text()?.parse())
    }

    fn number(&self) -> PyResult<f64> {
        let number: f64 = self.get("a number")?;
        if number.is_finite() { Ok(number) } else { Err(self.refused("a finite number")) }
    }

    fn count(&self) -> PyResult<u32> {
        let whole: i64 = self.get("a whole number")?;
        u32::try_from(whole).map_err(|_| self.refused("from 0 to 4294967295"))
    }

    fn seconds(&self) -> PyResult<Duration> {
        let seconds = self.number()?;
        let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero());
        duration.ok_or_else(|| self.refused("seconds above 0"))
    }

    fn texts(&self) -> PyResult<Vec<String>> {
        if self.value.is_instance_of::<PyString>() {
            return Ok(vec![self.text()?]);
        }
        self.get("a text or a list of texts")
    }

    fn effort(&self) -> PyResult<ReasoningEffort> {
        serde_json::from_value(Value::String(self.text()?))
            .map_err(|_| self.refused("none, minimal, low, medium, high, or xhigh"))
    }
}
