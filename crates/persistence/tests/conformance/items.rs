//! Tasks that run once for each of their items.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::store::{Claim, NewTask, Outcome, RunState, SharedStore, TaskState};
use motet_core::workflow::OnFailure;
use serde_json::json;

use crate::fixture::{
    claim, claim_named, counts, crash, done, drain, end, error_of, expand, fail, names, skipped, states,
    submit, task, with_policy, with_retries,
};

/// Items of task `a` as a worker makes them: with the policy of their task.
fn items(count: usize, policy: OnFailure) -> Vec<NewTask> {
    let item = |index: usize| NewTask {
        payload: json!({"item": index}),
        ..with_policy(policy, task(&format!("a[{index}]"), &[]))
    };
    (0..count).map(item).collect()
}

/// Submits `a`, which spreads over items, and `b`, which waits for it; gives the run and the items in hand.
async fn spread(store: &SharedStore, count: usize, policy: OnFailure) -> (motet_core::RunId, Vec<Claim>) {
    let run = submit(store, vec![with_policy(policy, task("a", &[])), task("b", &[0])]).await;
    let a = claim_named(store, "a").await;
    end(store, &a, expand(items(count, policy))).await;
    (run, claim(store, 99).await)
}

pub(crate) async fn without_items_the_task_is_joined_at_once(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    assert!(!a.task.joining);
    let applied = end(&store, &a, expand(vec![])).await;
    assert_eq!((applied.state, applied.ready), (TaskState::Ready, 1));
    let join = claim_named(&store, "a").await;
    assert!(join.task.joining);
    done(&store, &join).await;
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 2 done, 0 failed, 0 skipped");
}

pub(crate) async fn one_item_runs_before_the_join(store: SharedStore) {
    let (run, claims) = spread(&store, 1, OnFailure::Fail).await;
    assert_eq!(names(&claims), "a[0]");
    assert_eq!(states(&store, &run).await, "a:waiting b:blocked a[0]:running");
    assert_eq!(done(&store, &claims[0]).await.ready, 1);
    let join = claim_named(&store, "a").await;
    assert!(join.task.joining);
    assert_eq!(done(&store, &join).await.ready, 1);
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
}

pub(crate) async fn items_stand_in_their_order_and_know_their_task(store: SharedStore) {
    let (run, claims) = spread(&store, 3, OnFailure::Fail).await;
    assert_eq!(names(&claims), "a[0] a[1] a[2]");
    assert_eq!(store.tasks(&run).await.unwrap()[0].open_children, 3);
    for (index, item) in claims.iter().enumerate() {
        assert_eq!((item.task.parent, item.task.number), (Some(0), 2 + u32::try_from(index).unwrap()));
        assert_eq!(item.task.payload, json!({"item": index}));
    }
    for item in claims.iter().rev() {
        done(&store, item).await;
    }
    assert_eq!(drain(&store).await, "a b");
    let outputs = store.outputs(&run, &[2, 3, 4]).await.unwrap();
    assert_eq!(outputs, [Some(json!("a[0]")), Some(json!("a[1]")), Some(json!("a[2]"))]);
}

/// Submits `a` and spreads it over items by what they have in common.
async fn spread_like(store: &SharedStore, items: &[&str]) -> motet_core::RunId {
    let run = submit(store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(store, "a").await;
    let like =
        Box::new(NewTask { queue: a.task.queue.clone(), ..with_retries(2, Duration::ZERO, task("a", &[])) });
    let items = items.iter().map(|item| (*item).to_owned()).collect();
    end(store, &a, Outcome::Spread { like, items }).await;
    run
}

pub(crate) async fn items_that_differ_in_what_they_are_are_made_as_they_are_stored(store: SharedStore) {
    let run = spread_like(&store, &["1", r#"{"path":"x \u00fc"}"#, "null"]).await;
    let claims = claim(&store, 99).await;
    assert_eq!(names(&claims), "a[0] a[1] a[2]");
    let payloads: Vec<_> = claims.iter().map(|claim| claim.task.payload.clone()).collect();
    let expected = [
        json!({"item": 1, "index": 0}),
        json!({"item": {"path": "x ü"}, "index": 1}),
        json!({"item": null, "index": 2}),
    ];
    assert_eq!(payloads, expected);
    assert_eq!(claims[0].task.retry.max_attempts, 2);
    for claim in &claims {
        done(&store, claim).await;
    }
    assert_eq!(drain(&store).await, "a b");
    assert_eq!(counts(&store, &run).await, "completed: 5 tasks, 5 done, 0 failed, 0 skipped");
    // None at all is joined at once.
    spread_like(&store, &[]).await;
    assert_eq!(drain(&store).await, "a b");
}

pub(crate) async fn a_list_of_results_is_stored_as_it_is_written(store: SharedStore) {
    let run = spread_like(&store, &["1"]).await;
    done(&store, &claim_named(&store, "a[0]").await).await;
    let join = claim_named(&store, "a").await;
    let long = "ü\"".repeat(20_000);
    let output = json!([long, null, {"n": 1.5}]);
    let applied = end(&store, &join, Outcome::Joined { output: output.to_string() }).await;
    assert_eq!((applied.state, applied.ready), (TaskState::Done, 1));
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(output)]);
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
}

pub(crate) async fn tasks_and_items_are_read_in_pieces(store: SharedStore) {
    let run = spread_like(&store, &["0", "1", "2"]).await;
    let page = async |after, limit| {
        let tasks = store.tasks_after(&run, after, limit).await.unwrap();
        tasks.into_iter().map(|task| task.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(page(None, 2).await, "a b");
    assert_eq!(page(Some(1), 2).await, "a[0] a[1]");
    assert_eq!(page(Some(3), 2).await, "a[2]");
    assert_eq!(page(Some(4), 2).await, "");
    assert_eq!(store.tasks_after(&run, None, 99).await.unwrap(), store.tasks(&run).await.unwrap());
    assert_eq!(store.children(&run, 0).await.unwrap(), [2, 3, 4]);
    assert_eq!(store.children(&run, 1).await.unwrap(), Vec::<u32>::new());
    let unknown = store.tasks_after(&motet_core::RunId::new(), None, 1).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

pub(crate) async fn dependencies_of_items_are_ignored(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(vec![task("a[0]", &[0, 99])])).await;
    assert_eq!(drain(&store).await, "a[0] a");
}

pub(crate) async fn by_default_the_first_failed_item_fails_the_task(store: SharedStore) {
    let (run, claims) = spread(&store, 3, OnFailure::Fail).await;
    let applied = fail(&store, &claims[1], ErrorKind::ToolFailed).await;
    assert_eq!((applied.state, applied.run), (TaskState::Failed, RunState::Failing));
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("item `a[1]` failed: boom"));
    done(&store, &claims[0]).await;
    assert_eq!(fail(&store, &claims[2], ErrorKind::ToolFailed).await.run, RunState::Failed);
    assert_eq!(states(&store, &run).await, "a:failed b:cancelled a[0]:done a[1]:failed a[2]:failed");
    assert_eq!(counts(&store, &run).await, "failed: 5 tasks, 1 done, 3 failed, 0 skipped");
}

pub(crate) async fn failed_items_are_left_to_the_join_where_asked(store: SharedStore) {
    let (run, claims) = spread(&store, 2, OnFailure::Continue).await;
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    assert_eq!(states(&store, &run).await, "a:waiting b:blocked a[0]:failed a[1]:running");
    done(&store, &claims[1]).await;
    assert_eq!(drain(&store).await, "a b");
    assert_eq!(counts(&store, &run).await, "completed: 4 tasks, 3 done, 1 failed, 0 skipped");
}

pub(crate) async fn all_items_run_before_the_task_fails_where_asked(store: SharedStore) {
    let (run, claims) = spread(&store, 2, OnFailure::SkipDependents).await;
    assert_eq!(fail(&store, &claims[0], ErrorKind::ToolFailed).await.run, RunState::Running);
    assert_eq!(done(&store, &claims[1]).await.run, RunState::Failed);
    assert_eq!(states(&store, &run).await, "a:failed b:skipped a[0]:failed a[1]:done");
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("1 of its items failed"));
    assert_eq!(counts(&store, &run).await, "failed: 4 tasks, 1 done, 2 failed, 1 skipped");
}

pub(crate) async fn the_failure_of_a_nested_item_names_its_way(store: SharedStore) {
    let (run, claims) = spread(&store, 1, OnFailure::Fail).await;
    end(&store, &claims[0], expand(vec![task("a[0][0]", &[])])).await;
    let nested = claim_named(&store, "a[0][0]").await;
    fail(&store, &nested, ErrorKind::ToolFailed).await;
    let expected = "item `a[0]` failed: item `a[0][0]` failed: boom";
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some(expected));
    assert_eq!(counts(&store, &run).await, "failed: 4 tasks, 0 done, 3 failed, 0 skipped");
}

pub(crate) async fn an_item_is_tried_again_by_its_own_policy(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(vec![with_retries(2, Duration::ZERO, task("a[0]", &[]))])).await;
    let item = claim_named(&store, "a[0]").await;
    assert_eq!(fail(&store, &item, ErrorKind::Overloaded).await.state, TaskState::Ready);
    assert_eq!(drain(&store).await, "a[0] a");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 2 done, 0 failed, 0 skipped");
}

pub(crate) async fn the_join_is_tried_again_by_its_own_attempts(store: SharedStore) {
    let run = submit(&store, vec![with_retries(2, Duration::ZERO, task("a", &[]))]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(vec![task("a[0]", &[])])).await;
    done(&store, &claim_named(&store, "a[0]").await).await;
    let join = claim_named(&store, "a").await;
    assert_eq!(fail(&store, &join, ErrorKind::Overloaded).await.state, TaskState::Ready);
    let again = claim_named(&store, "a").await;
    assert!(again.task.joining);
    assert_eq!(fail(&store, &again, ErrorKind::Overloaded).await.state, TaskState::Failed);
    assert_eq!(counts(&store, &run).await, "failed: 2 tasks, 1 done, 1 failed, 0 skipped");
}

pub(crate) async fn items_are_made_once(store: SharedStore) {
    let (run, claims) = spread(&store, 1, OnFailure::Fail).await;
    done(&store, &claims[0]).await;
    let join = claim_named(&store, "a").await;
    let before = store.tasks(&run).await.unwrap();
    let error = store.complete(&join.token, expand(items(2, OnFailure::Fail))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.message(), "task `a` has run for its items already");
    assert_eq!(store.tasks(&run).await.unwrap(), before);
    done(&store, &join).await;
    assert_eq!(drain(&store).await, "b");
}

pub(crate) async fn a_skipped_item_counts_as_ended(store: SharedStore) {
    let (run, claims) = spread(&store, 2, OnFailure::Fail).await;
    end(&store, &claims[0], skipped("odd")).await;
    done(&store, &claims[1]).await;
    assert_eq!(drain(&store).await, "a b");
    assert_eq!(counts(&store, &run).await, "completed: 4 tasks, 3 done, 0 failed, 1 skipped");
}

pub(crate) async fn an_item_whose_worker_died_runs_again(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(items(1, OnFailure::Fail))).await;
    crash(&store, "a[0]").await;
    assert_eq!(drain(&store).await, "a[0] a");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 2 done, 0 failed, 0 skipped");
}
