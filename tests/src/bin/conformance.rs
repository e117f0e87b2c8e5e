//! Judges a file of recorded exchanges and prints a table; what `cargo xtask conformance` runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer task talks to a terminal")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use motet_tests::conformance::{Depth, Verdict, judge};
use motet_tests::corpus::{self, Line};
use motet_tests::{neutral, requests, sessions};

/// Judges recorded exchanges.
#[derive(Parser)]
struct Arguments {
    /// File with one exchange a line.
    #[arg(long)]
    corpus: PathBuf,
    /// Only exchanges of this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only exchanges of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only exchanges of this wire format.
    #[arg(long)]
    wire: Option<String>,
    /// Only exchanges whose id contains this.
    #[arg(long)]
    id: Option<String>,
    /// Only reads each exchange as it came, without splits and cuts.
    #[arg(long)]
    quick: bool,
    /// Differences shown of each failure.
    #[arg(long, default_value_t = 1)]
    differences: usize,
    /// Judges requests instead of answers.
    #[arg(long)]
    requests: bool,
    /// Judges nothing, and writes each answer below this folder, to fuzz with.
    #[arg(long)]
    seeds: Option<PathBuf>,
}

#[derive(Default)]
struct Row {
    passed: usize,
    excepted: usize,
    failed: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let lines = corpus::load(&arguments.corpus)?
        .with_context(|| format!("there is no file `{}`", arguments.corpus.display()))?;
    let fits = |wish: &Option<String>, value: &str| wish.as_deref().is_none_or(|wish| wish == value);
    let lines: Vec<Line> = lines
        .into_iter()
        .filter(|line| fits(&arguments.provider, &line.provider) && fits(&arguments.kind, &line.kind))
        .filter(|line| fits(&arguments.wire, &line.wire))
        .filter(|line| arguments.id.as_deref().is_none_or(|id| line.id.contains(id)))
        .collect();
    anyhow::ensure!(!lines.is_empty(), "no exchange fits");
    if let Some(folder) = &arguments.seeds {
        return write_seeds(folder, &lines).map(|()| true);
    }
    if arguments.requests {
        return requests_judged(arguments, &lines);
    }
    let depth = if arguments.quick { Depth::Reading } else { Depth::Every };
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (line, verdict) in judged(&lines, depth) {
        let row = rows.entry((line.provider.clone(), line.kind.clone())).or_default();
        match verdict {
            Ok(Verdict::Pass) => row.passed += 1,
            Ok(Verdict::Excepted(reason)) => {
                row.excepted += 1;
                *reasons.entry(reason).or_default() += 1;
            }
            Ok(Verdict::Fail(found)) => {
                row.failed += 1;
                for difference in found.iter().take(arguments.differences) {
                    println!("FAIL {} ({}): {difference}", line.id, line.wire);
                }
            }
            Err(error) => {
                row.failed += 1;
                println!("FAIL {} ({}): {error:#}", line.id, line.wire);
            }
        }
    }
    let good = print(&rows, &reasons);
    print_finish_reasons(&lines)?;
    Ok(good)
}

/// Shows which word of each wire became which of Motet's.
fn print_finish_reasons(lines: &[Line]) -> anyhow::Result<()> {
    let mut words: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.op == "chat") {
        if let Ok(outcome) = corpus::read(line)
            && let Ok(response) = outcome.result
        {
            let raw = response.raw_finish_reason.unwrap_or_else(|| "none".to_owned());
            let word = format!("{raw} -> {}", response.finish_reason.as_str());
            words.entry(&line.wire).or_default().insert(word);
        }
    }
    for (wire, words) in words {
        println!("finish reasons of {wire}: {}", words.into_iter().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// Makes every recorded request again, and replays sessions.
fn requests_judged(arguments: &Arguments, lines: &[Line]) -> anyhow::Result<bool> {
    let calls = neutral::load(&arguments.corpus)?;
    let mut explained: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    let (mut accepted, mut refused) = (0, 0);
    for line in lines {
        let call = calls.get(&line.id).with_context(|| format!("`{}` has no call", line.id))?;
        match requests::judge(line, call)? {
            requests::Verdict::NoForm(reason) => *missing.entry(reason).or_default() += 1,
            requests::Verdict::Accepted(reasons) => {
                accepted += 1;
                reasons.into_iter().for_each(|reason| *explained.entry(reason).or_default() += 1);
            }
            requests::Verdict::Refused(found) => {
                refused += 1;
                for difference in found.iter().take(arguments.differences) {
                    println!("FAIL {} ({}): {difference}", line.id, line.wire);
                }
            }
        }
    }
    println!("{accepted} of {} requests that have a neutral form are accepted", accepted + refused);
    for (reason, count) in explained {
        println!("  explained {count}: {reason}");
    }
    for (reason, count) in missing {
        println!("  no neutral form {count}: {reason}");
    }
    let mut sum = sessions::Replayed::default();
    for steps in sessions::sessions(lines) {
        let replayed = sessions::replay(&steps, &calls)?;
        sum.accepted += replayed.accepted;
        sum.by_agent += replayed.by_agent;
        sum.refused.extend(replayed.refused);
    }
    for refused in &sum.refused {
        println!("FAIL {refused}");
    }
    println!(
        "{} of {} requests of sessions are accepted, {} of them made by the agents' machine",
        sum.accepted,
        sum.accepted + sum.refused.len(),
        sum.by_agent
    );
    Ok(refused == 0 && sum.refused.is_empty())
}

/// Judges lines on all processors, and gives the verdicts in the order of the lines.
fn judged(lines: &[Line], depth: Depth) -> Vec<(&Line, anyhow::Result<Verdict>)> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut verdicts: Vec<(usize, anyhow::Result<Verdict>)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(line) = lines.get(place) else { return done };
                done.push((place, judge(line, depth)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    verdicts.sort_by_key(|(place, _)| *place);
    verdicts.into_iter().filter_map(|(place, verdict)| Some((lines.get(place)?, verdict))).collect()
}

fn print(rows: &BTreeMap<(String, String), Row>, reasons: &BTreeMap<&'static str, usize>) -> bool {
    println!("{:<18}{:<22}{:>6}{:>10}{:>6}", "PROVIDER", "KIND", "PASS", "EXCEPTED", "FAIL");
    let mut sum = Row::default();
    for ((provider, kind), row) in rows {
        println!("{provider:<18}{kind:<22}{:>6}{:>10}{:>6}", row.passed, row.excepted, row.failed);
        sum.passed += row.passed;
        sum.excepted += row.excepted;
        sum.failed += row.failed;
    }
    println!("{:<40}{:>6}{:>10}{:>6}", "all", sum.passed, sum.excepted, sum.failed);
    for (reason, count) in reasons {
        println!("excepted {count}: {reason}");
    }
    println!("{} of {}", sum.passed, sum.passed + sum.excepted + sum.failed);
    sum.failed == 0
}

/// Writes each answer as the fuzz targets take it: where to split it, then its bytes.
fn write_seeds(folder: &Path, lines: &[Line]) -> anyhow::Result<()> {
    for line in lines.iter().filter(|line| line.op == "chat") {
        let folder = folder.join(line.wire.replace('-', "_"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(&line.id), [&[7], line.bytes().as_slice()].concat())?;
    }
    Ok(())
}
