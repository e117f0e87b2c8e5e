//! What a process leaves on the server that dies in the middle, gives up, or writes something anew.

use std::time::Duration;

use motet_core::decision::{Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::store::{Control, NewRun, Outcome, PruneRequest, RunState, SharedStore};
use motet_core::{Error, Millis};
use serde_json::json;

use super::fixture::EVERYSEC;
use crate::fixture::{
    HOUR, awaits, claim, claim_named, control, crash, done, end, failed, request, run_of, state, submit,
    submit_child, task, with_retries,
};
use crate::redis_server::RedisServer;

fn opened() -> Option<(RedisServer, SharedStore)> {
    let server = RedisServer::start(&EVERYSEC)?;
    let store = motet_persistence::open(&server.url("a")).unwrap();
    Some((server, store))
}

/// A run whose task waits for a run of its own; what tells of that one is made unreadable while the first is stopped, so
/// that the change of the first is stored and no other.
async fn stopped_halfway(
    server: &RedisServer,
    store: &SharedStore,
    deadline: Option<Millis>,
) -> (RunId, RunId) {
    let run = store.submit(NewRun { deadline, ..run_of(vec![task("a", &[])]) }).await.unwrap();
    let a = claim_named(store, "a").await;
    let child = submit_child(store, &a, vec![task("x", &[])]).await;
    awaits(store, &a, &child).await;
    let children = format!("{{a}}:children:{run}");
    let () = server.ask(&["RENAME", &children, "{a}:kept"]).unwrap();
    let () = server.ask(&["SET", &children, "unreadable"]).unwrap();
    let stopped = match deadline {
        Some(_) => store.advance().await.map(drop),
        None => store.control(&run, Control::Cancel).await,
    };
    stopped.unwrap_err();
    let () = server.ask(&["RENAME", "{a}:kept", &children]).unwrap();
    assert!(state(store, &run).await.is_ended());
    assert_eq!(state(store, &child).await, RunState::Running);
    (run, child)
}

#[tokio::test]
async fn what_a_stopped_run_started_is_stopped_by_whoever_comes_next() {
    let Some((server, store)) = opened() else { return };
    for deadline in [Some(Millis(7)), None] {
        let (_, child) = stopped_halfway(&server, &store, deadline).await;
        store.advance().await.unwrap();
        assert_eq!(state(&store, &child).await, RunState::Cancelled, "{deadline:?}");
        assert_eq!(server.ask::<u32>(&["EXISTS", "{a}:abandoned"]).unwrap(), 0);
    }
}

#[tokio::test]
async fn a_run_that_goes_on_again_is_stopped_by_nobody() {
    let Some((server, store)) = opened() else { return };
    let (run, child) = stopped_halfway(&server, &store, None).await;
    control(&store, &run, Control::Resume).await;
    store.advance().await.unwrap();
    assert_eq!(
        (state(&store, &run).await, state(&store, &child).await),
        (RunState::Running, RunState::Running)
    );
}

#[tokio::test]
async fn a_change_that_is_given_up_leaves_no_lock() {
    let Some((server, store)) = opened() else { return };
    let run = submit(&store, vec![task("a", &[])]).await;
    let a = claim_named(&store, "a").await;
    let child = submit_child(&store, &a, vec![task("x", &[])]).await;
    awaits(&store, &a, &child).await;
    // The run above is never as it was read, so that whatever it must be told conflicts.
    let above = format!("{{a}}:run:{run}");
    let version: String = server.ask(&["HGET", &above, "v"]).unwrap();
    let () = server.ask(&["HSET", &above, "v", &format!("0{version}")]).unwrap();
    let error = store.control(&child, Control::Cancel).await.unwrap_err();
    assert!(error.to_string().contains("changed by others all the time"), "{error}");
    let lock = ["lock", "lock_until"]
        .map(|field| server.ask::<u32>(&["HEXISTS", &format!("{{a}}:run:{child}"), field]).unwrap());
    assert_eq!(lock, [0, 0]);
    let () = server.ask(&["HSET", &above, "v", &version]).unwrap();
    control(&store, &child, Control::Cancel).await;
    assert_eq!(state(&store, &child).await, RunState::Cancelled);
}

/// Tells whether the numbers of all tasks of a run were read since the counters of the server began.
fn read_whole_run(server: &RedisServer) -> bool {
    let counted: String = server.ask(&["INFO", "commandstats"]).unwrap();
    counted.contains("cmdstat_hkeys:")
}

#[tokio::test]
async fn leases_and_waiting_that_are_over_are_found_without_the_rest_of_the_run() {
    let Some((server, store)) = opened() else { return };
    let tasks = (0..40).map(|number| task(&format!("t{number}"), &[])).collect();
    submit(&store, tasks).await;
    let over = motet_core::store::ClaimRequest { ttl: Duration::ZERO, ..request(12) };
    store.claim(over).await.unwrap();
    let () = server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    assert_eq!(store.advance().await.unwrap().reclaimed, 12);
    assert!(!read_whole_run(&server));
    for claimed in claim(&store, 12).await {
        let question = Question::new(claimed.task.name.clone(), QuestionReason::Approval, "pay");
        end(&store, &claimed, Outcome::Waiting { questions: vec![question], at_most_ms: Some(0) }).await;
    }
    let () = server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    assert_eq!(store.advance().await.unwrap().woken, 12);
    assert!(!read_whole_run(&server));
}

#[tokio::test]
async fn a_large_value_goes_when_another_takes_its_place_and_with_its_run() {
    let Some((server, store)) = opened() else { return };
    let large = "x".repeat(20_000);
    let new = run_of(vec![with_retries(9, Duration::ZERO, task("a", &[])), task("b", &[0])]);
    let run = store.submit(NewRun { definition: json!(large), ..new }).await.unwrap();
    let has = |key: &str| {
        server.ask::<u32>(&["EXISTS", &format!("{{a}}:{key}").replace("RUN", run.as_str())]).unwrap() == 1
    };
    let error = |text: &str| failed(&Error::new(ErrorKind::Overloaded, text));
    for (message, is_large) in [(large.as_str(), true), ("small", false), (large.as_str(), true)] {
        end(&store, &claim_named(&store, "a").await, error(message)).await;
        assert_eq!(has("error:RUN:0"), is_large);
    }
    end(&store, &claim_named(&store, "a").await, Outcome::Done { output: json!(large) }).await;
    assert_eq!((has("error:RUN:0"), has("output:RUN:0"), has("spec:RUN:definition")), (false, true, true));
    let tasks = vec![task("a", &[]), task("c", &[0])];
    let definition = json!("small");
    control(&store, &run, Control::Redefine { definition, tasks, unchanged: vec!["a".to_owned()] }).await;
    assert_eq!((has("spec:RUN:definition"), has("output:RUN:0")), (false, true));
    crash(&store, "c").await;
    done(&store, &claim_named(&store, "c").await).await;
    let all = PruneRequest {
        ended_before: Millis::now().after(HOUR),
        states: Vec::new(),
        limit: 9,
        dry_run: false,
    };
    assert_eq!(store.prune(&all).await.unwrap().runs, 1);
    let left: Vec<String> = server.ask(&["KEYS", &format!("*{run}*")]).unwrap();
    assert_eq!(left, Vec::<String>::new());
}
