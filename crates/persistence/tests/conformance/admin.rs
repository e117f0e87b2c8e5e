//! Keys of submissions, errors of runs, numbers of definitions, counts, workers seen, and the removal of old runs.

use motet_core::error::ErrorKind;
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    ClaimRequest, Control, NewRun, NewTask, Outcome, PruneRequest, Pruned, RunFilter, RunState, SharedStore,
    StoreStats, TaskState, WorkerInfo,
};
use motet_core::workflow::OnFailure;
use serde_json::json;

use crate::fixture::{
    HOUR, awaits, claim, claim_named, control, done, drain, end, fail, request, run_of, state, submit,
    submit_child, task, with_policy,
};

async fn submit_as(store: &SharedStore, key: &str, name: &str) -> RunId {
    let run = NewRun { key: Some(key.to_owned()), ..run_of(vec![task(name, &[])]) };
    store.submit(run).await.unwrap()
}

pub(crate) async fn a_key_that_was_submitted_gives_its_run_and_stores_nothing(store: SharedStore) {
    let first = submit_as(&store, "monday", "a").await;
    assert_eq!(submit_as(&store, "monday", "b").await, first);
    assert_ne!(submit_as(&store, "tuesday", "c").await, first);
    assert_eq!(drain(&store).await, "a c");
    assert_eq!(submit_as(&store, "monday", "d").await, first);
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 2);
}

pub(crate) async fn of_many_submissions_of_one_key_one_is_stored(store: SharedStore) {
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let ids = futures::future::join_all(names.iter().map(|name| submit_as(&store, "k", name))).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(claim(&store, 9).await.len(), 1);
}

pub(crate) async fn a_run_says_what_made_it_fail_first(store: SharedStore) {
    let skip = |name: &str| with_policy(OnFailure::SkipDependents, task(name, &[]));
    let run = submit(&store, vec![skip("a"), skip("b")]).await;
    let claims = claim(&store, 2).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.error, None);
    fail(&store, &claims[1], ErrorKind::ToolFailed).await;
    fail(&store, &claims[0], ErrorKind::Timeout).await;
    let error = store.run(&run).await.unwrap().unwrap().summary.error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::ToolFailed, "task `b` failed: boom"));
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap()[0].error, Some(error));
    control(&store, &run, Control::Resume).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.error, None);
}

pub(crate) async fn an_allowed_failure_is_no_error_of_the_run(store: SharedStore) {
    let run = submit(&store, vec![with_policy(OnFailure::Continue, task("a", &[]))]).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert_eq!((summary.state, summary.error), (RunState::Completed, None));
}

pub(crate) async fn a_claim_tells_when_the_definition_is_another(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(a.definition, 0);
    done(&store, &a).await;
    for definition in 1..3 {
        let tasks = vec![task("a", &[]), task("b", &[0])];
        let unchanged = vec!["a".to_owned()];
        control(&store, &run, Control::Redefine { definition: json!(definition), tasks, unchanged }).await;
        let b = claim_named(&store, "b").await;
        assert_eq!(b.definition, definition);
        end(&store, &b, Outcome::Released).await;
    }
    control(&store, &run, Control::Resume).await;
    assert_eq!(claim_named(&store, "b").await.definition, 2);
}

pub(crate) async fn an_empty_store_has_nothing_to_count(store: SharedStore) {
    let stats = store.stats().await.unwrap();
    assert_eq!(StoreStats { bytes: None, ..stats }, StoreStats::default());
}

pub(crate) async fn runs_tasks_entries_and_events_are_counted(store: SharedStore) {
    let in_queue = |queue: &str, name: &str| NewTask { queue: queue.to_owned(), ..task(name, &[]) };
    let later = NewTask { delay: HOUR, ..task("later", &[]) };
    submit(&store, vec![task("a", &[]), task("b", &[0]), in_queue("gpu", "g"), in_queue("gpu", "h"), later])
        .await;
    let a = claim_named(&store, "a").await;
    let record = Record::new("s", Entry::Finished { result: json!(1) });
    store.journal(&a.token, 0, vec![record.clone(), record]).await.unwrap();
    let paused = submit(&store, vec![task("p", &[])]).await;
    control(&store, &paused, Control::Pause).await;
    let cancelled = submit(&store, vec![task("c", &[]), task("d", &[0])]).await;
    control(&store, &cancelled, Control::Cancel).await;
    submit(&store, vec![task("z", &[])]).await;
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.runs, [(RunState::Running, 2), (RunState::Cancelled, 1), (RunState::Paused, 1)]);
    assert_eq!(
        stats.tasks,
        [(TaskState::Blocked, 1), (TaskState::Ready, 5), (TaskState::Running, 1), (TaskState::Cancelled, 2)]
    );
    assert_eq!(stats.ready, [("default".to_owned(), 1), ("gpu".to_owned(), 2)]);
    // Four submissions, one start, one pause, and a cancellation in two steps.
    assert_eq!((stats.journal, stats.events), (2, 8));
}

pub(crate) fn worker(name: &str) -> WorkerInfo {
    WorkerInfo {
        id: WorkerId::from_stored(name),
        host: "brook".to_owned(),
        pid: 7,
        queues: vec!["default".to_owned(), "gpu".to_owned()],
        capacity: 4,
        version: "1.2.3".to_owned(),
        started_at: Millis(1_000),
        seen_at: Millis(1),
    }
}

pub(crate) async fn a_worker_that_was_seen_is_given_with_the_time_of_it(store: SharedStore) {
    assert_eq!(store.workers().await.unwrap(), []);
    let before = Millis::now();
    store.seen(&worker("one")).await.unwrap();
    let found = store.workers().await.unwrap().remove(0);
    assert!(found.seen_at >= before, "{found:?}");
    assert_eq!(WorkerInfo { seen_at: Millis(1), ..found }, worker("one"));
}

pub(crate) async fn a_worker_seen_again_is_one_worker(store: SharedStore) {
    store.seen(&worker("one")).await.unwrap();
    let first = store.workers().await.unwrap().remove(0);
    store.seen(&WorkerInfo { capacity: 9, ..worker("one") }).await.unwrap();
    store.seen(&worker("two")).await.unwrap();
    let mut found = store.workers().await.unwrap();
    assert!(found.is_sorted_by_key(|worker| std::cmp::Reverse(worker.seen_at)), "{found:?}");
    found.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    assert_eq!((found.len(), found[0].capacity, found[1].capacity), (2, 9, 4));
    assert!(found[0].seen_at >= first.seen_at);
}

/// Runs that ended before now.
fn ended() -> PruneRequest {
    PruneRequest { ended_before: Millis::now().after(HOUR), states: Vec::new(), limit: 100, dry_run: false }
}

async fn prune(store: &SharedStore, request: PruneRequest) -> (u64, u64) {
    let Pruned { runs, tasks } = store.prune(&request).await.unwrap();
    (runs, tasks)
}

/// The runs that are left, oldest first, as places in a list.
async fn left(store: &SharedStore, runs: &[RunId]) -> Vec<usize> {
    let listed = store.runs(&RunFilter::default()).await.unwrap();
    let place = |id: &RunId| runs.iter().position(|run| run == id).unwrap();
    let mut places: Vec<usize> = listed.iter().map(|run| place(&run.id)).collect();
    places.sort_unstable();
    places
}

/// Checks that nothing is known of a run.
async fn assert_gone(store: &SharedStore, run: &RunId) {
    assert_eq!(store.run(run).await.unwrap(), None);
    for error in [
        store.tasks(run).await.unwrap_err(),
        store.events(run, 0, 9).await.unwrap_err(),
        store.records(run, 0, 9).await.unwrap_err(),
        store.outputs(run, &[0]).await.unwrap_err(),
        store.control(run, Control::Resume).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

pub(crate) async fn what_is_removed_is_gone_with_all_that_was_kept(store: SharedStore) {
    let first = NewTask { payload: json!({"item": "moon"}), ..task("a", &[]) };
    let run = store
        .submit(NewRun { key: Some("k".to_owned()), ..run_of(vec![first, task("b", &[0])]) })
        .await
        .unwrap();
    let a = claim_named(&store, "a").await;
    let record = Record::new("s", Entry::Finished { result: json!(1) });
    store.journal(&a.token, 0, vec![record]).await.unwrap();
    done(&store, &a).await;
    drain(&store).await;
    let other = submit(&store, vec![task("c", &[])]).await;
    assert_eq!(prune(&store, ended()).await, (1, 2));
    assert_gone(&store, &run).await;
    store.complete(&a.token, Outcome::Released).await.unwrap_err();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.runs, stats.journal, stats.events), (vec![(RunState::Running, 1)], 0, 1));
    // Its key and its id are free again.
    let again = NewRun { id: run.clone(), key: Some("k".to_owned()), ..run_of(vec![task("a", &[])]) };
    assert_eq!(store.submit(again).await.unwrap(), run);
    assert_eq!(state(&store, &other).await, RunState::Running);
    assert_eq!(drain(&store).await, "c a");
}

pub(crate) async fn only_what_ended_before_the_time_is_removed(store: SharedStore) {
    let mut runs = Vec::new();
    for name in ["a", "b"] {
        runs.push(submit(&store, vec![task(name, &[])]).await);
        drain(&store).await;
    }
    let at = store.run(&runs[0]).await.unwrap().unwrap().summary.ended_at.unwrap();
    assert_eq!(prune(&store, PruneRequest { ended_before: at, ..ended() }).await, (0, 0));
    assert_eq!(left(&store, &runs).await, [0, 1]);
    assert_eq!(prune(&store, ended()).await, (2, 2));
    assert!(left(&store, &runs).await.is_empty());
    assert_eq!(prune(&store, ended()).await, (0, 0));
}

pub(crate) async fn runs_that_go_on_are_never_removed(store: SharedStore) {
    let mut runs = Vec::new();
    for name in ["running", "paused", "failing", "cancelling"] {
        runs.push(submit(&store, vec![task(name, &[]), task("next", &[])]).await);
    }
    let of = |run: &RunId| ClaimRequest { run: Some(run.clone()), ..request(2) };
    control(&store, &runs[1], Control::Pause).await;
    let claims = store.claim(of(&runs[2])).await.unwrap();
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    store.claim(of(&runs[3])).await.unwrap();
    control(&store, &runs[3], Control::Cancel).await;
    assert_eq!(prune(&store, ended()).await, (0, 0));
    assert_eq!(left(&store, &runs).await, [0, 1, 2, 3]);
}

pub(crate) async fn only_runs_in_the_states_asked_are_removed(store: SharedStore) {
    let completed = submit(&store, vec![task("a", &[])]).await;
    drain(&store).await;
    let failed = submit(&store, vec![task("a", &[])]).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    let cancelled = submit(&store, vec![task("a", &[])]).await;
    control(&store, &cancelled, Control::Cancel).await;
    let runs = [completed, failed, cancelled];
    let in_states = |states: &[RunState]| PruneRequest { states: states.to_vec(), ..ended() };
    assert_eq!(prune(&store, in_states(&[RunState::Running])).await, (0, 0));
    assert_eq!(prune(&store, in_states(&[RunState::Failed])).await, (1, 1));
    assert_eq!(left(&store, &runs).await, [0, 2]);
    assert_eq!(prune(&store, in_states(&[RunState::Failed, RunState::Cancelled])).await, (1, 1));
    assert_eq!(left(&store, &runs).await, [0]);
}

pub(crate) async fn a_dry_run_counts_and_leaves_all(store: SharedStore) {
    let runs = [submit(&store, vec![task("a", &[]), task("b", &[])]).await];
    drain(&store).await;
    assert_eq!(prune(&store, PruneRequest { dry_run: true, ..ended() }).await, (1, 2));
    assert_eq!(left(&store, &runs).await, [0]);
    assert_eq!(prune(&store, ended()).await, (1, 2));
}

pub(crate) async fn the_oldest_are_removed_first_up_to_the_limit(store: SharedStore) {
    let mut runs = Vec::new();
    for name in ["a", "b", "c"] {
        runs.push(submit(&store, vec![task(name, &[])]).await);
    }
    // The one that was stored last ends first.
    for place in [2, 0, 1] {
        let of_run = ClaimRequest { run: Some(runs[place].clone()), ..request(1) };
        let claim = store.claim(of_run).await.unwrap().remove(0);
        done(&store, &claim).await;
        let mut seen = 0;
        let ended = store.run(&runs[place]).await.unwrap().unwrap().summary.ended_at.unwrap();
        while Millis::now() <= ended {
            seen = store.changed(seen, std::time::Duration::from_millis(1)).await;
        }
    }
    let most = |limit| PruneRequest { limit, ..ended() };
    assert_eq!(prune(&store, PruneRequest { dry_run: true, ..most(2) }).await, (2, 2));
    assert_eq!(prune(&store, most(0)).await, (0, 0));
    assert_eq!(prune(&store, most(1)).await, (1, 1));
    assert_eq!(left(&store, &runs).await, [0, 1]);
    assert_eq!(prune(&store, most(1)).await, (1, 1));
    assert_eq!(left(&store, &runs).await, [1]);
}

pub(crate) async fn a_run_is_removed_with_all_that_it_started_and_not_before(store: SharedStore) {
    let parent = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    let child = submit_child(&store, &claims[0], vec![task("x", &[])]).await;
    awaits(&store, &claims[0], &child).await;
    assert_eq!(drain(&store).await, "x a");
    let runs = [parent, child];
    // It has ended, but the task that started it may still look at it.
    assert_eq!(state(&store, &runs[1]).await, RunState::Completed);
    assert_eq!(prune(&store, ended()).await, (0, 0));
    assert_eq!(left(&store, &runs).await, [0, 1]);
    done(&store, &claims[1]).await;
    assert_eq!(prune(&store, PruneRequest { dry_run: true, ..ended() }).await, (2, 3));
    assert_eq!(prune(&store, PruneRequest { limit: 1, ..ended() }).await, (2, 3));
    assert!(left(&store, &runs).await.is_empty());
}

pub(crate) async fn a_tree_of_which_a_run_goes_on_stays(store: SharedStore) {
    let parent = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    let child = submit_child(&store, &claims[0], vec![task("x", &[])]).await;
    awaits(&store, &claims[0], &child).await;
    let x = claim_named(&store, "x").await;
    fail(&store, &claims[1], ErrorKind::ToolFailed).await;
    assert_eq!(
        (state(&store, &parent).await, state(&store, &child).await),
        (RunState::Failed, RunState::Cancelling)
    );
    let runs = [parent, child];
    assert_eq!(prune(&store, ended()).await, (0, 0));
    assert_eq!(left(&store, &runs).await, [0, 1]);
    end(&store, &x, Outcome::Released).await;
    assert_eq!(prune(&store, ended()).await, (2, 3));
    assert!(left(&store, &runs).await.is_empty());
}
