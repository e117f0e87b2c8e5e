//! Leases: who holds a task, for how long, and what becomes of one whose worker is gone.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    Claim, ClaimRequest, Control, LeaseState, LeaseToken, NewTask, Outcome, Progress, RunState, SharedStore,
    TaskLimit, TaskState,
};
use motet_core::workflow::{OnFailure, Priority};
use serde_json::json;

use crate::fixture::{
    HOUR, assert_due_in, claim, claim_named, control, counts, crash, done, end, error_of, names, request,
    state, states, submit, task, with_policy,
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

/// Stores a run whose only task `a` has crashed so often that it is run alone.
async fn with_a_suspect(store: &SharedStore) -> RunId {
    let run = submit(store, vec![task("a", &[])]).await;
    crash(store, "a").await;
    crash(store, "a").await;
    run
}

pub(crate) async fn a_task_that_crashed_twice_is_given_alone(store: SharedStore) {
    let run = with_a_suspect(&store).await;
    let low = |name| NewTask { priority: Priority::Low, ..task(name, &[]) };
    submit(&store, vec![low("b"), low("c")]).await;
    let claims = claim(&store, 9).await;
    assert_eq!((names(&claims).as_str(), claims[0].task.is_suspect()), ("a", true));
    assert_eq!(names(&claim(&store, 9).await), "b c");
    done(&store, &claims[0]).await;
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn who_has_work_in_hand_is_given_none_that_is_run_alone(store: SharedStore) {
    let run = with_a_suspect(&store).await;
    submit(&store, vec![task("b", &[]), task("c", &[])]).await;
    let busy = ClaimRequest { in_hand: 1, ..request(9) };
    assert_eq!(names(&store.claim(busy.clone()).await.unwrap()), "b c");
    assert_eq!(names(&store.claim(busy).await.unwrap()), "");
    assert_eq!(names(&claim(&store, 9).await), "a");
    assert_eq!(states(&store, &run).await, "a:running");
}

pub(crate) async fn after_others_in_a_claim_none_is_given_that_is_run_alone(store: SharedStore) {
    with_a_suspect(&store).await;
    let urgent = NewTask { priority: Priority::Urgent, ..task("b", &[]) };
    submit(&store, vec![urgent, task("c", &[])]).await;
    assert_eq!(names(&claim(&store, 9).await), "b c");
    assert_eq!(names(&claim(&store, 9).await), "a");
}

pub(crate) async fn a_task_that_is_run_alone_keeps_to_its_limits_and_its_queue(store: SharedStore) {
    let limited = |name: &str| {
        let limit = TaskLimit { key: "gpu".to_owned(), max: 1 };
        NewTask { queue: "slow".to_owned(), limit: Some(limit), ..task(name, &[]) }
    };
    let slow = |ttl| ClaimRequest { queues: vec!["slow".to_owned()], ttl, ..request(1) };
    submit(&store, vec![limited("a")]).await;
    for _ in 0..2 {
        assert_eq!(names(&store.claim(slow(Duration::ZERO)).await.unwrap()), "a");
        assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    }
    let run = submit(&store, vec![limited("b")]).await;
    let held = store.claim(ClaimRequest { run: Some(run), ..slow(HOUR) }).await.unwrap();
    assert_eq!(names(&held), "b");
    assert_eq!(names(&store.claim(slow(HOUR)).await.unwrap()), "");
    done(&store, &held[0]).await;
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(store.stats().await.unwrap().ready, [("slow".to_owned(), 1)]);
    let alone = store.claim(slow(HOUR)).await.unwrap();
    assert_eq!(names(&alone), "a");
    end(&store, &alone[0], Outcome::Released).await;
    assert_eq!(names(&store.claim(slow(HOUR)).await.unwrap()), "a");
}

pub(crate) async fn a_resumed_task_is_no_longer_run_alone(store: SharedStore) {
    let run = with_a_suspect(&store).await;
    submit(&store, vec![NewTask { priority: Priority::Low, ..task("b", &[]) }]).await;
    control(&store, &run, Control::Cancel).await;
    control(&store, &run, Control::Resume).await;
    assert_eq!(names(&claim(&store, 9).await), "a b");
}

pub(crate) async fn what_kills_its_workers_is_given_up_and_nothing_else(store: SharedStore) {
    let mut tasks = vec![with_policy(OnFailure::SkipDependents, task("poison", &[]))];
    tasks.extend((0..20).map(|number| task(&format!("t{number}"), &[])));
    let run = submit(&store, tasks).await;
    let mut hand: Vec<Claim> = Vec::new();
    while !state(&store, &run).await.is_ended() {
        let is_alone = hand.iter().any(|claim| claim.task.is_suspect());
        if !is_alone {
            let in_hand = u32::try_from(hand.len()).unwrap();
            let wanted =
                ClaimRequest { in_hand, ttl: Duration::from_millis(1), max_active: Some(8), ..request(8) };
            hand.extend(store.claim(wanted).await.unwrap());
        }
        if hand.iter().any(|claim| claim.task.name == "poison") {
            let died = std::mem::take(&mut hand).len();
            let mut reclaimed = 0;
            while reclaimed < died {
                tokio::time::sleep(Duration::from_millis(1)).await;
                reclaimed += store.advance().await.unwrap().reclaimed as usize;
            }
        } else if let Some(claim) = hand.pop() {
            done(&store, &claim).await;
        }
    }
    assert_eq!(counts(&store, &run).await, "failed: 21 tasks, 20 done, 1 failed, 0 skipped");
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
