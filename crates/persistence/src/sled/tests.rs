//! What only a store in a directory of sled's must do: survive kills, torn files, and full disks.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use motet_core::error::ErrorKind;
use motet_core::id::WorkerId;
use motet_core::store::{NewTask, RunState, TaskState};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Names the directory that a process which is to be killed writes to.
const VICTIM: &str = "MOTET_TEST_SLED_VICTIM";

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    (directory, path)
}

fn open(path: &Path) -> SledStore {
    SledStore::open(path).unwrap()
}

fn refused(path: &Path) -> String {
    let error = SledStore::open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    format!("{error} | {}", error.hint().unwrap_or_default())
}

fn one_task() -> NewRun {
    NewRun { definition: json!({"of": "test"}), ..NewRun::new("workflow", "test", vec![NewTask::named("a")]) }
}

async fn claim(store: &SledStore) -> Claim {
    claim_of(store, None).await
}

async fn claim_of(store: &SledStore, run: Option<&RunId>) -> Claim {
    let ttl = Duration::from_secs(3600);
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: Vec::new(),
        run: run.cloned(),
        limit: 1,
        ttl,
        max_active: None,
        in_hand: 0,
    };
    store.claim(request).await.unwrap().remove(0)
}

/// Stores a run of one task and ends it with a result.
async fn ended(store: &SledStore, output: Value) -> RunId {
    let run = store.submit(one_task()).await.unwrap();
    let claim = claim_of(store, Some(&run)).await;
    store.complete(&claim.token, Outcome::Done { output }).await.unwrap();
    run
}

/// Gives the rows as they lie in the directory.
fn raw<T>(path: &Path, look: impl FnOnce(&::sled::Db) -> T) -> T {
    // The library frees its lock a moment after a store is closed.
    let begun = std::time::Instant::now();
    let db = loop {
        match ::sled::open(path) {
            Ok(db) => break db,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    let seen = look(&db);
    db.flush().unwrap();
    seen
}

/// The process that `what_was_told_survives_kills` kills; nothing where that does not start it.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let store = open(Path::new(&path));
    loop {
        let run = ended(&store, json!("x".repeat(2_000))).await;
        println!("\ndone {run}");
    }
}

#[tokio::test]
async fn what_was_told_survives_kills() {
    let (_directory, path) = place();
    let mut told = Vec::new();
    for lines in [1, 20, 7] {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sled::tests::writes_until_it_is_killed", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
        let done = output.filter_map(|line| line.strip_prefix("done ").map(str::to_owned));
        told.extend(done.take(lines));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    assert_eq!(told.len(), 28);
    let store = open(&path);
    for id in told {
        let run: RunId = id.parse().unwrap();
        let found = store.run(&run).await.unwrap().unwrap();
        assert_eq!((found.summary.state, found.definition), (RunState::Completed, json!({"of": "test"})));
        assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!("x".repeat(2_000)))]);
    }
    // At most one run of each process was in the middle of something: it goes on.
    for run in
        store.runs(&RunFilter { state: Some(RunState::Running), ..RunFilter::default() }).await.unwrap()
    {
        let task = store.tasks(&run.id).await.unwrap().remove(0);
        assert_eq!((task.state, run.active), (TaskState::Ready, 0));
        let held = claim_of(&store, Some(&run.id)).await;
        store.complete(&held.token, Outcome::Done { output: json!(1) }).await.unwrap();
    }
    ended(&store, json!(2)).await;
}

#[tokio::test]
async fn a_snapshot_that_was_never_finished_does_not_keep_the_store_closed() {
    let (_directory, path) = place();
    let run = ended(&open(&path), json!(1)).await;
    let torn = path.join("snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&torn, "").unwrap();
    assert!(matches!(::sled::open(&path), Err(::sled::Error::Corruption { .. })), "the library minds it");
    fs::write(path.join("snap.FFFFFFFFFFFFFFFE"), "").unwrap();
    let store = open(&path);
    assert!(!torn.exists());
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!(1))]);
}

#[tokio::test]
async fn a_damaged_snapshot_is_removed_after_a_copy_was_made() {
    let (directory, path) = place();
    let run = ended(&open(&path), json!(1)).await;
    fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), [7; 100]).unwrap();
    let store = open(&path);
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!(1))]);
    let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2);
    assert!(names[1].starts_with("store.damaged-"), "{names:?}");
    let copy = directory.path().join(&names[1]);
    assert!(copy.join("db").exists() && copy.join("snap.FFFFFFFFFFFFFFFF").exists());
}

#[tokio::test]
async fn a_log_whose_end_is_cut_off_opens_with_what_came_before_or_says_so() {
    let (_directory, path) = place();
    let store = open(&path);
    let mut runs = Vec::new();
    for number in 0..40 {
        runs.push(ended(&store, json!([number, "x".repeat(1_000)])).await);
    }
    drop(store);
    let log = fs::read(path.join("db")).unwrap();
    let written = log.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(path.join("db"), &log[..written - written / 4]).unwrap();
    match SledStore::open(&path) {
        Ok(store) => {
            let mut found = 0;
            for (number, run) in runs.iter().enumerate() {
                let Some(stored) = store.run(run).await.unwrap() else { continue };
                found += 1;
                if stored.summary.state == RunState::Completed {
                    let output = store.outputs(run, &[0]).await.unwrap();
                    assert_eq!(output, [Some(json!([number, "x".repeat(1_000)]))]);
                }
            }
            assert!(found > 0, "the beginning is there");
            ended(&store, json!(1)).await;
        }
        Err(error) => assert!(error.hint().is_some_and(|hint| hint.contains("store.damaged-")), "{error}"),
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_lets_them_through_when_there_is_room() {
    static FREE: AtomicU64 = AtomicU64::new(0);
    let (_directory, path) = place();
    let open = || SledStore::open_where(path.clone(), |_| Some(FREE.load(Ordering::SeqCst)));
    FREE.store(files::LEAST_FREE - 1, Ordering::SeqCst);
    let error = open().unwrap_err();
    assert!(error.to_string().starts_with("only 63 MB are free"), "{error}");
    FREE.store(files::LEAST_FREE, Ordering::SeqCst);
    let store = open().unwrap();
    let run = store.submit(one_task()).await.unwrap();
    let held = claim(&store).await;
    FREE.store(0, Ordering::SeqCst);
    let done = || Outcome::Done { output: json!(1) };
    let error = store.complete(&held.token, done()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(store.tasks(&run).await.unwrap()[0].state, TaskState::Running, "it can be read");
    FREE.store(files::LEAST_FREE, Ordering::SeqCst);
    assert_eq!(store.complete(&held.token, done()).await.unwrap().run, RunState::Completed);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_open() {
    let (_directory, path) = place();
    let store = open(&path);
    let message = refused(&path);
    assert!(message.contains("is open already | one process at a time"), "{message}");
    drop(store);
    open(&path);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let (_directory, path) = place();
    let run = ended(&open(&path), json!(1)).await;
    raw(&path, |db| db.insert(keys::FORMAT, b"\x012").unwrap());
    assert!(refused(&path).starts_with("the store has the layout 2, and this version of Motet knows 1"));
    raw(&path, |db| {
        db.insert(keys::FORMAT, b"\x011").unwrap();
        db.insert(keys::named(keys::of_run::HEAD, run.as_str()), b"\x09{}").unwrap()
    });
    assert!(refused(&path).contains("has the format 9, which is not known"));
}

#[tokio::test]
async fn what_workers_had_in_hand_is_ready_when_the_store_is_opened_again() {
    let (_directory, path) = place();
    let store = open(&path);
    let run = store.submit(one_task()).await.unwrap();
    let held = claim(&store).await;
    drop(store);
    let store = open(&path);
    let task = store.tasks(&run).await.unwrap().remove(0);
    assert_eq!((task.state, task.crashes, task.attempt), (TaskState::Ready, 1, 1));
    let late = store.complete(&held.token, Outcome::Done { output: json!(1) }).await.unwrap();
    assert_eq!((late.state, late.ready), (TaskState::Ready, 0), "the lease is over");
    assert_ne!(claim(&store).await.token, held.token);
}

#[tokio::test]
async fn what_a_worker_behind_a_server_has_in_hand_stays_there_when_the_store_is_opened_again() {
    let (_directory, path) = place();
    let store = open(&path);
    let run = store.submit(one_task()).await.unwrap();
    let ttl = Duration::from_secs(3600);
    let (worker, queues) = (WorkerId::new().away(), Vec::new());
    let request = ClaimRequest { worker, queues, run: None, limit: 1, ttl, max_active: None, in_hand: 0 };
    let held = store.claim(request).await.unwrap().remove(0);
    drop(store);
    let store = open(&path);
    let task = store.tasks(&run).await.unwrap().remove(0);
    assert_eq!((task.state, task.crashes, task.attempt), (TaskState::Running, 0, 1));
    let ended = store.complete(&held.token, Outcome::Done { output: json!(1) }).await.unwrap();
    assert_eq!(ended.state, TaskState::Done);
}

#[tokio::test]
async fn runs_that_ended_are_read_when_somebody_asks() {
    let (_directory, path) = place();
    let store = open(&path);
    let mut runs = Vec::new();
    for number in 0..80 {
        runs.push(ended(&store, json!(number)).await);
    }
    let resident =
        |session: &mut Session, _| Ok(session.machine.runs().iter().filter(|run| run.is_resident).count());
    assert!(store.with(Access::Read, resident).await.unwrap() <= 65);
    assert_eq!(store.outputs(&runs[0], &[0]).await.unwrap(), [Some(json!(0))]);
    drop(store);
    let store = open(&path);
    assert_eq!(store.with(Access::Read, resident).await.unwrap(), 0);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.runs, stats.tasks), (vec![(RunState::Completed, 80)], vec![(TaskState::Done, 80)]));
    assert_eq!((stats.events, stats.journal), (80 * 4, 0));
    let listed = store.runs(&RunFilter::default()).await.unwrap();
    assert!(listed.iter().map(|run| &run.id).eq(runs.iter().rev()), "the newest come first");
    let prune =
        PruneRequest { ended_before: Millis(i64::MAX), states: Vec::new(), limit: 79, dry_run: false };
    assert_eq!(Store::prune(&store, &prune).await.unwrap(), Pruned { runs: 79, tasks: 79 });
    drop(store);
    let left = raw(&path, |db| db.iter().keys().map(Result::unwrap).filter(|key| key[0] != b'm').count());
    assert_eq!(
        left, 9,
        "a head, a definition, a task and what was submitted as it, a result, and four events"
    );
}

#[tokio::test]
async fn long_values_lie_apart_and_go_with_their_rows() {
    let (_directory, path) = place();
    let store = open(&path);
    let long = json!("x".repeat(20_000));
    let run = ended(&store, long.clone()).await;
    drop(store);
    let apart = |db: &::sled::Db| db.scan_prefix(keys::APART).count();
    assert_eq!(raw(&path, apart), 1);
    let store = open(&path);
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(long)]);
    let prune = PruneRequest { ended_before: Millis(i64::MAX), states: Vec::new(), limit: 9, dry_run: false };
    Store::prune(&store, &prune).await.unwrap();
    drop(store);
    assert_eq!(raw(&path, apart), 0);
}
