//! A small disk of a run's own that can be filled: a file system in memory, which only the superuser may mount.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Bytes of a disk: more than the least space that a store of sled's asks for, and room for a run.
const SIZE: u64 = 112 << 20;

/// A disk that is there as long as this.
pub(super) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts a disk on a directory; `None` where this process may not, which is reported as skipped.
    pub(super) fn mount(path: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(path)?;
        let size = format!("size={SIZE}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            crate::skip("a disk that can be filled needs the right to mount one");
            return Ok(None);
        }
        Ok(Some(Self { path: path.to_owned() }))
    }

    /// Gives where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes up all space that is left.
    pub(super) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        for size in [1 << 20, 4096] {
            let block = vec![1_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Gives the space back.
    pub(super) fn make_room(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("nothing fills the disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, as a process that was killed may have a file open for a moment longer.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
