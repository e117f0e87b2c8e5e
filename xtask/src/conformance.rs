//! `cargo xtask conformance`: recorded exchanges against what Motet reads and sends.
//!
//! Starts the program that judges; knows nothing of providers itself.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::shell::{self, Workspace};

/// What to judge.
#[derive(Args)]
pub(crate) struct Options {
    /// File with one recorded exchange a line.
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Only exchanges of this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only exchanges of this kind, such as `stream-tools`.
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
    /// Only exchanges of this wire format, such as `anthropic-messages`.
    #[arg(long, value_name = "NAME")]
    wire: Option<String>,
    /// Only exchanges whose id contains this.
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Only reads each exchange as it came, without splits and cuts.
    #[arg(long)]
    quick: bool,
    /// Differences shown of each failure.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    differences: usize,
    /// Judges requests instead of answers: each recorded one made again, and sessions replayed with Motet's history.
    #[arg(long)]
    requests: bool,
}

/// Judges, and fails when anything differs.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let corpus = std::path::absolute(&options.corpus)?;
    let mut command =
        workspace.cargo(&["run", "--quiet", "--package", "motet-tests", "--bin", "conformance", "--"]);
    command.arg("--corpus").arg(corpus);
    let named = [
        ("--provider", &options.provider),
        ("--kind", &options.kind),
        ("--wire", &options.wire),
        ("--id", &options.id),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            command.arg(name).arg(value);
        }
    }
    for (name, wanted) in [("--quick", options.quick), ("--requests", options.requests)] {
        if wanted {
            command.arg(name);
        }
    }
    command.arg("--differences").arg(options.differences.to_string());
    shell::run(command).context("not all exchanges are as they should be")
}
