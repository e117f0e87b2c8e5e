//! Storing runs.

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::store::{NewRun, NewTask, RunState, SharedStore, TaskState};
use motet_core::workflow::{OnFailure, Priority};
use serde_json::{Map, Value, json};

use crate::fixture::{HOUR, drain, run_of, state, states, submit, task, with_retries};

pub(crate) async fn tasks_without_dependencies_are_ready_at_once(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[])]).await;
    assert_eq!(states(&store, &run).await, "a:ready b:blocked c:ready");
    assert_eq!(state(&store, &run).await, RunState::Running);
}

pub(crate) async fn an_id_that_is_taken_is_refused(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let second = NewRun { id: run.clone(), ..run_of(vec![task("b", &[])]) };
    let error = store.submit(second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), format!("there is a run `{run}` already"));
    assert_eq!(states(&store, &run).await, "a:ready");
}

/// Submits tasks that make no graph and gives the message; nothing must be stored.
async fn refused(store: &SharedStore, tasks: Vec<NewTask>) -> String {
    let run = run_of(tasks);
    let id = run.id.clone();
    let error = store.submit(run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(store.run(&id).await.unwrap(), None);
    error.message().to_owned()
}

pub(crate) async fn a_run_without_tasks_is_refused(store: SharedStore) {
    assert_eq!(refused(&store, vec![]).await, "a run needs at least one task");
}

pub(crate) async fn a_dependency_that_is_not_there_is_refused(store: SharedStore) {
    let message = refused(&store, vec![task("a", &[]), task("b", &[7])]).await;
    assert_eq!(message, "task `b` depends on task 7, which is not there");
}

pub(crate) async fn tasks_that_wait_for_each_other_are_refused(store: SharedStore) {
    let message = refused(&store, vec![task("a", &[]), task("b", &[2]), task("c", &[1])]).await;
    assert_eq!(message, "tasks of the run wait for each other");
    assert_eq!(refused(&store, vec![task("a", &[0])]).await, "tasks of the run wait for each other");
}

pub(crate) async fn two_tasks_of_one_name_are_refused(store: SharedStore) {
    let message = refused(&store, vec![task("a", &[]), task("a", &[])]).await;
    assert_eq!(message, "two tasks of the run have the name `a`");
}

pub(crate) async fn a_dependency_named_twice_counts_once(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0, 0, 0])]).await;
    assert_eq!(store.tasks(&run).await.unwrap()[1].remaining, 1);
    assert_eq!(drain(&store).await, "a b");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn what_was_submitted_is_given_back(store: SharedStore) {
    let object = |value: Value| value.as_object().unwrap().clone();
    let second = NewTask {
        queue: "gpu".to_owned(),
        priority: Priority::Low,
        on_failure: OnFailure::Continue,
        payload: json!({"item": {"z": 1, "a": [null, true]}, "index": 3}),
        ..with_retries(4, HOUR, task("second", &[0]))
    };
    let new = NewRun {
        kind: "agent".to_owned(),
        definition: json!({"tasks": [1, 2.5, "x"], "name": null}),
        inputs: object(json!({"topic": "tides", "count": 3})),
        settings: object(json!({"directory": "/data"})),
        ..run_of(vec![task("first", &[]), second.clone()])
    };
    let id = store.submit(new.clone()).await.unwrap();
    assert_eq!(id, new.id);
    let run = store.run(&id).await.unwrap().unwrap();
    assert_eq!((run.definition, run.inputs, run.settings), (new.definition, new.inputs, new.settings));
    assert_eq!((run.summary.name, run.summary.kind), (new.name, new.kind));
    assert_eq!((run.summary.tasks, run.summary.ended_at), (2, None));
    let tasks = store.tasks(&id).await.unwrap();
    assert_eq!(
        (tasks[0].number, tasks[0].name.as_str(), tasks[0].payload.clone()),
        (0, "first", Value::Null)
    );
    let stored = &tasks[1];
    assert_eq!(
        (&stored.queue, stored.priority, &stored.retry),
        (&second.queue, second.priority, &second.retry)
    );
    assert_eq!((stored.on_failure, &stored.payload), (second.on_failure, &second.payload));
    assert_eq!((stored.state, stored.remaining, stored.attempt), (TaskState::Blocked, 1, 0));
    assert_eq!((stored.run.clone(), stored.journal, stored.started_at), (id, 0, None));
}

pub(crate) async fn names_and_values_of_any_script_are_kept(store: SharedStore) {
    let odd = "naïve 走る 🎶 'q' \"d\" \\ % \u{0} \n ${x}";
    let inputs: Map<String, Value> = [(odd.to_owned(), json!(odd))].into_iter().collect();
    let new = NewRun { name: odd.to_owned(), inputs: inputs.clone(), ..run_of(vec![task(odd, &[])]) };
    let id = store.submit(new).await.unwrap();
    assert_eq!(drain(&store).await, odd);
    let run = store.run(&id).await.unwrap().unwrap();
    assert_eq!((run.summary.name.as_str(), run.inputs), (odd, inputs));
    assert_eq!(store.outputs(&id, &[0]).await.unwrap(), [Some(json!(odd))]);
}

pub(crate) async fn of_many_submissions_of_one_id_one_is_accepted(store: SharedStore) {
    let id = RunId::new();
    let run = |number: u32| NewRun { id: id.clone(), ..run_of(vec![task(&format!("t{number}"), &[])]) };
    let submissions = (0..20).map(|number| store.submit(run(number)));
    let results = futures::future::join_all(submissions).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(store.tasks(&id).await.unwrap().len(), 1);
}
