//! What the public contract cannot bring about: a full disk, a clock that ran ahead, a command that fails among others.

use motet_core::error::{Error, ErrorKind};
use motet_core::id::{Millis, WorkerId};
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
        in_hand: 0,
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
    let due = progress.next_due.unwrap();
    assert!(due <= HOUR && due > HOUR / 2, "{due:?} by the clock of the store");
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
        Ok(claim::CLAIMS.map(plan))
    };
    assert_eq!(
        store.readers.run(plans).await.unwrap(),
        [
            "SEARCH task USING COVERING INDEX ready (queue=? AND (prio,not_before,run,n)>(?,?,?,?))",
            "SEARCH task USING COVERING INDEX ready_of_run (run=? AND queue=? AND (prio,not_before,n)>(?,?,?))",
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
        let statement = session.connection.prepare_cached(claim::CLAIMS[0]).unwrap();
        let count = |status| statement.get_status(status);
        Ok((count(rusqlite::StatementStatus::Run), count(rusqlite::StatementStatus::RePrepare)))
    };
    let (runs, prepared_again) = store.writer.run(prepared).await.unwrap();
    assert!(runs >= 3, "the statement is not the one that claims run");
    assert_eq!(prepared_again, 0);
}

#[tokio::test]
async fn a_full_disk_loses_no_task() {
    let (_directory, store) = open();
    let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = store.submit(run_of(&names)).await.unwrap();
    let big = || json!("x".repeat(12_000));
    let (mut refused, mut pages) = (0, 70);
    let mut held: Option<Claim> = None;
    while !store.run(&run).await.unwrap().unwrap().summary.state.is_ended() {
        limit_pages(&store, pages).await;
        let claim = match held.take() {
            Some(claim) => claim,
            None => claim(&store).await,
        };
        match store.complete(&claim.token, Outcome::Done { output: big() }).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(
                    (error.kind(), error.message()),
                    (ErrorKind::Store, "the disk of the store is full")
                );
                // Nothing of it was done: the worker still has the task, and somebody frees some space.
                let held_by = store.renew(std::slice::from_ref(&claim.token), HOUR).await;
                assert!(held_by.is_err() || held_by.unwrap() == [LeaseState::Held]);
                (refused, pages, held) = (refused + 1, pages + 20, Some(claim));
            }
        }
    }
    assert!(refused > 3, "the disk was never full");
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert_eq!((summary.state, summary.done, summary.active), (RunState::Completed, 40, 0));
    let events = Store::events(&store, &run, 0, 1_000).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=82), "{events:?}");
}

#[tokio::test]
async fn after_a_failed_write_the_rows_are_read_again() {
    let (_directory, store) = open();
    let run = store.submit(run_of(&["a", "b"])).await.unwrap();
    let first = claim(&store).await;
    let fails = store.writer.run_checked(move |session| {
        commands::complete(session, &first.token, Outcome::Done { output: json!(1) })?;
        Err::<(), _>(Error::new(ErrorKind::Store, "the disk went away"))
    });
    // Another command of the same transaction is lost with it, and says so.
    let seen = worker();
    let (failed, lost) = futures::join!(fails, store.seen(&seen));
    assert_eq!(failed.unwrap_err().message(), "the disk went away");
    if let Err(error) = lost {
        assert_eq!(error.message(), "the transaction was rolled back");
    }
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert_eq!((summary.done, summary.active), (0, 1));
    let second = claim(&store).await;
    let applied = store.complete(&second.token, Outcome::Done { output: json!(1) }).await.unwrap();
    assert_eq!(applied.run, RunState::Running);
    let summary = store.run(&run).await.unwrap().unwrap().summary;
    assert_eq!((summary.done, summary.active), (1, 1));
}

fn worker() -> WorkerInfo {
    WorkerInfo {
        id: WorkerId::from_stored("one"),
        host: "brook".to_owned(),
        pid: 7,
        queues: Vec::new(),
        capacity: 1,
        version: "1".to_owned(),
        started_at: Millis(1),
        seen_at: Millis(1),
    }
}

#[tokio::test]
async fn a_worker_that_was_not_seen_for_a_day_is_forgotten() {
    let (_directory, store) = open();
    store.seen(&worker()).await.unwrap();
    store.shared.clock.jump(23 * 3_600_000);
    assert_eq!(store.workers().await.unwrap().len(), 1);
    store.shared.clock.jump(2 * 3_600_000);
    assert_eq!(store.workers().await.unwrap(), []);
}

#[tokio::test]
async fn when_the_clock_jumps_ahead_leases_end_and_late_reports_are_refused() {
    let (_directory, store) = open();
    let mut run = run_of(&["a", "b"]);
    run.tasks[1].delay = HOUR;
    store.submit(run).await.unwrap();
    let first = claim(&store).await;
    store.shared.clock.jump(2 * 3_600_000);
    assert_eq!(store.advance().await.unwrap().reclaimed, 1);
    // The delay is over, too.
    let names = [claim(&store).await.task.name, claim(&store).await.task.name];
    let late = store.complete(&first.token, Outcome::Done { output: json!(1) }).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(names.map(|name| name == "b").iter().filter(|is_b| **is_b).count(), 1);
}

#[tokio::test]
async fn when_the_clock_jumps_back_nothing_waits_for_the_old_time() {
    let (_directory, store) = open();
    let run = store.submit(run_of(&["a", "b"])).await.unwrap();
    let first = claim(&store).await;
    let began = first.task.started_at.unwrap();
    store.shared.clock.jump(-10 * 3_600_000);
    let progress = store.advance().await.unwrap();
    assert_eq!(progress.reclaimed, 0);
    let due = progress.next_due.unwrap();
    assert!(due <= HOUR && due > HOUR - Duration::from_secs(60), "{due:?}");
    let second = claim(&store).await;
    assert!(second.task.started_at.unwrap() >= began);
    for claim in [first, second] {
        store.complete(&claim.token, Outcome::Done { output: json!(1) }).await.unwrap();
    }
    let events = Store::events(&store, &run, 0, 100).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.at), "{events:?}");
}

/// Gives one number out of the file.
async fn number(store: &SqliteStore, sql: &'static str) -> i64 {
    store
        .readers
        .run(move |connection| Ok(connection.query_row(sql, (), |row| row.get(0)).unwrap()))
        .await
        .unwrap()
}

#[tokio::test]
async fn long_payloads_and_results_are_stored_once_and_go_with_the_last_task() {
    let (_directory, store) = open();
    let long = || json!("x".repeat(40_000));
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut run = run_of(&["a", "b"]);
        run.tasks.iter_mut().for_each(|task| task.payload = long());
        runs.push(store.submit(run).await.unwrap());
    }
    assert_eq!(number(&store, "SELECT count(*) * 100 + sum(refs) FROM blob").await, 104);
    for _ in 0..4 {
        let claim = claim(&store).await;
        assert_eq!(claim.task.payload, long());
        store.complete(&claim.token, Outcome::Done { output: long() }).await.unwrap();
    }
    assert_eq!(number(&store, "SELECT count(*) * 100 + sum(refs) FROM blob").await, 108);
    assert_eq!(
        number(&store, "SELECT count(*) FROM tasks WHERE length(payload) = 40002 AND length(output) = 40002")
            .await,
        4
    );
    assert_eq!(store.outputs(&runs[0], &[0, 1]).await.unwrap(), [Some(long()), Some(long())]);
    let before = upkeep::bytes(&store.shared.path).unwrap();
    let one = PruneRequest {
        ended_before: Millis::now().after(HOUR),
        states: Vec::new(),
        limit: 1,
        dry_run: false,
    };
    assert_eq!(Store::prune(&store, &one).await.unwrap(), Pruned { runs: 1, tasks: 2 });
    assert_eq!(number(&store, "SELECT count(*) * 100 + sum(refs) FROM blob").await, 104);
    Store::prune(&store, &one).await.unwrap();
    assert_eq!(number(&store, "SELECT count(*) FROM blob").await, 0);
    assert!(before > 40_000);
}

#[tokio::test]
async fn a_removal_gives_its_pages_back_and_is_finished_by_the_next_one() {
    let (_directory, store) = open();
    let names: Vec<String> = (0..6_000).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = store.submit(run_of(&names)).await.unwrap();
    store.control(&run, motet_core::store::Control::Cancel).await.unwrap();
    let all = PruneRequest {
        ended_before: Millis::now().after(HOUR),
        states: Vec::new(),
        limit: 9,
        dry_run: false,
    };
    // As when the process dies after the first step.
    let request = all.clone();
    let hidden = store.writer.run(move |session| upkeep::hide(session, 1, &request)).await.unwrap();
    assert_eq!(hidden.tasks, 6_000);
    assert!(store.run(&run).await.unwrap().is_none());
    assert_eq!(
        store.stats().await.unwrap(),
        StoreStats { bytes: upkeep::bytes(&store.shared.path), ..StoreStats::default() }
    );
    // A run that is stored meanwhile does not inherit the rows.
    let next = store.submit(run_of(&["a"])).await.unwrap();
    assert_eq!(store.tasks(&next).await.unwrap().len(), 1);
    let pages = number(&store, "SELECT page_count FROM pragma_page_count").await;
    assert_eq!(Store::prune(&store, &all).await.unwrap(), Pruned::default());
    assert_eq!(number(&store, "SELECT count(*) FROM task").await, 1);
    assert_eq!(number(&store, "SELECT count(*) FROM removed").await, 0);
    let left = number(&store, "SELECT page_count FROM pragma_page_count").await;
    assert!(left * 2 < pages, "{left} of {pages} pages are left");
    assert_eq!(store.tasks(&next).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_run_with_many_ready_tasks_costs_a_claim_no_look_at_them() {
    let (_directory, store) = open();
    let names: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.submit(NewRun { max_active: Some(1), ..run_of(&names) }).await.unwrap();
    store.submit(run_of(&["other"])).await.unwrap();
    assert_eq!(claim(&store).await.task.name, "0");
    let steps = |session: &writer::Session<'_>| {
        let statement = session.connection.prepare_cached(claim::CLAIMS[0]).unwrap();
        Ok(statement.get_status(rusqlite::StatementStatus::VmStep))
    };
    let before = store.writer.run(steps).await.unwrap();
    assert_eq!(claim(&store).await.task.name, "other");
    let after = store.writer.run(steps).await.unwrap();
    assert!(after - before < 2_000, "{} steps", after - before);
}

#[tokio::test]
async fn pages_are_given_back_by_thousands() {
    let (_directory, store) = open();
    let fill = |session: &writer::Session<'_>| {
        let run = |sql: &str| session.connection.execute(sql, ()).map(drop).unwrap();
        run("INSERT INTO blob (hash, refs, body) \
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500) \
             SELECT n, 0, hex(zeroblob(2000)) FROM n");
        run("DELETE FROM blob");
        Ok(())
    };
    store.writer.run(fill).await.unwrap();
    assert!(number(&store, "SELECT freelist_count FROM pragma_freelist_count").await > 300);
    store.writer.run(|session| upkeep::vacuum(session.connection, 300)).await.unwrap();
    let left = number(&store, "SELECT freelist_count FROM pragma_freelist_count").await;
    assert!(left < 300, "{left} pages are left");
}

#[tokio::test]
async fn after_a_failed_flush_nothing_is_promised_before_the_log_is_in_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("store.db"), directory.path().join("other.db"));
    let store = SqliteStore::open_file(&path, &Options::default(), Some(&other)).unwrap();
    let lost = store.submit(run_of(&["a"])).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Store);
    assert!(lost.retry().is_retryable() && lost.message().starts_with("the disk of the store"), "{lost}");
    // What was promised before its flush is there, and what needs none is answered.
    assert_eq!(claim(&store).await.task.name, "a");
    std::fs::write(directory.path().join("other.db-wal"), "").unwrap();
    store.submit(run_of(&["b"])).await.unwrap();
    // Without its log, the file has what the failed flush left.
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let copy = SqliteStore::open(&copy, &Options::default()).unwrap();
    let runs = copy.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.tasks).collect::<Vec<_>>(), [1]);
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_is_closed_answers_everything_first() {
    let (directory, store) = open();
    let path = directory.path().join("store.db");
    let submitted: Vec<_> = (0..20).map(|_| store.submit(run_of(&["a"]))).collect();
    futures::future::join_all(submitted).await.into_iter().for_each(|run| drop(run.unwrap()));
    drop(store);
    assert!(!directory.path().join("store.db-wal").exists());
    let again = SqliteStore::open(&path, &Options::default()).unwrap();
    assert_eq!(again.runs(&RunFilter::default()).await.unwrap().len(), 20);
}
