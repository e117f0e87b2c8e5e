//! Runs Rust work for Python: as an awaitable of the running event loop, or blocking with Ctrl-C at work.
//!
//! The interpreter's lock is not held while the work goes on. The result is made of Python objects in the thread that
//! waits for it, so worker threads touch Python only to wake it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures::FutureExt as _;
use motet::core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::process;

/// How often a blocking call looks for signals.
const SIGNALS: Duration = Duration::from_millis(40);

/// Makes the result of finished work into a Python object, or raises.
pub(crate) type Build = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// Joins what work came to with how its value becomes a Python object.
pub(crate) fn built<T: Send + 'static>(
    result: Result<T, impl Into<Failure>>,
    build: impl for<'py> FnOnce(Python<'py>, T) -> PyResult<Bound<'py, PyAny>> + Send + 'static,
) -> Build {
    match result {
        Ok(value) => Box::new(move |py| build(py, value)),
        Err(failure) => {
            let failure: Failure = failure.into();
            Box::new(move |py| Err(failure.raise(py)))
        }
    }
}

/// Starts work and gives a future of the running event loop; cancelling that future cancels the token.
///
/// The work itself is never dropped half-way: it sees the token and ends in good order.
pub(crate) fn awaitable<'py>(
    py: Python<'py>,
    cancellation: &CancellationToken,
    work: impl Future<Output = Build> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let runtime = process::runtime(py)?;
    let event_loop = running_loop(py)?;
    let future = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    let canceller = Canceller { cancellation: cancellation.clone(), armed: AtomicBool::new(true) };
    future.call_method1(pyo3::intern!(py, "add_done_callback"), (canceller,))?;
    let completion = Py::new(py, Completion { future: future.clone().unbind(), outcome: Mutex::new(None) })?;
    let event_loop = event_loop.unbind();
    runtime.spawn(async move {
        let outcome = unpanicked(work).await;
        wake(event_loop, completion, outcome);
    });
    Ok(future)
}

/// Does work and waits for it. Signals are looked for meanwhile: the first one that raises cancels the token and waits for
/// the work to end in good order, the second one does not wait.
pub(crate) fn wait<'py>(
    py: Python<'py>,
    cancellation: &CancellationToken,
    work: impl Future<Output = Build> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let (done, outcome) = mpsc::sync_channel(1);
    process::runtime(py)?.spawn(async move {
        // Nobody listens any more when a second signal came.
        let _ = done.send(unpanicked(work).await);
    });
    let outcome = py.detach(move || receive(&outcome, cancellation))?;
    outcome(py)
}

fn receive(outcome: &Receiver<Build>, cancellation: &CancellationToken) -> PyResult<Build> {
    let mut interrupted = None;
    loop {
        match outcome.recv_timeout(SIGNALS) {
            Ok(outcome) => return interrupted.map_or(Ok(outcome), Err),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(signal) = Python::attach(|py| py.check_signals()) {
                    if interrupted.is_some() {
                        return Err(signal);
                    }
                    cancellation.cancel();
                    interrupted = Some(signal);
                }
            }
            // The interpreter exits, so this is a daemon thread, and it must not go back into Python.
            Err(RecvTimeoutError::Disconnected) => loop {
                thread::park();
            },
        }
    }
}

/// A panic must not leave Python waiting for ever.
async fn unpanicked(work: impl Future<Output = Build>) -> Build {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Internal, "the engine panicked")
            .with_hint("please report it with what standard error says");
        built(Err::<(), _>(error), |py, ()| Ok(py.None().into_bound(py)))
    })
}

pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}

/// Has the event loop take the outcome; a loop that is closed by now needs none.
fn wake(event_loop: Py<PyAny>, completion: Py<Completion>, outcome: Build) {
    *completion.get().outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    Python::try_attach(|py| {
        let event_loop = event_loop.into_bound(py);
        // The only failure is that the loop is closed, and then nobody waits.
        let _ = event_loop.call_method1(pyo3::intern!(py, "call_soon_threadsafe"), (completion,));
    });
}

/// Called by the event loop when the work is done.
#[pyclass(frozen)]
struct Completion {
    future: Py<PyAny>,
    outcome: Mutex<Option<Build>>,
}

#[pymethods]
impl Completion {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let future = self.future.bind(py);
        let Some(outcome) = outcome else { return Ok(()) };
        if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        match outcome(py) {
            Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
            Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}

/// Called by the event loop when the future is done or cancelled; also cancels when the loop goes away without a call.
#[pyclass(frozen)]
struct Canceller {
    cancellation: CancellationToken,
    armed: AtomicBool,
}

#[pymethods]
impl Canceller {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        self.armed.store(false, Ordering::Relaxed);
        if future.call_method0(pyo3::intern!(future.py(), "cancelled"))?.is_truthy()? {
            self.cancellation.cancel();
        }
        Ok(())
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        if self.armed.load(Ordering::Relaxed) {
            self.cancellation.cancel();
        }
    }
}
