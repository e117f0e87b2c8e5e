//! Leases: who holds a task, for how long, and what becomes of one whose worker is gone.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    ClaimRequest, Control, LeaseState, LeaseToken, Outcome, Progress, RunState, SharedStore, TaskState,
};
use serde_json::json;

use crate::fixture::{
    HOUR, assert_due_in, claim, claim_named, control, counts, crash, done, end, error_of, names, request,
    state, states, submit, task,
};

pub(crate) async fn a_lease_that_is_over_is_taken_back(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    crash(&store, "a").await;
    assert_eq!(states(&store, &run).await, "a:ready");
    let again = claim_named(&store, "a").await;
    assert_eq!((again.task.attempt, again.task.crashes), (2, 1));
    assert_eq!(store.advance().await.unwrap().reclaimed, 0);
}

pub(crate) async fn a_renewed_lease_is_not_taken_back(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let claims = store.claim(ClaimRequest { ttl: Duration::ZERO, ..request(1) }).await.unwrap();
    let renewed = store.renew(&[claims[0].token.clone()], HOUR).await.unwrap();
    assert_eq!(renewed, [LeaseState::Held]);
    assert_eq!(store.advance().await.unwrap().reclaimed, 0);
    assert_eq!(states(&store, &run).await, "a:running");
}

/// Checks that a token opens nothing any more.
async fn assert_stale(store: &SharedStore, token: &LeaseToken) {
    let record = Record::new("s", Entry::Finished { result: json!(1) });
    for error in [
        store.journal(token, 0, vec![record]).await.unwrap_err(),
        store.complete(token, Outcome::Done { output: json!("stale") }).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.message(), format!("the lease of task {} is no longer held", token.task));
    }
    assert_eq!(store.renew(std::slice::from_ref(token), HOUR).await.unwrap(), [LeaseState::Lost]);
}

pub(crate) async fn a_stale_token_is_refused_everywhere(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let stale = crash(&store, "a").await.token;
    let held = claim_named(&store, "a").await;
    assert_stale(&store, &stale).await;
    done(&store, &held).await;
    assert_stale(&store, &stale).await;
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!("a"))]);
    assert_eq!(store.records(&run, 0, 9).await.unwrap(), []);
}

pub(crate) async fn a_token_of_an_unknown_run_is_refused(store: SharedStore) {
    assert_stale(&store, &LeaseToken::new(RunId::new(), 0, 1)).await;
    let run = submit(&store, vec![task("a", &[])]).await;
    assert_stale(&store, &LeaseToken::new(run, 7, 1)).await;
}

pub(crate) async fn the_third_crash_fails_the_task(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    crash(&store, "a").await;
    crash(&store, "a").await;
    store.claim(ClaimRequest { ttl: Duration::ZERO, ..request(1) }).await.unwrap();
    let progress = store.advance().await.unwrap();
    assert_eq!((progress.reclaimed, progress.dead), (1, 1));
    assert_eq!(states(&store, &run).await, "a:dead b:cancelled");
    assert_eq!(counts(&store, &run).await, "failed: 2 tasks, 0 done, 1 failed, 0 skipped");
    assert_eq!(error_of(&store, &run, "a").await.unwrap(), "its worker died 3 times while running it");
}

pub(crate) async fn a_task_that_crashed_twice_may_still_end_well(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    crash(&store, "a").await;
    crash(&store, "a").await;
    let third = claim_named(&store, "a").await;
    assert_eq!((third.task.attempt, third.task.crashes), (3, 2));
    done(&store, &third).await;
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn renewals_are_answered_in_the_order_asked(store: SharedStore) {
    let (going, cancelled) =
        (submit(&store, vec![task("a", &[])]).await, submit(&store, vec![task("b", &[])]).await);
    let claims = claim(&store, 2).await;
    control(&store, &cancelled, Control::Cancel).await;
    let unknown = LeaseToken::new(going.clone(), 0, 1);
    let tokens = [unknown, claims[1].token.clone(), claims[0].token.clone()];
    let expected = [LeaseState::Lost, LeaseState::Cancelled, LeaseState::Held];
    assert_eq!(store.renew(&tokens, HOUR).await.unwrap(), expected);
    assert_eq!(store.renew(&[], HOUR).await.unwrap(), []);
}

pub(crate) async fn the_next_due_time_is_the_end_of_the_earliest_lease(store: SharedStore) {
    submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    store.claim(ClaimRequest { ttl: HOUR * 2, ..request(1) }).await.unwrap();
    store.claim(ClaimRequest { ttl: HOUR, ..request(1) }).await.unwrap();
    assert_due_in(&store, HOUR).await;
}

pub(crate) async fn advancing_an_idle_store_does_nothing(store: SharedStore) {
    assert_eq!(store.advance().await.unwrap(), Progress::default());
    submit(&store, vec![task("a", &[])]).await;
    assert_eq!(store.advance().await.unwrap(), Progress::default());
}

pub(crate) async fn a_released_attempt_does_not_count(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    for _ in 0..5 {
        let claim = claim_named(&store, "a").await;
        assert_eq!(claim.task.attempt, 1);
        let applied = end(&store, &claim, Outcome::Released).await;
        assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Ready, 1, RunState::Running));
    }
    assert_eq!(store.tasks(&run).await.unwrap()[0].attempt, 0);
}

pub(crate) async fn a_lease_that_is_over_but_not_taken_back_may_complete(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let claims = store.claim(ClaimRequest { ttl: Duration::ZERO, ..request(1) }).await.unwrap();
    assert_eq!(names(&claims), "a");
    done(&store, &claims[0]).await;
    assert_eq!(store.advance().await.unwrap().reclaimed, 0);
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn each_attempt_has_a_token_of_its_own(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..3 {
        let claim = claim_named(&store, "a").await;
        end(&store, &claim, Outcome::Released).await;
        assert!(tokens.insert(claim.token.nonce));
    }
}
