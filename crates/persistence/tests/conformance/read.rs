//! Reading runs, tasks, and results, and learning of changes.

use std::sync::Arc;
use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::store::{Control, NewRun, Outcome, RunFilter, RunState, SharedStore};
use serde_json::{Value, json};

use crate::fixture::{claim_named, control, drain, end, run_of, submit, task};

/// Much longer than any wake-up takes, so that a test which needs it fails.
const TOO_LONG: Duration = Duration::from_secs(60);

pub(crate) async fn results_stand_in_the_order_asked(store: SharedStore) {
    let run =
        submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[0, 1, 3]), task("d", &[])]).await;
    for name in ["a", "b"] {
        let claim = claim_named(&store, name).await;
        end(&store, &claim, Outcome::Done { output: json!(name) }).await;
    }
    let (a, b) = (Some(json!("a")), Some(json!("b")));
    let outputs = store.outputs(&run, &[3, 1, 99, 0, 1]).await.unwrap();
    assert_eq!(outputs, [None, b.clone(), None, a, b]);
    assert_eq!(store.outputs(&run, &[]).await.unwrap(), []);
}

pub(crate) async fn what_an_unknown_run_gives(store: SharedStore) {
    let run = RunId::new();
    assert_eq!(store.run(&run).await.unwrap(), None);
    for error in [
        store.tasks(&run).await.unwrap_err(),
        store.outputs(&run, &[0]).await.unwrap_err(),
        store.records(&run, 0, 9).await.unwrap_err(),
        store.task_records(&run, 0).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.message(), format!("there is no run `{run}` in this store"));
        assert!(error.hint().is_some());
    }
    let known = submit(&store, vec![task("a", &[])]).await;
    assert_eq!(store.task_records(&known, 7).await.unwrap(), []);
}

/// The names of the runs that a filter gives.
async fn listed(store: &SharedStore, filter: RunFilter) -> String {
    let runs = store.runs(&filter).await.unwrap();
    runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(" ")
}

async fn submit_named(store: &SharedStore, id: &str, name: &str) -> RunId {
    let run = NewRun { id: id.parse().unwrap(), name: name.to_owned(), ..run_of(vec![task("a", &[])]) };
    store.submit(run).await.unwrap()
}

pub(crate) async fn the_newest_runs_come_first(store: SharedStore) {
    assert_eq!(listed(&store, RunFilter::default()).await, "");
    for (id, name) in [("z", "first"), ("a", "second"), ("m", "third")] {
        submit_named(&store, id, name).await;
    }
    assert_eq!(listed(&store, RunFilter::default()).await, "third second first");
    assert_eq!(listed(&store, RunFilter { limit: 2, ..RunFilter::default() }).await, "third second");
}

pub(crate) async fn runs_are_filtered_by_state_and_name(store: SharedStore) {
    for (id, name) in [("r1", "tides-100%"), ("r2", "Tides"), ("r3", "winds")] {
        submit_named(&store, id, name).await;
    }
    control(&store, &"r2".parse().unwrap(), Control::Cancel).await;
    let by_name = |name: &str| RunFilter { name: Some(name.to_owned()), ..RunFilter::default() };
    assert_eq!(listed(&store, by_name("ides")).await, "Tides tides-100%");
    assert_eq!(listed(&store, by_name("tides")).await, "tides-100%");
    assert_eq!(listed(&store, by_name("%")).await, "tides-100%");
    assert_eq!(listed(&store, by_name("_")).await, "");
    assert_eq!(listed(&store, by_name("")).await, "winds Tides tides-100%");
    let in_state = |state| RunFilter { state: Some(state), ..RunFilter::default() };
    assert_eq!(listed(&store, in_state(RunState::Cancelled)).await, "Tides");
    assert_eq!(listed(&store, in_state(RunState::Running)).await, "winds tides-100%");
    let both = RunFilter { state: Some(RunState::Running), limit: 1, ..by_name("s") };
    assert_eq!(listed(&store, both).await, "winds");
}

pub(crate) async fn a_change_wakes_those_who_wait(store: SharedStore) {
    let seen = store.changed(0, Duration::ZERO).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.changed(seen, TOO_LONG * 10).await })
        })
        .collect();
    tokio::task::yield_now().await;
    submit(&store, vec![task("a", &[])]).await;
    for waiter in waiting {
        let newest = tokio::time::timeout(TOO_LONG, waiter).await.expect("the change wakes").unwrap();
        assert!(newest > seen);
    }
}

pub(crate) async fn a_change_that_was_not_seen_is_told_at_once(store: SharedStore) {
    let mut seen = store.changed(0, Duration::ZERO).await;
    let run = submit(&store, vec![task("a", &[])]).await;
    let claim = claim_named(&store, "a").await;
    let record =
        motet_core::run_log::Record::new("s", motet_core::run_log::Entry::Finished { result: json!(1) });
    store.journal(&claim.token, 0, vec![record]).await.unwrap();
    seen = {
        let newest = store.changed(seen, TOO_LONG).await;
        assert!(newest > seen);
        newest
    };
    control(&store, &run, Control::Cancel).await;
    let newest = store.changed(seen, TOO_LONG).await;
    assert!(newest > seen);
    end(&store, &claim, Outcome::Released).await;
    assert!(store.changed(newest, TOO_LONG).await > newest);
}

pub(crate) async fn waiting_ends_without_a_change(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let seen = store.changed(0, TOO_LONG).await;
    let newest = tokio::time::timeout(TOO_LONG, store.changed(seen, Duration::from_millis(1))).await.unwrap();
    assert_eq!(newest, seen);
}

pub(crate) async fn numbers_are_given_back_exactly(store: SharedStore) {
    let output =
        json!([u64::MAX, i64::MIN, 0.1 + 0.2, f64::MAX, f64::MIN_POSITIVE, -0.0, 1e-7, 123456789.12345679]);
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, Outcome::Done { output: output.clone() }).await;
    let stored: Option<Value> = store.outputs(&run, &[0]).await.unwrap().remove(0);
    assert_eq!(stored, Some(output));
    assert_eq!(drain(&store).await, "");
}
