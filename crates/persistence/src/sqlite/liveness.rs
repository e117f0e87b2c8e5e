//! Tells whether a worker still lives: while it does, its store holds an exclusive lock on a file of the worker's name.
//!
//! Knows nothing of tasks. The operating system frees the locks of a process that dies, however it dies.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::WorkerId;

/// Ending of a lock file; one that is not locked yet has another, so that nobody takes its worker for dead.
const LOCKED: &str = "lock";
const FRESH: &str = "new";

/// Longest name of a worker, in bytes.
const LONGEST_NAME: usize = 80;

/// As many own workers keep their locks; beyond that the idle ones lose theirs until they claim again.
const CROWD: usize = 64;

/// The workers that claim through one open store, and a look at those of others.
#[derive(Debug)]
pub(super) struct Workers {
    directory: PathBuf,
    held: Mutex<HashMap<String, File>>,
}

impl Workers {
    /// Keeps the locks in a directory beside the store's file.
    pub(super) fn beside(store: &Path) -> Self {
        let mut directory = OsString::from(store);
        directory.push("-workers");
        let workers = Self { directory: directory.into(), held: Mutex::default() };
        workers.sweep();
        workers
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks a worker's file unless that is done already. A worker behind a server has none: what lives here is the
    /// server, and it may end and begin again while the worker goes on.
    pub(super) fn enlist(&self, worker: &WorkerId) -> Result<()> {
        if worker.is_away() || self.held().contains_key(worker.as_str()) {
            return Ok(());
        }
        if worker.as_str().len() > LONGEST_NAME {
            let message =
                format!("a worker's name has {} bytes; at most {LONGEST_NAME} fit", worker.as_str().len());
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let file = self.lock_new(worker.as_str()).map_err(|error| {
            Error::new(ErrorKind::Store, "the lock file of a worker cannot be written")
                .with_context("file", self.path(worker.as_str(), LOCKED).display().to_string())
                .with_hint("the directory of the store must be writable, on a disk with free space")
                .with_source(error)
        })?;
        self.held().insert(worker.as_str().to_owned(), file);
        Ok(())
    }

    fn lock_new(&self, worker: &str) -> io::Result<File> {
        let (fresh, locked) = (self.path(worker, FRESH), self.path(worker, LOCKED));
        let create = || {
            fs::create_dir_all(&self.directory)?;
            File::create(&fresh)
        };
        // Another store that closes may remove the empty directory in between.
        let file = create().or_else(|_| create())?;
        file.try_lock()?;
        fs::rename(&fresh, &locked)?;
        Ok(file)
    }

    /// Tells whether so many workers were enlisted that idle ones should be let go.
    pub(super) fn is_crowded(&self) -> bool {
        self.held().len() > CROWD
    }

    /// Lets all own workers go that are not in this set.
    pub(super) fn keep_only(&self, busy: &HashSet<String>) {
        self.held().retain(|worker, _| {
            let stays = busy.contains(worker);
            if !stays {
                // Should it stay behind, its lock is free and it is swept later.
                let _ = fs::remove_file(self.path(worker, LOCKED));
            }
            stays
        });
    }

    /// Tells whether a worker is surely dead. One whose file cannot be looked at counts as living.
    pub(super) fn is_dead(&self, worker: &str) -> bool {
        if WorkerId::from_stored(worker).is_away() || self.held().contains_key(worker) {
            return false;
        }
        match File::open(self.path(worker, LOCKED)) {
            Ok(file) => is_free(&file),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the files of dead workers. What cannot be read or removed stays: it harms nobody.
    pub(super) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let held = self.held();
        let own: HashSet<PathBuf> = held.keys().map(|worker| self.path(worker, LOCKED)).collect();
        for path in entries.flatten().map(|entry| entry.path()) {
            let candidate = path.extension().is_some_and(|ending| ending == LOCKED) && !own.contains(&path);
            if candidate && File::open(&path).is_ok_and(|file| is_free(&file)) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Gives the path of a worker's file; every unusual byte of its name is written as a number.
    fn path(&self, worker: &str, ending: &str) -> PathBuf {
        let mut name = String::with_capacity(worker.len() + 8);
        for byte in worker.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
                _ => name.push_str(&format!("%{byte:02X}")),
            }
        }
        self.directory.join(format!("{name}.{ending}"))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.keep_only(&HashSet::new());
        // Fails while files of others are in it.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Tells whether nobody locks a file. The lock that proves it ends with the file's handle.
fn is_free(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_lives_as_long_as_the_store_that_it_claims_through() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let (one, two) = (Workers::beside(&path), Workers::beside(&path));
        let worker = WorkerId::from_stored("a/../B");
        assert!(two.is_dead(worker.as_str()));
        one.enlist(&worker).unwrap();
        assert!(!one.is_dead(worker.as_str()));
        assert!(!two.is_dead(worker.as_str()));
        two.sweep();
        assert!(!two.is_dead(worker.as_str()));
        drop(one);
        assert!(two.is_dead(worker.as_str()));
        drop(two);
        assert!(!directory.path().join("s.db-workers").exists());
    }

    #[test]
    fn a_worker_behind_a_server_is_never_surely_dead() {
        let directory = tempfile::tempdir().unwrap();
        let workers = Workers::beside(&directory.path().join("s.db"));
        let worker = WorkerId::from_stored("w").away();
        workers.enlist(&worker).unwrap();
        assert!(!workers.is_dead(worker.as_str()));
        assert!(!directory.path().join("s.db-workers").exists(), "it needs no file");
    }

    #[test]
    fn files_that_a_dead_process_left_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("s.db-workers").join("7-x.lock");
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, "").unwrap();
        let workers = Workers::beside(&directory.path().join("s.db"));
        assert!(!left.exists());
        assert!(workers.is_dead("7-x"));
    }

    #[test]
    fn idle_workers_of_a_crowd_are_let_go_and_busy_ones_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.db");
        let (one, two) = (Workers::beside(&path), Workers::beside(&path));
        for number in 0..=CROWD {
            assert!(!one.is_crowded());
            one.enlist(&WorkerId::from_stored(format!("w{number}"))).unwrap();
        }
        assert!(one.is_crowded());
        one.keep_only(&HashSet::from(["w1".to_owned()]));
        assert!(two.is_dead("w0"));
        assert!(!two.is_dead("w1"));
    }
}
