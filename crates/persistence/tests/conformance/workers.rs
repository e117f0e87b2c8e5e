//! Many workers at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::{RunId, WorkerId};
use motet_core::store::{ClaimRequest, NewTask, Outcome, RunState, SharedStore};
use serde_json::json;

use crate::fixture::{Numbers, request, state, submit, task};

/// How often each task of a run was completed, by number.
type Completions = Arc<Mutex<HashMap<(RunId, u32), u32>>>;

/// A random graph: each task waits for up to three earlier ones.
fn graph(size: u32, seed: u64) -> Vec<NewTask> {
    let mut numbers = Numbers(seed);
    let mut dependencies = |number: u32| match number {
        0 => Vec::new(),
        _ => (0..numbers.below(4)).map(|_| numbers.below(number)).collect::<Vec<_>>(),
    };
    (0..size).map(|number| task(&number.to_string(), &dependencies(number))).collect()
}

/// Claims and completes tasks until all these runs have ended. Every `abandons`-th attempt is left to its own.
async fn work(store: SharedStore, runs: Arc<Vec<RunId>>, completions: Completions, abandons: Option<u32>) {
    let worker = WorkerId::new();
    let (mut attempts, mut seen) = (0, 0);
    loop {
        attempts += 1;
        let abandoned = abandons.is_some_and(|every| attempts % every == 0);
        let ttl = if abandoned { Duration::ZERO } else { Duration::from_secs(3600) };
        let claims = store.claim(ClaimRequest { worker: worker.clone(), ttl, ..request(2) }).await.unwrap();
        for claim in &claims {
            if abandoned {
                continue;
            }
            let tasks = store.tasks(&claim.token.run).await.unwrap();
            assert_eq!(tasks[claim.task.number as usize].remaining, 0, "a task started before its dependencies ended");
            store.complete(&claim.token, Outcome::Done { output: json!(claim.task.name) }).await.unwrap();
            *completions.lock().unwrap().entry((claim.token.run.clone(), claim.task.number)).or_default() += 1;
        }
        store.advance().await.unwrap();
        if claims.is_empty() {
            let mut ended = true;
            for run in runs.iter() {
                ended &= state(&store, run).await.is_ended();
            }
            if ended {
                return;
            }
            seen = store.changed(seen, Duration::from_millis(20)).await;
        }
    }
}

/// Has workers drain runs and checks that every task was completed once.
async fn drain(store: &SharedStore, runs: Vec<(RunId, u32)>, workers: u32, abandons: Option<u32>) {
    let completions = Completions::default();
    let ids = Arc::new(runs.iter().map(|(run, _)| run.clone()).collect::<Vec<_>>());
    let spawned: Vec<_> = (0..workers)
        .map(|_| tokio::spawn(work(Arc::clone(store), Arc::clone(&ids), Arc::clone(&completions), abandons)))
        .collect();
    for worker in spawned {
        worker.await.unwrap();
    }
    let completions = completions.lock().unwrap();
    for (run, size) in runs {
        for number in 0..size {
            assert_eq!(completions.get(&(run.clone(), number)), Some(&1), "task {number}");
        }
        let summary = store.run(&run).await.unwrap().unwrap().summary;
        assert_eq!((summary.state, summary.done, summary.tasks), (RunState::Completed, size, size));
    }
}

pub(crate) async fn many_workers_run_every_task_once_and_in_order(store: SharedStore) {
    let run = submit(&store, graph(500, 7)).await;
    drain(&store, vec![(run, 500)], 32, None).await;
}

pub(crate) async fn workers_that_die_cost_attempts_but_no_task(store: SharedStore) {
    // So few are abandoned that no task meets it three times.
    let run = submit(&store, graph(120, 11)).await;
    drain(&store, vec![(run.clone(), 120)], 8, Some(37)).await;
    let error = store.control(&run, motet_core::store::Control::Resume).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

pub(crate) async fn many_runs_at_once_all_complete(store: SharedStore) {
    let mut runs = Vec::new();
    for seed in 0..10 {
        runs.push((submit(&store, graph(30, seed)).await, 30));
    }
    drain(&store, runs, 8, None).await;
}
