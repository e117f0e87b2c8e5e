//! Programs that some tests start: installed where they are missing and that is ours to do.
//!
//! Starts none of them; the tests do, each its own.

use std::process::Stdio;

use crate::shell::{self, Workspace};

/// Each program: how it tells its version, and the package that has it.
const PROGRAMS: &[(&str, &str, &str)] =
    &[("redis-server", "--version", "redis-server"), ("tmux", "-V", "tmux")];

/// Makes sure that tests find the programs that they start, or says that those which need one will be skipped.
pub(crate) fn provide(workspace: &Workspace) {
    for (program, version, package) in PROGRAMS {
        let is_there = || is_there(workspace, program, version);
        if is_there() {
            continue;
        }
        if is_root(workspace) {
            println!("{program} is missing, so apt installs it");
            let install = &["install", "--yes", "--no-install-recommends", package];
            // The lists of packages are fetched only where there are none, or old ones.
            if !apt(workspace, install) && apt(workspace, &["update"]) {
                apt(workspace, install);
            }
        }
        if !is_there() {
            println!("without {program} some tests are skipped; install it with `apt-get install {package}`");
        }
    }
}

fn is_there(workspace: &Workspace, program: &str, version: &str) -> bool {
    let mut command = workspace.command(program);
    command.arg(version).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn is_root(workspace: &Workspace) -> bool {
    let mut command = workspace.command("id");
    command.arg("-u");
    shell::capture(command).is_ok_and(|user| user.trim() == "0")
}

fn apt(workspace: &Workspace, arguments: &[&str]) -> bool {
    let mut command = workspace.command("apt-get");
    // Nothing may ask a question, and no service may start beside the tests.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    match shell::run(command) {
        Ok(()) => true,
        Err(error) => {
            println!("{error}");
            false
        }
    }
}
