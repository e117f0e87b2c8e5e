//! Tells the store that a worker lives, so that others see which queues are served.
//!
//! Leases do not depend on it: a worker that is not seen keeps what it renews.

use std::sync::Arc;
use std::time::Duration;

use motet_core::Millis;
use motet_core::store::WorkerInfo;
use tokio::task::AbortHandle;

use super::Shared;

/// How often a worker tells that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(10);

/// Tells of a worker until it is dropped.
pub(super) struct Alive(AbortHandle);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to tell of a worker.
pub(super) fn tell(shared: &Arc<Shared>) -> Alive {
    let shared = Arc::clone(shared);
    let now = Millis::now();
    let info = WorkerInfo {
        id: shared.id.clone(),
        host: shared.config.host.clone(),
        pid: std::process::id(),
        queues: shared.config.queues.clone(),
        capacity: shared.config.max_parallel_tasks.max(1),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now,
        seen_at: now,
    };
    let beat = async move {
        loop {
            if let Err(error) = shared.store.seen(&info).await {
                tracing::warn!(%error, "the store could not be told that this worker lives");
            }
            tokio::time::sleep(BEAT).await;
        }
    };
    Alive(tokio::spawn(beat).abort_handle())
}
