//! Makes what was committed durable, beside the thread that commits: while the disk works on one batch, the next is
//! written.
//!
//! SQLite commits without waiting for the disk; here the write-ahead log is flushed, and only then those are answered
//! who were promised durability. A flush covers every commit before it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use motet_core::error::{Error, ErrorKind, Result, Retry};

use super::writer::Command;

/// Answers commands once they are durable; finishes what waits when dropped.
#[derive(Debug)]
pub(super) struct Flusher {
    sender: Option<Sender<Vec<Box<dyn Command>>>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
    /// Batches that were not answered yet.
    waiting: Arc<AtomicUsize>,
}

impl Flusher {
    /// Starts the thread for the database of this path.
    pub(super) fn start(database: &Path) -> Result<Self> {
        let (sender, receiver) = channel();
        let (failed, waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let thread = Thread {
            path: log.into(),
            file: None,
            failed: Arc::clone(&failed),
            waiting: Arc::clone(&waiting),
        };
        let thread = std::thread::Builder::new()
            .name("motet-sqlite-flush".to_owned())
            .spawn(move || thread.work(&receiver))
            .map_err(|error| {
                Error::new(ErrorKind::Store, "a thread of the store cannot be started").with_source(error)
            })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), failed, waiting })
    }

    /// Answers these commands, which were committed, once they are durable.
    pub(super) fn answer(&self, commands: Vec<Box<dyn Command>>) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let sent = self.sender.as_ref().map(|sender| sender.send(commands));
        // The thread ends with this value only.
        debug_assert!(matches!(sent, Some(Ok(()))), "the flushing thread has ended");
    }

    /// Tells whether something that was committed is not durable yet.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Tells whether a flush has failed: what the log holds may not be on the disk, and no later flush would tell. Nothing is
    /// promised until it is known to be there by other means.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Notes that all that was committed so far is on the disk.
    pub(super) fn recovered(&self) {
        self.failed.store(false, Ordering::Release);
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    path: PathBuf,
    file: Option<File>,
    failed: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
}

impl Thread {
    fn work(mut self, receiver: &Receiver<Vec<Box<dyn Command>>>) {
        while let Ok(mut commands) = receiver.recv() {
            let mut batches = 1;
            receiver.try_iter().for_each(|more| {
                batches += 1;
                commands.extend(more);
            });
            let lost = self.flush().err().map(|error| {
                self.file = None;
                self.failed.store(true, Ordering::Release);
                Error::new(ErrorKind::Store, "the disk of the store failed to write")
                    .with_retry(Retry::Backoff)
                    .with_hint("check the disk and its mount; network file systems are not supported")
                    .with_source(error)
            });
            self.waiting.fetch_sub(batches, Ordering::AcqRel);
            commands.into_iter().for_each(|command| command.answer(lost.as_ref()));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // What comes behind a part of the log that is not on the disk is not found again either.
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier flush has failed"));
        }
        let file = match &self.file {
            Some(file) => file,
            // It stays as long as the store is open: SQLite removes it with the last connection only.
            None => self.file.insert(OpenOptions::new().write(true).open(&self.path)?),
        };
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::{Answer, Session};
    use super::*;

    struct Told(Sender<bool>);

    impl Command for Told {
        fn execute(&mut self, _: &Session<'_>) {}

        fn when(&self) -> Answer {
            Answer::Durable
        }

        fn answer(self: Box<Self>, lost: Option<&Error>) {
            self.0.send(lost.is_none()).unwrap();
        }
    }

    #[test]
    fn after_a_failed_flush_a_later_one_promises_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let flusher = Flusher::start(&directory.path().join("store.db")).unwrap();
        let (sender, told) = channel();
        let is_durable = || {
            flusher.answer(vec![Box::new(Told(sender.clone()))]);
            told.recv().unwrap()
        };
        assert!(!is_durable() && flusher.has_failed());
        std::fs::write(directory.path().join("store.db-wal"), "").unwrap();
        assert!(!is_durable());
        flusher.recovered();
        assert!(is_durable() && !flusher.has_failed());
    }
}
