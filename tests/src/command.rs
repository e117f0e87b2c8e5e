//! Runs the real `motet` binary in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Where the workspace is.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Gives where the `motet` command is: beside this test, built already, or built now where it is not there at all.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).context("the test lies in no target directory")?;
    let binary = directory.join(format!("motet{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let built =
            cargo.args(["build", "--quiet", "--package", "motet-cli"]).current_dir(workspace()).status()?;
        ensure!(built.success() && binary.exists(), "the command does not build");
    }
    Ok(binary)
}

/// A directory in which commands are run, with an environment of its own.
pub struct Place {
    directory: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    /// Exit code, `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Done {
    /// Reads stdout as exactly one JSON value.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("stdout is not one JSON value: {self:?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Place {
    /// Makes an empty directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { directory: tempfile::tempdir()? })
    }

    /// Gives the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file, with the directories above it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().context("no parent")?)?;
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, name: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path().join(name)).with_context(|| format!("no {name}"))
    }

    /// Prepares the command with these arguments; no key and no setting of the caller reaches it.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "TMPDIR", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.path());
        Ok(command)
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Done> {
        Ok(self.command(arguments)?.output()?.into())
    }

    /// Starts the command and goes on.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        Ok(self.command(arguments)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }
}
