//! Servers that go back in time: what was lost is done again, and nothing of it counts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use motet_core::conversation::{Addition, ConversationId, NewConversation, Turn};
use motet_core::error::ErrorKind;
use motet_core::message::Message;
use motet_core::store::{Control, NewRun, NewTask, Outcome};
use serde_json::json;

use super::fixture::{ALWAYS, check, layers, request, work};
use crate::redis_server::RedisServer;

const TTL: Duration = Duration::from_millis(300);

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Kills a server and starts it with the files of an earlier time.
fn go_back(server: &RedisServer, files: &Path) {
    tokio::task::block_in_place(|| {
        server.kill();
        copy(files, &server.files());
        server.start_again();
    });
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
    go_back(&server, kept.path());
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

/// What a server loses of a submission in parts.
enum Lost {
    NewestPart,
    Everything,
}

/// Has a server die and lose something when some parts of a submission are there; the submission must end well.
async fn submits_though_lost(lost: Lost) {
    const TASKS: u32 = 20_000;
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(&server.files(), kept.path());
    let new = NewRun::new("workflow", "x", (0..TASKS).map(|n| NewTask::named(format!("t{n}"))).collect());
    let (run, stored) = (new.id.clone(), format!("{{a}}:new:{}", new.id));
    let submission = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.submit(new).await })
    };
    while server.ask::<u32>(&["HLEN", &stored]).unwrap() < 1_000 {
        tokio::task::yield_now().await;
    }
    let () = server.ask(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
    assert!(server.ask::<u32>(&["HLEN", &stored]).unwrap() < TASKS, "the submission is under way");
    tokio::task::block_in_place(|| {
        server.kill();
        match lost {
            Lost::NewestPart => cut_end(&server.files()),
            Lost::Everything => copy(kept.path(), &server.files()),
        }
        server.start_again();
    });
    assert_eq!(submission.await.unwrap().unwrap(), run);
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.tasks, TASKS);
    assert_eq!(store.tasks(&run).await.unwrap().len(), TASKS as usize);
    assert_eq!(server.ask::<u32>(&["EXISTS", "{a}:submitting", "{a}:submitting-by"]).unwrap(), 0);
}

/// Cuts the end off a server's log, as when its newest write did not reach the disk.
fn cut_end(files: &Path) {
    let logs = std::fs::read_dir(files).unwrap().map(|file| file.unwrap().path());
    let log = logs.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_whose_newest_part_is_lost_begins_again() {
    submits_though_lost(Lost::NewestPart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_of_which_all_is_lost_begins_again() {
    submits_though_lost(Lost::Everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_lost_does_not_come_again() {
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(10, 5)).await.unwrap();
    let version = || server.ask::<u64>(&["HGET", &format!("{{a}}:run:{run}"), "v"]).unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(&server.files(), kept.path());
    let before = version();
    store.claim(request(1, TTL)).await.unwrap();
    let claimed = version();
    store.control(&run, Control::Pause).await.unwrap();
    let paused = version();
    assert!(before < claimed && claimed < paused, "{before} {claimed} {paused}");
    go_back(&server, kept.path());
    assert_eq!(store.run(&run).await.unwrap().unwrap().summary.active, 0);
    assert_eq!(version(), before);
    store.claim(request(1, TTL)).await.unwrap();
    assert!(version() > paused, "a claim gives {} after {paused} was lost", version());
    store.control(&run, Control::Pause).await.unwrap();
    store.control(&run, Control::Resume).await.unwrap();
    work(&store, &run, TTL).await;
    check(&store, &run, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_not_added_to_another_conversation_of_the_same_version() {
    let Some(server) = RedisServer::start(&ALWAYS) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let id: ConversationId = "trip".parse().unwrap();
    let add = |expect: u64, question: &'static str| {
        let (store, id) = (Arc::clone(&store), id.clone());
        async move {
            let turns = vec![Turn::new(vec![Message::user(question), Message::assistant("Yes.")])];
            store.conversations().unwrap().append(&id, expect, Addition::turns(turns)).await
        }
    };
    store.conversations().unwrap().create(NewConversation::new(id.clone())).await.unwrap();
    let (empty, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(&server.files(), empty.path());
    add(0, "Where to?").await.unwrap();
    copy(&server.files(), other.path());
    go_back(&server, empty.path());
    assert_eq!(add(0, "When?").await.unwrap().version, 1);
    // It has read the conversation when the server goes over to the other one.
    let () = server.ask(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
    let late = tokio::spawn(add(1, "At noon?"));
    while !server.ask::<String>(&["INFO", "clients"]).unwrap().contains("blocked_clients:1") {
        tokio::task::yield_now().await;
    }
    go_back(&server, other.path());
    let error = late.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("lost what the conversation `trip`"), "{error}");
    let kept = store.conversations().unwrap().load(&id).await.unwrap().unwrap();
    assert_eq!((kept.head.version, kept.turns.len()), (1, 1));
}
