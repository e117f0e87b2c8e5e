//! How many tasks may be in workers' hands at once: of a run, of a key, of the store.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::store::{
    Claim, ClaimRequest, Control, LeaseState, NewRun, NewTask, Outcome, SharedStore, TaskLimit,
};
use motet_core::workflow::Priority;

use crate::fixture::{
    HOUR, claim, claim_named, control, done, drain, end, fail, names, request, run_of, submit, task,
};

fn limited(key: &str, max: u32, task: NewTask) -> NewTask {
    NewTask { limit: Some(TaskLimit { key: key.to_owned(), max }), ..task }
}

fn tasks_of(name: &str, count: u32) -> Vec<NewTask> {
    (0..count).map(|number| task(&format!("{name}{number}"), &[])).collect()
}

async fn submit_narrow(store: &SharedStore, max_active: u32, tasks: Vec<NewTask>) -> RunId {
    store.submit(NewRun { max_active: Some(max_active), ..run_of(tasks) }).await.unwrap()
}

pub(crate) async fn a_run_has_no_more_in_hand_than_it_may_over_all_workers(store: SharedStore) {
    let run = submit_narrow(&store, 2, tasks_of("a", 5)).await;
    let first = claim(&store, 1).await;
    assert_eq!(names(&first), "a0");
    assert_eq!(names(&claim(&store, 9).await), "a1");
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.active, 2);
    done(&store, &first[0]).await;
    assert_eq!(names(&claim(&store, 9).await), "a2");
    assert_eq!(names(&claim(&store, 9).await), "");
}

pub(crate) async fn a_full_run_does_not_hold_up_others(store: SharedStore) {
    submit_narrow(&store, 1, tasks_of("full", 300)).await;
    submit(&store, tasks_of("b", 2)).await;
    assert_eq!(names(&claim(&store, 2).await), "full0 b0");
    assert_eq!(names(&claim(&store, 9).await), "b1");
}

pub(crate) async fn a_run_that_a_claim_fills_up_hides_none_behind_it(store: SharedStore) {
    let limited = |name: &str| {
        let limit = Some(TaskLimit { key: "gpu".to_owned(), max: 1 });
        NewTask { limit, priority: Priority::Urgent, ..task(name, &[]) }
    };
    submit(&store, vec![limited("first")]).await;
    claim_named(&store, "first").await;
    let small = NewRun { max_active: Some(1), ..run_of(vec![limited("held"), task("a", &[])]) };
    store.submit(small).await.unwrap();
    submit(&store, vec![NewTask { priority: Priority::Low, ..task("b", &[]) }]).await;
    assert_eq!(names(&claim(&store, 9).await), "a b");
}

pub(crate) async fn a_run_that_may_run_one_at_a_time_does_so_to_the_end(store: SharedStore) {
    submit_narrow(&store, 1, vec![task("a", &[]), task("b", &[]), task("c", &[0, 1])]).await;
    assert_eq!(drain(&store).await, "a b c");
}

pub(crate) async fn items_count_as_tasks_of_their_run(store: SharedStore) {
    submit_narrow(&store, 2, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, Outcome::Expand { children: tasks_of("i", 4) }).await;
    assert_eq!(names(&claim(&store, 9).await), "i0 i1");
    assert_eq!(names(&claim(&store, 9).await), "");
}

pub(crate) async fn a_key_is_limited_over_several_runs(store: SharedStore) {
    let gpu = |name: &str| limited("gpu", 2, task(name, &[]));
    submit(&store, vec![gpu("a"), gpu("b"), task("free", &[])]).await;
    submit(&store, vec![gpu("c"), limited("disk", 1, task("d", &[]))]).await;
    let claims = claim(&store, 9).await;
    assert_eq!(names(&claims), "a b free d");
    assert_eq!(names(&claim(&store, 9).await), "");
    done(&store, &claims[2]).await;
    done(&store, &claims[3]).await;
    assert_eq!(names(&claim(&store, 9).await), "");
    done(&store, &claims[0]).await;
    assert_eq!(names(&claim(&store, 9).await), "c");
}

pub(crate) async fn each_task_says_how_many_of_its_key_it_may_be_among(store: SharedStore) {
    let tasks = [("a", 3), ("alone", 1), ("b", 3), ("c", 3), ("d", 3)];
    submit(&store, tasks.map(|(name, max)| limited("k", max, task(name, &[]))).to_vec()).await;
    let claims = claim(&store, 9).await;
    assert_eq!(names(&claims), "a b c");
    for claim in &claims {
        done(&store, claim).await;
    }
    assert_eq!(names(&claim(&store, 9).await), "alone d");
}

pub(crate) async fn however_a_task_is_left_its_key_is_free(store: SharedStore) {
    let gpu = |name: &str| limited("gpu", 1, task(name, &[]));
    for way in 0..5 {
        let run = submit(&store, vec![gpu("a")]).await;
        submit(&store, vec![gpu("b")]).await;
        let of_run = ClaimRequest { run: Some(run.clone()), ttl: Duration::ZERO, ..request(1) };
        let claims: Vec<Claim> = store.claim(of_run).await.unwrap();
        assert_eq!(names(&claims), "a");
        assert_eq!(names(&claim(&store, 9).await), "");
        match way {
            0 => drop(fail(&store, &claims[0], ErrorKind::ToolFailed).await),
            1 => drop(done(&store, &claims[0]).await),
            2 => {
                assert_eq!(store.advance().await.unwrap().reclaimed, 1);
                control(&store, &run, Control::Cancel).await;
            }
            3 => {
                control(&store, &run, Control::Cancel).await;
                let tokens = [claims[0].token.clone()];
                assert_eq!(store.renew(&tokens, HOUR).await.unwrap(), [LeaseState::Cancelled]);
                end(&store, &claims[0], Outcome::Released).await;
            }
            _ => drop(end(&store, &claims[0], Outcome::Expand { children: vec![task("i", &[])] }).await),
        }
        // What became ready in the same millisecond may stand before it.
        let next = claim(&store, 9).await;
        assert!(next.iter().any(|claim| claim.task.name == "b"), "{}", names(&next));
        for claim in &next {
            done(&store, claim).await;
        }
    }
}

pub(crate) async fn the_store_gives_no_more_than_the_request_allows_for_all(store: SharedStore) {
    submit(&store, tasks_of("a", 4)).await;
    submit(&store, tasks_of("b", 4)).await;
    let at_most = |most| ClaimRequest { max_active: Some(most), ..request(9) };
    let first = store.claim(at_most(3)).await.unwrap();
    assert_eq!(names(&first), "a0 a1 a2");
    assert_eq!(names(&store.claim(at_most(3)).await.unwrap()), "");
    assert_eq!(names(&store.claim(at_most(4)).await.unwrap()), "a3");
    done(&store, &first[0]).await;
    assert_eq!(names(&store.claim(at_most(3)).await.unwrap()), "");
    assert_eq!(names(&store.claim(at_most(0)).await.unwrap()), "");
    assert_eq!(names(&claim(&store, 1).await), "b0");
}

pub(crate) async fn of_many_claims_at_once_no_limit_is_exceeded(store: SharedStore) {
    let tasks = |name| tasks_of(name, 20).into_iter().map(|task| limited("gpu", 4, task)).collect();
    submit_narrow(&store, 3, tasks("a")).await;
    submit_narrow(&store, 3, tasks("b")).await;
    let claims = futures::future::join_all((0..12).map(|_| claim(&store, 2))).await.concat();
    let mut taken: Vec<&str> = claims.iter().map(|claim| claim.task.name.as_str()).collect();
    taken.sort_unstable();
    assert_eq!(taken, ["a0", "a1", "a2", "b0"]);
}

pub(crate) async fn no_queue_named_means_all_by_urgency(store: SharedStore) {
    let in_queue =
        |queue: &str, priority, name: &str| NewTask { queue: queue.to_owned(), priority, ..task(name, &[]) };
    let tasks = vec![
        in_queue("z", Priority::Normal, "z"),
        in_queue("a", Priority::Low, "a"),
        in_queue("m", Priority::Urgent, "m"),
        in_queue("z", Priority::High, "z2"),
    ];
    submit(&store, tasks).await;
    let of_all = |limit| ClaimRequest { queues: Vec::new(), ..request(limit) };
    assert_eq!(names(&store.claim(of_all(3)).await.unwrap()), "m z2 z");
    assert_eq!(names(&store.claim(of_all(3)).await.unwrap()), "a");
    assert_eq!(names(&store.claim(of_all(3)).await.unwrap()), "");
}
