//! The stores that are troubled, as rows.

use std::path::Path;

use anyhow::Result;

use super::disk::Disk;
use super::{Chaos, Ground, Server, Told, Trouble, unleash};
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
        self.let_loose(&Chaos::of_seed(seed, self.workers), program)
    }

    /// Tells whether a fault can be brought about at a store of this kind.
    #[must_use]
    pub fn can_have(&self, trouble: Trouble) -> bool {
        // A server has its own clock, and its files are restored by it.
        self.fsync.is_none() || trouble == Trouble::Clock
    }

    /// The same for a run that is made of something else; `None` also where its disk cannot be had.
    ///
    /// # Errors
    /// As [`unleash`].
    pub fn let_loose(&self, chaos: &Chaos, program: &Path) -> Result<Option<Told>> {
        let directory = tempfile::tempdir()?;
        let mut server = match self.fsync {
            None => None,
            Some(fsync) => match Redis::start_durable(fsync)? {
                None => return Ok(None),
                started => started,
            },
        };
        let mut files = directory.path().join("files");
        std::fs::create_dir(&files)?;
        let disk = match chaos.trouble {
            Some(Trouble::Disk) => match Disk::mount(&files)? {
                None => return Ok(None),
                mounted => mounted,
            },
            _ => None,
        };
        if let Some(disk) = &disk {
            files = disk.path().to_owned();
        }
        let path = files.join("store");
        let url = match &server {
            Some(server) => server.url(),
            None => format!("{}:{}", self.scheme, path.display()),
        };
        // A store of sled's is a directory; others are files of one.
        let store = if self.scheme == "sled" { &path } else { &files };
        let ground = Ground {
            url,
            directory: directory.path(),
            program,
            is_exclusive: self.workers == 1,
            store: server.is_none().then_some(store.as_path()),
            server: server.as_mut().map(|server| server as &mut dyn Server),
            disk: disk.as_ref(),
        };
        unleash(chaos, ground).map(Some)
    }
}
