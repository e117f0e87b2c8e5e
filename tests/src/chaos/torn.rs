//! Files that lose their end between two lives of a store, as after a loss of power on a disk that lied.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use motet_core::error::ErrorKind;

use super::{Ground, Herd, Numbers, Told, with_store};

/// Bytes that a file loses at most.
const MOST: u32 = 24 * 1024;

/// Kills all workers and takes the end off the store's log. What is left is opened by the next worker: as the store was
/// some time before, or with an error that says what to do, after which the files are put back as from a backup.
pub(super) fn tear(
    numbers: &mut Numbers,
    herd: &mut Herd,
    ground: &Ground<'_>,
    told: &mut Told,
) -> Result<()> {
    herd.kill_all();
    let store = ground.store.context("a store on a server has no files here")?;
    let backup = ground.directory.join("backup");
    copy(store, &backup)?;
    let names = ["store-wal", "db"];
    let log = names.iter().map(|name| store.join(name)).find(|path| path.exists());
    // A store that was closed well has no log.
    let Some(log) = log else { return Ok(()) };
    let bytes = std::fs::read(&log)?;
    let (least, end) = written(store, bytes.len());
    let kept = end.saturating_sub(1 + numbers.below(MOST) as usize).max(least);
    let mut torn = bytes.get(..kept).unwrap_or_default().to_vec();
    if numbers.below(2) == 0 {
        torn.resize(bytes.len(), 0);
    }
    std::fs::write(&log, torn)?;
    told.tears += 1;
    let run = herd.run.clone();
    let found =
        with_store(&ground.url, |store| Box::pin(async move { Ok(store.run(&run).await?.is_some()) }));
    match found {
        Ok(true) => return Ok(()),
        // It went back to before the run was stored.
        Ok(false) => {}
        Err(error) => {
            let known = error.downcast_ref::<motet_core::Error>().context("another error")?;
            ensure!(known.kind() == ErrorKind::Store && known.hint().is_some(), "{known:?}");
        }
    }
    std::fs::remove_dir_all(store)?;
    copy(&backup, store)
}

/// Gives how much of a log is in the file of a SQLite store already, which a disk that lied about the log's end did not
/// write before it; and where the log ends, which is before the end of a file that is used again.
fn written(store: &Path, bytes: usize) -> (usize, usize) {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let Ok(index) = std::fs::read(store.join("store-shm")) else { return (0, bytes) };
    let number = |at: usize| {
        let four = index.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or_default();
        u32::from_ne_bytes(four) as usize
    };
    // Where the index of the log has the number of its last frame, and of the last one that was copied.
    let (last, copied) = (number(16), number(96));
    ((HEADER + copied * FRAME).min(bytes), (HEADER + last * FRAME).min(bytes))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
