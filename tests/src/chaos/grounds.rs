//! The stores that are troubled, as rows.

use std::path::Path;

use anyhow::Result;

use super::{Chaos, Ground, Server, Told, unleash};
use crate::redis::Redis;

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What its URLs begin with.
    pub scheme: &'static str,
    /// How many worker processes may share it.
    pub workers: usize,
    /// `appendfsync` of its server, where it has one.
    pub fsync: Option<&'static str>,
}

/// Every kind of store that survives its process.
pub const KINDS: &[Kind] = &[
    Kind { scheme: "sqlite", workers: 4, fsync: None },
    Kind { scheme: "sled", workers: 1, fsync: None },
    Kind { scheme: "redis", workers: 4, fsync: Some("always") },
    Kind { scheme: "redis", workers: 4, fsync: Some("everysec") },
];

impl Kind {
    /// Lets a seed loose on a new store of this kind, with `program` as its workers; `None` where its server is missing.
    ///
    /// # Errors
    /// As [`unleash`].
    pub fn unleash(&self, seed: u64, program: &Path) -> Result<Option<Told>> {
        let directory = tempfile::tempdir()?;
        let mut server = match self.fsync {
            None => None,
            Some(fsync) => match Redis::start_durable(fsync)? {
                None => return Ok(None),
                started => started,
            },
        };
        let url = match &server {
            Some(server) => server.url(),
            None => format!("{}:{}", self.scheme, directory.path().join("store").display()),
        };
        let ground = Ground {
            url,
            directory: directory.path(),
            program,
            server: server.as_mut().map(|server| server as &mut dyn Server),
            is_exclusive: self.workers == 1,
        };
        unleash(&Chaos::of_seed(seed, self.workers), ground).map(Some)
    }
}
