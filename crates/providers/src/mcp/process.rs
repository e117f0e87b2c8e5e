//! Starts the program of a server in a process group of its own, and leaves nothing of it running.
//!
//! Knows nothing of what the program says. It sees of the environment only what finding programs and files takes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use motet_core::mcp::ServerConfig;
use motet_core::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::told::Told;

/// What a server inherits of the environment; never a key.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    #[cfg(windows)]
    "SYSTEMROOT",
    #[cfg(windows)]
    "PATHEXT",
    #[cfg(windows)]
    "COMSPEC",
    #[cfg(windows)]
    "TEMP",
    #[cfg(windows)]
    "TMP",
    #[cfg(windows)]
    "APPDATA",
    #[cfg(windows)]
    "LOCALAPPDATA",
    #[cfg(windows)]
    "USERPROFILE",
];

/// How long a server that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A running program; dropping it kills it and all that it started in its group.
#[derive(Debug)]
pub(crate) struct Process {
    group: Option<i32>,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<Ended>>,
    /// Asks the task that waits for its end to kill it.
    kill: CancellationToken,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended(pub(crate) String);

/// What is spoken through.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
}

impl Process {
    /// Starts the program of a server.
    pub(crate) fn start(
        name: &str,
        config: &ServerConfig,
        environment: &BTreeMap<String, String>,
        told: &Arc<Told>,
    ) -> Result<(Self, Pipes)> {
        let program = config.command.as_deref().unwrap_or_default();
        let directory = config.directory.as_deref().map(Path::new);
        let mut command = Command::new(located(program, directory));
        command
            .args(&config.args)
            .env_clear()
            .envs(inherited())
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| cannot_start(name, program, directory, error))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(ErrorKind::Internal, "a server was started without its pipes"));
        };
        let stderr = child.stderr.take();
        let listening = tokio::spawn(listen(stderr, Arc::clone(told)));
        let (tell, ended) = watch::channel(None);
        let kill = CancellationToken::new();
        let waiting = {
            let kill = kill.clone();
            async move {
                let how = wait(child, group, kill).await;
                // What it complained of last is often why it ended.
                tokio::time::timeout(GRACE, listening).await.ok();
                // Nobody listens any more where the connection was dropped.
                tell.send(Some(Ended(how))).ok();
            }
        };
        tokio::spawn(waiting);
        Ok((Self { group, ended, kill }, Pipes { stdin, stdout }))
    }

    /// Tells how the program ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits until the program has ended.
    pub(crate) async fn end(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }

    /// Gives the program, whose standard input is closed already, time to end by itself; kills it then.
    pub(crate) async fn finish(&self) {
        if tokio::time::timeout(GRACE, self.end()).await.is_err() {
            signal(self.group, Signal::End);
            if tokio::time::timeout(GRACE, self.end()).await.is_err() {
                self.kill.cancel();
                signal(self.group, Signal::Kill);
            }
        }
    }
}

impl Process {
    /// Kills the program and its group; [`end`](Self::end) waits until it is gone.
    pub(crate) fn kill(&self) {
        if self.ended().is_none() {
            signal(self.group, Signal::Kill);
        }
        self.kill.cancel();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lost() -> Ended {
    Ended("it is not known how".to_owned())
}

/// Waits for the end of the program, whatever brings it, and ends what it left running.
async fn wait(mut child: Child, group: Option<i32>, kill: CancellationToken) -> String {
    let status = tokio::select! {
        status = child.wait() => status,
        () = kill.cancelled() => {
            // Only a child that still runs can be killed, and then it is waited for.
            child.start_kill().ok();
            child.wait().await
        }
    };
    signal(group, Signal::Kill);
    status.map_or_else(|error| error.to_string(), shown)
}

fn shown(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("killed by signal {number}");
    }
    status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"))
}

/// Keeps the end of what the program complains of.
async fn listen(stderr: Option<ChildStderr>, told: Arc<Told>) {
    let Some(mut stderr) = stderr else { return };
    let mut buffer = [0; 4096];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        told.complained(buffer.get(..count).unwrap_or_default());
    }
}

fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|allowed| name == allowed))
}

/// Makes a path that is relative one from the directory in which the program runs; a bare name is looked up in `PATH`.
fn located(program: &str, directory: Option<&Path>) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() < 2 || path.is_absolute() {
        return path.to_owned();
    }
    let joined = directory.map_or_else(|| path.to_owned(), |directory| directory.join(path));
    std::path::absolute(&joined).unwrap_or(joined)
}

enum Signal {
    End,
    Kill,
}

/// Sends a signal to a whole group; one that is gone needs none.
#[cfg(unix)]
fn signal(group: Option<i32>, signal: Signal) {
    let Some(group) = group.and_then(rustix::process::Pid::from_raw) else { return };
    let signal = match signal {
        Signal::End => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    rustix::process::kill_process_group(group, signal).ok();
}

#[cfg(not(unix))]
fn signal(_: Option<i32>, _: Signal) {}

fn cannot_start(name: &str, program: &str, directory: Option<&Path>, error: io::Error) -> Error {
    let message = format!("the program `{program}` of the server `{name}` cannot be started: {error}");
    let hint = match (error.kind(), directory) {
        (io::ErrorKind::NotFound, Some(directory)) if !directory.is_dir() => {
            format!("there is no directory `{}`", directory.display())
        }
        (io::ErrorKind::NotFound, _) => match program {
            "npx" | "npm" | "node" => "install Node.js, or give the whole path as `command`".to_owned(),
            "uvx" | "uv" => "install uv, or give the whole path as `command`".to_owned(),
            "docker" | "podman" => format!("install {program}, or give the whole path as `command`"),
            _ => "install it, or give its whole path as `command`".to_owned(),
        },
        _ => "look whether `command` names a program that may be run here".to_owned(),
    };
    Error::new(ErrorKind::Configuration, message).with_hint(hint).with_source(error)
}
