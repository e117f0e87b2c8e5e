//! The journal: every effect of a run, in order.

use std::sync::Arc;
use std::time::Duration;

use motet_core::error::{Error, ErrorKind};
use motet_core::id::RunId;
use motet_core::run_log::{Entry, Record, RunLog as _, StepKind, StoredLog};
use motet_core::store::SharedStore;
use motet_core::tool::Effect;
use serde_json::json;

use crate::fixture::{claim, claim_named, crash, done, fail, submit, task, with_retries};

fn record(step: &str) -> Record {
    Record::new(step, Entry::Finished { result: json!({"of": step}) })
}

/// The places and steps of a run's entries, such as `1:a 2:b`.
async fn steps(store: &SharedStore, run: &RunId, after: u64, limit: u32) -> String {
    let entries = store.records(run, after, limit).await.unwrap();
    entries.iter().map(|entry| format!("{}:{}", entry.seq, entry.record.step())).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn entries_are_numbered_without_gaps_over_all_tasks(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let claims = claim(&store, 2).await;
    let (a, b) = (&claims[0].token, &claims[1].token);
    assert_eq!(store.journal(a, 0, vec![record("a1"), record("a2")]).await.unwrap(), 2);
    assert_eq!(store.journal(b, 0, vec![record("b1")]).await.unwrap(), 1);
    assert_eq!(store.journal(a, 2, vec![record("a3")]).await.unwrap(), 3);
    assert_eq!(steps(&store, &run, 0, 99).await, "1:a1 2:a2 3:b1 4:a3");
    let tasks: Vec<u32> = store.records(&run, 0, 99).await.unwrap().iter().map(|entry| entry.task).collect();
    assert_eq!(tasks, [0, 0, 1, 0]);
    assert_eq!(store.task_records(&run, 0).await.unwrap().len(), 3);
    assert_eq!(store.tasks(&run).await.unwrap()[0].journal, 3);
}

pub(crate) async fn a_wrong_expectation_appends_nothing(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await.token;
    store.journal(&a, 0, vec![record("1")]).await.unwrap();
    for expect in [0, 2] {
        let error = store.journal(&a, expect, vec![record("2")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.message(), format!("the journal of task 0 has 1 entries, not {expect}"));
    }
    assert_eq!(steps(&store, &run, 0, 99).await, "1:1");
}

pub(crate) async fn entries_of_many_tasks_at_once_leave_no_gap(store: SharedStore) {
    const TASKS: u64 = 8;
    const ENTRIES: u64 = 20;
    let run = submit(&store, (0..TASKS).map(|number| task(&number.to_string(), &[])).collect()).await;
    let append = |token| {
        let store = Arc::clone(&store);
        async move {
            for expect in 0..ENTRIES {
                store.journal(&token, expect, vec![record(&expect.to_string())]).await.unwrap();
            }
        }
    };
    let claims = claim(&store, 99).await;
    futures::future::join_all(claims.into_iter().map(|claim| append(claim.token))).await;
    let entries = store.records(&run, 0, 999).await.unwrap();
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=TASKS * ENTRIES));
    for task in 0..u32::try_from(TASKS).unwrap() {
        let own = store.task_records(&run, task).await.unwrap();
        assert!(
            own.iter()
                .map(|record| record.step().to_owned())
                .eq((0..ENTRIES).map(|number| number.to_string()))
        );
    }
}

pub(crate) async fn entries_are_given_from_a_place_on_and_up_to_a_limit(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await.token;
    store.journal(&a, 0, ["p", "q", "r", "s"].map(record).to_vec()).await.unwrap();
    assert_eq!(steps(&store, &run, 0, 2).await, "1:p 2:q");
    assert_eq!(steps(&store, &run, 2, 9).await, "3:r 4:s");
    assert_eq!(steps(&store, &run, 4, 9).await, "");
    assert_eq!(steps(&store, &run, u64::MAX, 9).await, "");
    assert_eq!(steps(&store, &run, 0, 0).await, "");
}

pub(crate) async fn the_next_attempt_finds_the_entries_of_the_last(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let first = store
        .claim(motet_core::store::ClaimRequest { ttl: Duration::ZERO, ..crate::fixture::request(1) })
        .await
        .unwrap();
    store.journal(&first[0].token, 0, vec![record("paid")]).await.unwrap();
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    let second = claim_named(&store, "a").await;
    assert_eq!(second.task.journal, 1);
    assert_eq!(store.task_records(&run, 0).await.unwrap()[0].step(), "paid");
    assert_eq!(store.journal(&second.token, 1, vec![record("more")]).await.unwrap(), 2);
}

pub(crate) async fn answers_that_a_model_got_wrong_are_not_replayed(store: SharedStore) {
    for (kind, kept) in [
        (ErrorKind::InvalidOutput, 0),
        (ErrorKind::ContentFilter, 0),
        (ErrorKind::LimitReached, 0),
        (ErrorKind::Overloaded, 1),
        (ErrorKind::ToolFailed, 1),
    ] {
        let run = submit(&store, vec![with_retries(2, Duration::ZERO, task("a", &[]))]).await;
        let first = claim_named(&store, "a").await;
        store.journal(&first.token, 0, vec![record("answer")]).await.unwrap();
        let error = Error::new(kind, "wrong").with_retry(motet_core::Retry::Backoff);
        crate::fixture::end(&store, &first, crate::fixture::failed(&error)).await;
        let second = claim_named(&store, "a").await;
        assert_eq!((second.task.attempt, second.task.journal), (2, kept), "{kind}");
        assert_eq!(u64::try_from(store.task_records(&run, 0).await.unwrap().len()).unwrap(), kept, "{kind}");
        assert_eq!(steps(&store, &run, 0, 9).await, "1:answer");
        store.journal(&second.token, kept, vec![record("again")]).await.unwrap();
        assert_eq!(steps(&store, &run, 1, 9).await, "2:again");
        done(&store, &second).await;
    }
}

pub(crate) async fn every_kind_of_entry_is_given_back(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await.token;
    let started = Entry::Started {
        kind: StepKind::Tool,
        request_hash: "hash".to_owned(),
        effect: Effect::AtMostOnce,
        label: "search".to_owned(),
        request: None,
    };
    let error = Error::new(ErrorKind::RateLimit, "slow").with_hint("wait").report();
    let records = vec![
        Record::new("a/1", started),
        Record::new("a/1", Entry::Finished { result: json!({"n": [1.5, null, "é"]}) }),
        Record::new("a/2", Entry::Failed { error: Box::new(error) }),
    ];
    store.journal(&a, 0, records.clone()).await.unwrap();
    assert_eq!(store.task_records(&run, 0).await.unwrap(), records);
    let entries = store.records(&run, 0, 9).await.unwrap();
    assert!(entries.into_iter().map(|entry| entry.record).eq(records));
}

pub(crate) async fn a_run_log_over_the_store_resumes(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let first = store
        .claim(motet_core::store::ClaimRequest { ttl: Duration::ZERO, ..crate::fixture::request(1) })
        .await
        .unwrap()
        .remove(0);
    let log = StoredLog::open(Arc::clone(&store), first.token, first.task.journal).await.unwrap();
    log.append(vec![record("one")]).await.unwrap();
    log.append(vec![record("two")]).await.unwrap();
    store.advance().await.unwrap();
    let second = claim_named(&store, "a").await;
    assert_eq!(log.append(vec![record("late")]).await.unwrap_err().kind(), ErrorKind::Conflict);
    let resumed = StoredLog::open(Arc::clone(&store), second.token, second.task.journal).await.unwrap();
    assert_eq!(resumed.records().len(), 2);
    resumed.append(vec![record("three")]).await.unwrap();
    assert_eq!(resumed.records().len(), 3);
}

pub(crate) async fn appends_that_nobody_waits_for_lose_and_double_nothing(store: SharedStore) {
    submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let log = StoredLog::open(Arc::clone(&store), a.token.clone(), 0).await.unwrap();
    for step in ["one", "two", "three"] {
        // Given up right after it was begun: the store may have it or not.
        let mut append = Box::pin(log.append(vec![record(step)]));
        let _ = futures::poll!(&mut append);
    }
    log.append(vec![record("end")]).await.unwrap();
    let stored = store.task_records(&a.token.run, 0).await.unwrap();
    assert_eq!(log.records(), stored);
    let steps: Vec<&str> = stored.iter().map(Record::step).collect();
    assert_eq!(steps.iter().filter(|step| **step == "end").count(), 1, "{steps:?}");
    assert_eq!((steps.last(), steps.len() >= 2), (Some(&"end"), true), "{steps:?}");
}

pub(crate) async fn an_empty_append_checks_the_token_only(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let stale = crash(&store, "a").await.token;
    assert_eq!(store.journal(&stale, 0, vec![]).await.unwrap_err().kind(), ErrorKind::Conflict);
    let held = claim_named(&store, "a").await;
    assert_eq!(store.journal(&held.token, 0, vec![]).await.unwrap(), 0);
    assert_eq!(steps(&store, &run, 0, 9).await, "");
    fail(&store, &held, ErrorKind::ToolFailed).await;
    assert_eq!(store.journal(&held.token, 0, vec![]).await.unwrap_err().kind(), ErrorKind::Conflict);
}

pub(crate) async fn a_record_of_a_megabyte_is_kept(store: SharedStore) {
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await.token;
    let big = Record::new("big", Entry::Finished { result: json!("x\u{1F3B6}".repeat(200_000)) });
    store.journal(&a, 0, vec![record("before"), big.clone(), record("after")]).await.unwrap();
    assert_eq!(store.task_records(&run, 0).await.unwrap()[1], big);
    assert_eq!(steps(&store, &run, 2, 9).await, "3:after");
}
