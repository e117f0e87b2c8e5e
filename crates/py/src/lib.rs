//! The native half of the Python package `motet`: everything that waits, computes, or talks to the engine.
//!
//! Importing it starts nothing: no thread, no file, no setting. Names, signatures, and documentation for people are in
//! the Python half; nothing here is public except through it.

mod agent;
mod agent_result;
mod agent_stream;
mod awaiting;
mod callback;
mod conversation;
mod convert;
mod decision;
mod engine;
mod error;
mod hook;
mod process;
mod request;
mod response;
mod show;
mod stream;
mod tool;
mod toolbox;
mod workflow;

use motet::core::ErrorKind;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The native half of `motet`.
#[pymodule]
fn _motet(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let kinds = ErrorKind::ALL.iter().map(|kind| kind.as_str());
    module.add("ERROR_KINDS", PyTuple::new(module.py(), kinds)?)?;
    module.add_function(wrap_pyfunction!(callback::runs_functions, module)?)?;
    module.add_function(wrap_pyfunction!(hook::register_hook, module)?)?;
    module.add_function(wrap_pyfunction!(hook::register_guardrail, module)?)?;
    module.add_class::<agent::AgentCore>()?;
    module.add_class::<agent_result::AgentResult>()?;
    module.add_class::<agent_result::ToolUse>()?;
    module.add_class::<agent_stream::AgentEvent>()?;
    module.add_class::<agent_stream::AgentStream>()?;
    module.add_class::<callback::Reply>()?;
    module.add_class::<conversation::Conversation>()?;
    module.add_class::<decision::Question>()?;
    module.add_class::<tool::ToolContext>()?;
    module.add_class::<toolbox::Toolbox>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<response::Response>()?;
    module.add_class::<response::ToolCall>()?;
    module.add_class::<response::Usage>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<stream::StreamingChunk>()?;
    module.add_class::<workflow::Problem>()?;
    module.add_class::<workflow::Report>()?;
    module.add_class::<workflow::RunSummary>()?;
    module.add_class::<workflow::TaskResult>()
}
