//! Measures a store: `cargo run --release -p motet-persistence --example throughput [URL]`.
//!
//! Prints the time to submit a large graph, and how many tasks per second go from ready to done with one and with many
//! workers. Without a URL it measures memory and SQLite in a temporary directory.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{RunId, WorkerId};
use motet_core::store::{ClaimRequest, DEFAULT_QUEUE, NewRun, NewTask, Outcome, SharedStore};
use serde_json::json;
use tokio::task::JoinSet;

/// Tasks of one layer; each depends on two of the layer before.
const WIDTH: u32 = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Store, "no temporary directory").with_source(error);
    let directory = tempfile::tempdir().map_err(failed)?;
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let urls = match std::env::args().nth(1) {
        Some(url) => vec![url],
        None => vec!["memory:".to_owned(), file("full.db"), file("normal.db?synchronous=normal")],
    };
    for url in urls {
        let store = motet_persistence::open(&url)?;
        let capabilities = store.capabilities();
        say(&format!("{} ({:?})", capabilities.name, capabilities.durability));
        measure(&store).await?;
    }
    Ok(())
}

async fn measure(store: &SharedStore) -> Result<()> {
    for (tasks, workers) in [(1_000, 1), (10_000, 32), (100_000, 32)] {
        let (run, began) = (graph(tasks), Instant::now());
        let id = store.submit(run).await?;
        let submitted = began.elapsed();
        let began = Instant::now();
        drain(store, &id, workers).await?;
        let rate = f64::from(tasks) / began.elapsed().as_secs_f64();
        let milliseconds = submitted.as_secs_f64() * 1e3;
        say(&format!(
            "  {tasks:>7} tasks: submitted in {milliseconds:>7.1} ms, then {rate:>8.0} tasks/s with {workers:>2} in flight"
        ));
    }
    Ok(())
}

/// Has workers claim one task after the other until the run has ended, or one of them fails.
async fn drain(store: &SharedStore, run: &RunId, workers: u32) -> Result<()> {
    let mut workers: JoinSet<_> = (0..workers).map(|_| work(Arc::clone(store), run.clone())).collect();
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Error::new(ErrorKind::Internal, "a worker broke off").with_source(error))??;
    }
    Ok(())
}

async fn work(store: SharedStore, run: RunId) -> Result<()> {
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![DEFAULT_QUEUE.to_owned()],
        run: Some(run),
        limit: 1,
        ttl: Duration::from_secs(30),
        max_active: None,
    };
    let mut seen = 0;
    loop {
        for claim in store.claim(request.clone()).await? {
            let output = json!({"number": claim.task.number, "text": "the result of a short task"});
            let applied = store.complete(&claim.token, Outcome::Done { output }).await?;
            if applied.run.is_ended() {
                return Ok(());
            }
            seen = 0;
        }
        if seen > 0 {
            let state = store.run(request.run.as_ref().unwrap_or(&RunId::new())).await?;
            if state.is_none_or(|run| run.summary.state.is_ended()) {
                return Ok(());
            }
        }
        seen = store.changed(seen, Duration::from_millis(20)).await;
    }
}

fn graph(tasks: u32) -> NewRun {
    let task = |number: u32| NewTask {
        dependencies: match number.checked_sub(WIDTH) {
            None => Vec::new(),
            Some(above) => vec![above, number / WIDTH * WIDTH - WIDTH + (number + 1) % WIDTH],
        },
        ..NewTask::named(format!("task-{number}"))
    };
    let tasks_of = (0..tasks).map(task).collect();
    NewRun { definition: json!({"tasks": tasks}), ..NewRun::new("workflow", "throughput", tasks_of) }
}

fn say(line: &str) {
    // A reader that closed the pipe wants no more lines.
    let _ = writeln!(std::io::stdout(), "{line}");
}
