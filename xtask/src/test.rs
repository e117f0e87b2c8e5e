//! `cargo xtask test`: one table of stages, run in order, from a clean checkout.
//!
//! A stage counts what it ran and says what it could not run; only this file decides what that means for the outcome.

mod counts;
mod mcp;
mod programs;
mod python;
mod rust;
mod tally;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::codegen::{self, Motet};
use crate::shell::{self, Workspace};
use crate::test::tally::Tally;
use crate::tidy;

/// What of the tests to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs only this stage; may be given several times.
    #[arg(long, value_name = "STAGE", conflicts_with = "skip")]
    only: Vec<String>,
    /// Leaves out this stage; may be given several times.
    #[arg(long, value_name = "STAGE")]
    skip: Vec<String>,
    /// Lists the stages and runs none.
    #[arg(long)]
    list: bool,
}

struct Stage {
    name: &'static str,
    doc: &'static str,
    run: fn(&Workspace, &mut Tally) -> Result<()>,
}

const STAGES: &[Stage] = &[
    Stage { name: "format", doc: "every Rust file is formatted", run: format },
    Stage { name: "lints", doc: "clippy finds nothing in any crate or test", run: lints },
    Stage { name: "tidy", doc: "the house rules hold", run: |workspace, _| tidy::run(workspace) },
    Stage {
        name: "build",
        doc: "every crate, test, and program is built once for what follows",
        run: |workspace, _| workspace.build_all(),
    },
    Stage { name: "codegen", doc: "the generated files are up to date", run: codegen },
    Stage { name: "rust", doc: "the tests of all crates", run: rust::tests },
    Stage { name: "docs", doc: "the examples in the documentation of the crates", run: rust::doc_tests },
    Stage { name: "python", doc: "the wheel, built into `target/venv`, and its tests", run: python::tests },
];

/// Runs the chosen stages and prints what was run, what was not, and why.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let stages = choose(options)?;
    if options.list {
        for stage in stages {
            println!("{:8}  {}", stage.name, stage.doc);
        }
        return Ok(());
    }
    let begun = Instant::now();
    let mut tally = Tally::start(workspace)?;
    for stage in stages {
        run_stage(workspace, stage, &mut tally)?;
    }
    tally.collect_reported()?;
    println!("\n{tally}\nno stage failed, {}", seconds(begun.elapsed()));
    tally.refuse_skips(std::env::var("CI").is_ok_and(|value| value == "true"))
}

fn run_stage(workspace: &Workspace, stage: &Stage, tally: &mut Tally) -> Result<()> {
    let skips = tally.skips();
    println!("\n==> {}: {}", stage.name, stage.doc);
    let begun = Instant::now();
    (stage.run)(workspace, tally).with_context(|| {
        format!(
            "stage `{name}` failed after {took}; run it alone with `cargo xtask test --only {name}`",
            name = stage.name,
            took = seconds(begun.elapsed()),
        )
    })?;
    let verdict = if tally.skips() == skips { "passed" } else { "not everything ran" };
    println!("<== {}: {verdict}, {}", stage.name, seconds(begun.elapsed()));
    Ok(())
}

fn choose(options: &Options) -> Result<Vec<&'static Stage>> {
    for name in options.only.iter().chain(&options.skip) {
        if !STAGES.iter().any(|stage| stage.name == name) {
            let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            bail!("there is no stage `{name}`; the stages are {}", names.join(", "));
        }
    }
    let wanted = |stage: &&Stage| {
        let named = |names: &[String]| names.iter().any(|name| name == stage.name);
        (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
    };
    Ok(STAGES.iter().filter(wanted).collect())
}

fn format(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    shell::run(workspace.cargo(&["fmt", "--all", "--", "--check"]))
        .context("some files are not formatted; run `cargo xtask fmt`")
}

fn lints(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    shell::run(workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn codegen(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    workspace.build_all()?;
    codegen::check(workspace, &Motet::built(workspace)?)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(only: &[&str], skip: &[&str]) -> Result<Vec<&'static str>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let options = Options { only: owned(only), skip: owned(skip), list: false };
        Ok(choose(&options)?.iter().map(|stage| stage.name).collect())
    }

    #[test]
    fn without_options_every_stage_runs_in_order() {
        assert_eq!(
            chosen(&[], &[]).unwrap(),
            ["format", "lints", "tidy", "build", "codegen", "rust", "docs", "python"]
        );
    }

    #[test]
    fn only_and_skip_choose_stages() {
        assert_eq!(chosen(&["tidy", "rust"], &[]).unwrap(), ["tidy", "rust"]);
        assert!(!chosen(&[], &["python"]).unwrap().contains(&"python"));
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_names_of_all() {
        let message = chosen(&[], &["pyhton"]).unwrap_err().to_string();
        assert!(message.starts_with("there is no stage `pyhton`; the stages are format, lints"), "{message}");
    }
}
