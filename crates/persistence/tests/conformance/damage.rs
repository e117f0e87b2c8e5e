//! Files that lost a part: a store opens with what came before it, or says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind};
use motet_core::store::{NewRun, RunFilter, SharedStore};
use motet_persistence::sqlite::{Options, SqliteStore};

use crate::fixture::{drain, run_of, submit, task};

fn open(path: &Path) -> Result<SharedStore, Error> {
    Ok(Arc::new(SqliteStore::open(path, &Options::default())?))
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// A store that is still open, with so many runs whose names are their numbers.
async fn with_runs(path: &Path, count: usize) -> SharedStore {
    let store = open(path).unwrap();
    for number in 0..count {
        let new = NewRun { name: number.to_string(), ..run_of(vec![task("a", &[]), task("b", &[0])]) };
        store.submit(new).await.unwrap();
    }
    store
}

/// Checks that a store holds the first runs and no others, and that these go on; tells how many.
async fn prefix(store: &SharedStore) -> usize {
    let mut names: Vec<usize> = store
        .runs(&RunFilter::default())
        .await
        .unwrap()
        .iter()
        .map(|run| run.name.parse().unwrap())
        .collect();
    names.sort_unstable();
    assert!(names.iter().copied().eq(0..names.len()), "{names:?}");
    let order = drain(store).await;
    assert_eq!(order.split_whitespace().count(), names.len() * 2);
    names.len()
}

#[tokio::test]
async fn a_write_ahead_log_that_lost_its_end_gives_what_came_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let _store = with_runs(&path, 6).await;
    let (file, log) = (fs::read(&path).unwrap(), fs::read(log_of(&path)).unwrap());
    let mut found = Vec::new();
    for part in 0..=12 {
        for zeroed in [false, true] {
            let copy = directory.path().join(format!("{part}-{zeroed}.db"));
            let mut rest = log.clone();
            let from = log.len() * part / 12;
            if zeroed {
                rest[from..].fill(0)
            } else {
                rest.truncate(from)
            }
            fs::write(&copy, &file).unwrap();
            fs::write(log_of(&copy), rest).unwrap();
            found.push(prefix(&open(&copy).unwrap()).await);
        }
    }
    assert!(found.is_sorted(), "{found:?}");
    assert_eq!((found[0], found[found.len() - 1]), (0, 6));
}

#[tokio::test]
async fn a_file_that_lost_its_end_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(with_runs(&path, 200).await);
    let file = fs::read(&path).unwrap();
    assert!(!log_of(&path).exists());
    for part in 1..8 {
        for zeroed in [false, true] {
            let copy = directory.path().join(format!("{part}-{zeroed}.db"));
            let mut rest = file.clone();
            let from = file.len() * part / 8;
            if zeroed {
                rest[from..].fill(0)
            } else {
                rest.truncate(from)
            }
            fs::write(&copy, rest).unwrap();
            // Depending on which page is read first, opening or reading tells.
            let told = match open(&copy) {
                Err(error) => error,
                Ok(store) => {
                    read_all(&store).await.expect_err("a store without its half is read as if it were whole")
                }
            };
            assert_eq!(told.kind(), ErrorKind::Store, "{told}");
            assert_eq!(told.message(), "the store is damaged", "{part} {zeroed}");
            assert_eq!(
                told.hint(),
                Some("restore a backup, or save what is left with `sqlite3 FILE .recover`")
            );
        }
    }
}

/// Reads everything there is.
async fn read_all(store: &SharedStore) -> Result<(), Error> {
    let runs = store.runs(&RunFilter::default()).await?;
    assert_eq!(runs.len(), 200);
    for run in runs {
        store.run(&run.id).await?;
        store.tasks(&run.id).await?;
        store.events(&run.id, 0, 100).await?;
        store.dump(&run.id).await?;
    }
    store.stats().await?;
    Ok(())
}

#[tokio::test]
async fn a_file_of_a_few_bytes_is_no_store_and_an_empty_one_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(with_runs(&path, 1).await);
    let file = fs::read(&path).unwrap();
    let short = directory.path().join("short.db");
    fs::write(&short, &file[..50]).unwrap();
    let error = open(&short).err().unwrap();
    assert_eq!(error.message(), "the store is damaged");
    assert!(error.hint().is_some());
    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    let store = open(&empty).unwrap();
    submit(&store, vec![task("a", &[])]).await;
    assert_eq!(drain(&store).await, "a");
}

#[tokio::test]
async fn an_empty_write_ahead_log_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(with_runs(&path, 3).await);
    fs::write(log_of(&path), "").unwrap();
    assert_eq!(prefix(&open(&path).unwrap()).await, 3);
}
