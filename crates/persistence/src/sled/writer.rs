//! The one thread that has the store: many commands share one flush, and nobody is answered before it.
//!
//! Knows nothing of what the commands do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use motet_core::error::{Error, ErrorKind, Result, Retry};
use motet_core::id::Millis;
use tokio::sync::{mpsc, oneshot};

use super::files::{FreeSpace, Lock};
use super::session::Session;
use crate::clock::Clock;
use crate::wake::Wake;

/// Commands that wait for the thread; who comes later waits for a place.
const WAITING: usize = 1024;

/// Commands that share one flush.
const MOST_COMMANDS: usize = 512;

/// Hands commands to the thread; ends it when dropped.
#[derive(Debug)]
pub(super) struct Writer {
    sender: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a command does to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It looks only.
    Read,
    /// It changes something, but nothing that anybody waits for.
    Write,
    /// It changes something, and wakes those who wait for changes.
    Change,
}

impl Writer {
    /// Opens a directory and starts the thread.
    pub(super) fn start(directory: PathBuf, free: FreeSpace, wake: Arc<Wake>) -> Result<Self> {
        let lock = Lock::take(&directory)?;
        let clock = Clock::new();
        let mut session = Session::open(&directory, free, &clock)?;
        session.take_over(clock.now())?;
        let session = Some(session);
        let (sender, receiver) = mpsc::channel(WAITING);
        let state = Thread { session, directory, free, clock, wake, _lock: lock };
        let thread =
            std::thread::Builder::new().name("motet-sled".to_owned()).spawn(move || state.work(receiver));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Store, "a thread of the store cannot be started").with_source(error)
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Runs a command and gives its result once everything before it, and what it did itself, is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        access: Access,
        work: impl FnOnce(&mut Session, Millis) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Store, "the store's thread has ended");
        let channel = self.sender.as_ref().ok_or_else(gone)?;
        let call = Call { access, work: Some(work), result: None, sender };
        channel.send(Box::new(call)).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread finishes what waits and ends when no sender is left.
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    /// `None` after a failure, until it is opened again.
    session: Option<Session>,
    directory: PathBuf,
    free: FreeSpace,
    clock: Clock,
    wake: Arc<Wake>,
    _lock: Lock,
}

impl Thread {
    fn work(mut self, mut receiver: mpsc::Receiver<Box<dyn Job>>) {
        let mut jobs = Vec::new();
        while receiver.blocking_recv_many(&mut jobs, MOST_COMMANDS) > 0 {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.run(&mut jobs)));
            let panicked = || Error::new(ErrorKind::Store, "the store broke off").with_retry(Retry::Backoff);
            let failure = outcome.unwrap_or_else(|_| Err(panicked())).err();
            if failure.is_some() {
                // What is in memory may be ahead of what was written: it is read anew.
                let session = self.session.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(session)));
            } else if jobs.iter().any(|job| job.access() == Access::Change) {
                self.wake.notify();
            }
            jobs.drain(..).for_each(|job| job.answer(failure.as_ref()));
        }
    }

    fn run(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<()> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::open(&self.directory, self.free, &self.clock)?),
        };
        let now = self.clock.now();
        let full = session.files.check_space().err();
        for job in jobs {
            match full.as_ref().filter(|_| job.access() != Access::Read) {
                Some(full) => job.refuse(full),
                None => job.run(session, now),
            }
        }
        session.commit()
    }
}

/// A command that waits for its turn.
trait Job: Send {
    fn access(&self) -> Access;
    fn run(&mut self, session: &mut Session, now: Millis);
    fn refuse(&mut self, error: &Error);
    /// Tells the result, or why nothing was made durable.
    fn answer(self: Box<Self>, failure: Option<&Error>);
}

struct Call<W, T> {
    access: Access,
    work: Option<W>,
    result: Option<Result<T>>,
    sender: oneshot::Sender<Result<T>>,
}

impl<T: Send, W: FnOnce(&mut Session, Millis) -> Result<T> + Send> Job for Call<W, T> {
    fn access(&self) -> Access {
        self.access
    }

    fn run(&mut self, session: &mut Session, now: Millis) {
        self.result = self.work.take().map(|work| work(session, now));
    }

    fn refuse(&mut self, error: &Error) {
        self.result = Some(Err(copy(error)));
    }

    fn answer(self: Box<Self>, failure: Option<&Error>) {
        let nothing = || Err(Error::new(ErrorKind::Store, "the store did not run the command"));
        let result = match failure {
            Some(error) => Err(copy(error)),
            None => self.result.unwrap_or_else(nothing),
        };
        // Who no longer waits needs no answer.
        let _ = self.sender.send(result);
    }
}

/// Gives one error to several.
fn copy(error: &Error) -> Error {
    Error::from(error.report())
}
