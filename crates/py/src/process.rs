//! The one async runtime of the process: started by the first call, renewed after a fork, ended at exit.
//!
//! Everything here is done while attached to the interpreter, so no lock is held when Python forks.

use std::mem;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use motet::core::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error;

/// Most threads that work for Python at once; what takes long runs elsewhere.
const MAX_THREADS: usize = 4;

/// Longest wait for threads to stop at exit.
const EXIT: Duration = Duration::from_millis(500);

struct Started {
    process: u32,
    runtime: Runtime,
}

static STARTED: Mutex<Option<Started>> = Mutex::new(None);

/// Gives the process's async runtime, starting it when it is first asked for.
pub(crate) fn runtime(py: Python<'_>) -> PyResult<Handle> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if let Some(inherited) = started.take_if(|started| started.process != process) {
        // Its threads were left behind by the fork; stopping it would wait for them.
        mem::forget(inherited);
    }
    if let Some(started) = &*started {
        return Ok(started.runtime.handle().clone());
    }
    let runtime = start().map_err(|reason| error::raise(py, &reason))?;
    let handle = runtime.handle().clone();
    *started = Some(Started { process, runtime });
    drop(started);
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(stop, py)?,))?;
    Ok(handle)
}

fn start() -> Result<Runtime, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("motet")
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, "the async runtime cannot start").with_source(error))
}

/// Ends the runtime before the interpreter goes away, so that no thread calls into it afterwards.
#[pyfunction]
fn stop(py: Python<'_>) {
    let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner).take();
    match started {
        Some(started) if started.process == process::id() => {
            py.detach(|| started.runtime.shutdown_timeout(EXIT));
        }
        inherited => mem::forget(inherited),
    }
}
