//! What the failure of a task does to the rest of its run.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Retry};
use motet_core::store::{Control, RunState, SharedStore, TaskState};
use motet_core::workflow::OnFailure;

use crate::fixture::{
    HOUR, assert_due_in, claim, claim_named, control, counts, done, drain, end, error_of, fail, failed,
    names, states, submit, task, with_policy, with_retries,
};

pub(crate) async fn by_default_nothing_new_starts_and_what_runs_may_finish(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[]), task("d", &[0])]).await;
    let claims = claim(&store, 2).await;
    let applied = fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Failed, 0, RunState::Failing));
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(done(&store, &claims[1]).await.run, RunState::Failed);
    assert_eq!(states(&store, &run).await, "a:failed b:done c:cancelled d:cancelled");
    assert_eq!(counts(&store, &run).await, "failed: 4 tasks, 1 done, 1 failed, 0 skipped");
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("boom"));
}

pub(crate) async fn dependents_are_skipped_and_the_rest_runs_where_asked(store: SharedStore) {
    let first = with_policy(OnFailure::SkipDependents, task("a", &[]));
    let run = submit(&store, vec![first, task("b", &[0]), task("c", &[1]), task("d", &[])]).await;
    let a = claim_named(&store, "a").await;
    let applied = fail(&store, &a, ErrorKind::ToolFailed).await;
    assert_eq!((applied.state, applied.run), (TaskState::Failed, RunState::Running));
    assert_eq!(states(&store, &run).await, "a:failed b:skipped c:skipped d:ready");
    assert_eq!(error_of(&store, &run, "c").await.as_deref(), Some("task `a` failed"));
    assert_eq!(drain(&store).await, "d");
    assert_eq!(counts(&store, &run).await, "failed: 4 tasks, 1 done, 1 failed, 2 skipped");
}

pub(crate) async fn dependents_run_in_spite_of_a_failure_where_asked(store: SharedStore) {
    let first = with_policy(OnFailure::Continue, task("a", &[]));
    let run = submit(&store, vec![first, task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    let applied = fail(&store, &a, ErrorKind::ToolFailed).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Failed, 1, RunState::Running));
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 1 done, 1 failed, 0 skipped");
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("boom"));
}

pub(crate) async fn every_policy_ends_the_run_as_its_author_said(store: SharedStore) {
    for (policy, ran, expected) in [
        (OnFailure::Fail, "", "failed: 3 tasks, 0 done, 1 failed, 0 skipped"),
        (OnFailure::SkipDependents, "c", "failed: 3 tasks, 1 done, 1 failed, 1 skipped"),
        (OnFailure::Continue, "b c", "completed: 3 tasks, 2 done, 1 failed, 0 skipped"),
    ] {
        let tasks =
            vec![with_policy(policy, task("a", &[])), task("b", &[0]), with_policy(policy, task("c", &[]))];
        let run = submit(&store, tasks).await;
        let a = claim_named(&store, "a").await;
        fail(&store, &a, ErrorKind::ToolFailed).await;
        let mut order: Vec<String> = drain(&store).await.split_whitespace().map(str::to_owned).collect();
        order.sort_unstable();
        assert_eq!(
            (order.join(" ").as_str(), counts(&store, &run).await.as_str()),
            (ran, expected),
            "{policy:?}"
        );
    }
}

pub(crate) async fn a_temporary_failure_is_tried_again_until_it_ends_well(store: SharedStore) {
    let run = submit(&store, vec![with_retries(3, Duration::ZERO, task("a", &[]))]).await;
    for attempt in 1..3 {
        let claim = claim_named(&store, "a").await;
        assert_eq!(claim.task.attempt, attempt);
        let applied = fail(&store, &claim, ErrorKind::Overloaded).await;
        assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Ready, 1, RunState::Running));
        assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("boom"));
    }
    assert_eq!(drain(&store).await, "a");
    assert_eq!(error_of(&store, &run, "a").await, None);
    assert_eq!(counts(&store, &run).await, "completed: 1 tasks, 1 done, 0 failed, 0 skipped");
}

pub(crate) async fn the_time_that_the_other_side_named_is_waited_for(store: SharedStore) {
    submit(&store, vec![with_retries(2, Duration::ZERO, task("a", &[]))]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, failed(&Error::new(ErrorKind::RateLimit, "slow").with_retry(Retry::After(HOUR)))).await;
    assert_eq!(names(&claim(&store, 1).await), "");
    assert_due_in(&store, HOUR).await;
}

pub(crate) async fn a_hopeless_failure_is_not_tried_again(store: SharedStore) {
    let run = submit(&store, vec![with_retries(5, Duration::ZERO, task("a", &[]))]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(fail(&store, &a, ErrorKind::Authentication).await.state, TaskState::Failed);
    assert_eq!(counts(&store, &run).await, "failed: 1 tasks, 0 done, 1 failed, 0 skipped");
}

pub(crate) async fn attempts_that_are_used_up_fail_the_task(store: SharedStore) {
    let run = submit(&store, vec![with_retries(2, Duration::ZERO, task("a", &[]))]).await;
    for expected in [TaskState::Ready, TaskState::Failed] {
        let a = claim_named(&store, "a").await;
        assert_eq!(fail(&store, &a, ErrorKind::Overloaded).await.state, expected);
    }
    assert_eq!(counts(&store, &run).await, "failed: 1 tasks, 0 done, 1 failed, 0 skipped");
}

pub(crate) async fn a_task_below_two_failures_is_skipped_once(store: SharedStore) {
    let skips = |name| with_policy(OnFailure::SkipDependents, task(name, &[]));
    let run = submit(&store, vec![skips("a"), skips("b"), task("c", &[0, 1]), task("d", &[2, 0])]).await;
    for claim in claim(&store, 2).await {
        fail(&store, &claim, ErrorKind::ToolFailed).await;
    }
    assert_eq!(states(&store, &run).await, "a:failed b:failed c:skipped d:skipped");
    assert_eq!(counts(&store, &run).await, "failed: 4 tasks, 0 done, 2 failed, 2 skipped");
}

pub(crate) async fn a_retry_in_a_failing_run_waits_for_a_resume(store: SharedStore) {
    let tasks = vec![task("a", &[]), with_retries(2, Duration::ZERO, task("b", &[]))];
    let run = submit(&store, tasks).await;
    let claims = claim(&store, 2).await;
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    let applied = fail(&store, &claims[1], ErrorKind::Overloaded).await;
    assert_eq!((applied.state, applied.run), (TaskState::Ready, RunState::Failed));
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(names(&claim(&store, 9).await).split(' ').count(), 2);
}
