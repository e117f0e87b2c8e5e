//! Stores to test, graphs to put in, and states as short texts.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind};
use motet_core::id::{RunId, WorkerId};
use motet_core::store::{
    Applied, Change, Claim, ClaimRequest, Control, DEFAULT_QUEUE, NewRun, NewTask, Outcome, ParentTask,
    RunEvent, RunState, SharedStore,
};
use motet_core::workflow::{OnFailure, RetryPolicy};
use serde_json::json;

use crate::redis_server::{self, RedisServer};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A store, and the directory that it needs.
pub(crate) struct Opened {
    pub(crate) store: SharedStore,
    _directory: Option<tempfile::TempDir>,
    _server: Option<std::sync::Arc<RedisServer>>,
}

impl From<SharedStore> for Opened {
    /// Takes a store that needs neither a directory nor a server.
    fn from(store: SharedStore) -> Self {
        Self { store, _directory: None, _server: None }
    }
}

pub(crate) fn memory() -> Opened {
    Opened { store: motet_persistence::open("memory:").unwrap(), _directory: None, _server: None }
}

pub(crate) fn sqlite() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let store = motet_persistence::open(&format!("sqlite:{}/store.db", directory.path().display())).unwrap();
    Opened { store, _directory: Some(directory), _server: None }
}

/// A namespace of its own on a server that the tests of this process share; `None` where there is no such program.
pub(crate) fn redis() -> Option<Opened> {
    let (server, namespace) = redis_server::shared()?;
    let store = motet_persistence::open(&server.url(&namespace)).unwrap();
    Some(Opened { store, _directory: None, _server: Some(server) })
}

pub(crate) fn sled() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let store = motet_persistence::open(&format!("sled:{}/store", directory.path().display())).unwrap();
    Opened { store, _directory: Some(directory), _server: None }
}

/// A task that waits for the tasks of these numbers.
pub(crate) fn task(name: &str, dependencies: &[u32]) -> NewTask {
    NewTask { dependencies: dependencies.to_vec(), ..NewTask::named(name) }
}

pub(crate) fn with_policy(policy: OnFailure, task: NewTask) -> NewTask {
    NewTask { on_failure: policy, ..task }
}

/// A task with so many attempts and this delay between them.
pub(crate) fn with_retries(max_attempts: u32, delay: Duration, task: NewTask) -> NewTask {
    let retry = RetryPolicy {
        max_attempts,
        base_delay: delay,
        max_delay: delay,
        jitter: false,
        ..RetryPolicy::default()
    };
    NewTask { retry, ..task }
}

pub(crate) fn run_of(tasks: Vec<NewTask>) -> NewRun {
    NewRun { definition: json!({"of": "test"}), ..NewRun::new("workflow", "test", tasks) }
}

pub(crate) async fn submit(store: &SharedStore, tasks: Vec<NewTask>) -> RunId {
    store.submit(run_of(tasks)).await.unwrap()
}

pub(crate) fn request(limit: u32) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![DEFAULT_QUEUE.to_owned()],
        run: None,
        limit,
        ttl: HOUR,
        max_active: None,
        in_hand: 0,
    }
}

pub(crate) async fn claim(store: &SharedStore, limit: u32) -> Vec<Claim> {
    store.claim(request(limit)).await.unwrap()
}

/// Claims the one task that is expected to be first.
pub(crate) async fn claim_named(store: &SharedStore, name: &str) -> Claim {
    let claim =
        claim(store, 1).await.pop().unwrap_or_else(|| panic!("nothing to claim, but expected `{name}`"));
    assert_eq!(claim.task.name, name);
    claim
}

/// Claims the one task that is expected, under a lease that is over at once, and has it taken back.
pub(crate) async fn crash(store: &SharedStore, name: &str) -> Claim {
    let claims = store.claim(ClaimRequest { ttl: Duration::ZERO, ..request(1) }).await.unwrap();
    assert_eq!(names(&claims), name);
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    claims.into_iter().next().unwrap()
}

/// The names of claims in their order, such as `a b c`.
pub(crate) fn names(claims: &[Claim]) -> String {
    claims.iter().map(|claim| claim.task.name.as_str()).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn end(store: &SharedStore, claim: &Claim, outcome: Outcome) -> Applied {
    store.complete(&claim.token, outcome).await.unwrap()
}

/// Ends a task well, with its own name as the result.
pub(crate) async fn done(store: &SharedStore, claim: &Claim) -> Applied {
    end(store, claim, Outcome::Done { output: json!(claim.task.name) }).await
}

pub(crate) async fn fail(store: &SharedStore, claim: &Claim, kind: ErrorKind) -> Applied {
    end(store, claim, failed(&Error::new(kind, "boom"))).await
}

pub(crate) fn failed(error: &Error) -> Outcome {
    Outcome::Failed { error: error.report(), chance: 1.0 }
}

pub(crate) fn skipped(reason: &str) -> Outcome {
    Outcome::Skipped { reason: reason.to_owned() }
}

pub(crate) fn expand(children: Vec<NewTask>) -> Outcome {
    Outcome::Expand { children }
}

/// Claims and ends tasks well, one after the other, until none is left; gives their names in order.
pub(crate) async fn drain(store: &SharedStore) -> String {
    let mut order = Vec::new();
    while let Some(claim) = claim(store, 1).await.pop() {
        done(store, &claim).await;
        order.push(claim.task.name);
    }
    order.join(" ")
}

/// The tasks of a run and how they stand, such as `a:done b:ready`.
pub(crate) async fn states(store: &SharedStore, run: &RunId) -> String {
    let tasks = store.tasks(run).await.unwrap();
    tasks.iter().map(|task| format!("{}:{}", task.name, task.state)).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn state(store: &SharedStore, run: &RunId) -> RunState {
    store.run(run).await.unwrap().unwrap().summary.state
}

/// How a run stands and how its tasks are counted, such as `failed: 3 tasks, 1 done, 1 failed, 1 skipped`.
pub(crate) async fn counts(store: &SharedStore, run: &RunId) -> String {
    let run = store.run(run).await.unwrap().unwrap().summary;
    assert_eq!(run.ended_at.is_some(), run.state.is_ended());
    format!(
        "{}: {} tasks, {} done, {} failed, {} skipped",
        run.state, run.tasks, run.done, run.failed, run.skipped
    )
}

/// The message of a task's error, if it has one.
pub(crate) async fn error_of(store: &SharedStore, run: &RunId, name: &str) -> Option<String> {
    let tasks = store.tasks(run).await.unwrap();
    let task = tasks.into_iter().find(|task| task.name == name).unwrap();
    task.error.map(|error| error.message)
}

pub(crate) async fn control(store: &SharedStore, run: &RunId, control: Control) {
    store.control(run, control).await.unwrap();
}

/// All events of a run, after a check that no number is missing.
pub(crate) async fn events(store: &SharedStore, run: &RunId) -> Vec<RunEvent> {
    let events = store.events(run, 0, 1_000_000).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64), "{events:?}");
    assert!(events.is_sorted_by_key(|event| event.at), "{events:?}");
    events
}

/// What happened to a run, such as `submitted 1; 0 started 1; 0 ended done; run completed`.
pub(crate) async fn history(store: &SharedStore, run: &RunId) -> String {
    let told = events(store, run).await.into_iter().map(|event| {
        let what = match event.change {
            Change::Submitted { tasks } => format!("submitted {tasks}"),
            Change::RunChanged { state, .. } => format!("run {state}"),
            Change::Redefined { tasks } => format!("redefined {tasks}"),
            Change::Started { attempt, .. } => format!("started {attempt}"),
            Change::Ended { state, .. } => format!("ended {state}"),
            Change::Retrying { .. } => "retrying".to_owned(),
            Change::Released => "released".to_owned(),
            Change::Crashed { crashes } => format!("crashed {crashes}"),
            Change::Expanded { items } => format!("expanded {items}"),
            Change::Asked { questions } => format!("asked {questions}"),
            Change::Awaiting { .. } => "awaiting".to_owned(),
            Change::Woken => "woken".to_owned(),
            other => panic!("{other:?}"),
        };
        event.task.map_or(what.clone(), |task| format!("{task} {what}"))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Stores a run that a claimed task starts.
pub(crate) async fn submit_child(store: &SharedStore, parent: &Claim, tasks: Vec<NewTask>) -> RunId {
    let above = store.run(&parent.token.run).await.unwrap().unwrap().summary;
    let parent = ParentTask { run: above.id.clone(), task: parent.task.number, root: above.root().clone() };
    store.submit(NewRun { parent: Some(parent), ..run_of(tasks) }).await.unwrap()
}

/// Parks a claimed task until a run has ended.
pub(crate) async fn awaits(store: &SharedStore, claim: &Claim, run: &RunId) -> Applied {
    end(store, claim, Outcome::Awaiting { run: run.clone() }).await
}

/// Checks that something is next to be done in this time, of which the test itself took a little.
pub(crate) async fn assert_due_in(store: &SharedStore, time: Duration) {
    let due = store.advance().await.unwrap().next_due.unwrap();
    assert!(due <= time && due > time - Duration::from_secs(60), "{due:?}");
}

/// A source of numbers that is the same in every run of the tests.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// Gives a number below a limit.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}
