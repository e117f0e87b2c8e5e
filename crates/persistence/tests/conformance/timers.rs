//! Delays, times before which nothing starts, waiting that ends, and which errors are tried again.

use std::time::Duration;

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::Millis;
use motet_core::store::{Claim, ClaimRequest, NewTask, Outcome, RunState, SharedStore, TaskState};
use motet_core::workflow::{OnFailure, RetryPolicy};

use crate::fixture::{
    HOUR, assert_due_in, claim, claim_named, done, drain, end, error_of, fail, history, names, state, states,
    submit, task, with_retries,
};

fn delayed(delay: Duration, task: NewTask) -> NewTask {
    NewTask { delay, ..task }
}

/// Claims the next task, whose time comes soon.
async fn soon(store: &SharedStore) -> Claim {
    let mut seen = 0;
    for _ in 0..10_000 {
        if let Some(claim) = claim(store, 1).await.pop() {
            return claim;
        }
        seen = store.changed(seen, Duration::from_millis(1)).await;
    }
    panic!("its time never came");
}

pub(crate) async fn a_delay_begins_when_the_dependencies_have_ended(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), delayed(HOUR, task("b", &[0])), task("c", &[0])]).await;
    let a = claim_named(&store, "a").await;
    let before = Millis::now();
    assert_eq!(done(&store, &a).await.ready, 2);
    assert_eq!(names(&claim(&store, 9).await), "c");
    assert_eq!(states(&store, &run).await, "a:done b:ready c:running");
    let b = store.tasks(&run).await.unwrap()[1].not_before;
    assert!(b >= before.after(HOUR) && b <= Millis::now().after(HOUR), "{b}");
}

pub(crate) async fn the_delay_of_a_first_task_begins_at_once(store: SharedStore) {
    submit(&store, vec![delayed(HOUR, task("late", &[])), task("now", &[])]).await;
    assert_eq!(drain(&store).await, "now");
    assert_due_in(&store, HOUR).await;
}

pub(crate) async fn a_short_delay_passes(store: SharedStore) {
    let run = submit(&store, vec![delayed(Duration::from_millis(3), task("a", &[]))]).await;
    let claim = soon(&store).await;
    let created = store.run(&run).await.unwrap().unwrap().summary.created_at;
    assert!(claim.task.started_at >= Some(created.after(Duration::from_millis(3))));
    assert_eq!(done(&store, &claim).await.run, RunState::Completed);
}

pub(crate) async fn nothing_starts_before_its_time(store: SharedStore) {
    let at = Millis::now().after(HOUR);
    let later = |at| NewTask { not_before: Some(at), ..task("later", &[]) };
    let past = NewTask { not_before: Some(Millis(7)), ..task("past", &[]) };
    let after = NewTask { not_before: Some(at), ..task("after", &[1]) };
    let run = submit(&store, vec![later(at), past, after]).await;
    assert_eq!(drain(&store).await, "past");
    assert_eq!(states(&store, &run).await, "later:ready past:done after:ready");
    assert_due_in(&store, HOUR).await;
    assert!(store.tasks(&run).await.unwrap().iter().all(|task| task.number == 1 || task.not_before == at));
}

pub(crate) async fn a_delay_is_not_waited_for_again_by_a_retry(store: SharedStore) {
    let soon_ready = delayed(Duration::from_millis(2), task("a", &[]));
    submit(&store, vec![with_retries(2, Duration::ZERO, soon_ready)]).await;
    let first = soon(&store).await;
    fail(&store, &first, ErrorKind::Overloaded).await;
    assert_eq!(claim_named(&store, "a").await.task.attempt, 2);
}

fn question() -> Question {
    Question::new("x", QuestionReason::Approval, "pay")
}

fn asks(at_most_ms: Option<u64>) -> Outcome {
    Outcome::Waiting { questions: vec![question()], at_most_ms }
}

pub(crate) async fn waiting_for_people_ends_when_its_time_is_over(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(end(&store, &a, asks(Some(0))).await.run, RunState::Waiting);
    let progress = store.advance().await.unwrap();
    assert_eq!((progress.woken, progress.reclaimed), (1, 0));
    assert_eq!(state(&store, &run).await, RunState::Running);
    let a = claim_named(&store, "a").await;
    // Nobody has answered, and an answer that comes now is kept.
    assert_eq!(store.questions(Some(&run)).await.unwrap()[0].answer, None);
    store.decide(&run, "x", Decision::Deny { reason: None }).await.unwrap();
    assert_eq!(done(&store, &a).await.run, RunState::Completed);
    assert_eq!(
        history(&store, &run).await,
        "submitted 1; 0 started 1; 0 asked 1; run waiting; 0 woken; run running; 0 started 1; 0 ended done; \
         run completed"
    );
}

pub(crate) async fn an_answer_in_time_ends_the_waiting_at_once(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, asks(Some(3_600_000))).await;
    assert_eq!(store.advance().await.unwrap().woken, 0);
    assert_due_in(&store, HOUR).await;
    store.decide(&run, "x", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(drain(&store).await, "a");
    let progress = store.advance().await.unwrap();
    assert_eq!((progress.woken, progress.next_due), (0, None));
}

pub(crate) async fn waiting_without_end_is_never_due(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, asks(None)).await;
    let progress = store.advance().await.unwrap();
    assert_eq!((progress.woken, progress.next_due), (0, None));
    assert_eq!(states(&store, &run).await, "a:waiting");
}

fn retrying_on(on: Vec<ErrorKind>) -> NewTask {
    let retry = RetryPolicy {
        max_attempts: 2,
        base_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
        on,
        ..RetryPolicy::default()
    };
    NewTask { retry, ..task("a", &[]) }
}

pub(crate) async fn only_the_kinds_that_are_named_are_tried_again(store: SharedStore) {
    let run = submit(&store, vec![retrying_on(vec![ErrorKind::ToolFailed])]).await;
    let applied = fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    assert_eq!((applied.state, applied.ready), (TaskState::Ready, 1));
    assert_eq!(error_of(&store, &run, "a").await.as_deref(), Some("boom"));
    assert_eq!(drain(&store).await, "a");
    submit(&store, vec![retrying_on(vec![ErrorKind::ToolFailed])]).await;
    // It would be tried again by its own advice.
    let applied = fail(&store, &claim_named(&store, "a").await, ErrorKind::Overloaded).await;
    assert_eq!((applied.state, applied.run), (TaskState::Failed, RunState::Failed));
}

pub(crate) async fn a_task_that_waits_for_its_items_is_never_due(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let request = ClaimRequest { ttl: Duration::ZERO, ..crate::fixture::request(1) };
    let a = store.claim(request).await.unwrap().remove(0);
    let children = vec![task("a[0]", &[]), task("a[1]", &[])];
    store.complete(&a.token, Outcome::Expand { children }).await.unwrap();
    let progress = store.advance().await.unwrap();
    assert_eq!((progress.woken, progress.reclaimed, progress.next_due), (0, 0, None));
    assert_eq!(drain(&store).await, "a[0] a[1] a");
}

pub(crate) async fn nothing_is_woken_in_a_run_that_has_ended(store: SharedStore) {
    let fatal = NewTask { on_failure: OnFailure::Fail, ..task("b", &[]) };
    let run = submit(&store, vec![task("a", &[]), fatal]).await;
    let (a, b) = (claim_named(&store, "a").await, claim_named(&store, "b").await);
    let waiting = Outcome::Waiting { questions: vec![question()], at_most_ms: Some(0) };
    store.complete(&a.token, waiting).await.unwrap();
    fail(&store, &b, ErrorKind::InvalidRequest).await;
    assert_eq!(state(&store, &run).await, RunState::Failed);
    assert_eq!(store.advance().await.unwrap().woken, 0);
    assert!(!history(&store, &run).await.contains("woken"));
}
