//! Runs the tests of all crates and their documentation examples.

use anyhow::Result;

use crate::shell::{self, Workspace};
use crate::test::counts::{self, Counts};
use crate::test::tally::{SKIPS_VARIABLE, Tally};
use crate::test::{mcp, programs};

/// Runs the tests of all crates with cargo-nextest, or with Rust's own runner where that is not installed.
pub(crate) fn tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    programs::provide(workspace);
    mcp::provide(workspace);
    let counts =
        if has_nextest(workspace) { run_nextest(workspace, tally)? } else { run_libtest(workspace, tally)? };
    tally.rust += counts.passed;
    tally.skip_unexplained(counts.skipped, "Rust tests");
    Ok(())
}

/// Runs the examples in doc comments.
pub(crate) fn doc_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut command = workspace.cargo(&["test", "--workspace", "--doc"]);
    command.env(SKIPS_VARIABLE, tally.reported());
    let counts = counts::libtest(&shell::run_and_collect(command)?);
    tally.docs += counts.passed;
    tally.skip_unexplained(counts.skipped, "documentation examples");
    Ok(())
}

fn has_nextest(workspace: &Workspace) -> bool {
    shell::capture(workspace.cargo(&["nextest", "--version"])).is_ok()
}

fn run_nextest(workspace: &Workspace, tally: &Tally) -> Result<Counts> {
    println!("with cargo-nextest");
    let profile = if std::env::var("CI").is_ok_and(|value| value == "true") { "ci" } else { "default" };
    let mut command = workspace.cargo(&["nextest", "run", "--workspace", "--profile", profile]);
    command.env(SKIPS_VARIABLE, tally.reported());
    counts::nextest(&shell::run_and_collect(command)?)
}

fn run_libtest(workspace: &Workspace, tally: &Tally) -> Result<Counts> {
    println!("with `cargo test`, as cargo-nextest is not installed");
    let mut command = workspace.cargo(&[
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
    ]);
    command.env(SKIPS_VARIABLE, tally.reported());
    Ok(counts::libtest(&shell::run_and_collect(command)?))
}
