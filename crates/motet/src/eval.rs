//! Records of what runs did: kept as they end, read out of the store later, scored, and compared.
//!
//! What a record is and how it reaches a store without holding up a run is the agents' crate's matter; here are the
//! settings' file, the masks, and the judging.

pub mod compare;
mod export;
mod live;
pub mod score;

use std::path::Path;

use motet_agents::record::EvalRecord;
use motet_core::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

pub use motet_agents::record::{CallbackStore, JsonlStore, MultiStore, RecordStore};

pub(crate) use live::{Records, call, stream};

/// Reads a file of records, one line of JSON each; empty lines are passed over.
///
/// # Errors
/// `NotFound` and `InvalidRequest` naming file and line.
pub fn read(path: &Path) -> Result<Vec<EvalRecord>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::NotFound, format!("the records `{shown}` cannot be read: {error}"))
            .with_source(error)
    })?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let records = lines.map(|(line, number)| {
        let fields = serde_json::from_str::<Map<String, Value>>(line).map(Value::Object);
        fields.and_then(serde_json::from_value).map_err(|error| {
            let message = format!("line {number} of `{shown}` is no record: {error}");
            Error::new(ErrorKind::InvalidRequest, message)
                .with_hint("`motet eval export` and the setting `eval.records` write records")
        })
    });
    records.collect()
}

#[cfg(test)]
mod tests;
