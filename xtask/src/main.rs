//! Developer tasks: `cargo xtask test` runs everything; the others are its parts, and the writers of new files.
//!
//! Knows the tree and the tools that work on it, and depends on no crate of ours.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer task talks to a terminal")]

mod bench;
mod chaos;
mod codegen;
mod conformance;
mod fuzz;
mod scaffold;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shell::Workspace;

/// Developer tasks of Motet.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check and every test, from a clean checkout, and sets up what they need.
    Test(test::Options),
    /// Formats every Rust file.
    Fmt,
    /// Checks the house rules that a compiler does not check.
    Tidy,
    /// Writes the files that are made from the code.
    Codegen(codegen::Options),
    /// Starts a new provider, pattern, or command: its file and its row.
    New(scaffold::Options),
    /// Judges recorded exchanges with real providers.
    Conformance(conformance::Options),
    /// Feeds made-up bytes to every reader of foreign ones, with a nightly toolchain.
    Fuzz(fuzz::Options),
    /// Kills and halts workers of many runs, and checks what they leave.
    Chaos(chaos::Options),
    /// Measures the release build against the goals.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Test(options) => test::run(&workspace, options),
        Task::Fmt => shell::run(workspace.cargo(&["fmt", "--all"])),
        Task::Tidy => tidy::run(&workspace),
        Task::Codegen(options) => codegen::run(&workspace, options),
        Task::New(options) => scaffold::run(&workspace, options),
        Task::Conformance(options) => conformance::run(&workspace, options),
        Task::Fuzz(options) => fuzz::run(&workspace, options),
        Task::Chaos(options) => chaos::run(&workspace, options),
        Task::Bench(options) => bench::run(&workspace, options),
    }
}
