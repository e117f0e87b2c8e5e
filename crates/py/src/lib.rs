//! The native half of the Python package `motet`: everything that waits, computes, or talks to the engine.
//!
//! Importing it starts nothing: no thread, no file, no setting. Names, signatures, and documentation for people are in
//! the Python half; nothing here is public except through it.

mod awaiting;
mod convert;
mod engine;
mod error;
mod process;
mod request;
mod response;
mod show;
mod stream;
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
