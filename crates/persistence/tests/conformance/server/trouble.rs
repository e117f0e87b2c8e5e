//! Servers that die, forget, and are full.

use std::sync::Arc;
use std::time::Duration;

use motet_core::Millis;
use motet_core::store::{NewRun, NewTask, Outcome, PruneRequest, RunState};
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
    // What the error advises works on a server that is full: opening the store, and removing what has ended.
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let all = PruneRequest { ended_before: Millis(i64::MAX), states: Vec::new(), limit: 9, dry_run: false };
    assert_eq!(store.prune(&all).await.unwrap().runs, 1);
    let left: Vec<String> = server.ask(&["KEYS", &format!("*{run}*")]).unwrap();
    assert_eq!((store.run(&run).await.unwrap(), left), (None, Vec::new()));
}
