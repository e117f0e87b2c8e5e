//! Cancelling and resuming runs.

use std::time::Duration;

use motet_core::RunId;
use motet_core::error::ErrorKind;
use motet_core::store::{Control, LeaseState, Outcome, RunState, SharedStore};
use motet_core::workflow::OnFailure;

use crate::fixture::{
    HOUR, claim, claim_named, control, counts, crash, done, drain, end, error_of, expand, fail, names,
    skipped, state, states, submit, task, with_policy, with_retries,
};

pub(crate) async fn cancelling_an_idle_run_ends_it(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    control(&store, &run, Control::Cancel).await;
    assert_eq!(counts(&store, &run).await, "cancelled: 2 tasks, 0 done, 0 failed, 0 skipped");
    control(&store, &run, Control::Cancel).await;
    assert_eq!(state(&store, &run).await, RunState::Cancelled);
}

pub(crate) async fn what_runs_learns_of_the_cancellation_and_ends_the_run(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[])]).await;
    let claims = claim(&store, 2).await;
    control(&store, &run, Control::Cancel).await;
    assert_eq!(state(&store, &run).await, RunState::Cancelling);
    let tokens: Vec<_> = claims.iter().map(|claim| claim.token.clone()).collect();
    assert_eq!(store.renew(&tokens, HOUR).await.unwrap(), [LeaseState::Cancelled; 2]);
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(done(&store, &claims[0]).await.run, RunState::Cancelling);
    assert_eq!(end(&store, &claims[1], Outcome::Released).await.run, RunState::Cancelled);
    assert_eq!(states(&store, &run).await, "a:done b:cancelled c:cancelled");
}

pub(crate) async fn only_a_run_that_goes_on_can_be_cancelled(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    drain(&store).await;
    let error = store.control(&run, Control::Cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), format!("run `{run}` is completed already"));
}

pub(crate) async fn resuming_runs_what_failed_and_keeps_what_is_done(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[1])]).await;
    done(&store, &claim_named(&store, "a").await).await;
    let b = claim_named(&store, "b").await;
    fail(&store, &b, ErrorKind::ToolFailed).await;
    assert_eq!(states(&store, &run).await, "a:done b:failed c:cancelled");
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:done b:ready c:blocked");
    assert_eq!(counts(&store, &run).await, "running: 3 tasks, 1 done, 0 failed, 0 skipped");
    assert_eq!(error_of(&store, &run, "b").await, None);
    assert_eq!(drain(&store).await, "b c");
    assert_eq!(counts(&store, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
}

pub(crate) async fn resuming_runs_what_a_failure_skipped(store: SharedStore) {
    let first = with_policy(OnFailure::SkipDependents, task("a", &[]));
    let run = submit(&store, vec![first, task("b", &[0]), task("c", &[1])]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(fail(&store, &a, ErrorKind::ToolFailed).await.run, RunState::Failed);
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:ready b:blocked c:blocked");
    assert_eq!(drain(&store).await, "a b c");
    assert_eq!(error_of(&store, &run, "b").await, None);
    assert_eq!(counts(&store, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
}

pub(crate) async fn resuming_keeps_what_its_own_condition_skipped(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, skipped("no")).await;
    let b = claim_named(&store, "b").await;
    fail(&store, &b, ErrorKind::ToolFailed).await;
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:skipped b:ready");
    assert_eq!(counts(&store, &run).await, "running: 2 tasks, 0 done, 0 failed, 1 skipped");
}

pub(crate) async fn resuming_keeps_failures_that_were_allowed(store: SharedStore) {
    let first = with_policy(OnFailure::Continue, task("a", &[]));
    let run = submit(&store, vec![first, task("b", &[0])]).await;
    for name in ["a", "b"] {
        let claim = claim_named(&store, name).await;
        fail(&store, &claim, ErrorKind::ToolFailed).await;
    }
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:failed b:ready");
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 1 done, 1 failed, 0 skipped");
}

/// Spreads task `a` over three items of a policy, of which the middle one fails; gives the run.
async fn fail_one_of_three(store: &SharedStore, parent: OnFailure, item: OnFailure) -> RunId {
    let run = submit(store, vec![with_policy(parent, task("a", &[])), task("b", &[0])]).await;
    let a = claim_named(store, "a").await;
    let items = ["a[0]", "a[1]", "a[2]"].map(|name| with_policy(item, task(name, &[])));
    end(store, &a, expand(items.to_vec())).await;
    let claims = claim(store, 3).await;
    done(store, &claims[0]).await;
    fail(store, &claims[1], ErrorKind::ToolFailed).await;
    done(store, &claims[2]).await;
    run
}

pub(crate) async fn resuming_runs_only_the_items_that_failed(store: SharedStore) {
    for policy in [OnFailure::Fail, OnFailure::SkipDependents] {
        let run = fail_one_of_three(&store, policy, policy).await;
        assert_eq!(state(&store, &run).await, RunState::Failed);
        control(&store, &run, Control::Resume).await;
        assert_eq!(states(&store, &run).await, "a:waiting b:blocked a[0]:done a[1]:ready a[2]:done");
        assert_eq!(drain(&store).await, "a[1] a b");
        assert_eq!(counts(&store, &run).await, "completed: 5 tasks, 5 done, 0 failed, 0 skipped");
    }
}

pub(crate) async fn resuming_runs_the_items_that_failed_their_task(store: SharedStore) {
    let run = fail_one_of_three(&store, OnFailure::Fail, OnFailure::Continue).await;
    assert_eq!(states(&store, &run).await, "a:failed b:cancelled a[0]:done a[1]:failed a[2]:done");
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:waiting b:blocked a[0]:done a[1]:ready a[2]:done");
    let item = claim_named(&store, "a[1]").await;
    assert_eq!(fail(&store, &item, ErrorKind::ToolFailed).await.run, RunState::Failed);
}

pub(crate) async fn resuming_starts_tasks_that_were_ready_when_cancelled(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[0])]).await;
    let a = claim_named(&store, "a").await;
    control(&store, &run, Control::Cancel).await;
    done(&store, &a).await;
    assert_eq!(states(&store, &run).await, "a:done b:cancelled c:cancelled");
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(names(&claim(&store, 9).await), "b c");
}

pub(crate) async fn resuming_while_tasks_still_run_lets_them_count(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    assert_eq!(state(&store, &run).await, RunState::Failing);
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:ready b:running");
    assert_eq!(done(&store, &claims[1]).await.run, RunState::Running);
    assert_eq!(drain(&store).await, "a");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 2 done, 0 failed, 0 skipped");
}

pub(crate) async fn resuming_forgives_attempts_and_crashes(store: SharedStore) {
    let tasks = vec![with_retries(2, Duration::ZERO, task("a", &[])), task("b", &[0])];
    let run = submit(&store, tasks).await;
    crash(&store, "a").await;
    let second = claim_named(&store, "a").await;
    fail(&store, &second, ErrorKind::Overloaded).await;
    assert_eq!(counts(&store, &run).await, "failed: 2 tasks, 0 done, 1 failed, 0 skipped");
    control(&store, &run, Control::Resume).await;
    let third = claim_named(&store, "a").await;
    assert_eq!((third.task.attempt, third.task.crashes), (3, 0));
    fail(&store, &third, ErrorKind::Overloaded).await;
    assert_eq!(drain(&store).await, "a b");
}

pub(crate) async fn a_completed_run_cannot_be_resumed(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    drain(&store).await;
    let error = store.control(&run, Control::Resume).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), format!("run `{run}` is completed: nothing is left to do"));
    assert_eq!(counts(&store, &run).await, "completed: 1 tasks, 1 done, 0 failed, 0 skipped");
}

pub(crate) async fn a_running_run_is_resumed_without_effect(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    claim_named(&store, "a").await;
    let before = store.tasks(&run).await.unwrap();
    control(&store, &run, Control::Resume).await;
    assert_eq!(store.tasks(&run).await.unwrap(), before);
}

pub(crate) async fn an_unknown_run_cannot_be_controlled(store: SharedStore) {
    let run = RunId::new();
    let redefine = Control::Redefine { definition: 1.into(), tasks: vec![task("a", &[])], unchanged: vec![] };
    for order in [Control::Cancel, Control::Resume, redefine] {
        let error = store.control(&run, order).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.message(), format!("there is no run `{run}` in this store"));
    }
}
