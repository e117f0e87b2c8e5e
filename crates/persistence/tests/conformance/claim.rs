//! Handing out ready tasks.

use motet_core::error::{Error, ErrorKind, Retry};
use motet_core::id::Millis;
use motet_core::store::{ClaimRequest, Control, NewTask, SharedStore, TaskState};
use motet_core::workflow::Priority;
use serde_json::json;

use crate::fixture::{
    HOUR, assert_due_in, claim, claim_named, control, end, fail, failed, names, request, submit, task,
    with_retries,
};

fn with_priority(priority: Priority, task: NewTask) -> NewTask {
    NewTask { priority, ..task }
}

fn in_queue(queue: &str, task: NewTask) -> NewTask {
    NewTask { queue: queue.to_owned(), ..task }
}

pub(crate) async fn urgent_tasks_come_first_then_the_order_of_readiness(store: SharedStore) {
    let tasks = vec![
        with_priority(Priority::Low, task("low", &[])),
        task("first", &[]),
        with_priority(Priority::High, task("high", &[])),
        task("second", &[]),
        with_priority(Priority::Urgent, task("urgent", &[])),
    ];
    submit(&store, tasks).await;
    assert_eq!(names(&claim(&store, 4).await), "urgent high first second");
    assert_eq!(names(&claim(&store, 4).await), "low");
}

pub(crate) async fn no_more_than_the_limit_are_given(store: SharedStore) {
    submit(&store, (0..5).map(|number| task(&number.to_string(), &[])).collect()).await;
    assert_eq!(names(&claim(&store, 0).await), "");
    assert_eq!(names(&claim(&store, 2).await), "0 1");
    assert_eq!(names(&claim(&store, 9).await), "2 3 4");
    assert_eq!(names(&claim(&store, 9).await), "");
}

pub(crate) async fn only_the_queues_asked_are_taken_from(store: SharedStore) {
    let tasks = vec![
        in_queue("gpu", with_priority(Priority::Low, task("gpu-low", &[]))),
        in_queue("cpu", task("cpu", &[])),
        in_queue("gpu", task("gpu", &[])),
        in_queue("gpu", with_priority(Priority::High, task("gpu-high", &[]))),
        task("default", &[]),
    ];
    submit(&store, tasks).await;
    let of = |queues: &[&str]| ClaimRequest {
        queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
        ..request(3)
    };
    assert_eq!(names(&store.claim(of(&["none"])).await.unwrap()), "");
    assert_eq!(names(&store.claim(of(&["cpu", "gpu", "gpu"])).await.unwrap()), "gpu-high cpu gpu");
    assert_eq!(names(&store.claim(of(&["gpu"])).await.unwrap()), "gpu-low");
    // None named means all.
    assert_eq!(names(&store.claim(of(&[])).await.unwrap()), "default");
}

pub(crate) async fn only_the_run_asked_is_taken_from(store: SharedStore) {
    submit(&store, vec![with_priority(Priority::Urgent, task("other", &[]))]).await;
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let of_run = ClaimRequest { run: Some(run), ..request(9) };
    assert_eq!(names(&store.claim(of_run).await.unwrap()), "a b");
    let of_unknown = ClaimRequest { run: Some(motet_core::RunId::new()), ..request(9) };
    assert_eq!(names(&store.claim(of_unknown).await.unwrap()), "");
}

pub(crate) async fn a_delayed_task_is_not_given_before_its_time(store: SharedStore) {
    submit(
        &store,
        vec![with_priority(Priority::Urgent, with_retries(2, HOUR, task("late", &[]))), task("b", &[])],
    )
    .await;
    let late = claim_named(&store, "late").await;
    end(&store, &late, failed(&Error::new(ErrorKind::Overloaded, "busy"))).await;
    assert_eq!(names(&claim(&store, 9).await), "b");
    assert_due_in(&store, HOUR).await;
}

pub(crate) async fn a_claimed_task_is_not_given_twice(store: SharedStore) {
    submit(&store, (0..50).map(|number| task(&number.to_string(), &[])).collect()).await;
    let claims = futures::future::join_all((0..20).map(|_| claim(&store, 5))).await;
    let mut numbers: Vec<u32> = claims.iter().flatten().map(|claim| claim.task.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

pub(crate) async fn a_claim_shows_the_task_as_it_stands(store: SharedStore) {
    let before = Millis::now();
    let new =
        NewTask { payload: json!({"item": 7}), ..with_retries(2, std::time::Duration::ZERO, task("a", &[])) };
    let run = submit(&store, vec![new]).await;
    let first = claim_named(&store, "a").await;
    assert_eq!((first.task.state, first.task.attempt, &first.task.error), (TaskState::Running, 1, &None));
    assert_eq!((&first.token.run, first.token.task, first.token.attempt), (&run, 0, 1));
    assert_eq!(
        (first.task.payload.clone(), first.task.started_at >= Some(before)),
        (json!({"item": 7}), true)
    );
    let busy = Error::new(ErrorKind::Overloaded, "busy").with_retry(Retry::Backoff);
    end(&store, &first, failed(&busy)).await;
    let second = claim_named(&store, "a").await;
    assert_eq!((second.task.attempt, second.task.error.clone()), (2, Some(busy.report())));
    assert_eq!(store.tasks(&run).await.unwrap(), [second.task]);
}

pub(crate) async fn runs_that_start_nothing_new_are_passed_over(store: SharedStore) {
    let cancelled = submit(&store, vec![task("cancelled", &[])]).await;
    submit(&store, vec![task("fails", &[]), task("never", &[])]).await;
    submit(&store, vec![task("goes-on", &[])]).await;
    control(&store, &cancelled, Control::Cancel).await;
    let fails = claim_named(&store, "fails").await;
    fail(&store, &fails, ErrorKind::ToolFailed).await;
    assert_eq!(names(&claim(&store, 9).await), "goes-on");
    let of_run = ClaimRequest { run: Some(cancelled), ..request(9) };
    assert_eq!(names(&store.claim(of_run).await.unwrap()), "");
}
