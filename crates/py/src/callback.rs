//! Calls Python functions from Rust work: plain ones in threads of Python's own, `async` ones in an event loop.
//!
//! The interpreter's lock is held to hand a call over and to take what it came to, never while the work waits for it. What
//! crosses the border is JSON.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use motet::agents::CallContext;
use motet::core::{Error, ErrorKind};
use pyo3::exceptions::{PyException, PyGeneratorExit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::agent_result::AgentResult;
use crate::convert::from_python;
use crate::error::raise;
use crate::tool::ToolContext;

thread_local! {
    /// Whether this thread runs the package's own event loop.
    static RUNS_FUNCTIONS: Cell<bool> = const { Cell::new(false) };
}

tokio::task_local! {
    /// For whom the work of this task is done.
    static CALLER: Caller;
}

/// Who began a run: functions are called in its event loop, if it has one, and with its context variables.
#[derive(Clone)]
pub(crate) struct Caller(Arc<Surroundings>);

struct Surroundings {
    event_loop: Option<Py<PyAny>>,
    context: Py<PyAny>,
}

impl Caller {
    /// Remembers the calling thread; its event loop only where it does not block while the run goes on.
    ///
    /// # Errors
    /// `ConfigurationError` where that would block the loop in which `async` functions of the run are called.
    pub(crate) fn here(py: Python<'_>, blocking: bool) -> PyResult<Self> {
        may_wait(py, blocking)?;
        static COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let context = COPY.import(py, "contextvars", "copy_context")?.call0()?.unbind();
        let event_loop = if blocking { None } else { Some(crate::awaiting::running_loop(py)?.unbind()) };
        Ok(Self(Arc::new(Surroundings { event_loop, context })))
    }

    /// Has functions called during some work be called as the caller would.
    pub(crate) fn during<W: Future>(self, work: W) -> impl Future<Output = W::Output> {
        CALLER.scope(self, work)
    }
}

/// Takes down that the calling thread runs the package's own event loop.
#[pyfunction]
pub(crate) fn runs_functions() {
    RUNS_FUNCTIONS.set(true);
}

/// Refuses to block the thread in which `async` functions of runs are called.
pub(crate) fn may_wait(py: Python<'_>, blocking: bool) -> PyResult<()> {
    if !blocking || !RUNS_FUNCTIONS.get() {
        return Ok(());
    }
    let message = "an `async` function that waits without `await` keeps all others from going on";
    let error = Error::new(ErrorKind::Configuration, message).with_hint(
        "await `run_async`, or the asynchronous twin of any other method, within `async` functions",
    );
    Err(raise(py, &error))
}

/// A function of Python's and whether it is `async`.
pub(crate) struct Function {
    callable: Py<PyAny>,
    is_async: bool,
}

impl Function {
    /// Reads an object that has the function at `call` and tells at `is_async` what it is.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let callable = object.getattr("call")?;
        Ok(Self { callable: callable.unbind(), is_async: object.getattr("is_async")?.extract()? })
    }

    /// Calls the function and gives what it answers; dropped before, an `async` one is cancelled. Agents that it runs end
    /// with the call at the latest.
    pub(crate) async fn call(
        &self,
        arguments: impl FnOnce(Python<'_>) -> PyResult<Py<PyTuple>>,
        context: Option<CallContext>,
    ) -> Result<Value, Error> {
        let caller = CALLER.try_with(Clone::clone).ok();
        let end = context.as_ref().map(|context| context.run.cancellation().child_token());
        let context = context.zip(end.clone()).map(|(mut context, end)| {
            context.run = context.run.with_cancellation(end);
            context
        });
        let _end = end.map(CancellationToken::drop_guard);
        let (answer, answered) = oneshot::channel();
        let reply = Reply(Mutex::new(Some(answer)));
        let begun = Python::try_attach(|py| {
            let begun = arguments(py)
                .and_then(|arguments| self.begin(arguments.bind(py), caller.as_ref(), (context, reply)));
            begun.map_err(|error| failure(py, &error))
        });
        let cancel = begun.ok_or_else(interpreter_ends)??;
        let mut running = Running(cancel);
        let answer = answered.await;
        running.0 = None;
        answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a Python function never answered")))
    }

    /// Hands the call over; gives what cancels it, where that can be done.
    fn begin(
        &self,
        arguments: &Bound<'_, PyTuple>,
        caller: Option<&Caller>,
        (context, reply): (Option<CallContext>, Reply),
    ) -> PyResult<Option<Py<PyAny>>> {
        let py = arguments.py();
        static SUBMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let context = context.map(|context| Py::new(py, ToolContext::new(context))).transpose()?;
        let event_loop = caller.and_then(|caller| caller.0.event_loop.as_ref());
        let variables = caller.map(|caller| &caller.0.context);
        let work = (&self.callable, arguments, self.is_async);
        let cancel = SUBMIT.import(py, "motet._calls", "submit")?.call1((
            work,
            Py::new(py, reply)?,
            event_loop,
            variables,
            context,
        ))?;
        Ok(Some(cancel.unbind()).filter(|cancel| !cancel.is_none(py)))
    }
}

/// A call that is cancelled when nobody waits for it any more.
struct Running(Option<Py<PyAny>>);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(cancel) = self.0.take() else { return };
        // The only failure is that the loop is closed, and then nothing runs in it.
        Python::try_attach(|py| cancel.call0(py).map(drop));
    }
}

/// Takes what a function came to.
#[pyclass(frozen, module = "motet._motet")]
pub(crate) struct Reply(Mutex<Option<oneshot::Sender<Result<Value, Error>>>>);

impl Reply {
    fn send(&self, answer: Result<Value, Error>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The run may have ended meanwhile.
            let _ = sender.send(answer);
        }
    }
}

#[pymethods]
impl Reply {
    fn answer(&self, value: &Bound<'_, PyAny>) {
        let read = from_python(value, "result").map_err(|error| failure(value.py(), &error));
        self.send(read);
    }

    fn fail(&self, error: &Bound<'_, PyAny>) {
        self.send(Err(failure(error.py(), &PyErr::from_value(error.clone()))));
    }

    fn is_awaited(&self) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

/// Makes an error of the engine of an exception: of one of its own again what it was, of another a failure.
pub(crate) fn failure(py: Python<'_>, raised: &PyErr) -> Error {
    let value = raised.value(py);
    if let Some(error) = own(value) {
        return error;
    }
    let name = raised.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let text = value.str().map(|text| text.to_string()).unwrap_or_default();
    let message = if text.is_empty() { name } else { format!("{name}: {text}") };
    // What is no `Exception` is meant to end more than a function: exits, interrupts, and cancelled tasks.
    let ends = !value.is_instance_of::<PyException>() && !value.is_instance_of::<PyGeneratorExit>();
    Error::new(if ends { ErrorKind::Cancelled } else { ErrorKind::ToolFailed }, message)
}

/// Reads one of the package's own exceptions.
fn own(value: &Bound<'_, PyAny>) -> Option<Error> {
    let class = value.py().import("motet._errors").and_then(|module| module.getattr("Error")).ok()?;
    if !value.is_instance(&class).ok()? {
        return None;
    }
    let text = |name: &str| value.getattr(name).and_then(|text| text.extract::<String>()).ok();
    // An inner run that waits for a person carries its questions in its error, which park the run around it.
    if let Some(result) = value.getattr("result").ok().filter(|result| !result.is_none())
        && let Ok(result) = result.cast::<AgentResult>()
        && let Some(error) = result.get().error_of_run()
    {
        return Some(error);
    }
    let kind = text("kind")?;
    let kind = ErrorKind::ALL.iter().find(|known| known.as_str() == kind)?;
    let error = Error::new(*kind, text("message")?);
    Some(match text("hint") {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

fn interpreter_ends() -> Error {
    Error::new(ErrorKind::Cancelled, "the Python interpreter is about to end")
}
