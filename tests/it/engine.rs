//! The worker over a store: what starts when, what is tried again, and what an interruption leaves behind.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::store::{RunState, SharedStore, TaskState};
use motet_core::tool::Effect;
use motet_core::workflow::WorkflowSpec;
use motet_core::{RunContext, RunId};
use motet_persistence::memory::MemoryStore;
use motet_workflows::dag::plan::{RunSettings, plan};
use motet_workflows::dag::worker::{Worker, WorkerConfig};
use motet_workflows::methods::Methods;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A method that does what its parameters say and keeps a diary of it.
#[derive(Clone)]
struct Play {
    diary: Arc<Mutex<Vec<String>>>,
    begun: watch::Sender<BTreeSet<String>>,
}

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "wait_for",
        kind: ParameterKind::String,
        required: false,
        doc: "waits until this task began",
    },
    Parameter {
        name: "forever",
        kind: ParameterKind::Boolean,
        required: false,
        doc: "waits until it is stopped",
    },
    Parameter { name: "fail_times", kind: ParameterKind::Integer, required: false, doc: "fails so often" },
    Parameter { name: "panics", kind: ParameterKind::Boolean, required: false, doc: "panics" },
    Parameter { name: "value", kind: ParameterKind::Any, required: false, doc: "gives this" },
];

#[async_trait]
impl Method for Play {
    fn name(&self) -> &'static str {
        "play"
    }

    fn doc(&self) -> &'static str {
        "Does what its parameters say"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let name = context.step_name().to_owned();
        let times = {
            let mut diary = self.diary.lock().unwrap();
            diary.push(name.clone());
            diary.iter().filter(|entry| **entry == name).count()
        };
        self.begun.send_modify(|begun| {
            begun.insert(name);
        });
        if let Some(other) = call.params.get("wait_for").and_then(Value::as_str) {
            self.begun.subscribe().wait_for(|begun| begun.contains(other)).await.unwrap();
        }
        if call.params.get("forever") == Some(&json!(true)) {
            context.cancellation().cancelled().await;
            context.check()?;
        }
        assert!(call.params.get("panics") != Some(&json!(true)), "told to panic");
        let fails = call.params.get("fail_times").and_then(Value::as_u64).unwrap_or(0);
        if times as u64 <= fails {
            return Err(Error::new(ErrorKind::Overloaded, "busy"));
        }
        Ok(call.params.get("value").cloned().unwrap_or_default().into())
    }
}

struct Stage {
    store: SharedStore,
    play: Play,
    run: RunId,
}

/// Stores a run of these tasks.
async fn stage(tasks: &Value) -> Stage {
    let spec: WorkflowSpec = serde_json::from_value(json!({"name": "play", "tasks": tasks})).unwrap();
    let store: SharedStore = Arc::new(MemoryStore::new());
    let run = plan(&spec, Map::new(), &RunSettings::default()).unwrap();
    let run = store.submit(run).await.unwrap();
    Stage { store, play: Play { diary: Arc::default(), begun: watch::Sender::default() }, run }
}

impl Stage {
    fn worker(&self, max_parallel_tasks: u32) -> Worker {
        let mut config = WorkerConfig::default();
        config.max_parallel_tasks = max_parallel_tasks;
        Worker::new(Arc::clone(&self.store), Methods::default().with(Arc::new(self.play.clone())), config)
    }

    async fn work(&self, max_parallel_tasks: u32) -> RunState {
        let (worker, never) = (self.worker(max_parallel_tasks), CancellationToken::new());
        let worked = worker.run_to_end(&self.run, &never);
        tokio::time::timeout(Duration::from_secs(30), worked).await.expect("the run hangs").unwrap()
    }

    fn diary(&self) -> Vec<String> {
        self.play.diary.lock().unwrap().clone()
    }

    async fn error(&self, task: &str) -> String {
        let tasks = self.store.tasks(&self.run).await.unwrap();
        tasks.into_iter().find(|found| found.name == task).unwrap().error.unwrap().message
    }
}

#[tokio::test]
async fn a_ready_task_starts_at_once_and_waits_for_no_level() {
    let stage = stage(&json!([
        {"id": "slow", "method": "play", "params": {"wait_for": "deep"}},
        {"id": "quick", "method": "play"},
        {"id": "middle", "method": "play", "dependencies": ["quick"]},
        {"id": "deep", "method": "play", "dependencies": ["middle"]},
    ]))
    .await;
    assert_eq!(stage.work(2).await, RunState::Completed);
}

#[tokio::test]
async fn urgent_tasks_start_first_and_no_more_than_allowed_run_at_once() {
    let stage = stage(&json!([
        {"id": "low", "method": "play", "priority": "low"},
        {"id": "normal", "method": "play"},
        {"id": "urgent", "method": "play", "priority": "urgent"},
        {"id": "high", "method": "play", "priority": "high"},
    ]))
    .await;
    assert_eq!(stage.work(1).await, RunState::Completed);
    assert_eq!(stage.diary(), ["urgent", "high", "normal", "low"]);
}

#[tokio::test]
async fn a_task_is_tried_again_as_its_policy_says() {
    let retry =
        json!({"max_attempts": 3, "base_delay": 1, "max_delay": 1, "backoff": "fixed", "jitter": false});
    let stage = stage(&json!([
        {"id": "shaky", "method": "play", "params": {"fail_times": 2}, "retry": retry},
        {"id": "hopeless", "method": "play", "params": {"fail_times": 9}, "retry": retry, "on_failure": "continue"},
        {"id": "once", "method": "play", "params": {"fail_times": 1}, "on_failure": "continue"},
    ]))
    .await;
    assert_eq!(stage.work(4).await, RunState::Completed);
    let times = |name: &str| stage.diary().iter().filter(|entry| *entry == name).count();
    assert_eq!((times("shaky"), times("hopeless"), times("once")), (3, 3, 1));
}

/// If each of the hundred delays of 1 ms became a worker's longest sleep of 1 s, the stage would give up waiting.
#[tokio::test]
async fn short_delays_stay_short() {
    let retry =
        json!({"max_attempts": 101, "base_delay": 1, "max_delay": 1, "backoff": "fixed", "jitter": false});
    let stage =
        stage(&json!([{"id": "shaky", "method": "play", "params": {"fail_times": 100}, "retry": retry}]))
            .await;
    assert_eq!(stage.work(4).await, RunState::Completed);
    assert_eq!(stage.diary().len(), 101);
}

#[tokio::test]
async fn a_panic_and_a_timeout_fail_their_task_and_nothing_else() {
    let stage = stage(&json!([
        {"id": "panics", "method": "play", "params": {"panics": true}, "on_failure": "continue"},
        {"id": "hangs", "method": "play", "params": {"wait_for": "never"}, "timeout": 20, "on_failure": "continue"},
        {"id": "fine", "method": "play"},
    ]))
    .await;
    assert_eq!(stage.work(4).await, RunState::Completed);
    assert_eq!(stage.error("panics").await, "the task's method panicked");
    assert_eq!(stage.error("hangs").await, "it took longer than its timeout of 20ms");
}

#[tokio::test]
async fn an_interrupted_run_gives_its_tasks_back_and_goes_on_later() {
    let stage = stage(&json!([
        {"id": "done", "method": "play"},
        {"id": "stopped", "method": "play", "params": {"forever": true}, "dependencies": ["done"]},
    ]))
    .await;
    let interrupt = CancellationToken::new();
    let worker = stage.worker(4);
    let mut begun = stage.play.begun.subscribe();
    let (worked, _) = tokio::join!(worker.run_to_end(&stage.run, &interrupt), async {
        begun.wait_for(|begun| begun.contains("stopped")).await.unwrap();
        interrupt.cancel();
    });
    assert_eq!(worked.unwrap_err().kind(), ErrorKind::Cancelled);
    let tasks = stage.store.tasks(&stage.run).await.unwrap();
    assert_eq!((tasks[1].state, tasks[1].attempt), (TaskState::Ready, 0));
    assert_eq!(stage.store.run(&stage.run).await.unwrap().unwrap().summary.state, RunState::Running);
}

#[tokio::test]
async fn several_workers_share_a_run_and_no_task_runs_twice() {
    let tasks: Vec<Value> = (0..200)
        .map(|n| {
            let dependencies: Vec<String> = if n >= 10 { vec![format!("t{}", n - 10)] } else { vec![] };
            json!({"id": format!("t{n}"), "method": "play", "dependencies": dependencies})
        })
        .collect();
    let stage = stage(&json!(tasks)).await;
    let states = tokio::join!(stage.work(3), stage.work(3), stage.work(3));
    assert_eq!(states, (RunState::Completed, RunState::Completed, RunState::Completed));
    let diary = stage.diary();
    assert_eq!(diary.len(), 200);
    assert_eq!(diary.iter().collect::<BTreeSet<_>>().len(), 200);
}
