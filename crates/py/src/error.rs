//! Turns errors of the engine into Python exceptions; the classes are in `motet._errors`.

use motet::core::Error;
use motet::core::error::ErrorReport;
use motet::workflow::FileError;
use motet::workflows::dag::read::Problems;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::workflow::Problem;

/// Why work for Python failed.
pub(crate) enum Failure {
    /// An error of the engine.
    Error(Error),
    /// A workflow is not valid.
    Problems(Problems),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unreadable(error) => Failure::Error(error),
            FileError::Problems(problems) => Failure::Problems(problems),
        }
    }
}

impl Failure {
    /// Makes the exception to raise.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Failure::Error(error) => raise(py, &error),
            Failure::Problems(problems) => {
                let made = Problem::list(py, &problems).and_then(|list| {
                    let report = Error::from(problems).report();
                    exception(py, &report, Some(list))
                });
                made.map_or_else(|error| error, PyErr::from_value)
            }
        }
    }
}

/// Makes the exception to raise for an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    instance(py, &error.report()).map_or_else(|error| error, PyErr::from_value)
}

/// Makes the exception that tells of a reported error, without raising it.
pub(crate) fn instance<'py>(py: Python<'py>, report: &ErrorReport) -> PyResult<Bound<'py, PyAny>> {
    exception(py, report, None)
}

fn exception<'py>(
    py: Python<'py>,
    report: &ErrorReport,
    problems: Option<Bound<'py, PyList>>,
) -> PyResult<Bound<'py, PyAny>> {
    let facts = PyDict::new(py);
    facts.set_item("kind", report.kind.as_str())?;
    facts.set_item("hint", report.hint.as_deref())?;
    facts.set_item("status", report.status)?;
    facts.set_item("retry_after", report.retry_after)?;
    facts.set_item("provider", report.provider.as_deref())?;
    facts.set_item("request_id", report.request_id.as_deref())?;
    if let Some(problems) = problems {
        facts.set_item("problems", problems)?;
    }
    py.import("motet._errors")?.getattr("make")?.call((&report.message,), Some(&facts))
}
