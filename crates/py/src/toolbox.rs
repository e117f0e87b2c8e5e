//! Sets of tools with switches and counts, as Python sees them.

use motet::agents::tool_set::{Entry, Filter, Toolbox as CoreToolbox};
use motet::core::{Error, ErrorKind, Part, RunContext};
use pyo3::prelude::*;
use serde::Serialize;

use crate::awaiting::built;
use crate::callback::Caller;
use crate::convert::{from_python, to_python};
use crate::engine::Mode;
use crate::error::raise;
use crate::tool::PythonTool;

/// A set of tools.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct Toolbox(pub(crate) CoreToolbox);

fn written<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(value).map_err(|error| {
        raise(py, &Error::new(ErrorKind::Internal, "it cannot be written as JSON").with_source(error))
    })?;
    to_python(py, &value)
}

#[pymethods]
impl Toolbox {
    #[new]
    fn new() -> Self {
        Self(CoreToolbox::new())
    }

    fn add(&self, tool: &Bound<'_, PyAny>, category: &str, version: &str) -> PyResult<()> {
        let entry = Entry::shared(PythonTool::of(tool)?).category(category).version(version);
        self.0.add(entry).map_err(|error| raise(tool.py(), &error))
    }

    fn enable(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.0.enable(name).map_err(|error| raise(py, &error))
    }

    fn disable(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.0.disable(name).map_err(|error| raise(py, &error))
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        written(py, &self.0.list())
    }

    fn names(&self, py: Python<'_>, names: Vec<String>, categories: Vec<String>) -> PyResult<Vec<String>> {
        let filter = Filter::names(names).and_then(|filter| Ok(filter.and(Filter::categories(categories)?)));
        let filter = filter.map_err(|error| raise(py, &error))?;
        Ok(self.0.select(&filter).iter().map(|tool| tool.spec().name.clone()).collect())
    }

    fn metrics<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let metrics = self.0.metrics(name).map_err(|error| raise(py, &error))?;
        written(py, &metrics)
    }

    #[pyo3(signature = (name, arguments, *, blocking))]
    fn call<'py>(
        &self,
        name: String,
        arguments: &Bound<'py, PyAny>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = arguments.py();
        let (tools, arguments) = (self.0.clone(), from_python(arguments, "arguments")?);
        let context = RunContext::new();
        let cancellation = context.cancellation().clone();
        let work = async move {
            let output = tools.call(&context, &name, arguments).await.and_then(|output| {
                let text: String = output.content.iter().filter_map(Part::as_text).collect();
                match output.is_error {
                    true => Err(Error::new(ErrorKind::ToolFailed, text)),
                    false => Ok(text),
                }
            });
            built(output, |py, text| Ok(text.into_pyobject(py)?.into_any()))
        };
        Mode::of(blocking).finish(py, &cancellation, Caller::here(py, blocking)?.during(work))
    }
}
