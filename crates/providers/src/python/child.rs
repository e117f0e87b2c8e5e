//! Starts the child, waits for its end or ends it, and leaves nothing running.
//!
//! Knows nothing of what the child's code is or answers.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use motet_core::{Error, ErrorKind, Result, Retry, RunContext};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::capture::Captured;
use super::processes::{Breach, Family, Strangers};
use super::request::Limits;

const BOOTSTRAP: &str = include_str!("bootstrap.py");
const AFTERMATH: &str = include_str!("aftermath.py");
/// How the child learns that the engine is gone: a process that watches holds up no code and is held up by none.
const WATCH: &str = if cfg!(target_os = "linux") { "fork" } else { "thread" };
/// How long a killed child may take to be gone, and its pipes to close.
const GRACE: Duration = Duration::from_secs(5);

/// Why the child ended.
#[derive(Debug)]
pub(super) enum Cause {
    /// It ended by itself.
    Exit(ExitStatus),
    /// Its time was over.
    Timeout,
    /// The run's time was over.
    Deadline,
    /// The run was cancelled.
    Cancelled,
    /// It used more than it may.
    Breach(Breach),
    /// The system could not tell how it ended, or not watch it.
    Lost(io::Error),
}

/// How the child ended and what it printed.
#[derive(Debug)]
pub(super) struct End {
    pub(super) cause: Cause,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

/// A child that waits for its task or has one; dropping it kills everything that it has started.
#[derive(Debug)]
pub(super) struct Running {
    // Dropped first: the group must be killed before its leader is reaped and its number given to another.
    family: Family,
    child: Child,
}

impl Running {
    /// Starts a child that waits for its task; blocks for as long as listing processes and starting one takes.
    pub(super) fn start(interpreter: &str, environment: &[(OsString, OsString)]) -> Result<Self> {
        let (marker, strangers) = (format!("{:032x}", rand::random::<u128>()), Strangers::now());
        let mut command = Command::new(program(interpreter)?);
        command
            .args(["-I", "-u", "-X", "utf8", "-c", BOOTSTRAP, WATCH, AFTERMATH])
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("MOTET_TASK", &marker)
            // Its task says where it works; until then it must not hold up the removal of any directory of the user.
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| cannot_start(interpreter, error))?;
        let family = Family::new(child.id(), &marker, strangers);
        Ok(Self { family, child })
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells whether it still runs, as far as that is known.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands over the message and waits for the end, whatever brings it.
    pub(super) async fn finish(mut self, context: &RunContext, limits: &Limits, message: &[u8]) -> End {
        let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        // Held until the end: the child takes the end of its standard input for the end of the engine.
        let mut stdin = self.child.stdin.take();
        let cause = {
            let pumps = async {
                tokio::join!(
                    send(&mut stdin, message),
                    stdout.fill(out, limits.max_output_bytes),
                    stderr.fill(err, limits.max_output_bytes)
                )
            };
            tokio::pin!(pumps);
            let (cause, pumped) = {
                let end = self.end(context, limits);
                tokio::pin!(end);
                tokio::select! {
                    cause = &mut end => (cause, false),
                    _ = &mut pumps => (end.await, true),
                }
            };
            self.clean_up().await;
            if !pumped {
                // What is still in the pipes; a process that got away may hold them open for ever.
                timeout(GRACE, pumps).await.ok();
            }
            cause
        };
        drop(stdin);
        End { cause, stdout, stderr }
    }

    async fn end(&mut self, context: &RunContext, limits: &Limits) -> Cause {
        let remaining = context.remaining().unwrap_or(Duration::MAX);
        let over = if remaining < limits.timeout { Cause::Deadline } else { Cause::Timeout };
        tokio::select! {
            // In this order: a child that was killed for a breach has ended too.
            biased;
            breach = self.family.watch(limits) => breach.map_or_else(Cause::Lost, Cause::Breach),
            status = self.child.wait() => status.map_or_else(Cause::Lost, Cause::Exit),
            () = tokio::time::sleep(remaining.min(limits.timeout)) => over,
            () = context.cancellation().cancelled() => Cause::Cancelled,
        }
    }

    /// Kills what is left of the child and reaps it.
    async fn clean_up(&mut self) {
        self.family.kill_group();
        self.child.start_kill().ok();
        if timeout(GRACE, self.child.wait()).await.is_err() {
            tracing::error!(process = self.child.id(), "a killed Python process does not end");
        }
        if !self.family.sweep(GRACE).await {
            tracing::error!("processes of a Python task could not be killed");
        }
    }
}

async fn send(stdin: &mut Option<ChildStdin>, message: &[u8]) {
    let Some(stdin) = stdin else { return };
    // A child that reads nothing breaks the pipe; how it ended tells why.
    if let Err(error) = stdin.write_all(message).await {
        tracing::debug!(%error, "a Python process did not read its task");
    }
}

/// Makes a relative path absolute, since the child starts in another directory; a bare name is looked up in `PATH`.
pub(super) fn program(interpreter: &str) -> Result<OsString> {
    if interpreter.trim().is_empty() {
        return Err(Error::new(ErrorKind::Configuration, "the name of the Python interpreter is empty")
            .with_hint("set `python.interpreter` to a name or a path"));
    }
    if Path::new(interpreter).components().count() < 2 {
        return Ok(interpreter.into());
    }
    std::path::absolute(interpreter).map(Into::into).map_err(|error| cannot_start(interpreter, error))
}

pub(super) fn cannot_start(interpreter: &str, error: io::Error) -> Error {
    // Too many open files, in the system or in this process; both have no kind of their own.
    let out_of_files = cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24));
    let (kind, retry, hint) = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory | io::ErrorKind::ExecutableFileBusy => (
            ErrorKind::ToolFailed,
            Retry::Backoff,
            "the machine is short of processes or memory; try again later",
        ),
        _ if out_of_files => (
            ErrorKind::ToolFailed,
            Retry::Backoff,
            "too many files are open; raise the limit or run fewer tasks",
        ),
        io::ErrorKind::NotFound => (
            ErrorKind::Configuration,
            Retry::Never,
            "install Python, or set `python.interpreter` to its path",
        ),
        _ => (
            ErrorKind::Configuration,
            Retry::Never,
            "set `python.interpreter` to a Python that can be run here",
        ),
    };
    Error::new(kind, format!("cannot start the Python interpreter `{interpreter}`: {error}"))
        .with_retry(retry)
        .with_hint(hint)
        .with_source(error)
}
