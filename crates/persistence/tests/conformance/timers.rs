//! Delays, times before which nothing starts, waiting that ends, and which errors are tried again.

use std::time::Duration;

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::Millis;
use motet_core::store::{Claim, ClaimRequest, NewTask, Outcome, Progress, RunState, SharedStore, TaskState};
use motet_core::workflow::RetryPolicy;

use crate::fixture::{
    HOUR, claim, claim_named, done, drain, end, error_of, fail, history, names, request, state, states,
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
    let due = store.advance().await.unwrap().next_due.unwrap();
    assert!(due <= Millis::now().after(HOUR) && due > Millis::now().after(HOUR / 2), "{due}");
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
    assert_eq!(store.advance().await.unwrap().next_due, Some(at));
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
    let before = Millis::now();
    end(&store, &a, asks(Some(3_600_000))).await;
    let progress = store.advance().await.unwrap();
    assert_eq!(progress.woken, 0);
    assert!(progress.next_due >= Some(before.after(HOUR)), "{progress:?}");
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

pub(crate) async fn waiting_for_items_is_never_due(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let short = ClaimRequest { ttl: Duration::from_millis(1), ..request(1) };
    let a = store.claim(short).await.unwrap().remove(0);
    end(&store, &a, Outcome::Expand { children: vec![task("a[0]", &[])] }).await;
    tokio::time::sleep(Duration::from_millis(3)).await;
    assert_eq!(store.advance().await.unwrap(), Progress::default());
    assert_eq!(states(&store, &run).await, "a:waiting a[0]:ready");
    assert_eq!(drain(&store).await, "a[0] a");
}
