//! Going on with a changed definition.

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{Control, LeaseState, NewTask, Outcome, SharedStore};
use serde_json::json;

use crate::fixture::{
    HOUR, claim_named, control, counts, crash, done, drain, end, expand, fail, state, states, submit, task,
};

fn redefined(tasks: Vec<NewTask>, unchanged: &[&str]) -> Control {
    let unchanged = unchanged.iter().map(|name| (*name).to_owned()).collect();
    Control::Redefine { definition: json!({"of": "second"}), tasks, unchanged }
}

/// Submits `a`, `b` after it, and `c` after both, and runs them all.
async fn completed(store: &SharedStore) -> RunId {
    let run = submit(store, vec![task("a", &[]), task("b", &[0]), task("c", &[1])]).await;
    assert_eq!(drain(store).await, "a b c");
    run
}

/// The names of a run's tasks with their results, such as `a="a" b=none`.
async fn results(store: &SharedStore, run: &RunId) -> String {
    let tasks = store.tasks(run).await.unwrap();
    let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
    let outputs = store.outputs(run, &numbers).await.unwrap();
    let shown = tasks.iter().zip(outputs).map(|(task, output)| match output {
        Some(output) => format!("{}={output}", task.name),
        None => format!("{}=none", task.name),
    });
    shown.collect::<Vec<_>>().join(" ")
}

pub(crate) async fn unchanged_tasks_keep_their_results_and_all_others_run(store: SharedStore) {
    let run = completed(&store).await;
    // `b` is changed, `c` goes, `d` is new and stands before the others in the new definition.
    let tasks = vec![task("d", &[2]), task("a", &[]), task("b", &[1])];
    control(&store, &run, redefined(tasks, &["a"])).await;
    assert_eq!(states(&store, &run).await, "a:done b:ready d:blocked");
    assert_eq!(results(&store, &run).await, "a=\"a\" b=none d=none");
    assert_eq!(counts(&store, &run).await, "running: 3 tasks, 1 done, 0 failed, 0 skipped");
    assert_eq!(store.run(&run).await.unwrap().unwrap().definition, json!({"of": "second"}));
    assert_eq!(drain(&store).await, "b d");
    assert_eq!(counts(&store, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
}

pub(crate) async fn the_journal_of_a_changed_task_is_history_only(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    for name in ["a", "b"] {
        let claim = claim_named(&store, name).await;
        let record = Record::new(format!("{name}/step"), Entry::Finished { result: json!(name) });
        assert_eq!(store.journal(&claim.token, 0, vec![record]).await.unwrap(), 1);
        done(&store, &claim).await;
    }
    control(&store, &run, redefined(vec![task("a", &[]), task("b", &[0])], &["a"])).await;
    assert_eq!(store.task_records(&run, 0).await.unwrap().len(), 1);
    assert_eq!(store.task_records(&run, 1).await.unwrap(), []);
    assert_eq!(store.records(&run, 0, 99).await.unwrap().len(), 2);
    let b = claim_named(&store, "b").await;
    assert_eq!(b.task.journal, 0);
    let record = Record::new("b/again", Entry::Finished { result: json!(1) });
    assert_eq!(store.journal(&b.token, 0, vec![record.clone()]).await.unwrap(), 1);
    assert_eq!(store.task_records(&run, 1).await.unwrap(), [record]);
    assert_eq!(store.records(&run, 2, 99).await.unwrap()[0].seq, 3);
}

pub(crate) async fn tasks_in_hand_forbid_it(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    let error = store.control(&run, redefined(vec![task("x", &[])], &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), format!("tasks of run `{run}` still run"));
    assert_eq!(store.run(&run).await.unwrap().unwrap().definition, json!({"of": "test"}));
    done(&store, &a).await;
    assert_eq!(drain(&store).await, "b");
}

pub(crate) async fn a_refused_definition_changes_nothing(store: SharedStore) {
    let run = completed(&store).await;
    let before = (store.run(&run).await.unwrap(), store.tasks(&run).await.unwrap());
    for (change, expected) in [
        (redefined(vec![task("a", &[1]), task("b", &[0])], &[]), "tasks of the run wait for each other"),
        (redefined(vec![], &[]), "a run needs at least one task"),
        (
            redefined(vec![task("a", &[]), task("b", &[0]), task("c", &[1])], &["a", "c"]),
            "task `c` is not unchanged: it waits for `b`, which changed",
        ),
    ] {
        let error = store.control(&run, change).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, expected));
        assert_eq!((store.run(&run).await.unwrap(), store.tasks(&run).await.unwrap()), before);
    }
    assert_eq!(results(&store, &run).await, "a=\"a\" b=\"b\" c=\"c\"");
}

pub(crate) async fn of_many_tasks_that_wait_for_a_changed_one_the_first_is_named(store: SharedStore) {
    let others = ["b", "c", "d", "e", "f", "g", "h"];
    let tasks = || [vec![task("a", &[])], others.iter().map(|name| task(name, &[0])).collect()].concat();
    let run = submit(&store, tasks()).await;
    let error = store.control(&run, redefined(tasks(), &others)).await.unwrap_err();
    assert_eq!(error.message(), "task `b` is not unchanged: it waits for `a`, which changed");
}

pub(crate) async fn items_stay_with_their_task(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    for name in ["a", "b"] {
        let claim = claim_named(&store, name).await;
        end(&store, &claim, expand(vec![task(&format!("{name}[0]"), &[])])).await;
        assert_eq!(states(&store, &run).await.matches("waiting").count(), if name == "a" { 1 } else { 2 });
    }
    drain(&store).await;
    control(&store, &run, redefined(vec![task("a", &[]), task("b", &[])], &["a"])).await;
    assert_eq!(states(&store, &run).await, "a:done b:ready a[0]:done");
    assert_eq!(results(&store, &run).await, "a=\"a\" b=none a[0]=\"a[0]\"");
    assert_eq!(counts(&store, &run).await, "running: 3 tasks, 2 done, 0 failed, 0 skipped");
    assert_eq!(drain(&store).await, "b");
}

pub(crate) async fn a_token_of_a_removed_task_is_stale(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let stale = crash(&store, "a").await.token;
    control(&store, &run, redefined(vec![task("b", &[])], &["b"])).await;
    let complete = store.complete(&stale, Outcome::Done { output: json!(1) }).await.unwrap_err();
    let journal = store.journal(&stale, 0, vec![]).await.unwrap_err();
    assert_eq!((complete.kind(), journal.kind()), (ErrorKind::Conflict, ErrorKind::Conflict));
    assert_eq!(store.renew(&[stale], HOUR).await.unwrap(), [LeaseState::Lost]);
    assert_eq!(states(&store, &run).await, "b:ready");
}

pub(crate) async fn an_unchanged_task_that_failed_runs_again(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    fail(&store, &a, ErrorKind::ToolFailed).await;
    control(&store, &run, redefined(vec![task("a", &[]), task("x", &[0])], &["a"])).await;
    assert_eq!(states(&store, &run).await, "a:ready x:blocked");
    assert_eq!(drain(&store).await, "a x");
    assert!(state(&store, &run).await.is_ended());
}

pub(crate) async fn a_name_that_is_no_longer_defined_is_not_kept(store: SharedStore) {
    let run = completed(&store).await;
    control(&store, &run, redefined(vec![task("a", &[])], &["a", "b", "c"])).await;
    assert_eq!(states(&store, &run).await, "a:done");
    assert_eq!(counts(&store, &run).await, "completed: 1 tasks, 1 done, 0 failed, 0 skipped");
}
