//! The servers of tools that some tests start: installed under `target` where they are missing.
//!
//! Starts no server; the tests do, each its own. Touches no installation outside of `target`.

use std::process::Stdio;

use anyhow::{Context, Result};

use super::python::Environment;
use crate::shell::{self, Workspace};

/// Servers from PyPI, by the name of the package and of the program.
const FROM_PYPI: &[&str] = &["mcp-server-time", "mcp-server-git"];
/// Servers from npm, by package and program.
const FROM_NPM: &[(&str, &str)] = &[
    ("@modelcontextprotocol/server-everything", "mcp-server-everything"),
    ("@modelcontextprotocol/server-filesystem", "mcp-server-filesystem"),
];

/// Makes sure that tests find real servers, or says that those which need them will be skipped.
pub(crate) fn provide(workspace: &Workspace) {
    for installed in [from_pypi(workspace), from_npm(workspace)] {
        if let Err(missing) = installed {
            println!("some tests of tool servers are skipped: {missing:#}");
        }
    }
}

fn from_pypi(workspace: &Workspace) -> Result<()> {
    let programs = workspace.target.join("venv/bin");
    let missing: Vec<_> = FROM_PYPI.iter().filter(|name| !programs.join(name).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let environment = Environment::provide(workspace)?;
    println!("servers of tools from PyPI are missing, so pip installs them");
    environment.install(workspace, missing).context("pip cannot install the servers")
}

fn from_npm(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("tools/mcp");
    let programs = folder.join("node_modules/.bin");
    let missing: Vec<_> = FROM_NPM.iter().filter(|(_, program)| !programs.join(program).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut npm = workspace.command("npm");
    let is_there = npm.arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    anyhow::ensure!(is_there, "there is no `npm`; install Node.js");
    println!("servers of tools from npm are missing, so npm installs them");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut install = workspace.command("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    install.args(missing.iter().map(|(package, _)| package));
    shell::capture(install).context("npm cannot install the servers").map(drop)
}
