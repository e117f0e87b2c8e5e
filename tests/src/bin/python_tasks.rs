//! `cargo run -p motet-tests --bin python_tasks -- [COUNT]`: what a task of `python/execute` takes, with interpreters that
//! are kept started and without: one after the other, after a pause as a call of a model makes one, and several at once.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

use anyhow::Result;
use motet_core::RunContext;
use motet_core::method::{FileScope, Method, MethodCall};
use motet_providers::python::{PythonConfig, PythonExecute};
use serde_json::json;

/// How long a model takes to answer, more or less.
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<()> {
    let count: usize = std::env::args().nth(1).map_or(Ok(40), |text| text.parse())?;
    println!("median and largest of {count} tasks, in milliseconds");
    for idle in [0, 2] {
        let mut config = PythonConfig::default();
        config.idle = idle;
        let python = PythonExecute::new(config);
        run(&python).await?;
        for (name, pause) in [("one after the other", Duration::ZERO), ("after a pause", PAUSE)] {
            let mut times = Vec::new();
            for _ in 0..count {
                tokio::time::sleep(pause).await;
                times.push(run(&python).await?);
            }
            show(idle, name, times);
        }
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        let all = futures::future::try_join_all((0..count).map(|_| run(&python))).await?;
        show(idle, "all at once", all);
        println!("{idle} kept started, all at once: {:.0} a second", rate(count, begun.elapsed()));
    }
    Ok(())
}

async fn run(python: &PythonExecute) -> Result<Duration> {
    let mut call = MethodCall {
        params: serde_json::Map::new(),
        files: FileScope { base: std::env::temp_dir(), allowed: Vec::new() },
        default_model: None,
        idempotency_key: "key".to_owned(),
        task: None,
    };
    call.params.insert("code".to_owned(), json!("result = 1"));
    let begun = Instant::now();
    python.call(&RunContext::new(), call).await?;
    Ok(begun.elapsed())
}

fn show(idle: usize, name: &str, mut times: Vec<Duration>) {
    times.sort();
    let shown = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let (median, largest) = (shown(times.get(times.len() / 2)), shown(times.last()));
    println!("{idle} kept started, {name}: {median:.1}, {largest:.1}");
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
