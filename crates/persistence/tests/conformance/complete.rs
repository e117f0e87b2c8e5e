//! Ending tasks well, and what that sets free.

use motet_core::id::Millis;
use motet_core::store::{NewTask, Outcome, RunState, SharedStore, TaskState};
use serde_json::{Value, json};

use crate::fixture::{
    claim, claim_named, counts, done, drain, end, error_of, names, skipped, state, states, submit, task,
};

pub(crate) async fn a_result_is_kept_and_the_dependents_become_ready(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[0, 1])]).await;
    let a = claim_named(&store, "a").await;
    let output = json!({"text": "tide", "list": [1, null]});
    let applied = end(&store, &a, Outcome::Done { output: output.clone() }).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Done, 1, RunState::Running));
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(output)]);
    assert_eq!(states(&store, &run).await, "a:done b:ready c:blocked");
    assert_eq!(store.tasks(&run).await.unwrap()[2].remaining, 1);
}

pub(crate) async fn repeating_a_completion_changes_nothing(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    done(&store, &a).await;
    let before = store.tasks(&run).await.unwrap();
    for outcome in [Outcome::Done { output: json!("other") }, skipped("no"), Outcome::Released] {
        let applied = end(&store, &a, outcome).await;
        assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Done, 0, RunState::Running));
    }
    assert_eq!(store.tasks(&run).await.unwrap(), before);
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!("a"))]);
    assert_eq!(counts(&store, &run).await, "running: 2 tasks, 1 done, 0 failed, 0 skipped");
}

pub(crate) async fn the_last_of_a_diamond_starts_once(store: SharedStore) {
    let run =
        submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[0]), task("d", &[1, 2])]).await;
    done(&store, &claim_named(&store, "a").await).await;
    let both = claim(&store, 9).await;
    assert_eq!(names(&both), "b c");
    assert_eq!(done(&store, &both[0]).await.ready, 0);
    assert_eq!(done(&store, &both[1]).await.ready, 1);
    assert_eq!(drain(&store).await, "d");
    assert_eq!(counts(&store, &run).await, "completed: 4 tasks, 4 done, 0 failed, 0 skipped");
}

pub(crate) async fn a_task_waits_for_all_of_a_hundred(store: SharedStore) {
    let mut tasks: Vec<NewTask> = (0..100).map(|number| task(&number.to_string(), &[])).collect();
    tasks.push(task("last", &(0..100).collect::<Vec<_>>()));
    let run = submit(&store, tasks).await;
    let claims = claim(&store, 200).await;
    assert_eq!(claims.len(), 100);
    let (last, others) = claims.split_last().unwrap();
    let applied = futures::future::join_all(others.iter().map(|claim| done(&store, claim))).await;
    assert_eq!(applied.iter().map(|applied| applied.ready).sum::<u32>(), 0);
    assert_eq!(store.tasks(&run).await.unwrap()[100].remaining, 1);
    assert_eq!(done(&store, last).await.ready, 1);
    assert_eq!(drain(&store).await, "last");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn a_thousand_dependents_become_ready_at_once(store: SharedStore) {
    let dependents = (0..1000).map(|number| task(&number.to_string(), &[0]));
    let run = submit(&store, std::iter::once(task("first", &[])).chain(dependents).collect()).await;
    assert_eq!(done(&store, &claim_named(&store, "first").await).await.ready, 1000);
    assert_eq!(claim(&store, 2000).await.len(), 1000);
    assert_eq!(counts(&store, &run).await, "running: 1001 tasks, 1 done, 0 failed, 0 skipped");
}

pub(crate) async fn a_skipped_task_tells_why_and_its_dependents_go_on(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    let applied = end(&store, &a, skipped("its condition is false")).await;
    assert_eq!((applied.state, applied.ready), (TaskState::Skipped, 1));
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("its condition is false"));
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [None]);
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 1 done, 0 failed, 1 skipped");
}

pub(crate) async fn a_run_is_completed_when_its_last_task_ended(store: SharedStore) {
    let before = Millis::now();
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    assert_eq!(done(&store, &claims[1]).await.run, RunState::Running);
    assert_eq!(done(&store, &claims[0]).await.run, RunState::Completed);
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert!(before <= summary.created_at && Some(summary.created_at) <= summary.ended_at);
    for task in store.tasks(&run).await.unwrap() {
        assert!(Some(summary.created_at) <= task.started_at && task.started_at <= task.ended_at);
    }
}

pub(crate) async fn a_result_of_five_megabytes_is_kept(store: SharedStore) {
    let big = "0123456789abcdef".repeat(5 << 16);
    let new = NewTask { payload: json!(big), ..task("a", &[]) };
    let run = submit(&store, vec![new]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(a.task.payload, json!(big));
    end(&store, &a, Outcome::Done { output: json!([big, big]) }).await;
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!([big, big]))]);
}

pub(crate) async fn nothing_and_null_are_told_apart_in_results(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    assert_eq!(store.tasks(&run).await.unwrap()[0].payload, Value::Null);
    let a = claim_named(&store, "a").await;
    end(&store, &a, Outcome::Done { output: Value::Null }).await;
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(Value::Null)]);
}
