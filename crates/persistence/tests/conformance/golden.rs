//! Stores that earlier versions left: opened, brought up to date, and gone on with.

use std::path::Path;
use std::sync::Arc;

use motet_core::decision::Decision;
use motet_core::id::RunId;
use motet_core::store::{Control, RunState, SharedStore, TaskState};
use motet_persistence::sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{control, counts, drain, events, state, states, submit, task};

/// What each version of the tables left; the place is the version less one.
const GOLDEN: &[&str] = &[
    include_str!("../golden/version-1.sql"),
    include_str!("../golden/version-2.sql"),
    include_str!("../golden/version-3.sql"),
    include_str!("../golden/version-4.sql"),
    include_str!("../golden/version-5.sql"),
    include_str!("../golden/version-6.sql"),
    include_str!("../golden/version-7.sql"),
    include_str!("../golden/version-8.sql"),
];

fn open(path: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(path, &Options::default()).unwrap())
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

/// Checks what the run that goes on has kept, and lets it go on.
async fn goes_on(store: &SharedStore) {
    let run = id("goes-on");
    let tasks = store.tasks(&run).await.unwrap();
    assert_eq!((tasks[0].payload.clone(), tasks[0].state), (json!({"item": "moon"}), TaskState::Done));
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!({"phase": "full"}))]);
    assert_eq!(store.task_records(&run, 0).await.unwrap().len(), 1);
    let found = store.run(&run).await.unwrap().unwrap();
    assert_eq!((found.inputs["x"].clone(), found.summary.name.as_str()), (json!(1.5), "of goes-on"));
    assert_eq!(states(store, &run).await, "a:done b:running c:blocked later:ready");
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    assert_eq!(drain(store).await, "later b c");
    assert_eq!(counts(store, &run).await, "completed: 4 tasks, 4 done, 0 failed, 0 skipped");
    assert!(events(store, &run).await.len() >= 8);
}

/// Checks what the run that failed has kept, and resumes it.
async fn failed(store: &SharedStore) {
    let run = id("failed");
    assert_eq!(states(store, &run).await, "x:failed y:cancelled");
    let error = store.tasks(&run).await.unwrap().remove(0).error.unwrap();
    assert_eq!(error.message, "the tide table is missing");
    control(store, &run, Control::Resume).await;
    assert_eq!(drain(store).await, "x y");
    assert_eq!(state(store, &run).await, RunState::Completed);
}

#[tokio::test]
async fn a_store_of_every_earlier_version_is_brought_up_to_date_and_goes_on() {
    for (version, sql) in (1..).zip(GOLDEN) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(found, version);
        drop(connection);
        let store = open(&path);
        goes_on(&store).await;
        failed(&store).await;
        since(version, &store).await;
        submit(&store, vec![task("new", &[])]).await;
        assert_eq!(drain(&store).await, "new");
        drop(store);
        let connection = Connection::open(&path).unwrap();
        let now: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(now, i64::try_from(GOLDEN.len()).unwrap(), "the newest version has no golden file");
        let sound: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

/// Checks what was added by a version and those before it.
async fn since(version: i64, store: &SharedStore) {
    if version >= 2 {
        let books = store.books().await.unwrap();
        assert_eq!((books.len(), books[0].1.spent.tokens, books[0].1.reserved.tokens), (1, 100, 50));
    }
    if version >= 4 {
        assert_eq!(store.item_records(&id("goes-on"), "i").await.unwrap().len(), 1);
    }
    if version >= 5 {
        let run = id("asks");
        assert_eq!(state(store, &run).await, RunState::Waiting);
        assert_eq!(store.questions(Some(&run)).await.unwrap()[0].question.arguments, json!({"amount": 7}));
        store.decide(&run, "q", Decision::Approve { arguments: None }).await.unwrap();
        assert_eq!(drain(store).await, "pay");
    }
    if version >= 6 {
        let conversations = store.conversations().unwrap();
        assert!(conversations.load(&"trip".parse().unwrap()).await.unwrap().is_some());
    }
    if version >= 8 {
        assert!(store.workers().await.unwrap().is_empty(), "a worker seen long ago is forgotten");
    }
}
