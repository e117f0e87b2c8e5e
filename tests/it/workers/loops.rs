//! The worker's loop in this process, with a clock that is turned by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::Result;
use motet_core::event::{EventSink, StreamEvent};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter};
use motet_core::store::{NewRun, NewTask, RunState, SharedStore, TaskState};
use motet_core::tool::Effect;
use motet_core::workflow::WorkflowSpec;
use motet_core::{ErrorKind, RunContext, RunId};
use motet_persistence::memory::MemoryStore;
use motet_workflows::dag::plan::{RunSettings, plan};
use motet_workflows::dag::worker::{Worker, WorkerConfig, unserved};
use motet_workflows::methods::Methods;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

/// A method that gives nothing, or never ends.
struct Idle;

#[async_trait]
impl Method for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn doc(&self) -> &'static str {
        "Does nothing"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    async fn call(&self, _context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        if call.params.contains_key("forever") {
            std::future::pending::<()>().await;
        }
        Ok(json!({"result": 1}).into())
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl EventSink for Heard {
    fn emit(&self, event: &StreamEvent) {
        if let StreamEvent::Warning { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

fn store() -> SharedStore {
    Arc::new(MemoryStore::new())
}

async fn submitted(store: &SharedStore, tasks: &Value) -> RunId {
    let spec: WorkflowSpec = serde_json::from_value(json!({"name": "w", "tasks": tasks})).unwrap();
    store.submit(plan(&spec, Map::new(), &RunSettings::default()).unwrap()).await.unwrap()
}

fn worker(store: &SharedStore, queues: &[&str]) -> Worker {
    let mut config = WorkerConfig::default();
    config.queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
    config.drain_timeout = Duration::from_secs(5);
    Worker::new(Arc::clone(store), Methods::default().with(Arc::new(Idle)), config)
}

async fn state(store: &SharedStore, run: &RunId) -> RunState {
    store.run(run).await.unwrap().unwrap().summary.state
}

#[tokio::test(start_paused = true)]
async fn a_task_that_no_worker_takes_is_told_of_once() {
    let store = store();
    let run = submitted(&store, &json!([{"id": "render", "method": "idle", "queue": "gpu"}])).await;
    let (heard, stop) = (Arc::new(Heard::default()), CancellationToken::new());
    let first = worker(&store, &["default"]).with_events(Arc::clone(&heard) as Arc<dyn EventSink>);
    let (ended, ()) = tokio::join!(first.run_to_end(&run, &stop), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        stop.cancel();
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(*heard.0.lock().unwrap(), ["task `render` waits for a worker of queue `gpu`"]);
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let second = worker(&store, &["gpu"]);
    second.work_until_idle(&stop, &drain).await.unwrap();
    assert_eq!(state(&store, &run).await, RunState::Completed);
    let later = submitted(&store, &json!([{"id": "t", "method": "idle", "queue": "gpu"}])).await;
    assert_eq!(unserved(&store, &later, &[]).await.unwrap(), [], "a worker of the queue was seen just now");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_read_fails_and_the_worker_goes_on() {
    let store = store();
    let broken = NewRun {
        definition: json!({"nonsense": 1}),
        ..NewRun::new("workflow", "broken", vec![NewTask::named("t")])
    };
    let broken = store.submit(broken).await.unwrap();
    let sound = submitted(&store, &json!([{"id": "t", "method": "idle"}])).await;
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    worker(&store, &["default"]).work_until_idle(&stop, &drain).await.unwrap();
    assert_eq!(
        (state(&store, &broken).await, state(&store, &sound).await),
        (RunState::Failed, RunState::Completed)
    );
    let error = store.tasks(&broken).await.unwrap()[0].error.clone().unwrap();
    assert_eq!(error.message, "the stored definition cannot be read");
}

#[tokio::test(start_paused = true)]
async fn work_that_minds_no_signal_is_given_back_when_its_time_is_over() {
    let store = store();
    let run = submitted(&store, &json!([{"id": "t", "method": "idle", "params": {"forever": true}}])).await;
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let worker = worker(&store, &["default"]);
    let (worked, ()) = tokio::join!(worker.work(&stop, &drain), async {
        while store.tasks(&run).await.unwrap()[0].state != TaskState::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drain.cancel();
    });
    assert_eq!(worked.unwrap().released, 1);
    let task = store.tasks(&run).await.unwrap().remove(0);
    assert_eq!((task.state, task.attempt, task.crashes), (TaskState::Ready, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn queues_of_other_kinds_of_runs_are_refused() {
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    for queues in [vec!["agents"], vec![]] {
        let refused = worker(&store(), &queues).work(&stop, &drain).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_over_all_workers_holds() {
    let store = store();
    let forever = json!({"forever": true});
    let tasks: Vec<Value> =
        (0..4).map(|n| json!({"id": format!("t{n}"), "method": "idle", "params": forever})).collect();
    let run = submitted(&store, &json!(tasks)).await;
    let mut config = WorkerConfig::default();
    config.max_running = Some(2);
    config.queues = vec!["default".to_owned()];
    let make = || Worker::new(Arc::clone(&store), Methods::default().with(Arc::new(Idle)), config.clone());
    let (one, two) = (make(), make());
    let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
    let (first, second, ()) = tokio::join!(one.work(&stop, &drain), two.work(&stop, &drain), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(store.run(&run).await.unwrap().unwrap().summary.active, 2);
        stop.cancel();
    });
    assert_eq!(first.unwrap().released + second.unwrap().released, 2);
}
