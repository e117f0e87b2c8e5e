//! Whole runs from one store to another: nothing is lost, and the work goes on.

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::{Millis, RunId};
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    Claim, Control, ItemWrite, NewRun, NewTask, Outcome, RunDump, RunState, SharedStore, TaskLimit, TaskState,
};
use motet_core::workflow::OnFailure;
use serde_json::json;

use crate::fixture::{
    HOUR, awaits, claim, claim_named, control, counts, done, drain, end, events, expand, fail, names, run_of,
    state, states, submit, submit_child, task, with_policy, with_retries,
};

async fn dump(store: &SharedStore, run: &RunId) -> RunDump {
    store.dump(run).await.unwrap().unwrap()
}

/// Copies a run and checks that nothing was lost on the way.
async fn copy(from: &SharedStore, to: &SharedStore, run: &RunId) -> RunDump {
    let given = dump(from, run).await;
    to.load(given.clone()).await.unwrap();
    let kept = dump(to, run).await;
    assert_eq!(kept, given);
    let written = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<RunDump>(&written).unwrap(), given);
    given
}

fn record(result: u32) -> Record {
    Record::new("s", Entry::Finished { result: json!(result) })
}

/// A run with a little of everything, and nothing in workers' hands.
pub(crate) async fn colourful(store: &SharedStore) -> RunId {
    let first = NewTask { payload: json!({"item": "moon"}), ..with_retries(3, HOUR, task("a", &[])) };
    let third = NewTask {
        limit: Some(TaskLimit { key: "gpu".to_owned(), max: 2 }),
        delay: HOUR,
        ..with_policy(OnFailure::SkipDependents, task("c", &[0, 1]))
    };
    let late = NewTask { not_before: Some(Millis(7)), queue: "q".to_owned(), ..task("d", &[2]) };
    let new = NewRun {
        inputs: json!({"x": 1.5}).as_object().unwrap().clone(),
        settings: json!({"y": null}).as_object().unwrap().clone(),
        max_active: Some(3),
        deadline: Some(Millis::now().after(HOUR)),
        key: Some("monday".to_owned()),
        ..run_of(vec![first, task("b", &[]), third, late, task("e", &[])])
    };
    let run = store.submit(new).await.unwrap();
    let a = claim_named(store, "a").await;
    store.journal(&a.token, 0, vec![record(1), record(2)]).await.unwrap();
    store.write_item(&a.token, "i", ItemWrite::Append(vec![record(3), record(4)])).await.unwrap();
    fail(store, &a, ErrorKind::Overloaded).await;
    let b = claim_named(store, "b").await;
    end(store, &b, expand(vec![task("b[0]", &[]), task("b[1]", &[])])).await;
    done(store, &claim_named(store, "e").await).await;
    let item = claim_named(store, "b[0]").await;
    let questions = ["q1", "q2"].map(|step| Question::new(step, QuestionReason::Approval, "pay"));
    end(store, &item, Outcome::Waiting { questions: questions.to_vec(), at_most_ms: Some(5_000_000) }).await;
    store.decide(&run, "q1", Decision::Deny { reason: Some("no".to_owned()) }).await.unwrap();
    run
}

/// Checks that two stores give the same of a run.
async fn reads_alike(one: &SharedStore, two: &SharedStore, run: &RunId) {
    assert_eq!(two.tasks(run).await.unwrap(), one.tasks(run).await.unwrap());
    assert_eq!(two.run(run).await.unwrap(), one.run(run).await.unwrap());
    assert_eq!(events(two, run).await, events(one, run).await);
    logs_alike(one, two, run).await;
    assert_eq!(two.outputs(run, &[4]).await.unwrap(), [Some(json!("e"))]);
    assert_eq!(two.questions(Some(run)).await.unwrap(), one.questions(Some(run)).await.unwrap());
}

async fn logs_alike(one: &SharedStore, two: &SharedStore, run: &RunId) {
    assert_eq!(two.records(run, 0, 99).await.unwrap(), one.records(run, 0, 99).await.unwrap());
    assert_eq!(two.task_records(run, 0).await.unwrap(), one.task_records(run, 0).await.unwrap());
    assert_eq!(two.item_records(run, "i").await.unwrap(), one.item_records(run, "i").await.unwrap());
    assert_eq!(two.item_records(run, "i").await.unwrap().len(), 2);
}

pub(crate) async fn everything_of_a_run_is_copied(one: SharedStore, two: SharedStore) {
    let run = colourful(&one).await;
    let given = copy(&one, &two, &run).await;
    assert_eq!(
        (given.tasks.len(), given.journal.len(), given.items.len(), given.questions.len()),
        (7, 2, 1, 2)
    );
    assert_eq!((given.new.tasks.len(), given.new.key.as_deref()), (0, Some("monday")));
    reads_alike(&one, &two, &run).await;
}

pub(crate) async fn a_copied_run_goes_on(one: SharedStore, two: SharedStore) {
    let run = colourful(&one).await;
    copy(&one, &two, &run).await;
    assert_eq!(two.advance().await.unwrap().timed_out, 0);
    two.decide(&run, "q2", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(drain(&two).await, "b[1] b[0] b");
    control(&two, &run, Control::Cancel).await;
    assert_eq!(state(&two, &run).await, RunState::Cancelled);
    control(&two, &run, Control::Resume).await;
    assert_eq!(counts(&two, &run).await, "running: 7 tasks, 4 done, 0 failed, 0 skipped");
    let again = NewRun { key: Some("monday".to_owned()), ..run_of(vec![task("never", &[])]) };
    assert_eq!(two.submit(again).await.unwrap(), run);
}

pub(crate) async fn dependents_of_a_copied_task_start_when_it_ends(one: SharedStore, two: SharedStore) {
    let run = submit(&one, vec![task("a", &[]), task("b", &[0, 0]), task("c", &[0, 1])]).await;
    copy(&one, &two, &run).await;
    assert_eq!(drain(&two).await, "a b c");
    assert_eq!(state(&two, &run).await, RunState::Completed);
    assert_eq!(state(&one, &run).await, RunState::Running);
}

pub(crate) async fn what_workers_have_in_hand_is_ready_in_the_copy(one: SharedStore, two: SharedStore) {
    let run = submit(&one, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&one, "a").await;
    let entry = record(1);
    one.journal(&a.token, 0, vec![entry.clone()]).await.unwrap();
    two.load(dump(&one, &run).await).await.unwrap();
    assert_eq!(states(&two, &run).await, "a:ready b:blocked");
    assert_eq!(two.run(&run).await.unwrap().unwrap().summary.active, 0);
    // The worker of the first store has nothing to say here.
    let _ = two.complete(&a.token, Outcome::Done { output: json!("late") }).await;
    assert_eq!(states(&two, &run).await, "a:ready b:blocked");
    assert_eq!(two.advance().await.unwrap().reclaimed, 0);
    let again = claim_named(&two, "a").await;
    assert_ne!(again.token, a.token);
    assert_eq!((again.task.journal, two.task_records(&run, 0).await.unwrap()), (1, vec![entry]));
    both_end((&one, &a), (&two, &again)).await;
    events(&two, &run).await;
}

/// Ends a run in both stores by its first task.
async fn both_end(one: (&SharedStore, &Claim), two: (&SharedStore, &Claim)) {
    for (store, claim) in [one, two] {
        done(store, claim).await;
        assert_eq!(drain(store).await, "b");
    }
}

pub(crate) async fn a_run_whose_last_worker_was_to_stop_ends_in_the_copy(one: SharedStore, two: SharedStore) {
    let run = submit(&one, vec![task("a", &[])]).await;
    claim_named(&one, "a").await;
    control(&one, &run, Control::Cancel).await;
    two.load(dump(&one, &run).await).await.unwrap();
    assert_eq!(state(&one, &run).await, RunState::Cancelling);
    // Nobody works on it there, so that nobody else would end it.
    assert_eq!(state(&two, &run).await, RunState::Cancelled);
    control(&two, &run, Control::Resume).await;
    assert_eq!(drain(&two).await, "a");
}

pub(crate) async fn a_run_that_has_ended_is_copied_as_it_ended(one: SharedStore, two: SharedStore) {
    let run = submit(&one, vec![task("a", &[]), task("b", &[])]).await;
    done(&one, &claim_named(&one, "a").await).await;
    fail(&one, &claim_named(&one, "b").await, ErrorKind::ToolFailed).await;
    let given = copy(&one, &two, &run).await;
    assert_eq!((given.row.state, given.tasks[1].row.state), (RunState::Failed, TaskState::Failed));
    assert_eq!(names(&claim(&two, 9).await), "");
    control(&two, &run, Control::Resume).await;
    assert_eq!(drain(&two).await, "b");
}

pub(crate) async fn a_tree_of_runs_is_copied_run_by_run(one: SharedStore, two: SharedStore) {
    let parent = submit(&one, vec![task("a", &[])]).await;
    let a = claim_named(&one, "a").await;
    let child = submit_child(&one, &a, vec![task("x", &[])]).await;
    awaits(&one, &a, &child).await;
    copy(&one, &two, &parent).await;
    copy(&one, &two, &child).await;
    assert_eq!(drain(&two).await, "x a");
    assert_eq!(state(&two, &parent).await, RunState::Completed);
}

pub(crate) async fn an_id_that_is_taken_is_not_copied(one: SharedStore, two: SharedStore) {
    let run = submit(&one, vec![task("a", &[])]).await;
    let given = copy(&one, &two, &run).await;
    drain(&two).await;
    let error = two.load(given).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Conflict, format!("there is a run `{run}` already").as_str())
    );
    assert_eq!(state(&two, &run).await, RunState::Completed);
    assert_eq!(two.dump(&RunId::new()).await.unwrap(), None);
}

/// A run as an earlier version wrote it for another store.
const GOLDEN: &str = include_str!("../golden/run.json");

pub(crate) async fn a_copy_that_an_earlier_version_wrote_is_read(one: SharedStore, two: SharedStore) {
    let written: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
    let given: RunDump = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&given).unwrap(), written);
    let run = given.row.id.clone();
    one.load(given.clone()).await.unwrap();
    assert_eq!(copy(&one, &two, &run).await, given);
    two.decide(&run, "q2", Decision::Approve { arguments: None }).await.unwrap();
    control(&two, &run, Control::Pause).await;
    assert_eq!(counts(&two, &run).await, "paused: 7 tasks, 1 done, 0 failed, 0 skipped");
}
