//! Where the workspace is, and how other programs are run in it.
//!
//! Knows nothing of what the programs are for.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

/// The checkout that the tasks work on.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// Folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Folder of everything that is built.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Finds the checkout by the place of this package in it.
    pub(crate) fn find() -> Result<Self> {
        let package =
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&package).parent().context("the xtask folder has no parent")?.to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// Prepares a program to run at the root.
    ///
    /// What cargo tells this program about itself is withheld: build scripts that read it would see another value than
    /// in a build by hand, and build again.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Prepares cargo to run at the root.
    ///
    /// The Python extension is always built as one, so that no stage needs the interpreter's library and none rebuilds
    /// what another has built.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command =
            self.command(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
        command.args(arguments).env("CARGO_TARGET_DIR", &self.target).env("PYO3_BUILD_EXTENSION_MODULE", "1");
        command
    }

    /// Builds every target of every crate: with one set of features, so that no stage builds again what another has.
    pub(crate) fn build_all(&self) -> Result<()> {
        run(self.cargo(&["build", "--workspace", "--all-targets"]))
    }

    /// Reads a file by its path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read `{path}`"))
    }

    /// Writes a file by its path from the root, with the folders above it.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let full = self.root.join(path);
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of `{path}`"))?;
        }
        std::fs::write(full, text).with_context(|| format!("cannot write `{path}`"))
    }
}

/// Runs a program on our terminal; its failure is an error that shows the command line.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(&command)))?;
    require(status, &command)
}

/// Runs a program and gives what it printed; its failure is an error that shows what it complained of.
pub(crate) fn capture(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line(&command)))?;
    succeeded(&output, &command)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program over a text and gives what it makes of it.
pub(crate) fn filter(mut command: Command, text: String) -> Result<String> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("cannot start `{}`", line(&command)))?;
    let mut input = child.stdin.take().context("the program takes no input")?;
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    let written = writer.join().map_err(|_| anyhow!("the text for `{}` was not written", line(&command)))?;
    succeeded(&output, &command)?;
    written.with_context(|| format!("`{}` did not read its input", line(&command)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program, shows each line of both its outputs as it comes, and gives all of them.
///
/// Its failure is an error that shows the command line; the lines have been shown already.
pub(crate) fn run_and_collect(mut command: Command) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(&command)))?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|stream| forward(stream, sender.clone())),
        child.stderr.take().map(|stream| forward(stream, sender)),
    ];
    let mut collected = String::new();
    for text in lines {
        println!("{text}");
        collected.push_str(&text);
        collected.push('\n');
    }
    for reader in readers.into_iter().flatten() {
        if reader.join().is_err() {
            bail!("the output of `{}` could not be read", line(&command));
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{}`", line(&command)))?;
    require(status, &command)?;
    Ok(collected)
}

fn require(status: ExitStatus, command: &Command) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

fn succeeded(output: &Output, command: &Command) -> Result<()> {
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", line(command), output.status, complaint.trim());
    }
    Ok(())
}

fn forward(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            if lines.send(text).is_err() {
                return;
            }
            bytes.clear();
        }
    })
}

/// Gives the command line as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
