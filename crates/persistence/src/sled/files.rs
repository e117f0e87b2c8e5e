//! Opening the directory of a store with care: one process only, what crashes leave behind, and no full disk.
//!
//! Knows nothing of rows.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use motet_core::error::{Error, ErrorKind, Result, Retry};
use motet_core::id::Millis;

/// The file that a process holds a lock on while it has the store.
const LOCK: &str = "motet.lock";

/// The file with the log.
const LOG: &str = "db";

/// Less free space than this keeps the store closed, and what changes it is refused.
pub(super) const LEAST_FREE: u64 = 64 << 20;

/// An open directory.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) db: sled::Db,
    log: File,
    directory: PathBuf,
    free: FreeSpace,
}

/// Tells how many bytes are free where a directory lies; `None` where nobody knows.
pub(super) type FreeSpace = fn(&Path) -> Option<u64>;

/// Keeps other processes out of a directory for as long as it is there.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Lock {
    /// Takes a directory, and makes it where there is none.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|error| unusable(directory, error))?;
        let path = directory.join(LOCK);
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path);
        let file = file.map_err(|error| unusable(directory, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let message = format!("the store `sled:{}` is open already", directory.display());
                Err(Error::new(ErrorKind::Store, message).with_hint(
                    "one process at a time can have it: end the other one, or use `sqlite:PATH`, which several may share",
                ))
            }
            Err(TryLockError::Error(error)) => Err(unusable(directory, error)),
        }
    }
}

impl Files {
    /// Opens a directory whose lock is held.
    pub(super) fn open(directory: &Path, free: FreeSpace) -> Result<Self> {
        check_space(directory, free)?;
        remove_snapshots(directory, is_torn).map_err(|error| unusable(directory, error))?;
        let db = match open_database(directory) {
            Err(sled::Error::Corruption { .. }) => {
                let aside = copy_aside(directory).map_err(|error| unusable(directory, error))?;
                tracing::warn!(
                    store = %directory.display(), copy = %aside.display(),
                    "the store is damaged: a copy was made, and it is opened without its snapshots"
                );
                remove_snapshots(directory, |_, _| true).map_err(|error| unusable(directory, error))?;
                open_database(directory).map_err(|error| {
                    failed(&error).with_hint(format!(
                        "a copy from before the attempt to repair it lies in `{}`",
                        aside.display()
                    ))
                })?
            }
            opened => opened.map_err(|error| failed(&error))?,
        };
        let log = File::open(directory.join(LOG)).map_err(|error| unusable(directory, error))?;
        Ok(Self { db, log, directory: directory.to_owned(), free })
    }

    /// Refuses to write where too little space is left.
    pub(super) fn check_space(&self) -> Result<()> {
        check_space(&self.directory, self.free)
    }

    /// Makes everything durable that was written.
    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush().map_err(|error| failed(&error))?;
        // On Linux the library only asks for pages to be written out, which a loss of power need not survive.
        self.log.sync_data().map_err(|error| unusable(&self.directory, error))
    }
}

fn open_database(directory: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::new().path(directory).flush_every_ms(None).mode(sled::Mode::HighThroughput);
    // It panics at some kinds of damage.
    catch_unwind(AssertUnwindSafe(|| config.open()))
        .unwrap_or(Err(sled::Error::Corruption { at: None, bt: () }))
}

/// Tells whether a crash left a snapshot behind that was never finished.
fn is_torn(name: &str, bytes: u64) -> bool {
    name.ends_with(".generating") || bytes == 0
}

/// Removes snapshots, which only make opening faster: everything in them stands in the log as well.
fn remove_snapshots(directory: &Path, wanted: fn(&str, u64) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && wanted(&name, entry.metadata()?.len()) {
            tracing::warn!(file = %entry.path().display(), "a snapshot of the store is removed");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn copy_aside(directory: &Path) -> io::Result<PathBuf> {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(format!(".damaged-{}", Millis::now().0));
    let aside = directory.with_file_name(name);
    copy_directory(directory, &aside)?;
    Ok(aside)
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else if entry.file_name() != LOCK {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn check_space(directory: &Path, free: FreeSpace) -> Result<()> {
    match free(directory) {
        Some(free) if free < LEAST_FREE => {
            let message = format!(
                "only {} MB are free where the store `sled:{}` lies",
                free >> 20,
                directory.display()
            );
            Err(Error::new(ErrorKind::Store, message).with_retry(Retry::Backoff).with_hint(format!(
                "it needs {} MB, as a full disk may damage it: make room",
                LEAST_FREE >> 20
            )))
        }
        _ => Ok(()),
    }
}

/// Gives the free space that an unprivileged process may use.
pub(super) fn free_space(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(directory).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    #[cfg(not(unix))]
    return directory.exists().then_some(u64::MAX);
}

/// Makes an error of the library's.
pub(super) fn failed(error: &sled::Error) -> Error {
    // A disk that fails to write may do so again when there is room; nothing else of these passes.
    let retry = if matches!(error, sled::Error::Io(_)) { Retry::Backoff } else { Retry::Never };
    Error::new(ErrorKind::Store, format!("the store failed: {error}"))
        .with_retry(retry)
        .with_hint("`motet store migrate` copies what can be read to a store of another kind")
}

fn unusable(directory: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Store, format!("the store `sled:{}` cannot be used", directory.display()))
        .with_source(error)
}
