//! Measures workers that reach a store through a server over loopback: tasks per second, and how long a claim takes.
//!
//! `cargo run --release -p motet-tests --bin served -- --store memory: --tasks 20000 --workers 8 --at-once 8`
//!
//! Each worker takes up to `--at-once` tasks by one call and ends them side by side, as `motet worker` does. The server and
//! the workers are in one process with a runtime of two threads each, and speak over real connections.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use motet::core::id::WorkerId;
use motet::core::store::{Claim, ClaimRequest, NewRun, NewTask, Outcome, RunState, SharedStore};
use motet::store::{StoreAccess, open};
use motet_server::{Server, ServerConfig};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tasks of one layer; each waits for two of the layer before.
const WIDTH: u32 = 100;

#[derive(Parser)]
struct Arguments {
    /// Store behind the server; `memory:`, or `sqlite:` for a file in a temporary directory
    #[arg(long, default_value = "memory:")]
    store: String,
    /// How many tasks
    #[arg(long, default_value_t = 20_000)]
    tasks: u32,
    /// How many workers
    #[arg(long, default_value_t = 8)]
    workers: u32,
    /// How many tasks a worker takes at once
    #[arg(long, default_value_t = 8)]
    at_once: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let url =
        if arguments.store == "sqlite:" { "sqlite:served.db".to_owned() } else { arguments.store.clone() };
    let (servers, workers) = (runtime()?, runtime()?);
    let stop = CancellationToken::new();
    let address = servers.block_on(async {
        let store = open(&url, directory.path(), &StoreAccess::default()).await.map_err(failed)?;
        let server = Server::bind(store, &ServerConfig::new("127.0.0.1:0")).await.map_err(failed)?;
        let address = server.address();
        tokio::spawn(server.serve(stop.clone()));
        anyhow::Ok(address)
    })?;
    let measured = workers.block_on(measure(&format!("http://{address}"), &arguments))?;
    stop.cancel();
    say(&measured)
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn failed(error: motet::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Writes the figures as one line of JSON.
fn say(measured: &serde_json::Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{measured}")?;
    Ok(())
}

async fn measure(url: &str, arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let store = open(url, Path::new(""), &StoreAccess::default()).await.map_err(failed)?;
    let began = Instant::now();
    let run = store.submit(graph(arguments.tasks)).await.map_err(failed)?;
    let submitted = began.elapsed();
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..arguments.workers {
        workers.spawn(work(Arc::clone(&store), arguments.at_once));
    }
    let (mut done, mut claims) = (0, Vec::new());
    while let Some(worked) = workers.join_next().await {
        let (ended, took) = worked??;
        done += ended;
        claims.extend(took);
    }
    let took = began.elapsed();
    let summary = store.run(&run).await.map_err(failed)?.context("the run is gone")?.summary;
    ensure!(summary.state == RunState::Completed && done == arguments.tasks, "{summary:?}");
    claims.sort_unstable();
    let at = |percent: usize| {
        claims.get(claims.len() * percent / 100).map_or(0.0, |it: &Duration| it.as_secs_f64() * 1e3)
    };
    Ok(json!({
        "store": arguments.store,
        "tasks": done,
        "workers": arguments.workers,
        "at_once": arguments.at_once,
        "tasks_per_second": (f64::from(done) / took.as_secs_f64()).round(),
        "claim_p50_ms": at(50),
        "claim_p99_ms": at(99),
        "submit_ms": submitted.as_secs_f64() * 1e3,
    }))
}

fn graph(tasks: u32) -> NewRun {
    let task = |number: u32| NewTask {
        dependencies: match number.checked_sub(WIDTH) {
            None => Vec::new(),
            Some(above) => vec![above, number / WIDTH * WIDTH - WIDTH + (number + 1) % WIDTH],
        },
        ..NewTask::named(format!("t{number}"))
    };
    NewRun::new("workflow", "served", (0..tasks).map(task).collect())
}

/// Works until nothing is left; gives how many tasks it ended and how long each claim that gave some took.
async fn work(store: SharedStore, at_once: u32) -> anyhow::Result<(u32, Vec<Duration>)> {
    let worker = WorkerId::new();
    let (mut ended, mut took, mut seen) = (0, Vec::new(), 0);
    loop {
        let request = ClaimRequest {
            worker: worker.clone(),
            queues: Vec::new(),
            run: None,
            limit: at_once,
            ttl: Duration::from_secs(60),
            max_active: None,
            in_hand: 0,
        };
        let began = Instant::now();
        let claims: Vec<Claim> = store.claim(request).await.map_err(failed)?;
        if claims.is_empty() {
            let counted = store.stats().await.map_err(failed)?;
            let is_over = !counted.runs.iter().any(|(state, _)| *state == RunState::Running);
            if is_over {
                return Ok((ended, took));
            }
            seen = store.changed(seen, Duration::from_millis(100)).await;
            continue;
        }
        took.push(began.elapsed());
        let completions = claims.iter().map(|claim| {
            let output = json!({"n": claim.task.number});
            store.complete(&claim.token, Outcome::Done { output })
        });
        for done in futures::future::join_all(completions).await {
            done.map_err(failed)?;
            ended += 1;
        }
    }
}
