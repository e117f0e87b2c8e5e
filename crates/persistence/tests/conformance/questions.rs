//! Tasks that wait for people, and the decisions that let them go on.

use motet_core::RunId;
use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::{Error, ErrorKind};
use motet_core::run_log::{Entry, Record};
use motet_core::store::{Claim, Control, Outcome, RunFilter, RunState, SharedStore, TaskState};
use motet_core::tool::ToolOutput;
use motet_core::workflow::OnFailure;
use serde_json::json;

use crate::fixture::{
    claim, claim_named, control, counts, done, drain, end, expand, fail, names, state, states, submit, task,
    with_policy,
};

fn question(step: &str) -> Question {
    let mut question = Question::new(step, QuestionReason::Approval, "pay");
    question.arguments = json!({"amount": 7, "to": "Ada Brook"});
    question.call_id = "call_1".to_owned();
    question
}

fn asking(steps: &[&str]) -> Outcome {
    Outcome::Waiting { questions: steps.iter().map(|step| question(step)).collect(), at_most_ms: None }
}

const YES: Decision = Decision::Approve { arguments: None };
const NO: Decision = Decision::Deny { reason: None };

/// The questions and their answers, such as `x? y:approve`.
async fn asked(store: &SharedStore, run: &RunId) -> String {
    let told = store.questions(Some(run)).await.unwrap().into_iter().map(|asked| {
        assert_eq!(asked.answer.is_some(), asked.decided_at.is_some());
        let answer = asked.answer.map(|answer| json!(answer)["decision"].as_str().unwrap().to_owned());
        format!("{}{}", asked.question.step, answer.map_or("?".to_owned(), |answer| format!(":{answer}")))
    });
    told.collect::<Vec<_>>().join(" ")
}

async fn waiting(store: &SharedStore, steps: &[&str]) -> (RunId, Claim) {
    let run = submit(store, vec![task("a", &[]), task("b", &[0])]).await;
    let claim = claim_named(store, "a").await;
    end(store, &claim, asking(steps)).await;
    (run, claim)
}

pub(crate) async fn a_task_that_asks_waits_and_goes_on_when_all_is_answered(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let first = claim_named(&store, "a").await;
    let applied = end(&store, &first, asking(&["x", "y"])).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Waiting, 0, RunState::Waiting));
    assert_eq!(end(&store, &first, asking(&["x", "y"])).await, applied);
    assert_eq!(store.questions(Some(&run)).await.unwrap()[0].question, question("x"));
    stays_as_it_is(&store, &run).await;
    answer_both(&store, &run).await;
    let again = claim_named(&store, "a").await;
    // The attempt that asked does not count.
    assert_eq!((again.task.attempt, again.task.crashes), (1, 0));
    assert_ne!(again.token, first.token);
    assert_eq!(asked(&store, &run).await, "x:approve y:deny");
    done(&store, &again).await;
    assert_eq!(drain(&store).await, "b");
    assert_eq!(counts(&store, &run).await, "completed: 2 tasks, 2 done, 0 failed, 0 skipped");
}

/// Demands that nothing goes on with a run that waits, which is listed as such.
async fn stays_as_it_is(store: &SharedStore, run: &RunId) {
    assert_eq!(asked(store, run).await, "x? y?");
    assert_eq!(names(&claim(store, 9).await), "");
    assert_eq!(store.advance().await.unwrap().reclaimed, 0);
    let filter = RunFilter { state: Some(RunState::Waiting), ..RunFilter::default() };
    assert_eq!(store.runs(&filter).await.unwrap().len(), 1);
}

/// Answers `y`, which is not enough, and then `x`.
async fn answer_both(store: &SharedStore, run: &RunId) {
    store.decide(run, "y", NO).await.unwrap();
    assert_eq!((state(store, run).await, names(&claim(store, 9).await)), (RunState::Waiting, String::new()));
    store.decide(run, "x", Decision::Approve { arguments: Some(json!({"amount": 1})) }).await.unwrap();
    assert_eq!(states(store, run).await, "a:ready b:blocked");
    assert_eq!(counts(store, run).await, "running: 2 tasks, 0 done, 0 failed, 0 skipped");
}

pub(crate) async fn a_run_waits_only_when_nothing_else_can_be_done(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[])]).await;
    let claims = claim(&store, 2).await;
    assert_eq!(end(&store, &claims[0], asking(&["x"])).await.run, RunState::Running);
    // One task runs, and one is ready.
    assert_eq!(done(&store, &claims[1]).await.run, RunState::Running);
    let c = claim_named(&store, "c").await;
    assert_eq!(end(&store, &c, asking(&["y"])).await.run, RunState::Waiting);
    assert_eq!(states(&store, &run).await, "a:waiting b:done c:waiting");
    store.decide(&run, "y", YES).await.unwrap();
    assert_eq!(state(&store, &run).await, RunState::Running);
    assert_eq!(drain(&store).await, "c");
    assert_eq!(state(&store, &run).await, RunState::Waiting);
    store.decide(&run, "x", YES).await.unwrap();
    assert_eq!(drain(&store).await, "a");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn a_decision_is_made_once(store: SharedStore) {
    let (run, _) = waiting(&store, &["x", "y"]).await;
    let answer = Decision::Answer { output: ToolOutput::text("paid by hand") };
    store.decide(&run, "x", answer.clone()).await.unwrap();
    store.decide(&run, "x", answer.clone()).await.unwrap();
    let error = store.decide(&run, "x", NO).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Conflict, "the question at `x` was answered otherwise already")
    );
    assert_eq!(store.questions(None).await.unwrap()[0].answer, Some(answer));
    let error = store.decide(&run, "z", YES).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message().to_owned()),
        (ErrorKind::NotFound, format!("run `{run}` asks nothing at `z`"))
    );
    let unknown = RunId::new();
    assert_eq!(store.decide(&unknown, "x", YES).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.questions(Some(&unknown)).await.unwrap_err().kind(), ErrorKind::NotFound);
    // The answered question twice did not count for the open one.
    assert_eq!(states(&store, &run).await, "a:waiting b:blocked");
}

pub(crate) async fn an_answer_counts_for_the_question_it_was_given_to(store: SharedStore) {
    let (run, _) = waiting(&store, &["x"]).await;
    store.decide(&run, "x", YES).await.unwrap();
    let again = claim_named(&store, "a").await;
    // The same question has its answer already; one about another amount needs its own.
    let mut other = question("x");
    other.arguments = json!({"amount": 7_000});
    let applied = end(
        &store,
        &again,
        Outcome::Waiting { questions: vec![other.clone(), question("y")], at_most_ms: None },
    )
    .await;
    assert_eq!(applied.state, TaskState::Waiting);
    assert_eq!(asked(&store, &run).await, "x? y?");
    store.decide(&run, "y", YES).await.unwrap();
    store.decide(&run, "x", NO).await.unwrap();
    let third = claim_named(&store, "a").await;
    let applied = end(&store, &third, Outcome::Waiting { questions: vec![other], at_most_ms: None }).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Ready, 1, RunState::Running));
}

pub(crate) async fn a_waiting_run_is_cancelled_and_resumed_as_it_waited(store: SharedStore) {
    let (run, _) = waiting(&store, &["x"]).await;
    control(&store, &run, Control::Resume).await;
    assert_eq!(counts(&store, &run).await, "waiting: 2 tasks, 0 done, 0 failed, 0 skipped");
    control(&store, &run, Control::Cancel).await;
    assert_eq!(counts(&store, &run).await, "cancelled: 2 tasks, 0 done, 0 failed, 0 skipped");
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:waiting b:blocked");
    assert_eq!(state(&store, &run).await, RunState::Waiting);
    store.decide(&run, "x", YES).await.unwrap();
    assert_eq!(drain(&store).await, "a b");
}

pub(crate) async fn an_item_that_asks_holds_up_its_task(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(vec![task("a[0]", &[]), task("a[1]", &[])])).await;
    let items = claim(&store, 2).await;
    end(&store, &items[0], asking(&["a[0]/x"])).await;
    assert_eq!(done(&store, &items[1]).await.run, RunState::Waiting);
    assert_eq!(states(&store, &run).await, "a:waiting a[0]:waiting a[1]:done");
    control(&store, &run, Control::Cancel).await;
    control(&store, &run, Control::Resume).await;
    assert_eq!(states(&store, &run).await, "a:waiting a[0]:waiting a[1]:done");
    store.decide(&run, "a[0]/x", YES).await.unwrap();
    assert_eq!(drain(&store).await, "a[0] a");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn a_decision_in_a_run_that_stopped_counts_when_it_is_resumed(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), with_policy(OnFailure::Fail, task("b", &[]))]).await;
    let claims = claim(&store, 2).await;
    end(&store, &claims[0], asking(&["x"])).await;
    assert_eq!(fail(&store, &claims[1], ErrorKind::ToolFailed).await.run, RunState::Failed);
    store.decide(&run, "x", YES).await.unwrap();
    assert_eq!(state(&store, &run).await, RunState::Failed);
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(drain(&store).await, "a b");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn questions_go_with_a_task_that_is_defined_anew(store: SharedStore) {
    let (run, _) = waiting(&store, &["x"]).await;
    let again = Control::Redefine {
        definition: json!(2),
        tasks: vec![task("a", &[]), task("b", &[0])],
        unchanged: vec![],
    };
    control(&store, &run, again).await;
    assert_eq!((asked(&store, &run).await, state(&store, &run).await), (String::new(), RunState::Running));
    assert_eq!(drain(&store).await, "a b");
}

pub(crate) async fn what_asks_nothing_is_refused(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let claim = claim_named(&store, "a").await;
    let nothing = Outcome::Waiting { questions: vec![], at_most_ms: None };
    let error = store.complete(&claim.token, nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(states(&store, &run).await, "a:running");
    assert_eq!(done(&store, &claim).await.run, RunState::Completed);
}

pub(crate) async fn of_many_decisions_at_once_one_counts(store: SharedStore) {
    let (run, _) = waiting(&store, &["x"]).await;
    let decide = |number: u32| {
        let decision = Decision::Deny { reason: Some(number.to_string()) };
        let (store, run) = (store.clone(), run.clone());
        async move { store.decide(&run, "x", decision).await.is_ok() }
    };
    let won = futures::future::join_all((0..20).map(decide)).await;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(names(&claim(&store, 9).await), "a");
}

pub(crate) async fn what_was_given_up_keeps_its_journal(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let claim = claim_named(&store, "a").await;
    let record = Record::new("a/tool", Entry::Finished { result: json!(1) });
    store.journal(&claim.token, 0, vec![record.clone()]).await.unwrap();
    let error = Error::new(ErrorKind::LimitReached, "no end in sight").report();
    let applied = end(&store, &claim, Outcome::GivenUp { error }).await;
    assert_eq!((applied.state, applied.run), (TaskState::Failed, RunState::Failed));
    control(&store, &run, Control::Resume).await;
    let again = claim_named(&store, "a").await;
    assert_eq!(again.task.journal, 1);
    assert_eq!(store.task_records(&run, 0).await.unwrap(), [record]);
}
