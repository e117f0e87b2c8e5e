//! Logs of single items of a run: what a batch keeps of each request, found without reading the others.
//!
//! Knows nothing of batches, and keeps nothing: stores do.

use crate::error::{Error, ErrorKind};
use crate::run_log::Record;

/// A change of the log of one item.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemWrite {
    /// Adds entries behind those that are there.
    Append(Vec<Record>),
    /// Puts entries in the place of those that are there.
    Replace(Vec<Record>),
}

/// Makes the error of a store that keeps no items.
pub(super) fn unsupported(store: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the store `{store}` keeps no items of batches"))
        .with_hint("set `store` to `sqlite:PATH`, or run the batch without keeping it")
}
