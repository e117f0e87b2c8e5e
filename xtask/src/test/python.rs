//! Builds the Python wheel into a virtual environment of its own and runs its tests.
//!
//! Touches no Python installation but `target/venv`, which it makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{self, Workspace};
use crate::test::counts;
use crate::test::tally::{SKIPS_VARIABLE, Tally};

/// The oldest minor version of Python 3 that the wheel supports.
const OLDEST_MINOR: u32 = 11;

/// What is installed into the environment, as package and module.
const NEEDED: &[(&str, &str)] = &[
    ("maturin", "maturin"),
    ("pytest", "pytest"),
    ("pytest-asyncio", "pytest_asyncio"),
    ("mypy", "mypy"),
    ("pydantic", "pydantic"),
];

/// Runs the tests of the wheel, or says what is missing to run them.
pub(crate) fn tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let environment = match prepare(workspace) {
        Ok(environment) => environment,
        Err(missing) => {
            tally.skip(format!("the Python tests: {missing:#}"));
            return Ok(());
        }
    };
    let mut develop = environment.command(workspace, "maturin");
    develop
        .args(["develop", "--manifest-path", "crates/py/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &workspace.target);
    shell::run(develop)?;

    let mut pytest = environment.command(workspace, "python");
    pytest.args(["-m", "pytest", "crates/py/tests", "-q", "-rs"]).env(SKIPS_VARIABLE, tally.reported());
    let output = shell::run_and_collect(pytest)?;
    tally.python += counts::pytest(&output)?;
    for reason in counts::pytest_skips(&output) {
        tally.skip(format!("a Python test: {reason}"));
    }
    Ok(())
}

/// The virtual environment of the tests.
pub(super) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Makes the environment where it is missing; an error says what to install.
    pub(super) fn provide(workspace: &Workspace) -> Result<Self> {
        let environment = Self { folder: workspace.target.join("venv") };
        if !works(workspace, &environment.folder.join("bin/python")) {
            let version = shell::capture(python(workspace, "import sys; print(*sys.version_info[:2])"))
                .context("there is no `python3`; install Python 3.11 or newer")?;
            require_version(&version)?;
            let mut make = workspace.command("python3");
            make.args(["-m", "venv", "--clear"]).arg(&environment.folder);
            shell::capture(make)
                .context("python3 cannot make a virtual environment; install its `venv` module")?;
        }
        Ok(environment)
    }

    /// Installs packages.
    pub(super) fn install<'a>(
        &self,
        workspace: &Workspace,
        packages: impl IntoIterator<Item = &'a &'a str>,
    ) -> Result<()> {
        let mut install = self.command(workspace, "python");
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(packages);
        shell::capture(install).map(drop)
    }

    /// Prepares a program of the environment, with the environment switched on.
    fn command(&self, workspace: &Workspace, program: &str) -> Command {
        let programs = self.folder.join("bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(programs.clone()).chain(std::env::split_paths(&path)));
        let mut command = workspace.command(programs.join(program));
        command.env("VIRTUAL_ENV", &self.folder).env_remove("PYTHONHOME").env_remove("CONDA_PREFIX");
        if let Ok(path) = path {
            command.env("PATH", path);
        }
        command
    }
}

/// Makes the environment where it is missing and installs into it what is missing; an error says what to install.
fn prepare(workspace: &Workspace) -> Result<Environment> {
    let environment = Environment::provide(workspace)?;
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(_, module)| !has_module(workspace, &environment, module))
        .map(|(package, _)| package)
        .collect();
    if !missing.is_empty() {
        environment.install(workspace, missing).context("pip cannot install what the tests need")?;
    }
    Ok(environment)
}

fn python(workspace: &Workspace, code: &str) -> Command {
    let mut command = workspace.command("python3");
    command.args(["-c", code]);
    command
}

fn works(workspace: &Workspace, python: &Path) -> bool {
    let mut command = workspace.command(python);
    command.arg("--version");
    shell::capture(command).is_ok()
}

fn has_module(workspace: &Workspace, environment: &Environment, module: &str) -> bool {
    let mut command = environment.command(workspace, "python");
    command.args(["-c", &format!("import {module}")]);
    shell::capture(command).is_ok()
}

/// Refuses a Python that is too old; takes what `print(*sys.version_info[:2])` prints.
fn require_version(printed: &str) -> Result<()> {
    let mut numbers = printed.split_whitespace().map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(minor))) if minor >= OLDEST_MINOR => Ok(()),
        (Some(Ok(major)), Some(Ok(minor))) => {
            anyhow::bail!("`python3` is {major}.{minor}; install Python 3.{OLDEST_MINOR} or newer")
        }
        _ => anyhow::bail!("`python3` does not tell its version; install Python 3.{OLDEST_MINOR} or newer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_python_is_refused_with_what_to_install() {
        assert!(require_version("3 11\n").is_ok());
        assert!(require_version("3 14").is_ok());
        assert_eq!(
            require_version("3 10").unwrap_err().to_string(),
            "`python3` is 3.10; install Python 3.11 or newer"
        );
        assert!(require_version("").is_err());
    }
}
