//! Servers that die, forget, and go back in time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::store::{NewRun, NewTask, Outcome, RunState};
use serde_json::json;

use super::fixture::{ALWAYS, EVERYSEC, check, layers, request, work};
use crate::redis_server::RedisServer;

const TTL: Duration = Duration::from_millis(300);

/// Kills and starts a server several times while workers run a graph on it.
async fn survives_kills(options: &[&str]) {
    let Some(server) = RedisServer::start(options) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(20, 30)).await.unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (store, run) = (Arc::clone(&store), run.clone());
            tokio::spawn(async move { work(&store, &run, TTL).await })
        })
        .collect();
    for _ in 0..7 {
        store.changed(u64::MAX, Duration::from_millis(40)).await;
        tokio::task::block_in_place(|| {
            server.kill();
            server.start_again();
        });
    }
    for worker in workers {
        worker.await.unwrap();
    }
    check(&store, &run, 600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_when_a_server_that_syncs_always_is_killed() {
    survives_kills(&ALWAYS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_when_a_server_that_syncs_every_second_is_killed() {
    survives_kills(&EVERYSEC).await;
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_roll_back_claims_of_the_lost_future_are_stale_and_nothing_is_stuck() {
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(10, 5)).await.unwrap();
    let early = store.claim(request(3, TTL)).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(&server.files(), kept.path());
    // The future that is lost: outcomes, and claims.
    store.complete(&early[0].token, Outcome::Done { output: json!("lost") }).await.unwrap();
    let late = store.claim(request(2, TTL)).await.unwrap();
    server.kill();
    copy(kept.path(), &server.files());
    server.start_again();
    let error = store.complete(&late[0].token, Outcome::Done { output: json!("lost") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // The same tasks are given anew, under other tokens.
    let again = store.claim(request(2, TTL)).await.unwrap();
    assert_eq!(again.iter().map(|claim| claim.task.number).collect::<Vec<_>>(), [3, 4]);
    assert_ne!(again[0].token, late[0].token);
    store.complete(&late[1].token, Outcome::Released).await.unwrap_err();
    work(&store, &run, TTL).await;
    check(&store, &run, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_read_before_a_roll_back_does_not_come_again() {
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(4, 2)).await.unwrap();
    let claims = store.claim(request(4, Duration::from_secs(60))).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(&server.files(), kept.path());
    let version = || server.ask::<u64>(&["HGET", &format!("{{a}}:run:{run}"), "v"]).unwrap();
    // By the script, and by the scheduler.
    let outcomes = || {
        let error = motet_core::Error::new(ErrorKind::Overloaded, "told to fail").report();
        [Outcome::Done { output: json!(0) }, Outcome::Failed { error, chance: 0.5 }]
    };
    let mut seen = Vec::new();
    for _ in 0..2 {
        for (claim, outcome) in claims.iter().zip(outcomes()) {
            store.complete(&claim.token, outcome).await.unwrap();
            assert!(!seen.contains(&version()), "{seen:?}");
            seen.push(version());
        }
        server.kill();
        copy(kept.path(), &server.files());
        server.start_again();
    }
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_sent_them_again() {
    let Some(server) = RedisServer::start(&EVERYSEC) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(NewRun::new("workflow", "x", vec![NewTask::named("a")])).await.unwrap();
    let () = server.ask(&["SCRIPT", "FLUSH"]).unwrap();
    let claim = store.claim(request(1, TTL)).await.unwrap().remove(0);
    let () = server.ask(&["SCRIPT", "FLUSH"]).unwrap();
    store.complete(&claim.token, Outcome::Done { output: json!(0) }).await.unwrap();
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.state, RunState::Completed);
}

#[tokio::test]
async fn a_full_memory_is_told_and_nothing_is_half_done() {
    let Some(server) = RedisServer::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(5, 2)).await.unwrap();
    let claim = store.claim(request(1, Duration::from_secs(60))).await.unwrap().remove(0);
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let refused = layers(5, 2);
    let id = refused.id.clone();
    let error = store.submit(refused).await.unwrap_err();
    assert!(error.to_string().contains("memory of the Redis server"), "{error}");
    assert_eq!(store.run(&id).await.unwrap(), None);
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    store.complete(&claim.token, Outcome::Done { output: json!(0) }).await.unwrap();
    work(&store, &run, Duration::from_secs(60)).await;
    check(&store, &run, 10).await;
}
