//! Where records go: a file, a function, several places at once.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use motet_core::{Error, ErrorKind, Result};

use super::EvalRecord;

/// A place where records are kept.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Keeps a record.
    ///
    /// # Errors
    /// Any; the failure is told, and disturbs neither the run nor other stores.
    async fn record(&self, record: &EvalRecord) -> Result<()>;

    /// Ends the work; nothing is recorded afterwards.
    ///
    /// # Errors
    /// Any; it is told.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Appends records to a file, one line of JSON each.
///
/// The file and its directories are made when the first record comes; only the user can read a file that is made. Each line
/// is written at once, so several processes can share a file.
#[derive(Debug)]
pub struct JsonlStore {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unopened,
    Open(std::fs::File),
    Closed,
}

impl JsonlStore {
    /// Names the file; nothing is opened yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), state: Mutex::new(State::Unopened) }
    }

    /// Gives the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn unwritable(&self, error: std::io::Error) -> Error {
        let message = format!("the records file `{}` cannot be written: {error}", self.path.display());
        Error::new(ErrorKind::Store, message).with_source(error)
    }

    fn append(&self, line: &[u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Closed = *state {
            return Err(Error::new(ErrorKind::Store, "the records file was closed"));
        }
        if let State::Unopened = *state {
            *state = State::Open(open(&self.path).map_err(|error| self.unwritable(error))?);
        }
        match &mut *state {
            State::Open(file) => file.write_all(line).map_err(|error| self.unwritable(error)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl RecordStore for JsonlStore {
    /// Writes in place: a line is short, and the sink calls on a thread of its own.
    async fn record(&self, record: &EvalRecord) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|error| {
            Error::new(ErrorKind::Internal, "a record cannot be written as JSON").with_source(error)
        })?;
        line.push(b'\n');
        self.append(&line)
    }

    async fn close(&self) -> Result<()> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<std::fs::File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Gives records to a function.
pub struct CallbackStore(Box<Callback>);

type Callback = dyn Fn(EvalRecord) -> BoxFuture<'static, Result<()>> + Send + Sync;

impl CallbackStore {
    /// Takes a function that does its work at once.
    pub fn new(callback: impl Fn(EvalRecord) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Box::new(move |record| {
            let done = callback(record);
            Box::pin(async move { done })
        }))
    }

    /// Takes a function whose work is awaited.
    pub fn awaited<W>(callback: impl Fn(EvalRecord) -> W + Send + Sync + 'static) -> Self
    where
        W: Future<Output = Result<()>> + Send + 'static,
    {
        Self(Box::new(move |record| Box::pin(callback(record))))
    }
}

#[async_trait]
impl RecordStore for CallbackStore {
    async fn record(&self, record: &EvalRecord) -> Result<()> {
        (self.0)(record.clone()).await
    }
}

/// Gives records to several stores at the same time; the failure of one keeps none from the others.
#[derive(Default, Clone)]
pub struct MultiStore(Vec<Arc<dyn RecordStore>>);

impl MultiStore {
    /// Names the stores.
    #[must_use]
    pub fn new(stores: impl IntoIterator<Item = Arc<dyn RecordStore>>) -> Self {
        Self(stores.into_iter().collect())
    }
}

#[async_trait]
impl RecordStore for MultiStore {
    async fn record(&self, record: &EvalRecord) -> Result<()> {
        first_error(join_all(self.0.iter().map(|store| store.record(record))).await)
    }

    async fn close(&self) -> Result<()> {
        first_error(join_all(self.0.iter().map(|store| store.close())).await)
    }
}

fn first_error(results: Vec<Result<()>>) -> Result<()> {
    results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}
