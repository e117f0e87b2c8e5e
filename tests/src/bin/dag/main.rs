//! What scheduling costs: graphs of tasks that do nothing, through every store; what `cargo xtask bench dag` runs.
//!
//! Graphs of 100, 1,000, 10,000, and 100,000 tasks in layers of 100, each task waiting for two of the layer above, are
//! submitted and worked off by 32 workers on one thread, beside a loop that does the same without a store.
#![expect(clippy::print_stdout, reason = "a developer task talks to a terminal")]

mod graph;
mod idle;
mod yardstick;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use motet_tests::redis::Redis;

use graph::Measured;

/// Measures stores with graphs of tasks that do nothing.
#[derive(Parser)]
struct Arguments {
    /// Tasks worked off with each small graph, in thousands.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Measures only this: `memory`, `sqlite`, `sqlite-normal`, `sled`, `redis-everysec`, `redis-always`, or the URL of
    /// a store.
    #[arg(long)]
    store: Vec<String>,
}

/// A store and what is good enough for it.
struct Subject {
    name: &'static str,
    /// Tasks per second of a graph of 10,000.
    least: f64,
    /// Seconds for submitting 100,000 tasks.
    submitted_in: f64,
}

const SUBJECTS: &[Subject] = &[
    Subject { name: "memory", least: 500_000.0, submitted_in: 1.0 },
    Subject { name: "sqlite", least: 15_000.0, submitted_in: 1.0 },
    Subject { name: "sqlite-normal", least: 15_000.0, submitted_in: 1.0 },
    Subject { name: "sled", least: 5_000.0, submitted_in: 10.0 },
    Subject { name: "redis-everysec", least: 12_000.0, submitted_in: 2.0 },
    Subject { name: "redis-always", least: 7_000.0, submitted_in: 2.0 },
];

/// Largest ratio of what a task of the largest graph costs to that of a graph of 1,000.
const GROWTH: f64 = 1.2;

/// Largest number of seconds until a store with 100,000 open tasks gives the first.
const RECOVERY: f64 = 1.0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let mut missed = Vec::new();
    println!("the disk flushes {:.0} times/s", yardstick::flushes(directory.path())?);
    println!(
        "SQL of the same shape, 32 tasks in a transaction: {:.0} tasks/s",
        yardstick::sql(directory.path())?
    );
    println!("a loop without a store: {:.0} tasks/s\n", yardstick::plain(100_000));
    let known = SUBJECTS.iter().filter(|subject| {
        arguments.store.is_empty() || arguments.store.iter().any(|name| name == subject.name)
    });
    for subject in known {
        let redis = match subject.name {
            "redis-everysec" => Redis::start_durable("everysec")?,
            "redis-always" => Redis::start_durable("always")?,
            _ => None,
        };
        let Some(url) = url(subject.name, directory.path(), redis.as_ref()) else { continue };
        measure(subject, &url, arguments.rounds, &mut missed).await?;
    }
    for url in arguments.store.iter().filter(|name| name.contains(':')) {
        let subject = Subject { name: "given", least: 0.0, submitted_in: f64::INFINITY };
        measure(&subject, url, arguments.rounds, &mut missed).await?;
    }
    if arguments.store.is_empty() {
        let share = idle::share(&format!("sqlite:{}", directory.path().join("idle.db").display())).await?;
        judge(
            &mut missed,
            "a worker with nothing to do, of a processor",
            share * 100.0,
            share < 0.01,
            "< 1 %",
        );
    }
    for miss in &missed {
        println!("missed: {miss}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn url(name: &str, directory: &Path, redis: Option<&Redis>) -> Option<String> {
    let file = |scheme: &str, name: &str| format!("{scheme}:{}", directory.join(name).display());
    match name {
        "memory" => Some("memory:".to_owned()),
        "sqlite" => Some(file("sqlite", "full.db")),
        "sqlite-normal" => Some(file("sqlite", "normal.db?synchronous=normal")),
        "sled" => Some(file("sled", "sled")),
        _ => redis.map(Redis::url),
    }
}

fn judge(missed: &mut Vec<String>, what: &str, value: f64, is_met: bool, goal: &str) {
    let verdict = if is_met { "pass" } else { "FAIL" };
    println!("  {what}: {value:.2}  {verdict}, goal {goal}");
    if !is_met {
        missed.push(format!("{what} ({value:.2}, goal {goal})"));
    }
}

async fn measure(subject: &Subject, url: &str, rounds: u32, missed: &mut Vec<String>) -> Result<()> {
    let store = motet_persistence::open(url)?;
    println!("{} ({:?})", subject.name, store.capabilities().durability);
    let mut of = Vec::new();
    for tasks in [100, 1_000, 10_000, 100_000] {
        let times = (rounds * 1_000 / tasks).clamp(2, 50);
        let mut runs = Vec::new();
        for _ in 0..times {
            runs.push(graph::through(&store, tasks).await?);
        }
        let best = Measured::best(&runs);
        println!("  {tasks:>7} tasks: {best}");
        of.push(best);
    }
    let [_, thousand, ten, all] = of.as_slice() else { return Ok(()) };
    let name = subject.name;
    let goal = format!(">= {:.0}", subject.least);
    judge(missed, &format!("{name}, tasks/s"), ten.rate, ten.rate >= subject.least, &goal);
    let growth = thousand.rate / all.rate;
    judge(missed, &format!("{name}, cost at 100,000 by that at 1,000"), growth, growth <= GROWTH, "<= 1.2");
    let (submitted, most) = (all.submitted, subject.submitted_in);
    judge(
        missed,
        &format!("{name}, submitting 100,000, s"),
        submitted,
        submitted < most,
        &format!("< {most}"),
    );
    if name != "memory" {
        store.submit(graph::layers(100_000)).await?;
        drop(store);
        let begun = Instant::now();
        let store = motet_persistence::open(url)?;
        ensure!(store.claim(graph::request(None)).await?.len() == 1, "no task is ready");
        let took = begun.elapsed().as_secs_f64();
        judge(missed, &format!("{name}, first of 100,000 after opening, s"), took, took < RECOVERY, "< 1");
    }
    Ok(())
}
