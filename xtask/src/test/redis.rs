//! The Redis server that some tests start: installed where it is missing and that is ours to do.
//!
//! Starts no server; the tests do, each its own.

use std::process::Stdio;

use crate::shell::{self, Workspace};

/// Makes sure that tests find `redis-server`, or says that those which need it will be skipped.
pub(crate) fn provide(workspace: &Workspace) {
    if is_there(workspace) {
        return;
    }
    if is_root(workspace) {
        println!("redis-server is missing, so apt installs it");
        let install = &["install", "--yes", "--no-install-recommends", "redis-server"];
        // The lists of packages are fetched only where there are none, or old ones.
        if !apt(workspace, install) && apt(workspace, &["update"]) {
            apt(workspace, install);
        }
    }
    if !is_there(workspace) {
        println!(
            "without redis-server some tests are skipped; install it with `apt-get install redis-server`"
        );
    }
}

fn is_there(workspace: &Workspace) -> bool {
    let mut command = workspace.command("redis-server");
    command.arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
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
