//! What only a store in a file must do: survive, be shared, be queried, and refuse what is not its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use motet_core::conversation::{Addition, ConversationId, NewConversation, Turn};
use motet_core::error::{Error, ErrorKind};
use motet_core::id::{RunId, WorkerId};
use motet_core::message::Message;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{ClaimRequest, Control, LeaseState, NewTask, SharedStore};
use motet_persistence::sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{
    HOUR, claim, claim_named, control, counts, done, drain, fail, names, request, state, states, submit, task,
};

fn open(path: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(path, &Options::default()).unwrap())
}

fn refused(path: &Path) -> Error {
    let error = SqliteStore::open(path, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.hint().is_some());
    assert!(error.context().contains(&("file".into(), path.display().to_string())), "{error}");
    error
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    (directory, path)
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_kept_everything() {
    let (_directory, path) = directory();
    let store = open(&path);
    let run = submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[1])]).await;
    let a = claim_named(&store, "a").await;
    store.journal(&a.token, 0, vec![Record::new("s", Entry::Finished { result: json!(1) })]).await.unwrap();
    done(&store, &a).await;
    let failed = submit(&store, vec![task("x", &[])]).await;
    let claims = store.claim(ClaimRequest { run: Some(failed.clone()), ..request(1) }).await.unwrap();
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    let everything = |store: SharedStore| {
        let (run, failed) = (run.clone(), failed.clone());
        async move {
            (
                (store.run(&run).await.unwrap(), store.run(&failed).await.unwrap()),
                (store.tasks(&run).await.unwrap(), store.tasks(&failed).await.unwrap()),
                store.outputs(&run, &[0, 1]).await.unwrap(),
                (store.records(&run, 0, 9).await.unwrap(), store.task_records(&run, 0).await.unwrap()),
                store.runs(&motet_core::store::RunFilter::default()).await.unwrap(),
            )
        }
    };
    let before = everything(Arc::clone(&store)).await;
    drop(store);
    let store = open(&path);
    assert_eq!(everything(Arc::clone(&store)).await, before);
    assert_eq!(drain(&store).await, "b c");
    control(&store, &failed, Control::Resume).await;
    assert_eq!(drain(&store).await, "x");
}

/// Copies a store's files as they lie on the disk, as after the death of its process.
fn copy(path: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        fs::copy(format!("{}{ending}", path.display()), format!("{}{ending}", to.display())).unwrap();
    }
}

#[tokio::test]
async fn what_was_accepted_survives_a_store_that_never_closed() {
    let (directory, path) = directory();
    let store = open(&path);
    let run = submit(&store, vec![task("a", &[]), task("b", &[0]), task("c", &[])]).await;
    done(&store, &claim_named(&store, "a").await).await;
    assert_eq!(names(&claim(&store, 2).await), "c b");
    let copied = directory.path().join("copy.db");
    copy(&path, &copied);
    let second = open(&copied);
    assert_eq!(states(&second, &run).await, "a:done b:running c:running");
    // The workers of the copied file have no locks, so their leases are not waited for.
    let progress = second.advance().await.unwrap();
    assert_eq!((progress.reclaimed, progress.dead, progress.next_due), (2, 0, None));
    assert_eq!(drain(&second).await.split(' ').count(), 2);
    assert_eq!(counts(&second, &run).await, "completed: 3 tasks, 3 done, 0 failed, 0 skipped");
    assert_eq!(states(&store, &run).await, "a:done b:running c:running");
}

#[tokio::test]
async fn the_lease_of_a_dead_worker_is_taken_back_at_once_and_that_of_a_living_one_is_not() {
    let (_directory, path) = directory();
    let (dying, living, other) = (open(&path), open(&path), open(&path));
    let run = submit(&other, vec![task("a", &[]), task("b", &[]), task("c", &[])]).await;
    claim_named(&dying, "a").await;
    let held = claim_named(&living, "b").await;
    claim_named(&other, "c").await;
    for store in [&dying, &living, &other] {
        assert_eq!(store.advance().await.unwrap().reclaimed, 0);
    }
    drop(dying);
    assert_eq!(other.advance().await.unwrap().reclaimed, 1);
    assert_eq!(states(&other, &run).await, "a:ready b:running c:running");
    assert_eq!(living.advance().await.unwrap().reclaimed, 0);
    assert_eq!(living.renew(&[held.token], HOUR).await.unwrap(), [LeaseState::Held]);
}

#[tokio::test]
async fn a_lock_file_that_a_killed_process_left_does_not_keep_its_worker_alive() {
    let (_directory, path) = directory();
    let store = open(&path);
    let run = submit(&store, vec![task("a", &[])]).await;
    let worker = WorkerId::from_stored("1-killed");
    store.claim(ClaimRequest { worker, ..request(1) }).await.unwrap();
    drop(store);
    let lock = path.with_file_name("store.db-workers").join("1-killed.lock");
    assert!(!lock.exists());
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    let store = open(&path);
    assert!(!lock.exists());
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    assert_eq!(states(&store, &run).await, "a:ready");
}

#[tokio::test]
async fn workers_leave_no_file_behind() {
    let (directory, path) = directory();
    let store = open(&path);
    submit(&store, (0..100).map(|number| task(&number.to_string(), &[])).collect()).await;
    for _ in 0..100 {
        let claim = claim(&store, 1).await.remove(0);
        done(&store, &claim).await;
    }
    let locks = fs::read_dir(directory.path().join("store.db-workers")).unwrap().count();
    assert!(locks <= 65, "{locks} idle workers keep their files");
    drop(store);
    let left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["store.db"]);
}

#[tokio::test]
async fn two_stores_on_one_file_drain_one_run_together() {
    let (_directory, path) = directory();
    crate::workers::two_stores_drain_one_graph(open(&path), open(&path)).await;
}

#[tokio::test]
async fn a_change_by_another_store_wakes_those_who_wait() {
    let (_directory, path) = directory();
    let (waiting, changing) = (open(&path), open(&path));
    let seen = waiting.changed(0, Duration::ZERO).await;
    let waiter = tokio::spawn(async move { waiting.changed(seen, Duration::from_secs(600)).await });
    tokio::task::yield_now().await;
    submit(&changing, vec![task("a", &[])]).await;
    let newest =
        tokio::time::timeout(Duration::from_secs(60), waiter).await.expect("the change wakes").unwrap();
    assert!(newest > seen);
}

#[tokio::test]
async fn many_stores_may_make_one_file_at_the_same_time() {
    let (_directory, path) = directory();
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || open(&path))
        })
        .collect();
    let stores: Vec<SharedStore> = openers.into_iter().map(|opener| opener.join().unwrap()).collect();
    let runs =
        futures::future::join_all(stores.iter().map(|store| submit(store, vec![task("a", &[])]))).await;
    for (store, run) in stores.iter().rev().zip(runs) {
        assert_eq!(states(store, &run).await, "a:ready");
    }
}

#[tokio::test]
async fn the_tables_can_be_queried_while_the_store_is_open() {
    let (_directory, path) = directory();
    let store = open(&path);
    let first = NewTask { payload: json!({"item": "moon"}), ..task("a", &[]) };
    let run = submit(&store, vec![first, task("b", &[0])]).await;
    let a = claim_named(&store, "a").await;
    let started = motet_core::run_log::Entry::Finished { result: json!(1) };
    store.journal(&a.token, 0, vec![Record::new("a/step", started)]).await.unwrap();
    done(&store, &a).await;
    let connection = Connection::open(&path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [run.as_str()], |row| row.get::<_, String>(0)).unwrap();
    let tasks = "SELECT group_concat(name || ':' || state || ':' || coalesce(output, ''), ' ') FROM tasks WHERE run = ?1";
    assert_eq!(text(tasks), "a:done:\"a\" b:ready:");
    assert_eq!(text("SELECT payload ->> '$.item' FROM tasks WHERE run = ?1 AND n = 0"), "moon");
    assert_eq!(text("SELECT state || ' ' || done || '/' || tasks FROM runs WHERE id = ?1"), "running 1/2");
    let journal =
        "SELECT journal.kind || ' ' || step FROM journal JOIN run ON run.key = journal.run WHERE run.id = ?1";
    assert_eq!(text(journal), "finished a/step");
}

#[tokio::test]
async fn a_turn_adds_rows_of_its_own_and_conversations_can_be_queried() {
    let (_directory, path) = directory();
    let store = open(&path);
    let conversations = store.conversations().unwrap();
    let id: ConversationId = "trip".parse().unwrap();
    conversations.create(NewConversation::new(id.clone())).await.unwrap();
    let said = |number: u64| vec![Message::user(format!("q{number}")), Message::assistant("x".repeat(2_000))];
    let connection = Connection::open(&path).unwrap();
    let number = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    for turn in 0..200 {
        let addition = Addition::turns(vec![Turn::new(said(turn))]);
        conversations.append(&id, turn, addition).await.unwrap();
    }
    assert_eq!(number("SELECT count(*) FROM conversation_message"), 400);
    assert_eq!(number("SELECT count(*) FROM conversation_turn"), 200);
    assert_eq!(number("SELECT turns * 1000 + version FROM conversations WHERE id = 'trip'"), 200_200);
    assert_eq!(number("SELECT count(*) FROM conversation_message WHERE role = 'user'"), 200);
}

#[tokio::test]
async fn the_file_is_set_up_for_durability_and_shrinking() {
    let (_directory, path) = directory();
    let _store = open(&path);
    let connection = Connection::open(&path).unwrap();
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((number("auto_vacuum"), number("user_version")), (2, 8));
    assert_eq!(&u32::try_from(number("application_id")).unwrap().to_be_bytes(), b"Mote");
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let (_directory, path) = directory();
    fs::write(&path, "tides and winds ".repeat(1000)).unwrap();
    assert_eq!(refused(&path).message(), "the file is no SQLite database");
    assert_eq!(fs::read_to_string(&path).unwrap().len(), 16_000);
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    let (_directory, path) = directory();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path).message(), "the database belongs to another program");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let (_directory, path) = directory();
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&path);
    assert_eq!(error.message(), "the store has version 99; this Motet reads up to 8");
    assert_eq!(error.hint(), Some("use the newer Motet that wrote it, or another file"));
}

#[tokio::test]
async fn damage_is_told_and_not_read_as_an_empty_store() {
    let (_directory, path) = directory();
    let store = open(&path);
    let run = submit(&store, (0..2000).map(|number| task(&number.to_string(), &[])).collect()).await;
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let from = bytes.len() / 4;
    bytes[from..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    // Depending on which page is read first, opening or reading tells.
    let error = match SqliteStore::open(&path, &Options::default()) {
        Err(error) => error,
        Ok(store) => motet_core::store::Store::tasks(&store, &run).await.unwrap_err(),
    };
    assert_eq!((error.kind(), error.message()), (ErrorKind::Store, "the store is damaged"));
    assert_eq!(error.hint(), Some("restore a backup, or save what is left with `sqlite3 FILE .recover`"));
}

#[test]
fn a_directory_in_place_of_the_file_is_refused() {
    let (directory, _path) = directory();
    assert_eq!(refused(directory.path()).message(), "the store cannot be opened");
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let (_directory, path) = directory();
    fs::write(&path, "").unwrap();
    assert_eq!(refused(&path.join("store.db")).message(), "the directory of the store cannot be made");
}

#[tokio::test]
async fn another_spelling_of_the_path_finds_the_same_workers() {
    let (directory, path) = directory();
    let other = directory.path().join(".").join("x").join("..").join("store.db");
    fs::create_dir(directory.path().join("x")).unwrap();
    let (one, two) = (open(&path), open(&other));
    let run = submit(&one, vec![task("a", &[])]).await;
    claim_named(&one, "a").await;
    assert_eq!(two.advance().await.unwrap().reclaimed, 0);
    assert_eq!(states(&two, &run).await, "a:running");
}

#[tokio::test]
async fn a_process_that_holds_the_file_is_waited_for_and_then_named() {
    let (_directory, path) = directory();
    let mut options = Options::default();
    options.busy_timeout = Duration::from_millis(20);
    let store: SharedStore = Arc::new(SqliteStore::open(&path, &options).unwrap());
    let run = submit(&store, vec![task("a", &[])]).await;
    let blocking = Connection::open(&path).unwrap();
    blocking.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.claim(request(1)).await.unwrap_err();
    assert_eq!(error.message(), "another process holds the store for too long");
    assert!(error.retry().is_retryable());
    assert_eq!(states(&store, &run).await, "a:ready");
    blocking.execute_batch("ROLLBACK").unwrap();
    assert_eq!(drain(&store).await, "a");
    assert!(state(&store, &run).await.is_ended());
}

#[tokio::test]
async fn a_worker_whose_name_is_no_file_name_is_kept_inside_its_directory() {
    let (directory, path) = directory();
    let store = open(&path);
    submit(&store, vec![task("a", &[]), task("b", &[])]).await;
    let named = |name: &str| ClaimRequest { worker: WorkerId::from_stored(name), ..request(1) };
    assert_eq!(names(&store.claim(named("../../etc/x")).await.unwrap()), "a");
    assert!(directory.path().join("store.db-workers").join("%2E%2E%2F%2E%2E%2Fetc%2Fx.lock").exists());
    let error = store.claim(named(&"x".repeat(81))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(names(&claim(&store, 1).await), "b");
}

#[tokio::test]
async fn an_unknown_run_of_a_shared_file_is_not_found() {
    let (_directory, path) = directory();
    let (one, two) = (open(&path), open(&path));
    let run = submit(&one, vec![task("a", &[])]).await;
    assert_eq!(states(&two, &run).await, "a:ready");
    assert_eq!(two.tasks(&RunId::new()).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// The queries of the page for people, which run on a store that has some of everything.
#[tokio::test]
async fn the_queries_of_the_guide_give_rows() {
    let (_directory, path) = directory();
    let store = open(&path);
    crate::copies::colourful(&store).await;
    let failed = submit(&store, vec![task("tide", &[])]).await;
    let claims = store.claim(ClaimRequest { run: Some(failed), ..request(1) }).await.unwrap();
    fail(&store, &claims[0], ErrorKind::ToolFailed).await;
    store.seen(&crate::admin::worker("one")).await.unwrap();
    crate::books::reserve_some(&store).await;
    submit(&store, vec![task("held", &[])]).await;
    claim_named(&store, "b[1]").await;
    let connection = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let guide = include_str!("../../../../docs/guide/stores-sqlite.md");
    let queries: Vec<&str> =
        guide.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(queries.len() >= 8, "the guide has {} queries", queries.len());
    for sql in queries {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let rows = statement.query_map((), |_| Ok(())).unwrap();
        assert!(rows.collect::<Result<Vec<_>, _>>().unwrap().len() > 0, "no rows: {sql}");
    }
}
