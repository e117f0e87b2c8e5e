//! Finds tasks that nobody takes: those of queues that no worker serves.

use std::collections::BTreeMap;
use std::time::Duration;

use motet_core::error::Result;
use motet_core::store::{RunFilter, SharedStore, Task, TaskPages, TaskState};
use motet_core::{Millis, RunId};

use super::alive::BEAT;

/// A worker that was not seen for so long serves nothing.
const GONE: Duration = Duration::from_secs(3 * BEAT.as_secs());

/// A task that is ready, and that no worker takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// Its run.
    pub run: RunId,
    /// Its name.
    pub task: String,
    /// The queue that nobody serves.
    pub queue: String,
}

impl std::fmt::Display for Unserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "task `{}` waits for a worker of queue `{}`", self.task, self.queue)
    }
}

/// Gives one ready task for each queue that no worker serves, among the tasks of a run and of those that it started.
///
/// `own` are the queues that the caller serves.
///
/// # Errors
/// `Store` when the store cannot be read.
pub async fn unserved(store: &SharedStore, run: &RunId, own: &[String]) -> Result<Vec<Unserved>> {
    let now = Millis::now();
    let workers = store.workers().await?;
    let served = |queue: &String| {
        let mut alive = workers.iter().filter(|worker| now.since(worker.seen_at) < GONE);
        own.contains(queue) || alive.any(|worker| worker.queues.contains(queue))
    };
    let mut found = BTreeMap::new();
    for one in store.runs(&RunFilter { root: Some(run.clone()), ..RunFilter::default() }).await? {
        if one.state.is_ended() || one.state.is_halted() {
            continue;
        }
        let mut pages = TaskPages::of(&one.id);
        while let Some(tasks) = pages.next(&**store).await? {
            let waits = |task: &Task| task.state == TaskState::Ready && task.not_before <= now;
            for task in tasks.into_iter().filter(|task| waits(task) && !served(&task.queue)) {
                let unserved = Unserved { run: one.id.clone(), task: task.name, queue: task.queue };
                found.entry(unserved.queue.clone()).or_insert(unserved);
            }
        }
    }
    Ok(found.into_values().collect())
}
