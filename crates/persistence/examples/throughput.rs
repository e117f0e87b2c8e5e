//! Measures a store: `cargo run --release -p motet-persistence --example throughput [URL]`.
//!
//! Prints the time to submit a large graph, how many tasks per second go from ready to done with one and with many
//! workers, the processor's time for each task, and how long a store with many tasks takes to open and give the first.
//! Without a URL it measures memory and SQLite in a temporary directory, beside what the disk and bare SQL can do.

use std::io::Write as _;
use std::path::Path;
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
    if std::env::args().nth(1).is_none() {
        say(&format!("the disk flushes {:.0} times/s", flushes(directory.path()).map_err(failed)?));
        let rate = bare_sql(directory.path())
            .map_err(|error| Error::new(ErrorKind::Store, "the bare load failed").with_source(error))?;
        say(&format!("bare SQL of the same shape does {rate:.0} tasks/s, 32 in a transaction"));
    }
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
        if capabilities.durability != motet_core::store::Durability::None {
            recover(store, &url).await?;
        }
    }
    Ok(())
}

/// Opens a store with 100,000 ready tasks, and takes the first.
async fn recover(store: SharedStore, url: &str) -> Result<()> {
    store.submit(graph(100_000)).await?;
    drop(store);
    let began = Instant::now();
    let store = motet_persistence::open(url)?;
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: Vec::new(),
        run: None,
        limit: 1,
        ttl: Duration::from_secs(30),
        max_active: None,
        in_hand: 0,
    };
    let claims = store.claim(request).await?;
    let milliseconds = began.elapsed().as_secs_f64() * 1e3;
    say(&format!("  opened with 100000 open tasks and gave {} in {milliseconds:.1} ms", claims.len()));
    Ok(())
}

/// Measures how often the disk makes a page durable.
fn flushes(directory: &Path) -> std::io::Result<f64> {
    const COUNT: u32 = 300;
    let mut file = std::fs::File::create(directory.join("flushes"))?;
    let began = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(COUNT) / began.elapsed().as_secs_f64())
}

/// Measures what SQLite does with the same changes of rows and no scheduling: each task is taken by one transaction and
/// ended by the next.
fn bare_sql(directory: &Path) -> rusqlite::Result<f64> {
    const TASKS: u32 = 10_000;
    let connection = rusqlite::Connection::open(directory.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE task (n INTEGER PRIMARY KEY, state INTEGER, token TEXT, worker TEXT, at INTEGER);
         CREATE INDEX ready ON task (at, n) WHERE state = 1;
         CREATE TABLE output (n INTEGER PRIMARY KEY, body TEXT);
         CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT);
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999)
         INSERT INTO task SELECT n, 0, NULL, NULL, 0 FROM numbers;",
    )?;
    let text = "{\"event\":\"started\",\"attempt\":1,\"worker\":\"1234-0123456789abcdef0123456789abcdef\"}";
    let began = Instant::now();
    for first in (0..TASKS).step_by(32) {
        for sqls in [
            &[
                "UPDATE task SET state = 1, at = ?1 WHERE n = ?1",
                "UPDATE task SET state = 2, token = ?2, worker = ?2 WHERE n = ?1",
                "INSERT INTO event (seq, body) VALUES (?1 * 2, ?2)",
            ],
            &[
                "UPDATE task SET state = 4, at = ?1 WHERE n = ?1",
                "INSERT INTO output (n, body) VALUES (?1, ?2)",
                "INSERT INTO event (seq, body) VALUES (?1 * 2 + 1, ?2)",
            ],
        ] {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for number in first..(first + 32).min(TASKS) {
                for sql in sqls {
                    let mut statement = connection.prepare_cached(sql)?;
                    match statement.parameter_count() {
                        1 => statement.execute([number])?,
                        _ => statement.execute((number, text))?,
                    };
                }
            }
            connection.execute_batch("COMMIT")?;
        }
    }
    Ok(f64::from(TASKS) / began.elapsed().as_secs_f64())
}

/// Gives the time that the processor has worked for this process, where the system tells.
fn processor_time() -> Option<Duration> {
    // In hundredths of a second, as the fields 14 and 15; the name before them may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

async fn measure(store: &SharedStore) -> Result<()> {
    for (tasks, workers) in [(1_000, 1), (10_000, 32), (100_000, 32)] {
        let (run, began) = (graph(tasks), Instant::now());
        let id = store.submit(run).await?;
        let submitted = began.elapsed();
        let (began, busy) = (Instant::now(), processor_time());
        drain(store, &id, workers).await?;
        let busy = processor_time().zip(busy).map(|(after, before)| after.saturating_sub(before));
        let each = busy.map_or(String::new(), |busy| {
            format!(", {:.0} µs of the processor each", busy.as_secs_f64() * 1e6 / f64::from(tasks))
        });
        let rate = f64::from(tasks) / began.elapsed().as_secs_f64();
        let milliseconds = submitted.as_secs_f64() * 1e3;
        say(&format!(
            "  {tasks:>7} tasks: submitted in {milliseconds:>7.1} ms, then {rate:>8.0} tasks/s with {workers:>2} in flight{each}"
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
        in_hand: 0,
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
