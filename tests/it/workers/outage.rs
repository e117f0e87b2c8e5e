//! A store that cannot be reached for a while: workers stop what they may not go on with, and go on when it is back.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result, Retry};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter};
use motet_core::run_log::Record;
use motet_core::store::{
    Applied, Capabilities, Claim, ClaimRequest, Control, LeaseState, LeaseToken, NewRun, Outcome, Progress,
    Run, RunEvent, RunFilter, RunState, RunSummary, Sequenced, SharedStore, Store, Task,
};
use motet_core::tool::Effect;
use motet_core::workflow::WorkflowSpec;
use motet_core::{RunContext, RunId};
use motet_persistence::memory::MemoryStore;
use motet_workflows::dag::plan::{RunSettings, plan};
use motet_workflows::dag::worker::{Worker, WorkerConfig};
use motet_workflows::methods::Methods;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A store behind a line that can be cut.
#[derive(Default)]
struct Line {
    store: MemoryStore,
    is_cut: AtomicBool,
    /// How many outcomes are refused before one is taken.
    refuses: AtomicU32,
    /// Whether results are refused for good.
    rejects: AtomicBool,
}

impl Line {
    fn up(&self) -> Result<&MemoryStore> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Store, "the line is cut").with_retry(Retry::Backoff));
        }
        Ok(&self.store)
    }
}

#[async_trait]
impl Store for Line {
    async fn submit(&self, run: NewRun) -> Result<RunId> {
        self.up()?.submit(run).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.up()?.claim(request).await
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        self.up()?.renew(tokens, ttl).await
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        self.up()?.journal(token, expect, records).await
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let refuses =
            self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refuses.is_ok() {
            return Err(Error::new(ErrorKind::Store, "storage full").with_retry(Retry::Backoff));
        }
        if self.rejects.load(Ordering::SeqCst) && matches!(outcome, Outcome::Done { .. }) {
            return Err(Error::new(ErrorKind::Store, "a value is too big"));
        }
        self.up()?.complete(token, outcome).await
    }

    async fn advance(&self) -> Result<Progress> {
        self.up()?.advance().await
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        self.up()?.control(run, control).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        self.up()?.run(run).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        self.up()?.runs(filter).await
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        self.up()?.tasks(run).await
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        self.up()?.outputs(run, tasks).await
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        self.up()?.records(run, after, limit).await
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        self.up()?.task_records(run, task).await
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        self.up()?.events(run, after, limit).await
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.store.changed(seen, at_most).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

/// A method that goes on until it is stopped, the first time, and notes when that was.
#[derive(Clone, Default)]
struct Stubborn {
    stopped: Arc<Mutex<Vec<Instant>>>,
    calls: Arc<AtomicU32>,
}

struct Noted(Arc<Mutex<Vec<Instant>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(Instant::now());
    }
}

#[async_trait]
impl Method for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn doc(&self) -> &'static str {
        "Goes on until it is stopped"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    async fn call(&self, _context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        if call.params.contains_key("forever") && calls == 0 {
            let _noted = Noted(Arc::clone(&self.stopped));
            std::future::pending::<()>().await;
        }
        Ok(json!(1).into())
    }
}

struct Stage {
    line: Arc<Line>,
    store: SharedStore,
    method: Stubborn,
    worker: Worker,
    run: RunId,
}

async fn stage(params: &Value) -> Stage {
    let line = Arc::new(Line::default());
    let store: SharedStore = Arc::clone(&line) as SharedStore;
    let tasks = json!([{"id": "t", "method": "stubborn", "params": params}]);
    let spec: WorkflowSpec = serde_json::from_value(json!({"name": "w", "tasks": tasks})).unwrap();
    let run = store.submit(plan(&spec, Map::new(), &RunSettings::default()).unwrap()).await.unwrap();
    let method = Stubborn::default();
    let mut config = WorkerConfig::default();
    config.queues = vec!["default".to_owned()];
    let methods = Methods::default().with(Arc::new(method.clone()));
    let worker = Worker::new(Arc::clone(&store), methods, config);
    Stage { line, store, method, worker, run }
}

impl Stage {
    async fn state(&self) -> RunState {
        self.line.store.run(&self.run).await.unwrap().unwrap().summary.state
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_outlives_a_store_that_cannot_be_reached() {
    let stage = stage(&json!({})).await;
    stage.line.is_cut.store(true, Ordering::SeqCst);
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let (worked, ()) = tokio::join!(stage.worker.work_until_idle(&stop, &drain), async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(stage.state().await, RunState::Running);
        stage.line.is_cut.store(false, Ordering::SeqCst);
    });
    assert_eq!(worked.unwrap().ended, 1);
    assert_eq!(stage.state().await, RunState::Completed);
}

#[tokio::test(start_paused = true)]
async fn work_is_stopped_before_a_lease_ends_that_cannot_be_renewed() {
    let stage = stage(&json!({"forever": true})).await;
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let begun = Instant::now();
    let (worked, ()) = tokio::join!(stage.worker.work(&stop, &drain), async {
        while stage.method.calls.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stage.line.is_cut.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(40)).await;
        stop.cancel();
    });
    worked.unwrap();
    let stopped = stage.method.stopped.lock().unwrap().clone();
    let after = stopped[0].duration_since(begun);
    assert!(after > Duration::from_secs(15) && after < Duration::from_secs(30), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_kept_until_the_store_takes_it() {
    let stage = stage(&json!({})).await;
    stage.line.refuses.store(3, Ordering::SeqCst);
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let worked = stage.worker.work_until_idle(&stop, &drain).await.unwrap();
    assert_eq!((worked.ended, worked.lost, stage.method.calls.load(Ordering::SeqCst)), (1, 0, 1));
    assert_eq!(stage.state().await, RunState::Completed);
    assert_eq!(stage.store.tasks(&stage.run).await.unwrap()[0].attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_store_never_takes_fails_its_task_and_is_not_worked_for_again() {
    let stage = stage(&json!({})).await;
    stage.line.rejects.store(true, Ordering::SeqCst);
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    stage.worker.work_until_idle(&stop, &drain).await.unwrap();
    assert_eq!((stage.state().await, stage.method.calls.load(Ordering::SeqCst)), (RunState::Failed, 1));
    let error = stage.store.tasks(&stage.run).await.unwrap()[0].error.clone().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Store, "a value is too big"));
}
