//! `cargo xtask chaos`: worker processes on one run after the other, killed and halted, for as long as one likes.
//!
//! Knows nothing of the checks: the program `chaos` of the tests makes them.

use anyhow::Result;
use clap::Args;

use crate::shell::{self, Workspace};

/// What to trouble, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Stores to run on, by their scheme; all of them where none is named.
    #[arg(long, value_name = "SCHEME")]
    store: Vec<String>,
    /// First seed.
    #[arg(long, value_name = "SEED", default_value_t = 1_000)]
    seed: u64,
    /// How many seeds on each store.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    runs: u64,
    /// A fault that is mixed with the others: `clock`, `disk`, or `torn`.
    #[arg(long, value_name = "FAULT")]
    trouble: Option<String>,
}

/// Runs the seeds on each store.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    shell::run(workspace.cargo(&["build", "-p", "motet-tests", "--bins"]))?;
    let (seed, runs) = (options.seed.to_string(), options.runs.to_string());
    let mut arguments =
        vec!["run", "-p", "motet-tests", "--bin", "chaos", "--", "--seed", &seed, "--runs", &runs];
    for store in &options.store {
        arguments.extend(["--store", store]);
    }
    if let Some(trouble) = &options.trouble {
        arguments.extend(["--trouble", trouble]);
    }
    shell::run(workspace.cargo(&arguments))
}
