//! Lets many seeds of the chaos harness loose and tells what came of them: `chaos --store sqlite --seed 1 --runs 100`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use motet_tests::chaos::{Chaos, KINDS, Kind, Told, Trouble};

/// What to trouble, and for how long.
#[derive(Parser)]
struct Options {
    /// Stores by their scheme; all of them where none is named.
    #[arg(long)]
    store: Vec<String>,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds on each store.
    #[arg(long, default_value_t = 10)]
    runs: u64,
    /// A fault that is mixed with the others.
    #[arg(long)]
    trouble: Option<Trouble>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let program = std::env::current_exe()?.with_file_name("chaos_worker");
    if !program.exists() {
        bail!("`{}` is missing: build the programs of `motet-tests`", program.display());
    }
    let wanted = |scheme: &str| options.store.is_empty() || options.store.iter().any(|store| store == scheme);
    if let Some(unknown) = options.store.iter().find(|store| KINDS.iter().all(|kind| kind.scheme != **store))
    {
        bail!("there is no store `{unknown}` to trouble");
    }
    for kind in KINDS.iter().filter(|kind| wanted(kind.scheme)) {
        run(kind, &options, &program)?;
    }
    Ok(())
}

/// Lets the seeds loose on a kind of store and tells how many of them ran.
fn run(kind: &Kind, options: &Options, program: &Path) -> Result<()> {
    let name = format!("{} {}", kind.scheme, kind.fsync.unwrap_or_default());
    let name = name.trim();
    if let Some(trouble) = options.trouble.filter(|trouble| !kind.can_have(*trouble)) {
        println!("{name}: skipped, as it cannot have {trouble:?}");
        return Ok(());
    }
    let mut all = Told::default();
    for seed in options.seed..options.seed + options.runs {
        let chaos = Chaos { trouble: options.trouble, ..Chaos::of_seed(seed, kind.workers) };
        let told = kind.let_loose(&chaos, program).with_context(|| format!("{name}, seed {seed}"))?;
        let Some(told) = told else {
            println!("{name}: {} seeds, the others skipped, {all:?}", seed - options.seed);
            return Ok(());
        };
        all += told;
    }
    println!("{name}: {} seeds, {all:?}", options.runs);
    Ok(())
}
