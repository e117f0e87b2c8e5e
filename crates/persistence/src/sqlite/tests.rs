//! What the public contract cannot bring about: a full disk, a clock that ran ahead, a command that fails among others.

use motet_core::error::{Error, ErrorKind};
use motet_core::id::WorkerId;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{DEFAULT_QUEUE, NewTask, RunState};
use serde_json::json;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn open() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("store.db"), &Options::default()).unwrap();
    (directory, store)
}

fn run_of(names: &[&str]) -> NewRun {
    let task =
        |name: &&str| NewTask { queue: DEFAULT_QUEUE.to_owned(), ..NewTask::named((*name).to_owned()) };
    NewRun {
        id: RunId::new(),
        definition: Value::Null,
        ..NewRun::new("workflow", "test".to_owned(), names.iter().map(task).collect())
    }
}

async fn claim(store: &SqliteStore) -> Claim {
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![DEFAULT_QUEUE.to_owned()],
        run: None,
        limit: 1,
        ttl: HOUR,
        max_active: None,
    };
    store.claim(request).await.unwrap().remove(0)
}

/// Sets how many pages the file may have, as a disk of that size would.
async fn limit_pages(store: &SqliteStore, pages: i64) {
    let limit = move |session: &writer::Session<'_>| {
        session.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        Ok(())
    };
    store.writer.run(limit).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_space() {
    let (_directory, store) = open();
    let run = store.submit(run_of(&["a"])).await.unwrap();
    let claim = claim(&store).await;
    limit_pages(&store, 60).await;
    let record = |size| vec![Record::new("s", Entry::Finished { result: json!("x".repeat(size)) })];
    let error = store.journal(&claim.token, 0, record(1 << 20)).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Store, "the disk of the store is full"));
    assert!(error.hint().is_some());
    assert_eq!(store.records(&run, 0, 9).await.unwrap(), []);
    assert_eq!(store.journal(&claim.token, 0, record(10)).await.unwrap(), 1);
    limit_pages(&store, 1 << 20).await;
    assert_eq!(store.journal(&claim.token, 1, record(1 << 20)).await.unwrap(), 2);
    let applied = store.complete(&claim.token, Outcome::Done { output: json!(1) }).await.unwrap();
    assert_eq!(applied.run, RunState::Completed);
}

#[tokio::test]
async fn a_command_that_fails_leaves_those_of_the_same_transaction_alone() {
    let (_directory, store) = open();
    let insert = |key: &'static str, fails: bool| {
        store.writer.run(move |session| {
            session.connection.execute("INSERT INTO meta (k, v) VALUES (?1, 1)", [key]).unwrap();
            if fails { Err(Error::new(ErrorKind::Conflict, "no")) } else { Ok(key) }
        })
    };
    let results =
        futures::future::join_all([insert("a", false), insert("b", true), insert("c", false)]).await;
    assert_eq!(results[0].as_ref().unwrap(), &"a");
    assert_eq!(results[1].as_ref().unwrap_err().message(), "no");
    assert_eq!(results[2].as_ref().unwrap(), &"c");
    let keys = |connection: &rusqlite::Connection| {
        let sql = "SELECT group_concat(k, ' ') FROM (SELECT k FROM meta WHERE k <> 'clock' ORDER BY k)";
        Ok(connection.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap())
    };
    assert_eq!(store.readers.run(keys).await.unwrap(), "a c");
}

#[tokio::test]
async fn a_clock_that_ran_ahead_ends_no_lease_early_and_delays_no_task() {
    let (directory, store) = open();
    store.submit(run_of(&["a", "b"])).await.unwrap();
    drop(store);
    let path = directory.path().join("store.db");
    let ahead = motet_core::Millis::now().after(HOUR * 10);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET v = ?1 WHERE k = 'clock'", [ahead.0]).unwrap();
    drop(connection);
    let store = SqliteStore::open(&path, &Options::default()).unwrap();
    assert_eq!(store.advance().await.unwrap(), Progress::default());
    let first = claim(&store).await;
    assert!(first.task.started_at >= Some(ahead));
    let progress = store.advance().await.unwrap();
    assert_eq!(progress.reclaimed, 0);
    assert!(progress.next_due >= Some(ahead.after(HOUR)));
    let released = store.complete(&first.token, Outcome::Released).await.unwrap();
    assert_eq!(released.ready, 1);
    claim(&store).await;
    claim(&store).await;
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let (_directory, store) = open();
    let plans = |connection: &rusqlite::Connection| {
        let plan = |sql: &str| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let count = statement.parameter_count();
            let rows =
                statement.query_map(rusqlite::params_from_iter(vec![0; count]), |row| row.get(3)).unwrap();
            rows.collect::<rusqlite::Result<Vec<String>>>().unwrap().join("; ")
        };
        Ok(commands::CLAIMS.map(plan))
    };
    assert_eq!(
        store.readers.run(plans).await.unwrap(),
        [
            "SEARCH task USING COVERING INDEX ready (queue=? AND prio=? AND not_before<?)",
            "SEARCH task USING COVERING INDEX ready_of_run (run=? AND queue=? AND prio=? AND not_before<?)",
        ]
    );
}

#[tokio::test]
async fn statements_are_prepared_once_whatever_values_they_get() {
    let (_directory, store) = open();
    store.submit(run_of(&["a", "b", "c"])).await.unwrap();
    for _ in 0..3 {
        let claim = claim(&store).await;
        store.complete(&claim.token, Outcome::Done { output: json!(1) }).await.unwrap();
    }
    let prepared = |session: &writer::Session<'_>| {
        let statement = session.connection.prepare_cached(commands::CLAIMS[0]).unwrap();
        let count = |status| statement.get_status(status);
        Ok((count(rusqlite::StatementStatus::Run), count(rusqlite::StatementStatus::RePrepare)))
    };
    let (runs, prepared_again) = store.writer.run(prepared).await.unwrap();
    assert!(runs >= 3, "the statement is not the one that claims run");
    assert_eq!(prepared_again, 0);
}
