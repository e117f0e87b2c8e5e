//! Writes one line per call, so that calls can be counted across processes and crashes.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use motet_core::id::{Millis, content_hash};
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Result, RunContext};
use serde_json::json;

/// A file opened for appending.
pub(super) struct CallLog {
    file: File,
}

impl CallLog {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            Error::new(
                ErrorKind::Configuration,
                format!("the call log `{}` cannot be opened", path.display()),
            )
            .with_hint("its directory must exist and be writable")
            .with_source(error)
        })?;
        Ok(Self { file })
    }

    /// Appends one line by a single write, which is atomic among processes that append to the same local file.
    pub(super) fn append(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<()> {
        let entry = json!({
            "at_ms": Millis::now(),
            "step": context.step_name(),
            "request_hash": content_hash(request)?,
            "streamed": delivery == Delivery::Streamed,
        });
        (&self.file).write_all(format!("{entry}\n").as_bytes()).map_err(|error| {
            Error::new(ErrorKind::Store, "the call log cannot be written").with_source(error)
        })
    }
}
