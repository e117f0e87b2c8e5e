//! What happened to runs and tasks: in order, without gaps, and once.

use std::sync::Arc;
use std::time::Duration;

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::{RunId, WorkerId};
use motet_core::store::{Change, ClaimRequest, Control, Outcome, RunState, SharedStore, TaskState};
use serde_json::json;

use crate::fixture::{
    claim_named, control, crash, done, drain, end, events, expand, fail, history, request, skipped, state,
    submit, task, with_retries,
};

pub(crate) async fn each_change_is_one_event(store: SharedStore) {
    let run = submit(&store, vec![with_retries(3, Duration::ZERO, task("a", &[])), task("b", &[0])]).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::Overloaded).await;
    end(&store, &claim_named(&store, "a").await, Outcome::Released).await;
    crash(&store, "a").await;
    done(&store, &claim_named(&store, "a").await).await;
    end(&store, &claim_named(&store, "b").await, skipped("no")).await;
    assert_eq!(
        history(&store, &run).await,
        "submitted 2; 0 started 1; 0 retrying; 0 started 2; 0 released; 0 started 2; 0 crashed 1; 0 started 3; \
         0 ended done; 1 started 1; 1 ended skipped; run completed"
    );
}

pub(crate) async fn an_event_says_who_and_why(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let worker = WorkerId::new();
    let claims = store.claim(ClaimRequest { worker: worker.clone(), ..request(1) }).await.unwrap();
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    let told = events(&store, &run).await;
    assert_eq!(told[1].change, Change::Started { attempt: 1, worker });
    let Change::Ended { state: TaskState::Failed, error: Some(error) } = &told[2].change else {
        panic!("{:?}", told[2])
    };
    assert_eq!(error.message, "boom");
    let Change::RunChanged { state: RunState::Failing, error: Some(error) } = &told[3].change else {
        panic!("{:?}", told[3])
    };
    assert_eq!(error.message, "task `a` failed: boom");
    assert_eq!(told.last().unwrap().change, Change::RunChanged { state: RunState::Failed, error: None });
}

pub(crate) async fn events_are_given_from_a_place_on_and_up_to_a_limit(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    drain(&store).await;
    let all = events(&store, &run).await;
    assert_eq!(all.len(), 6);
    assert_eq!(store.events(&run, 0, 2).await.unwrap(), all[..2]);
    assert_eq!(store.events(&run, 2, 3).await.unwrap(), all[2..5]);
    assert_eq!(store.events(&run, 5, 100).await.unwrap(), all[5..]);
    assert_eq!(store.events(&run, 6, 100).await.unwrap(), []);
    assert_eq!(store.events(&run, 0, 0).await.unwrap(), []);
}

pub(crate) async fn items_and_questions_are_told(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    end(&store, &a, expand(vec![task("a[0]", &[])])).await;
    let item = claim_named(&store, "a[0]").await;
    let question = Question::new("x", QuestionReason::Approval, "pay");
    end(&store, &item, Outcome::Waiting { questions: vec![question], at_most_ms: None }).await;
    store.decide(&run, "x", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(drain(&store).await, "a[0] a");
    assert_eq!(
        history(&store, &run).await,
        "submitted 1; 0 started 1; 0 expanded 1; 1 started 1; 1 asked 1; run waiting; 1 woken; run running; \
         1 started 1; 1 ended done; 0 started 2; 0 ended done; run completed"
    );
}

pub(crate) async fn numbers_go_on_after_a_resume_and_a_new_definition(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    control(&store, &run, Control::Resume).await;
    fail(&store, &claim_named(&store, "a").await, ErrorKind::ToolFailed).await;
    let tasks = vec![task("b", &[]), task("c", &[])];
    let redefine = Control::Redefine { definition: json!(2), tasks, unchanged: Vec::new() };
    control(&store, &run, redefine).await;
    assert_eq!(drain(&store).await, "b c");
    let once = "0 ended failed; run failing; run failed";
    assert_eq!(
        history(&store, &run).await,
        format!(
            "submitted 1; 0 started 1; {once}; run running; 0 started 2; {once}; redefined 2; run running; 1 started 1; \
             1 ended done; 2 started 1; 2 ended done; run completed"
        )
    );
}

pub(crate) async fn what_changes_nothing_is_no_event(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[0])]).await;
    let stale = crash(&store, "a").await;
    let a = claim_named(&store, "a").await;
    done(&store, &a).await;
    let before = events(&store, &run).await;
    done(&store, &a).await;
    store.complete(&stale.token, Outcome::Released).await.unwrap_err();
    store.renew(&[a.token, stale.token], Duration::from_secs(9)).await.unwrap();
    control(&store, &run, Control::Resume).await;
    store.advance().await.unwrap();
    assert_eq!(events(&store, &run).await, before);
}

pub(crate) async fn a_refused_command_leaves_no_event(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let before = events(&store, &run).await;
    store.complete(&a.token, Outcome::Awaiting { run: RunId::new() }).await.unwrap_err();
    assert_eq!(events(&store, &run).await, before);
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.active, 1);
    assert_eq!(done(&store, &a).await.run, RunState::Completed);
}

pub(crate) async fn events_of_many_workers_are_in_one_order(store: SharedStore) {
    let layers = (0..60).map(|number: u32| {
        let above: Vec<u32> =
            if number < 6 { Vec::new() } else { (number / 6 * 6 - 6..number / 6 * 6).collect() };
        task(&number.to_string(), &above)
    });
    let run = submit(&store, layers.collect()).await;
    let work = |store: SharedStore, run: RunId| async move {
        let mut seen = 0;
        while !state(&store, &run).await.is_ended() {
            match store.claim(request(1)).await.unwrap().pop() {
                Some(claim) => drop(done(&store, &claim).await),
                None => seen = store.changed(seen, Duration::from_millis(20)).await,
            }
        }
    };
    let workers: Vec<_> = (0..8).map(|_| tokio::spawn(work(Arc::clone(&store), run.clone()))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let told = events(&store, &run).await;
    assert_eq!(told.len(), 122);
    let place = |number: u32, ends: bool| {
        let fits = |change: &Change| match change {
            Change::Started { .. } => !ends,
            Change::Ended { .. } => ends,
            _ => false,
        };
        told.iter().position(|event| event.task == Some(number) && fits(&event.change)).unwrap()
    };
    for number in 6..60 {
        for above in number / 6 * 6 - 6..number / 6 * 6 {
            assert!(place(above, true) < place(number, false), "{number} began before {above} ended");
        }
    }
}

pub(crate) async fn events_of_an_unknown_run_are_not_found(store: SharedStore) {
    let error = store.events(&RunId::new(), 0, 9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
