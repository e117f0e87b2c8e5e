//! The log of one task's attempt, kept in a store's journal under the task's lease.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Entries, KeptRequest, Record, RunLog, Shelf, StepState};
use crate::error::{ErrorKind, Result};
use crate::request::ChatRequest;
use crate::store::{LeaseToken, SharedStore};

/// Appends to the journal of a leased task; what earlier attempts recorded is there from the start.
pub struct StoredLog {
    store: SharedStore,
    token: LeaseToken,
    entries: Mutex<Entries>,
    shelf: Mutex<Shelf>,
    /// What the store holds; locked while appending, so that appends of one task stand in line.
    written: futures::lock::Mutex<Written>,
}

/// How far the journal in the store goes.
struct Written {
    /// Number of entries.
    count: u64,
    /// Appends behind these entries whose end nobody saw: the store has one of them at most. Repeating one is safe.
    in_doubt: Vec<Vec<Record>>,
}

impl StoredLog {
    /// Opens the journal of a task that this worker holds.
    ///
    /// # Errors
    /// As [`crate::store::Store::task_records`].
    pub async fn open(store: SharedStore, token: LeaseToken, entries: u64) -> Result<Self> {
        let records =
            if entries == 0 { Vec::new() } else { store.task_records(&token.run, token.task).await? };
        let mut shelf = Shelf::default();
        records.iter().for_each(|record| shelf.note(record));
        Ok(Self {
            store,
            token,
            shelf: Mutex::new(shelf),
            written: futures::lock::Mutex::new(Written { count: count(&records), in_doubt: Vec::new() }),
            entries: Mutex::new(records.into_iter().collect()),
        })
    }

    /// Tells that a request is stored with the run, so that its pieces need not stand in the journal too.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn hold(&self, request: &ChatRequest) -> Result<()> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).hold(request).map(|_| ())
    }
}

impl StoredLog {
    /// Gives the append in doubt that the store has.
    async fn appended(&self, written: &Written) -> Result<Option<Vec<Record>>> {
        let stored = self.store.task_records(&self.token.run, self.token.task).await?;
        let behind = stored.get(usize::try_from(written.count).unwrap_or(usize::MAX)..).unwrap_or_default();
        let is_stored = |records: &&Vec<Record>| !records.is_empty() && behind == records.as_slice();
        Ok(written.in_doubt.iter().find(is_stored).cloned())
    }

    /// Takes in what the store holds.
    fn take(&self, records: Vec<Record>) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().for_each(|record| shelf.note(record));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        records.into_iter().for_each(|record| entries.push(record));
    }
}

fn count(records: &[Record]) -> u64 {
    u64::try_from(records.len()).unwrap_or(u64::MAX)
}

#[async_trait]
impl RunLog for StoredLog {
    fn lookup(&self, step: &str) -> Option<StepState> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).lookup(step)
    }

    fn keeps_requests(&self) -> bool {
        true
    }

    fn keep(&self, request: &ChatRequest) -> Result<Option<KeptRequest>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).keep(request).map(Some)
    }

    async fn append(&self, records: Vec<Record>) -> Result<()> {
        let mut written = self.written.lock().await;
        let mut doubted = !written.in_doubt.is_empty();
        loop {
            if !written.in_doubt.contains(&records) {
                written.in_doubt.push(records.clone());
            }
            match self.store.journal(&self.token, written.count, records.clone()).await {
                Ok(entries) => {
                    written.in_doubt.clear();
                    written.count = entries;
                    self.take(records);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    // Left in doubt until this is known: whoever waits may give up here too.
                    let appended = if doubted { self.appended(&written).await? } else { None };
                    written.in_doubt.clear();
                    let Some(appended) = appended else { return Err(error) };
                    doubted = false;
                    written.count += count(&appended);
                    let is_this = appended == records;
                    self.take(appended);
                    if is_this {
                        return Ok(());
                    }
                }
                // Whether the store has it is not known.
                Err(error) => return Err(error),
            }
        }
    }

    fn asks_models_below(&self, step: &str) -> bool {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).asks_models_below(step)
    }

    fn records(&self) -> Vec<Record> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).records().to_vec()
    }
}
