//! The log of one task's attempt, kept in a store's journal under the task's lease.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Entries, KeptRequest, Record, RunLog, Shelf, StepState};
use crate::error::Result;
use crate::request::ChatRequest;
use crate::store::{LeaseToken, SharedStore};

/// Appends to the journal of a leased task; what earlier attempts recorded is there from the start.
pub struct StoredLog {
    store: SharedStore,
    token: LeaseToken,
    entries: Mutex<Entries>,
    shelf: Mutex<Shelf>,
    /// Number of entries in the store; held while appending, so that appends of one task stand in line.
    written: futures::lock::Mutex<u64>,
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
            written: futures::lock::Mutex::new(u64::try_from(records.len()).unwrap_or(u64::MAX)),
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
        *written = self.store.journal(&self.token, *written, records.clone()).await?;
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().for_each(|record| shelf.note(record));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        records.into_iter().for_each(|record| entries.push(record));
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).records().to_vec()
    }
}
