//! Many workers at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use motet_core::id::{RunId, WorkerId};
use motet_core::store::{ClaimRequest, LeaseState, NewTask, Outcome, RunState, SharedStore};
use serde_json::json;

use crate::fixture::{Numbers, request, state, submit, task};

/// Runs, and which tasks each of their tasks waits for.
type Graphs = HashMap<RunId, Vec<Vec<u32>>>;

/// What the workers of a test share.
struct Shift {
    graphs: Graphs,
    /// How often each task was reported as done.
    reports: Mutex<HashMap<(RunId, u32), u32>>,
    /// Whether the first attempt at every third task is left alone, as by a worker that died.
    deadly: bool,
}

/// A random graph: each task waits for up to three earlier ones.
fn graph(size: u32, seed: u64) -> Vec<NewTask> {
    let mut numbers = Numbers(seed);
    let mut dependencies = |number: u32| match number {
        0 => Vec::new(),
        _ => (0..numbers.below(4)).map(|_| numbers.below(number)).collect::<Vec<_>>(),
    };
    (0..size).map(|number| task(&number.to_string(), &dependencies(number))).collect()
}

/// Claims and completes tasks until all runs have ended.
async fn work(store: SharedStore, shift: Arc<Shift>) {
    let request = ClaimRequest { worker: WorkerId::new(), ..request(2) };
    let mut seen = 0;
    loop {
        let claims = store.claim(request.clone()).await.unwrap();
        for claim in &claims {
            let (run, number) = (&claim.token.run, claim.task.number);
            if shift.deadly && number % 3 == 0 && claim.task.crashes == 0 {
                let over = store.renew(std::slice::from_ref(&claim.token), Duration::ZERO).await.unwrap();
                assert_eq!(over, [LeaseState::Held]);
                continue;
            }
            {
                let mut reports = shift.reports.lock().unwrap();
                for dependency in &shift.graphs[run][number as usize] {
                    assert!(
                        reports.contains_key(&(run.clone(), *dependency)),
                        "{number} before {dependency}"
                    );
                }
                *reports.entry((run.clone(), number)).or_default() += 1;
            }
            store.complete(&claim.token, Outcome::Done { output: json!(number) }).await.unwrap();
        }
        store.advance().await.unwrap();
        if claims.is_empty() {
            let mut all_ended = true;
            for run in shift.graphs.keys() {
                all_ended &= state(&store, run).await.is_ended();
            }
            if all_ended {
                return;
            }
            seen = store.changed(seen, Duration::from_millis(20)).await;
        }
    }
}

/// Has workers, each at one of these stores, drain graphs, and checks that every task was done once.
pub(crate) async fn drain(stores: &[SharedStore], graphs: Vec<Vec<NewTask>>, deadly: bool) {
    let mut shift = Shift { graphs: HashMap::new(), reports: Mutex::default(), deadly };
    for tasks in graphs {
        let dependencies = tasks.iter().map(|task| task.dependencies.clone()).collect();
        shift.graphs.insert(submit(&stores[0], tasks).await, dependencies);
    }
    let shift = Arc::new(shift);
    let workers = stores.iter().map(|store| tokio::spawn(work(Arc::clone(store), Arc::clone(&shift))));
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let reports = shift.reports.lock().unwrap().clone();
    assert!(reports.values().all(|count| *count == 1), "{reports:?}");
    for (run, tasks) in &shift.graphs {
        let size = u32::try_from(tasks.len()).unwrap();
        let summary = stores[0].run(run).await.unwrap().unwrap().summary;
        assert_eq!((summary.state, summary.done, summary.tasks), (RunState::Completed, size, size));
        let numbers: Vec<u32> = (0..size).collect();
        let outputs = stores[0].outputs(run, &numbers).await.unwrap();
        assert!(outputs.into_iter().eq(numbers.into_iter().map(|number| Some(json!(number)))));
    }
}

pub(crate) async fn many_workers_run_every_task_once_and_in_order(store: SharedStore) {
    drain(&vec![store; 32], vec![graph(500, 7)], false).await;
}

pub(crate) async fn workers_that_die_cost_attempts_but_no_task(store: SharedStore) {
    drain(&vec![store; 8], vec![graph(150, 11)], true).await;
}

pub(crate) async fn many_runs_at_once_all_complete(store: SharedStore) {
    drain(&vec![store; 8], (0..10).map(|seed| graph(30, seed)).collect(), false).await;
}

/// As many workers at each of two stores that share a file drain one graph.
pub(crate) async fn two_stores_drain_one_graph(one: SharedStore, two: SharedStore) {
    let stores = [one, two].map(|store| vec![store; 4]).concat();
    drain(&stores, vec![graph(200, 3)], true).await;
}
