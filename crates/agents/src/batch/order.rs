//! Puts results into the order of their requests again.
//!
//! Bounds nothing by itself: who begins requests asks how far ahead the newest one is.

use std::collections::BTreeMap;

use super::result::BatchResult;

/// Results that wait for those before them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    next: u64,
    results: BTreeMap<u64, BatchResult>,
}

impl Waiting {
    /// Adds a result.
    pub(super) fn add(&mut self, result: BatchResult) {
        self.results.insert(result.index, result);
    }

    /// Takes the next result, if it is there.
    pub(super) fn take(&mut self) -> Option<BatchResult> {
        let result = self.results.remove(&self.next)?;
        self.next += 1;
        Some(result)
    }

    /// Gives the place of the result that the others wait for.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}
