//! A task's log over a store that cannot be reached for a moment: what was paid for is not lost by it.
//!
//! Knows nothing of what is logged.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::Result;
use motet_core::request::ChatRequest;
use motet_core::run_log::{KeptRequest, Record, RunLog, Step, StepState, StoredLog};

use super::outage;

/// Adds entries again and again while the store is away, for as long as the lease may hold.
pub(super) struct PatientLog {
    pub(super) log: StoredLog,
    pub(super) patience: Duration,
}

#[async_trait]
impl RunLog for PatientLog {
    fn lookup(&self, step: &str) -> Option<StepState> {
        self.log.lookup(step)
    }

    fn find(&self, key: &str, step: &Step<'_>, request: Option<&ChatRequest>) -> Result<Option<StepState>> {
        self.log.find(key, step, request)
    }

    fn keeps_requests(&self) -> bool {
        self.log.keeps_requests()
    }

    fn keep(&self, request: &ChatRequest) -> Result<Option<KeptRequest>> {
        self.log.keep(request)
    }

    async fn append(&self, records: Vec<Record>) -> Result<()> {
        outage::patiently(self.patience, || self.log.append(records.clone())).await
    }

    fn records(&self) -> Vec<Record> {
        self.log.records()
    }
}
