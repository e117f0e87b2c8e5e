//! What a worker costs that has nothing to do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use motet::core::settings::Sources;
use motet::workers::WorkerOptions;
use motet::{Runtime, Settings};
use tokio_util::sync::CancellationToken;

use crate::graph;

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(5);

/// Gives the share of a processor that a worker takes whose store has nothing for it.
pub(crate) async fn share(url: &str) -> Result<f64> {
    let overrides = vec![("store".to_owned(), url.to_owned(), "benchmark".to_owned())];
    let settings = Settings::load(&Sources { overrides, ..Sources::default() })?;
    let worker = Runtime::new(settings, PathBuf::from("."))?.worker(WorkerOptions::default()).await?;
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let watched = async {
        // What starting costs is not counted.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (begun, busy) = (Instant::now(), graph::busy());
        tokio::time::sleep(WATCHED).await;
        let share = (graph::busy() - busy).as_secs_f64() / begun.elapsed().as_secs_f64();
        stop.cancel();
        share
    };
    let (worked, share) = tokio::join!(worker.work(&stop, &drain), watched);
    worked?;
    Ok(share)
}
