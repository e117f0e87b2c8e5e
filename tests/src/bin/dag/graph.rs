//! Graphs in layers, and working them off.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use motet_core::id::{RunId, WorkerId};
use motet_core::store::{ClaimRequest, DEFAULT_QUEUE, NewRun, NewTask, Outcome, SharedStore};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::task::JoinSet;

/// Tasks of one layer.
const WIDTH: u32 = 100;

/// Workers that each have one task in hand.
const IN_FLIGHT: u32 = 32;

/// What one graph took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Seconds for submitting it.
    pub(crate) submitted: f64,
    /// Tasks per second, once submitted.
    pub(crate) rate: f64,
    /// Microseconds of the processor for each task, of this process.
    busy: f64,
}

impl Measured {
    /// Gives the best of several: the rest of what a shared machine takes is not the store's.
    pub(crate) fn best(runs: &[Measured]) -> Measured {
        let least = |value: fn(&Measured) -> f64| runs.iter().map(value).fold(f64::INFINITY, f64::min);
        Measured {
            submitted: least(|run| run.submitted),
            rate: -least(|run| -run.rate),
            busy: least(|run| run.busy),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, rate, busy } = self;
        write!(
            f,
            "submitted in {:>7.1} ms, {rate:>8.0} tasks/s, {busy:>5.1} µs of the processor each",
            submitted * 1e3
        )
    }
}

/// Gives the time that the processors have worked for this process.
pub(crate) fn busy() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Submits a graph and works it off.
pub(crate) async fn through(store: &SharedStore, tasks: u32) -> Result<Measured> {
    let (run, begun) = (layers(tasks), Instant::now());
    let id = store.submit(run).await?;
    let submitted = begun.elapsed().as_secs_f64();
    let (begun, worked) = (Instant::now(), busy());
    let mut workers: JoinSet<_> = (0..IN_FLIGHT).map(|_| work(Arc::clone(store), id.clone())).collect();
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let each = |time: Duration| time.as_secs_f64() / f64::from(tasks);
    Ok(Measured { submitted, rate: 1.0 / each(begun.elapsed()), busy: each(busy() - worked) * 1e6 })
}

/// Claims one task after the other until the run has ended.
async fn work(store: SharedStore, run: RunId) -> Result<()> {
    let request = request(Some(run.clone()));
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
        if seen > 0 && store.run(&run).await?.is_none_or(|run| run.summary.state.is_ended()) {
            return Ok(());
        }
        seen = store.changed(seen, Duration::from_millis(20)).await;
    }
}

/// Asks for one task, of a run or of any.
pub(crate) fn request(run: Option<RunId>) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![DEFAULT_QUEUE.to_owned()],
        run,
        limit: 1,
        ttl: Duration::from_secs(30),
        max_active: None,
        in_hand: 0,
    }
}

/// Makes a graph in which each task waits for two of the layer above.
pub(crate) fn layers(tasks: u32) -> NewRun {
    let task = |number: u32| NewTask {
        dependencies: above(number).map_or(Vec::new(), |two| two.to_vec()),
        ..NewTask::named(format!("task-{number}"))
    };
    let tasks_of = (0..tasks).map(task).collect();
    NewRun { definition: json!({"tasks": tasks}), ..NewRun::new("workflow", "layers", tasks_of) }
}

/// Gives what a task of the graph waits for.
pub(crate) fn above(number: u32) -> Option<[u32; 2]> {
    let first = number.checked_sub(WIDTH)?;
    Some([first, number / WIDTH * WIDTH - WIDTH + (number + 1) % WIDTH])
}
