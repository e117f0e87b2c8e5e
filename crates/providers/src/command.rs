//! Programs on this machine as tools: started directly with their arguments, never through a shell.
//!
//! Knows no agent. A program sees a small environment of its own, and is ended with everything in its process group when
//! the call ends in any way.

mod spec;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::request::ToolSpec;
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result, Tool, ToolContext, ToolOutput};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

pub use spec::{CommandSpec, Stdin};

use crate::python::capture::Captured;

/// How much of each output of a program is kept: 1 MiB.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// How much of what a failing program wrote to its standard error the model is shown, in characters from the end.
const ERROR_CHARS: usize = 4_000;

/// How long what a program left running may write on after its end.
const LEFT_RUNNING: Duration = Duration::from_millis(500);

/// Variables that every program is given, where they are set.
const PASSED: [&str; 10] =
    ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "SYSTEMROOT", "XDG_CACHE_HOME"];

/// Gives a variable of Motet's environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A tool that runs a program.
pub struct CommandTool {
    spec: ToolSpec,
    command: CommandSpec,
    directory: PathBuf,
    environment: Environment,
}

impl CommandTool {
    /// Makes a tool of a program. `base` is where its relative paths start, `directory` where it runs unless it says so
    /// itself.
    ///
    /// # Errors
    /// `Configuration` as [`CommandSpec::check`].
    pub fn new(
        command: CommandSpec,
        base: &Path,
        directory: &Path,
        environment: Environment,
    ) -> Result<Self> {
        command.check().map_err(|error| error.with_context("tool", &command.name))?;
        let mut command = command;
        if let Some(program) =
            command.run.first_mut().filter(|program| Path::new(program.as_str()).components().count() > 1)
        {
            *program = base.join(&*program).to_string_lossy().into_owned();
        }
        let directory = command.directory.as_ref().map_or_else(|| directory.to_owned(), |own| base.join(own));
        let CommandSpec { name, description, parameters, .. } = &command;
        let spec = ToolSpec::new(name, description, parameters.clone());
        Ok(Self { spec, directory, environment, command })
    }

    /// Gives the program's arguments with the model's in their places.
    fn arguments(&self, given: &Value) -> Vec<String> {
        let mut arguments = Vec::with_capacity(self.command.run.len());
        for argument in self.command.run.iter().skip(1) {
            match spec::placeholder(argument) {
                None => arguments.push(argument.clone()),
                Some(name) => match given.get(name) {
                    None | Some(Value::Null) => {}
                    Some(Value::Array(items)) => arguments.extend(items.iter().map(text)),
                    Some(value) => arguments.push(text(value)),
                },
            }
        }
        arguments
    }

    fn start(&self, given: &Value, context: &ToolContext<'_>) -> Result<Running> {
        let program = self.command.run.first().map(String::as_str).unwrap_or_default();
        let mut command = Command::new(program);
        command.args(self.arguments(given)).env_clear().current_dir(&self.directory);
        for name in PASSED {
            if let Some(value) = (self.environment)(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &self.command.env {
            command.env(name, self.expanded(value)?);
        }
        let stdin = if self.command.stdin == spec::Stdin::None { Stdio::null() } else { Stdio::piped() };
        command
            .env("MOTET_RUN_ID", context.run.run_id().as_str())
            .env("MOTET_IDEMPOTENCY_KEY", context.idempotency_key)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            Error::new(ErrorKind::ToolFailed, format!("`{program}` cannot be started: {error}"))
                .with_source(error)
        })?;
        Ok(Running(child))
    }

    /// Replaces `${NAME}` by variables of Motet's environment.
    fn expanded(&self, value: &str) -> Result<String> {
        let (mut out, mut rest) = (String::new(), value);
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else { break };
            let variable = (self.environment)(name).ok_or_else(|| {
                Error::new(ErrorKind::ToolFailed, format!("the variable `{name}` is not set"))
                    .with_context("tool", &self.command.name)
            })?;
            out.push_str(before);
            out.push_str(&variable);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[async_trait]
impl Tool for CommandTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        let mut running = self.start(&arguments, context)?;
        let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
        let Running(child) = &mut running;
        let (out, err, stdin) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        let send = async {
            if let Some(mut stdin) = stdin {
                // A program that reads nothing breaks the pipe; how it ends tells why.
                let _ = stdin.write_all(arguments.to_string().as_bytes()).await;
            }
        };
        let pumped = async {
            tokio::join!(send, stdout.fill(out, MAX_OUTPUT_BYTES), stderr.fill(err, MAX_OUTPUT_BYTES));
        };
        let group = child.id();
        let status = {
            tokio::pin!(pumped);
            tokio::select! {
                () = &mut pumped => child.wait().await,
                status = child.wait() => {
                    // What it left running may hold the pipes open; its own output is in them by now.
                    if tokio::time::timeout(LEFT_RUNNING, &mut pumped).await.is_err() {
                        kill_group(group);
                        let _ = tokio::time::timeout(LEFT_RUNNING, pumped).await;
                    }
                    status
                }
            }
        };
        // The group's number is its own as long as one of those lives that it left running; with none there is no group.
        kill_group(group);
        let status = status.map_err(|error| {
            Error::new(ErrorKind::ToolFailed, format!("how the program ended is not known: {error}"))
        })?;
        let (stdout, stderr) = (stdout.into_text(), stderr.into_text());
        if status.success() {
            return Ok(ToolOutput::text(stdout));
        }
        let skipped = stderr.chars().count().saturating_sub(ERROR_CHARS);
        let stderr: String = stderr.chars().skip(skipped).collect();
        Ok(ToolOutput::error(
            format!("{stdout}{stderr}\nthe program ended with {status}").trim_start().to_owned(),
        ))
    }

    fn effect(&self) -> Effect {
        self.command.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.command.timeout
    }

    fn needs_approval(&self, _arguments: &Value) -> bool {
        self.command.approve
    }
}

/// A program; dropping it ends it and everything in its group.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // There is no number any more once somebody waited for its end.
        kill_group(self.0.id());
    }
}

fn kill_group(leader: Option<u32>) {
    #[cfg(unix)]
    if let Some(group) = leader.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
    {
        // An error means that the group is empty.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    #[cfg(not(unix))]
    let _ = leader;
}
