//! `cargo xtask fuzz`: feeds every reader of foreign bytes with made-up ones, for a while each.
//!
//! Needs a nightly toolchain, as the fuzzer does; installs the fuzzer below the target folder where it is missing.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, Workspace};

/// What to fuzz.
#[derive(Args)]
pub(crate) struct Options {
    /// Fuzzes only this target; may be given several times.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target is fuzzed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
    /// File of recorded exchanges whose answers to begin with.
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Lists the targets and runs none.
    #[arg(long)]
    list: bool,
}

/// Fuzzes each target in turn, and fails at the first that breaks.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let known = targets(workspace)?;
    if options.list {
        known.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}`; the targets are {}", known.join(", "));
    }
    if let Some(corpus) = &options.corpus {
        let mut command =
            workspace.cargo(&["run", "--quiet", "--package", "motet-tests", "--bin", "conformance", "--"]);
        command.arg("--corpus").arg(std::path::absolute(corpus)?).args(["--seeds", "fuzz/corpus"]);
        shell::run(command)?;
    }
    let fuzzer = fuzzer(workspace)?;
    let chosen = if options.targets.is_empty() { &known } else { &options.targets };
    for target in chosen {
        println!("\n==> {target}, {} s", options.seconds);
        let mut command = workspace.command(&fuzzer);
        command.current_dir(workspace.root.join("fuzz"));
        command.env("RUSTUP_TOOLCHAIN", "nightly").env("CARGO_TARGET_DIR", workspace.target.join("fuzz"));
        command.env_remove("RUSTC").env_remove("RUSTDOC").env_remove("CARGO");
        command.args(["run", target, "--", "-rss_limit_mb=4096", "-timeout=10"]);
        command.arg(format!("-max_total_time={}", options.seconds));
        shell::run(command).with_context(|| format!("fuzzing `{target}` found something"))?;
    }
    println!("\nnothing was found in {}", chosen.join(", "));
    Ok(())
}

/// Gives the targets: one file each.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).context("there is no folder of fuzz targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Gives the fuzzer's program, and installs it where it is missing.
fn fuzzer(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("tools");
    let program = root.join("bin/cargo-fuzz");
    if !program.exists() {
        println!("==> installing cargo-fuzz");
        let mut command = workspace.cargo(&["install", "cargo-fuzz", "--locked", "--root"]);
        command.arg(&root);
        shell::run(command).context("cargo-fuzz cannot be installed")?;
    }
    Ok(program)
}
