//! A worker process of the chaos harness: `chaos_worker URL RUN EFFECTS LEASE_MS CLOCK [MAX_RUNNING]` works on a run until
//! it has ended, and reads the clock as the file CLOCK says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use motet_core::error::ErrorKind;
use motet_core::{Error, RunId};
use motet_tests::chaos::Play;
use motet_workflows::dag::worker::{Worker, WorkerConfig};
use motet_workflows::methods::Methods;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().with_context(|| format!("`{name}` is missing"));
    let url = argument("URL")?;
    let run: RunId = argument("RUN")?.parse()?;
    let effects = PathBuf::from(argument("EFFECTS")?);
    let mut config = WorkerConfig::default();
    config.lease = Duration::from_millis(argument("LEASE_MS")?.parse()?);
    config.max_parallel_tasks = 6;
    follow_clock(PathBuf::from(argument("CLOCK")?));
    if let Ok(most) = argument("MAX_RUNNING") {
        config.max_running = Some(most.parse()?);
        config.max_parallel_tasks = most.parse()?;
    }
    let methods = Methods::default().with(Arc::new(Play { effects }));
    loop {
        match work(&url, &run, methods.clone(), config.clone()).await {
            Ok(()) => return Ok(()),
            // The store's server is away for a moment, or another process still has the store open.
            Err(error)
                if matches!(error.kind(), ErrorKind::Store | ErrorKind::Connection | ErrorKind::Timeout) =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn work(url: &str, run: &RunId, methods: Methods, config: WorkerConfig) -> Result<(), Error> {
    let store = motet_persistence::open(url)?;
    Worker::new(store, methods, config).run_to_end(run, &CancellationToken::new()).await.map(drop)
}

/// Sets the clock of this process to what a file says, whenever that changes. A build without the hook leaves it.
fn follow_clock(path: PathBuf) {
    let set = move || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        #[cfg(debug_assertions)]
        if let Ok(milliseconds) = text.trim().parse() {
            motet_core::id::Millis::set_jump(milliseconds);
        }
        #[cfg(not(debug_assertions))]
        drop(text);
    };
    set();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(10));
            set();
        }
    });
}
