//! Runs that are paused, whose time is over, or whose workers die too often.

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::{Millis, RunId};
use motet_core::store::{Control, LeaseState, NewRun, NewTask, Outcome, RunState, SharedStore, TaskState};
use motet_core::workflow::OnFailure;

use crate::fixture::{
    HOUR, assert_due_in, awaits, claim, claim_named, control, counts, crash, done, drain, end, fail, history,
    names, run_of, state, states, submit, submit_child, task, with_policy,
};

pub(crate) async fn a_paused_run_starts_nothing_and_lets_finish_what_runs(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[]), task("c", &[0])]).await;
    let a = claim_named(&store, "a").await;
    control(&store, &run, Control::Pause).await;
    control(&store, &run, Control::Pause).await;
    assert_eq!(state(&store, &run).await, RunState::Paused);
    assert_eq!(store.renew(std::slice::from_ref(&a.token), HOUR).await.unwrap(), [LeaseState::Held]);
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(done(&store, &a).await.run, RunState::Paused);
    assert_eq!(states(&store, &run).await, "a:done b:ready c:ready");
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(drain(&store).await, "b c");
    assert_eq!(
        history(&store, &run).await,
        "submitted 3; 0 started 1; run paused; 0 ended done; run running; 1 started 1; 1 ended done; 2 started 1; \
         2 ended done; run completed"
    );
}

pub(crate) async fn a_paused_run_ends_with_its_last_task(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    control(&store, &run, Control::Pause).await;
    assert_eq!(done(&store, &a).await.run, RunState::Completed);
}

pub(crate) async fn a_paused_run_fails_when_what_runs_fails(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 1).await;
    control(&store, &run, Control::Pause).await;
    assert_eq!(fail(&store, &claims[0], ErrorKind::ToolFailed).await.run, RunState::Failed);
    assert_eq!(states(&store, &run).await, "a:failed b:cancelled");
}

pub(crate) async fn what_has_ended_cannot_be_paused(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    drain(&store).await;
    let error = store.control(&run, Control::Pause).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), format!("run `{run}` is completed: there is nothing to pause"));
    let error = store.control(&RunId::new(), Control::Pause).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub(crate) async fn a_paused_run_can_be_cancelled(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    control(&store, &run, Control::Pause).await;
    control(&store, &run, Control::Cancel).await;
    assert_eq!(
        (state(&store, &run).await, states(&store, &run).await.as_str()),
        (RunState::Cancelled, "a:cancelled")
    );
    control(&store, &run, Control::Resume).await;
    assert_eq!(drain(&store).await, "a");
}

pub(crate) async fn a_crash_in_a_paused_run_waits_for_the_resume(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    store.renew(std::slice::from_ref(&a.token), std::time::Duration::ZERO).await.unwrap();
    control(&store, &run, Control::Pause).await;
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(claim_named(&store, "a").await.task.crashes, 1);
}

pub(crate) async fn an_answer_to_a_paused_run_counts_when_it_goes_on(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let question = Question::new("x", QuestionReason::Approval, "pay");
    end(&store, &a, Outcome::Waiting { questions: vec![question], at_most_ms: None }).await;
    control(&store, &run, Control::Pause).await;
    store.decide(&run, "x", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(state(&store, &run).await, RunState::Paused);
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    assert_eq!(drain(&store).await, "a");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn runs_that_tasks_started_are_paused_and_go_on_with_theirs(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    awaits(&store, &a, &child).await;
    let x = claim_named(&store, "x").await;
    let deepest = submit_child(&store, &x, vec![task("y", &[]), task("z", &[])]).await;
    awaits(&store, &x, &deepest).await;
    control(&store, &run, Control::Pause).await;
    for run in [&run, &child, &deepest] {
        assert_eq!(state(&store, run).await, RunState::Paused);
    }
    assert_eq!(names(&claim(&store, 9).await), "");
    control(&store, &run, Control::Resume).await;
    for run in [&run, &child, &deepest] {
        assert_eq!(state(&store, run).await, RunState::Running);
    }
    assert_eq!(drain(&store).await, "y z x a");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

async fn submit_until(store: &SharedStore, deadline: Millis, tasks: Vec<NewTask>) -> RunId {
    store.submit(NewRun { deadline: Some(deadline), ..run_of(tasks) }).await.unwrap()
}

/// A time that is over.
const OVER: Millis = Millis(7);

pub(crate) async fn when_the_time_of_a_run_is_over_what_runs_is_told_to_stop(store: SharedStore) {
    let run = submit_until(&store, OVER, vec![task("a", &[]), task("b", &[]), task("c", &[0])]).await;
    let a = claim_named(&store, "a").await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    assert_eq!(state(&store, &run).await, RunState::TimingOut);
    assert_eq!(store.renew(std::slice::from_ref(&a.token), HOUR).await.unwrap(), [LeaseState::Cancelled]);
    assert_eq!(names(&claim(&store, 9).await), "");
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    assert_eq!(end(&store, &a, Outcome::Released).await.run, RunState::Failed);
    assert_eq!(states(&store, &run).await, "a:cancelled b:cancelled c:cancelled");
    let error = store.run(&run).await.unwrap().unwrap().summary.error.unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Timeout, "the run took longer than its timeout")
    );
    assert_eq!(
        history(&store, &run).await,
        "submitted 3; 0 started 1; run timing_out; 0 released; run failed"
    );
}

pub(crate) async fn a_run_whose_time_was_over_is_resumed_without_a_limit(store: SharedStore) {
    let run = submit_until(&store, OVER, vec![task("a", &[]), task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    done(&store, &a).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    assert_eq!(
        (state(&store, &run).await, states(&store, &run).await.as_str()),
        (RunState::Failed, "a:done b:cancelled")
    );
    control(&store, &run, Control::Resume).await;
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert_eq!((summary.deadline, summary.error), (None, None));
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    assert_eq!(drain(&store).await, "b");
    assert_eq!(state(&store, &run).await, RunState::Completed);
}

pub(crate) async fn a_run_that_failed_in_time_is_resumed_later_without_a_limit(store: SharedStore) {
    let run = submit_until(&store, OVER, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    fail(&store, &a, ErrorKind::InvalidRequest).await;
    assert_eq!(state(&store, &run).await, RunState::Failed);
    control(&store, &run, Control::Resume).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.deadline, None);
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    assert_eq!(drain(&store).await, "a");
}

pub(crate) async fn a_run_is_resumed_with_another_end_of_its_time(store: SharedStore) {
    let deadline = async |run: &RunId| store.run(run).await.unwrap().unwrap().summary.deadline;
    let run = submit_until(&store, OVER, vec![task("a", &[]), task("b", &[])]).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    let later = Some(Millis::now().after(HOUR));
    control(&store, &run, Control::ResumeUntil { deadline: later }).await;
    assert_eq!((state(&store, &run).await, deadline(&run).await), (RunState::Running, later));
    // One that goes on keeps its own.
    control(&store, &run, Control::ResumeUntil { deadline: Some(OVER) }).await;
    assert_eq!(deadline(&run).await, later);
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    let a = claim_named(&store, "a").await;
    fail(&store, &a, ErrorKind::InvalidRequest).await;
    drain(&store).await;
    control(&store, &run, Control::ResumeUntil { deadline: Some(OVER) }).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    assert_eq!(state(&store, &run).await, RunState::Failed);
}

pub(crate) async fn a_run_that_ends_in_time_is_left_alone(store: SharedStore) {
    let deadline = Millis::now().after(HOUR);
    let run = submit_until(&store, deadline, vec![task("a", &[])]).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    assert_due_in(&store, HOUR).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.deadline, Some(deadline));
    drain(&store).await;
    let ended = submit_until(&store, OVER, vec![task("a", &[])]).await;
    drain(&store).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 0);
    assert_eq!(state(&store, &ended).await, RunState::Completed);
}

pub(crate) async fn the_time_of_a_halted_run_goes_on(store: SharedStore) {
    let run = submit_until(&store, OVER, vec![task("a", &[])]).await;
    control(&store, &run, Control::Pause).await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    assert_eq!(state(&store, &run).await, RunState::Failed);
}

pub(crate) async fn when_its_time_is_over_so_is_that_of_the_runs_it_started(store: SharedStore) {
    let run = submit_until(&store, OVER, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    awaits(&store, &a, &child).await;
    let x = claim_named(&store, "x").await;
    assert_eq!(store.advance().await.unwrap().timed_out, 1);
    assert_eq!(state(&store, &child).await, RunState::Cancelling);
    assert_eq!(end(&store, &x, Outcome::Released).await.run, RunState::Cancelled);
    assert_eq!(state(&store, &run).await, RunState::Failed);
}

/// Lets the workers of a task die until it is given up.
async fn kill(store: &SharedStore, name: &str) {
    for _ in 0..3 {
        crash(store, name).await;
    }
}

pub(crate) async fn a_task_that_kills_its_workers_is_dead(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    kill(&store, "a").await;
    assert_eq!(states(&store, &run).await, "a:dead b:cancelled");
    assert_eq!(counts(&store, &run).await, "failed: 2 tasks, 0 done, 1 failed, 0 skipped");
    assert!(history(&store, &run).await.ends_with("0 crashed 3; 0 ended dead; run failing; run failed"));
    let error = store.run(&run).await.unwrap().unwrap().summary.error.unwrap();
    assert_eq!(error.message, "task `a` failed: its worker died 3 times while running it");
}

pub(crate) async fn dependents_of_a_dead_task_go_on_where_asked(store: SharedStore) {
    let tasks = vec![with_policy(OnFailure::Continue, task("a", &[])), task("b", &[0])];
    let run = submit(&store, tasks).await;
    kill(&store, "a").await;
    assert_eq!(drain(&store).await, "b");
    assert_eq!(
        (state(&store, &run).await, states(&store, &run).await.as_str()),
        (RunState::Completed, "a:dead b:done")
    );
}

pub(crate) async fn a_dead_task_runs_again_when_its_run_is_resumed(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    kill(&store, "a").await;
    control(&store, &run, Control::Resume).await;
    let a = claim_named(&store, "a").await;
    assert_eq!((a.task.state, a.task.crashes, a.task.attempt), (TaskState::Running, 0, 4));
    assert_eq!(done(&store, &a).await.run, RunState::Completed);
}
