//! Runs that tasks start and wait for.

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::store::{Claim, ClaimRequest, Control, Outcome, RunFilter, RunState, SharedStore, TaskState};
use motet_core::workflow::OnFailure;

use crate::fixture::{
    awaits, claim, claim_named, control, crash, done, drain, end, fail, history, names, request, skipped,
    state, states, submit, submit_child, task, with_policy, with_retries,
};

/// A run whose task `a` waits for a run with the task `x`; `b` waits for `a`.
async fn parent_and_child(store: &SharedStore) -> (RunId, RunId, Claim) {
    let parent = submit(store, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(store, "a").await;
    let child = submit_child(store, &a, vec![task("x", &[])]).await;
    let applied = awaits(store, &a, &child).await;
    assert_eq!((applied.state, applied.ready, applied.run), (TaskState::Waiting, 0, RunState::Running));
    (parent, child, a)
}

pub(crate) async fn a_task_joins_the_run_that_it_waited_for(store: SharedStore) {
    let (parent, child, a) = parent_and_child(&store).await;
    assert_eq!(awaits(&store, &a, &child).await.state, TaskState::Waiting);
    assert_eq!(states(&store, &parent).await, "a:waiting b:blocked");
    assert_eq!(done(&store, &claim_named(&store, "x").await).await.run, RunState::Completed);
    let join = claim_named(&store, "a").await;
    assert_eq!((join.task.joining, join.task.attempt, join.task.awaits.as_ref()), (true, 1, Some(&child)));
    done(&store, &join).await;
    assert_eq!(drain(&store).await, "b");
    assert_eq!(
        history(&store, &parent).await,
        "submitted 2; 0 started 1; 0 awaiting; 0 woken; 0 started 1; 0 ended done; 1 started 1; 1 ended done; \
         run completed"
    );
}

pub(crate) async fn a_run_that_ended_badly_is_joined_too(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    fail(&store, &claim_named(&store, "x").await, ErrorKind::ToolFailed).await;
    assert_eq!(
        (state(&store, &child).await, state(&store, &parent).await),
        (RunState::Failed, RunState::Running)
    );
    let join = claim_named(&store, "a").await;
    assert!(join.task.joining);
    fail(&store, &join, ErrorKind::ToolFailed).await;
    assert_eq!(state(&store, &parent).await, RunState::Failed);
}

pub(crate) async fn a_run_that_was_cancelled_by_itself_is_joined_too(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    control(&store, &child, Control::Cancel).await;
    assert_eq!(state(&store, &parent).await, RunState::Running);
    assert!(claim_named(&store, "a").await.task.joining);
}

pub(crate) async fn a_run_that_ended_before_is_joined_at_once(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    assert_eq!(drain(&store).await, "x");
    let applied = awaits(&store, &a, &child).await;
    assert_eq!((applied.state, applied.ready), (TaskState::Ready, 1));
    let join = claim_named(&store, "a").await;
    assert_eq!((join.task.joining, join.task.awaits), (true, Some(child)));
}

pub(crate) async fn a_run_that_is_not_there_cannot_be_waited_for(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let error = store.complete(&a.token, Outcome::Awaiting { run: RunId::new() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(states(&store, &run).await, "a:running");
    assert_eq!(done(&store, &a).await.run, RunState::Completed);
}

pub(crate) async fn a_run_waits_for_people_when_the_run_it_waits_for_does(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    let x = claim_named(&store, "x").await;
    let question = Question::new("q", QuestionReason::Approval, "pay");
    end(&store, &x, Outcome::Waiting { questions: vec![question], at_most_ms: None }).await;
    assert_eq!(
        (state(&store, &child).await, state(&store, &parent).await),
        (RunState::Waiting, RunState::Waiting)
    );
    assert_eq!(names(&claim(&store, 9).await), "");
    store.decide(&child, "q", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(
        (state(&store, &child).await, state(&store, &parent).await),
        (RunState::Running, RunState::Running)
    );
    assert_eq!(drain(&store).await, "x a b");
    assert_eq!(state(&store, &parent).await, RunState::Completed);
}

pub(crate) async fn a_run_waits_when_the_run_it_waits_for_is_paused(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    control(&store, &child, Control::Pause).await;
    assert_eq!(state(&store, &parent).await, RunState::Waiting);
    control(&store, &child, Control::Resume).await;
    assert_eq!(state(&store, &parent).await, RunState::Running);
    assert_eq!(drain(&store).await, "x a b");
}

pub(crate) async fn runs_that_tasks_started_are_cancelled_with_theirs(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    let x = claim_named(&store, "x").await;
    let deepest = submit_child(&store, &x, vec![task("y", &[])]).await;
    awaits(&store, &x, &deepest).await;
    let y = claim_named(&store, "y").await;
    control(&store, &parent, Control::Cancel).await;
    assert_eq!(state(&store, &deepest).await, RunState::Cancelling);
    end(&store, &y, Outcome::Released).await;
    for run in [&parent, &child, &deepest] {
        assert_eq!(state(&store, run).await, RunState::Cancelled);
    }
    assert_eq!(states(&store, &parent).await, "a:cancelled b:cancelled");
    assert_eq!(names(&claim(&store, 9).await), "");
}

pub(crate) async fn after_a_resume_the_task_has_its_run_go_on(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    fail(&store, &claim_named(&store, "x").await, ErrorKind::ToolFailed).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    control(&store, &parent, Control::Resume).await;
    let again = claim_named(&store, "a").await;
    assert_eq!((again.task.joining, again.task.awaits.as_ref()), (false, Some(&child)));
    control(&store, &child, Control::Resume).await;
    awaits(&store, &again, &child).await;
    assert_eq!(drain(&store).await, "x a b");
    assert_eq!(state(&store, &parent).await, RunState::Completed);
}

pub(crate) async fn a_retry_does_not_join_the_run_that_failed(store: SharedStore) {
    submit(&store, vec![with_retries(2, std::time::Duration::ZERO, task("a", &[]))]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    awaits(&store, &a, &child).await;
    fail(&store, &claim_named(&store, "x").await, ErrorKind::ToolFailed).await;
    let join = claim_named(&store, "a").await;
    assert!(join.task.joining);
    fail(&store, &join, ErrorKind::Overloaded).await;
    let again = claim_named(&store, "a").await;
    assert_eq!((again.task.joining, again.task.awaits, again.task.attempt), (false, Some(child), 2));
}

pub(crate) async fn the_join_of_a_worker_that_died_is_done_by_the_next(store: SharedStore) {
    let (_, child, _) = parent_and_child(&store).await;
    done(&store, &claim_named(&store, "x").await).await;
    assert!(crash(&store, "a").await.task.joining);
    let join = claim_named(&store, "a").await;
    assert_eq!((join.task.joining, join.task.awaits), (true, Some(child)));
}

pub(crate) async fn runs_of_three_levels_end_from_the_deepest_up(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    let x = claim_named(&store, "x").await;
    let deepest = submit_child(&store, &x, vec![task("y", &[])]).await;
    let found = store.run(&deepest).await.unwrap().unwrap().summary.parent.unwrap();
    assert_eq!((&found.run, found.task, &found.root), (&child, 0, &parent));
    awaits(&store, &x, &deepest).await;
    let y = claim_named(&store, "y").await;
    let question = Question::new("q", QuestionReason::Approval, "pay");
    end(&store, &y, Outcome::Waiting { questions: vec![question], at_most_ms: None }).await;
    for run in [&parent, &child, &deepest] {
        assert_eq!(state(&store, run).await, RunState::Waiting);
    }
    store.decide(&deepest, "q", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(drain(&store).await, "y x a b");
    for run in [&parent, &child, &deepest] {
        assert_eq!(state(&store, run).await, RunState::Completed);
    }
}

pub(crate) async fn a_claim_for_a_run_takes_from_all_that_it_started(store: SharedStore) {
    submit(&store, vec![task("other", &[])]).await;
    let other = claim_named(&store, "other").await;
    submit_child(&store, &other, vec![task("others", &[])]).await;
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let of_run = |limit| ClaimRequest { run: Some(run.clone()), ..request(limit) };
    let a = store.claim(of_run(1)).await.unwrap().remove(0);
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    awaits(&store, &a, &child).await;
    let claims = store.claim(of_run(9)).await.unwrap();
    assert_eq!(names(&claims), "b x");
    submit_child(&store, &claims[1], vec![task("y", &[])]).await;
    assert_eq!(names(&store.claim(of_run(9)).await.unwrap()), "y");
    assert_eq!(names(&store.claim(of_run(9)).await.unwrap()), "");
    assert_eq!(names(&claim(&store, 9).await), "others");
}

pub(crate) async fn a_run_and_those_it_started_are_listed_by_their_root(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    let x = claim_named(&store, "x").await;
    let deepest = submit_child(&store, &x, vec![task("y", &[])]).await;
    let other = submit(&store, vec![task("other", &[])]).await;
    let listed = |root: RunId| {
        let store = &store;
        async move {
            let filter = RunFilter { root: Some(root), ..RunFilter::default() };
            store.runs(&filter).await.unwrap().into_iter().map(|run| run.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(parent.clone()).await, [deepest.clone(), child, parent]);
    assert_eq!(listed(other.clone()).await, [other]);
}

pub(crate) async fn two_tasks_wait_for_runs_of_their_own(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[0, 1])]).await;
    let claims = claim(&store, 2).await;
    let one = submit_child(&store, &claims[0], vec![task("x", &[])]).await;
    let two = submit_child(&store, &claims[1], vec![task("y", &[])]).await;
    awaits(&store, &claims[0], &one).await;
    awaits(&store, &claims[1], &two).await;
    control(&store, &one, Control::Pause).await;
    assert_eq!(state(&store, &run).await, RunState::Running);
    end(&store, &claim_named(&store, "y").await, skipped("no")).await;
    assert_eq!(drain(&store).await, "b");
    assert_eq!(state(&store, &run).await, RunState::Waiting);
    control(&store, &one, Control::Resume).await;
    assert_eq!(drain(&store).await, "x a c");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn runs_are_cancelled_when_the_run_that_waits_for_them_fails(store: SharedStore) {
    let parent = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    let child = submit_child(&store, &claims[0], vec![task("x", &[])]).await;
    awaits(&store, &claims[0], &child).await;
    let x = claim_named(&store, "x").await;
    let deepest = submit_child(&store, &x, vec![task("y", &[])]).await;
    awaits(&store, &x, &deepest).await;
    let y = claim_named(&store, "y").await;
    fail(&store, &claims[1], ErrorKind::ToolFailed).await;
    assert_eq!(state(&store, &parent).await, RunState::Failed);
    assert_eq!(state(&store, &deepest).await, RunState::Cancelling);
    end(&store, &y, Outcome::Released).await;
    assert_eq!(
        (state(&store, &child).await, state(&store, &deepest).await),
        (RunState::Cancelled, RunState::Cancelled)
    );
    assert_eq!(names(&claim(&store, 9).await), "");
    resumed_to_its_end(&store, &parent, (&child, &deepest)).await;
}

/// Who resumes the parent has the whole tree go on.
async fn resumed_to_its_end(store: &SharedStore, parent: &RunId, (child, deepest): (&RunId, &RunId)) {
    control(store, parent, Control::Resume).await;
    let again = claim(store, 2).await;
    assert_eq!((names(&again).as_str(), again[0].task.joining), ("a b", false));
    control(store, child, Control::Resume).await;
    awaits(store, &again[0], child).await;
    done(store, &again[1]).await;
    let x = claim_named(store, "x").await;
    assert_eq!((x.task.awaits.as_ref(), x.task.joining), (Some(deepest), false));
    done(store, &x).await;
    assert_eq!(drain(store).await, "a");
    assert_eq!(state(store, parent).await, RunState::Completed);
}

pub(crate) async fn a_run_is_cancelled_when_its_task_fails_before_it_waits(store: SharedStore) {
    let run = submit(&store, vec![with_policy(OnFailure::Continue, task("a", &[])), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    let child = submit_child(&store, &claims[0], vec![task("x", &[])]).await;
    let others = submit_child(&store, &claims[1], vec![task("y", &[])]).await;
    fail(&store, &claims[0], ErrorKind::Timeout).await;
    assert_eq!(state(&store, &child).await, RunState::Cancelled);
    assert_eq!(
        (state(&store, &run).await, state(&store, &others).await),
        (RunState::Running, RunState::Running)
    );
}

pub(crate) async fn a_run_that_a_task_started_while_its_own_was_cancelled_is_cancelled(store: SharedStore) {
    for outcome in 0..2 {
        let parent = submit(&store, vec![task("a", &[])]).await;
        let a = claim_named(&store, "a").await;
        control(&store, &parent, Control::Cancel).await;
        let child = submit_child(&store, &a, vec![task("x", &[])]).await;
        let outcome = [Outcome::Released, Outcome::Awaiting { run: child.clone() }][outcome].clone();
        end(&store, &a, outcome).await;
        assert_eq!(
            (state(&store, &parent).await, state(&store, &child).await),
            (RunState::Cancelled, RunState::Cancelled)
        );
    }
}

pub(crate) async fn a_run_is_cancelled_when_its_task_is_defined_anew(store: SharedStore) {
    let (parent, child, _) = parent_and_child(&store).await;
    control(&store, &parent, Control::Pause).await;
    let tasks = vec![task("c", &[])];
    let change = Control::Redefine { definition: serde_json::json!(1), tasks, unchanged: Vec::new() };
    control(&store, &parent, change).await;
    assert_eq!(state(&store, &child).await, RunState::Cancelled);
    assert_eq!(drain(&store).await, "c");
    assert_eq!(state(&store, &parent).await, RunState::Completed);
}

pub(crate) async fn a_run_that_is_not_its_parents_last_word_goes_on(store: SharedStore) {
    let run = submit(&store, vec![with_retries(2, std::time::Duration::ZERO, task("a", &[]))]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    fail(&store, &a, ErrorKind::Overloaded).await;
    assert_eq!(state(&store, &child).await, RunState::Running);
    let of_run = ClaimRequest { queues: vec!["none".to_owned()], run: Some(run), ..request(1) };
    assert_eq!(names(&store.claim(of_run).await.unwrap()), "");
    let again = claim(&store, 2).await;
    let a = again.iter().find(|claim| claim.task.name == "a").unwrap();
    assert_eq!(awaits(&store, a, &child).await.state, TaskState::Waiting);
    assert_eq!(state(&store, &child).await, RunState::Running);
}
