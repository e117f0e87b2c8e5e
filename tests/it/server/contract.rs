//! The contract over real connections: a store in a file, a server in front of it, and many who work through it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use motet::ErrorKind;
use motet::core::answers::{KeepRules, NewAnswer};
use motet::core::conversation::{ConversationId, NewConversation, Turn};
use motet::core::id::WorkerId;
use motet::core::store::{
    Change, ClaimRequest, Control, LeaseState, NewRun, NewTask, Outcome, RunState, SharedStore, TaskState,
};
use motet::store::{StoreAccess, open};
use motet_server::{Server, ServerConfig};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A server in this process, and its store as others see it and as it is.
struct Stage {
    away: SharedStore,
    here: SharedStore,
    stop: CancellationToken,
    served: JoinHandle<motet::Result<()>>,
    _directory: tempfile::TempDir,
}

async fn stage() -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let access = StoreAccess::default();
    let here = open("sqlite:runs.db", directory.path(), &access).await.unwrap();
    let server = Server::bind(Arc::clone(&here), &ServerConfig::new("127.0.0.1:0")).await.unwrap();
    let url = format!("http://{}/", server.address());
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.serve(stop.clone()));
    let away = open(&url, Path::new(""), &access).await.unwrap();
    Stage { away, here, stop, served, _directory: directory }
}

fn request(limit: u32) -> ClaimRequest {
    let ttl = Duration::from_secs(60);
    ClaimRequest {
        worker: WorkerId::new(),
        queues: Vec::new(),
        run: None,
        limit,
        ttl,
        max_active: None,
        in_hand: 0,
    }
}

/// Layers of tasks, each of which waits for two of the layer before.
fn layers(width: u32, depth: u32) -> NewRun {
    let task = |number: u32| NewTask {
        dependencies: match number.checked_sub(width) {
            None => Vec::new(),
            Some(above) => vec![above, number / width * width - width + (number + 1) % width],
        },
        ..NewTask::named(format!("t{number}"))
    };
    NewRun::new("workflow", "layers", (0..width * depth).map(task).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_over_connections_end_each_task_once() {
    let Stage { away, here, stop, served, _directory } = stage().await;
    let run = away.submit(layers(20, 10)).await.unwrap();
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (store, run) = (Arc::clone(&away), run.clone());
        workers.spawn(async move {
            let mut seen = 0;
            while !store.run(&run).await.unwrap().unwrap().summary.state.is_ended() {
                for claim in store.claim(request(4)).await.unwrap() {
                    let held = store.renew(std::slice::from_ref(&claim.token), Duration::from_secs(60)).await;
                    assert_eq!(held.unwrap(), [LeaseState::Held]);
                    let output = json!(claim.task.number);
                    store.complete(&claim.token, Outcome::Done { output }).await.unwrap();
                }
                seen = store.changed(seen, Duration::from_millis(100)).await;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let numbers: Vec<u32> = (0..200).collect();
    for store in [&away, &here] {
        let outputs = store.outputs(&run, &numbers).await.unwrap();
        assert!(outputs.iter().zip(&numbers).all(|(output, number)| *output == Some(json!(number))));
        let events = store.events(&run, 0, u32::MAX).await.unwrap();
        assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64), "events have gaps");
        let ended = events.iter().filter(|event| matches!(event.change, Change::Ended { .. })).count();
        assert_eq!(ended, 200, "each task ends once");
    }
    stop.cancel();
    served.await.unwrap().unwrap();
    let gone = away.run(&run).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Connection, "{gone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_answers_and_conversations_come_through_as_they_are() {
    let Stage { away, here, stop, served, _directory } = stage().await;
    let run = away.submit(layers(1, 2)).await.unwrap();
    let held = away.claim(request(1)).await.unwrap().remove(0);
    let unknown = away.control(&"none".parse().unwrap(), Control::Pause).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert_eq!(
        unknown.hint(),
        here.control(&"none".parse().unwrap(), Control::Pause).await.unwrap_err().hint()
    );
    let mut stale = held.token.clone();
    stale.nonce = "0".repeat(32).into();
    let refused = away.complete(&stale, Outcome::Released).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(refused.context(), stale.stale().context());
    let large = json!("x".repeat(20 << 20));
    let applied = away.complete(&held.token, Outcome::Done { output: large.clone() }).await.unwrap();
    assert_eq!((applied.state, applied.run), (TaskState::Done, RunState::Running));
    assert_eq!(away.outputs(&run, &[0, 1]).await.unwrap(), [Some(large), None], "a result of 20 MiB");

    let answers = away.answers().unwrap();
    let (key, body, max_age) = ("k".to_owned(), vec![0, 255, 7], Duration::from_secs(60));
    let rules = KeepRules { most_bytes: 100, replace: false };
    answers.keep(vec![NewAnswer { key: key.clone(), body: body.clone(), max_age }], rules).await.unwrap();
    assert_eq!(answers.find(&[key]).await.unwrap().remove(0).unwrap().body, body);
    let id: ConversationId = "talk".parse().unwrap();
    let mut new = NewConversation::new(id.clone());
    new.turns = vec![Turn::new(vec![motet::Message::user("Good morning, Åsa")])];
    away.conversations().unwrap().create(new).await.unwrap();
    let kept = here.conversations().unwrap().load(&id).await.unwrap();
    assert_eq!(away.conversations().unwrap().load(&id).await.unwrap(), kept);
    assert_eq!(kept.unwrap().head.messages, 1);
    stop.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_bound_are_told_with_what_to_do() {
    let store = motet::persistence::open("memory:").unwrap();
    let mut config = ServerConfig::new("127.0.0.1:0");
    config.largest_request = 10_000;
    let server = Server::bind(store, &config).await.unwrap();
    let url = format!("http://{}", server.address());
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.serve(stop.clone()));
    let away = open(&url, Path::new(""), &StoreAccess::default()).await.unwrap();
    let refused = away.submit(layers(10, 100)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
    assert!(refused.hint().unwrap().contains("server.max_request_mb"), "{refused}");
    let run = away.submit(layers(1, 2)).await.unwrap();
    let held = away.claim(request(1)).await.unwrap().remove(0);
    let output = json!("x".repeat(20_000));
    let applied = away.complete(&held.token, Outcome::Done { output }).await.unwrap();
    assert_eq!(applied.state, TaskState::Failed, "done again, it would be as large");
    let error = away.tasks(&run).await.unwrap().remove(0).error.unwrap();
    assert_eq!(error.kind, ErrorKind::LimitReached);
    stop.cancel();
    served.await.unwrap().unwrap();
}
