//! `cargo xtask bench`: how long the release build takes, and what a call costs beside a bare one, beside the goals.
//!
//! A benchmark is one row: what it starts, how often, and what is good enough.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, Workspace};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Measures only this; may be given several times.
    #[arg(value_name = "BENCHMARK")]
    names: Vec<String>,
    /// How often each is run, where its own number is not wanted.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Lists the benchmarks and runs none.
    #[arg(long)]
    list: bool,
}

struct Benchmark {
    name: &'static str,
    doc: &'static str,
    subject: Subject,
}

/// What is measured.
enum Subject {
    /// The wall-clock time of the command with these arguments.
    Command { arguments: &'static [&'static str], runs: u32, goal: Option<Duration> },
    /// Whatever a program of the tests measures, which knows its goals and fails when it misses one.
    Program { name: &'static str, rounds: u32 },
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "version",
        doc: "`motet --version`, from start to end of the process",
        subject: Subject::Command {
            arguments: &["--version"],
            runs: 200,
            goal: Some(Duration::from_millis(5)),
        },
    },
    Benchmark {
        name: "run-brief",
        doc: "`motet run examples/brief.yaml` with an empty store",
        subject: Subject::Command { arguments: &["run", "examples/brief.yaml"], runs: 20, goal: None },
    },
    Benchmark {
        name: "overhead",
        doc: "processor time of calls, streams, tool rounds, and embeddings beside a bare HTTP client's",
        subject: Subject::Program { name: "overhead", rounds: 41 },
    },
    Benchmark {
        name: "rounds",
        doc: "the agent loop by itself, with a model that answers at once, and the memory of 10,000 runs side by side",
        subject: Subject::Program { name: "rounds", rounds: 5_000 },
    },
    Benchmark {
        name: "dag",
        doc: "graphs of up to 100,000 tasks that do nothing, through every store, and a worker without work",
        subject: Subject::Program { name: "dag", rounds: 20 },
    },
];

/// Measures the chosen benchmarks; one that misses its goal fails the command.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let chosen = choose(&options.names)?;
    if options.list {
        for benchmark in chosen {
            println!("{:10}  {}", benchmark.name, benchmark.doc);
        }
        return Ok(());
    }
    let mut missed = Vec::new();
    for benchmark in chosen {
        let met = match benchmark.subject {
            Subject::Command { arguments, runs, goal } => {
                shell::run(workspace.cargo(&["build", "--release", "--package", "motet-cli"]))?;
                let measured = measure(workspace, arguments, options.runs.unwrap_or(runs))
                    .with_context(|| format!("cannot measure `{}`", benchmark.name))?;
                told(benchmark.name, &measured, goal)
            }
            Subject::Program { name, rounds } => {
                shell::run(workspace.cargo(&[
                    "build",
                    "--release",
                    "--package",
                    "motet-tests",
                    "--bin",
                    name,
                ]))?;
                performed(workspace, name, options.runs.unwrap_or(rounds))?
            }
        };
        if !met {
            missed.push(benchmark.name);
        }
    }
    if !missed.is_empty() {
        bail!("over the goal: {}", missed.join(", "));
    }
    Ok(())
}

/// Prints what was measured; tells whether the goal is met.
fn told(name: &str, measured: &Measured, goal: Option<Duration>) -> bool {
    let met = goal.is_none_or(|goal| measured.median < goal);
    let verdict = match goal {
        None => "no goal".to_owned(),
        Some(goal) if met => format!("pass, goal < {}", millis(goal)),
        Some(goal) => format!("FAIL, goal < {}", millis(goal)),
    };
    println!("{name:10}  {measured}  {verdict}");
    met
}

/// Runs a program that prints what it measures; tells whether its goals are met.
fn performed(workspace: &Workspace, name: &str, rounds: u32) -> Result<bool> {
    let program = workspace.target.join("release").join(name);
    let mut command = workspace.command(&program);
    let status = command.args(["--rounds", &rounds.to_string()]).status();
    let status = status.with_context(|| format!("cannot start `{}`", program.display()))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("`{name}` failed ({status})"),
    }
}

/// Wall-clock times of the runs of one benchmark.
struct Measured {
    median: Duration,
    least: Duration,
    most: Duration,
    runs: usize,
}

impl Measured {
    fn of(mut times: Vec<Duration>) -> Result<Self> {
        times.sort_unstable();
        let (Some(least), Some(median), Some(most)) =
            (times.first(), times.get(times.len() / 2), times.last())
        else {
            bail!("nothing was run");
        };
        Ok(Self { median: *median, least: *least, most: *most, runs: times.len() })
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, least, most, runs } = self;
        write!(f, "median {}  min {}  max {}  runs {runs}", millis(*median), millis(*least), millis(*most))
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Benchmark>> {
    if names.is_empty() {
        return Ok(BENCHMARKS.iter().collect());
    }
    let find = |name: &String| {
        BENCHMARKS.iter().find(|benchmark| benchmark.name == name).with_context(|| {
            let all: Vec<_> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
            format!("there is no benchmark `{name}`; there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Runs a benchmark once to warm up, then as often as asked, each time with a store of its own.
fn measure(workspace: &Workspace, arguments: &[&str], runs: u32) -> Result<Measured> {
    let program = workspace.target.join("release/motet");
    let folder = workspace.target.join("bench");
    let mut times = Vec::new();
    for _ in 0..=runs {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        times.push(time(workspace, arguments, &program, &folder)?);
    }
    Measured::of(times.split_off(1))
}

fn time(workspace: &Workspace, arguments: &[&str], program: &Path, folder: &Path) -> Result<Duration> {
    let store = format!("sqlite:{}", folder.join("motet.db").display());
    let mut command: Command = workspace.command(program);
    command.args(arguments).env("MOTET_STORE", store);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let output = command.output().with_context(|| format!("cannot start `{}`", program.display()))?;
    let took = begun.elapsed();
    if !output.status.success() {
        bail!("it failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(took)
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_least_and_most_are_told() {
        let times = [5, 1, 9, 2, 3].map(Duration::from_millis).to_vec();
        let measured = Measured::of(times).unwrap();
        assert_eq!(measured.to_string(), "median 3.00 ms  min 1.00 ms  max 9.00 ms  runs 5");
        assert!(Measured::of(Vec::new()).is_err());
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_names_of_all() {
        let message = choose(&["versoin".to_owned()]).err().unwrap().to_string();
        assert_eq!(
            message,
            "there is no benchmark `versoin`; there are version, run-brief, overhead, rounds, dag"
        );
    }
}
