//! Knows which processes belong to a child, what they use, and how to kill them all.
//!
//! A process belongs to the child when it is in its group or session, carries its marker in the environment, or was
//! once seen as a child of one that belongs. Knows nothing of Python.

#[cfg(target_os = "linux")]
#[path = "processes/linux.rs"]
mod system;

#[cfg(not(target_os = "linux"))]
#[path = "processes/elsewhere.rs"]
mod system;

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::request::Limits;
use system::Scan;

/// Time between two looks at what the child uses.
const PERIOD: Duration = Duration::from_millis(50);
/// A look that takes long is made less often, so that looking takes no more than one part in this many.
const SHARE: u32 = 20;
/// The longest time between two looks all the same: on a machine that is overrun, every look takes long.
const LONGEST_PERIOD: Duration = Duration::from_millis(200);
/// Time between two attempts to kill what is left.
const PAUSE: Duration = Duration::from_millis(2);

/// Processes that ran before the child and so cannot belong to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(HashSet<i32>);

impl Strangers {
    /// Lists what runs now.
    pub(super) fn now() -> Self {
        Self(system::running().into_iter().collect())
    }
}

/// What a child used too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    /// More processes at one time than it may have.
    Processes,
    /// More memory in all its processes together.
    Memory,
}

/// A child and everything below it; dropping it kills them.
#[derive(Debug)]
pub(super) struct Family {
    group: Option<i32>,
    scan: Arc<Mutex<Scan>>,
    gone: bool,
}

impl Family {
    /// Takes charge of a child that leads a process group and carries the marker as `MOTET_TASK`.
    pub(super) fn new(child: Option<u32>, marker: &str, strangers: Strangers) -> Self {
        let group = child.and_then(|id| i32::try_from(id).ok());
        Self { group, scan: Arc::new(Mutex::new(Scan::new(group, marker, strangers.0))), gone: false }
    }

    /// Looks again and again, until the child uses too much, and kills its group then.
    ///
    /// In a thread of its own, since a fork bomb is stopped early or hardly at all, and threads that others use may be
    /// late.
    pub(super) async fn watch(&self, limits: &Limits) -> io::Result<Breach> {
        if !system::SEES {
            return std::future::pending().await;
        }
        let (limits, group, scan) = (*limits, self.group, Arc::clone(&self.scan));
        let (tell, told) = oneshot::channel();
        let (_running, ended) = mpsc::channel::<()>();
        let look = move || {
            let mut pause = PERIOD;
            // The other end is dropped together with this future.
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let started = Instant::now();
                if let Some(breach) = locked(&scan).breach(&limits) {
                    // Told first, so that the reason is known before the end is seen.
                    tell.send(breach).ok();
                    kill_group(group);
                    return;
                }
                pause = started.elapsed().saturating_mul(SHARE).clamp(PERIOD, LONGEST_PERIOD);
            }
        };
        std::thread::Builder::new().name("motet-python-watch".to_owned()).spawn(look)?;
        told.await.map_err(io::Error::other)
    }

    /// Kills the process group at once.
    pub(super) fn kill_group(&self) {
        kill_group(self.group);
    }

    /// Kills what belongs to the child until nothing is left; tells whether that was reached in time.
    pub(super) async fn sweep(&mut self, within: Duration) -> bool {
        let scan = Arc::clone(&self.scan);
        let swept = tokio::task::spawn_blocking(move || kill_all(&scan, within)).await.unwrap_or(false);
        self.gone = swept;
        swept
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        self.kill_group();
        // One pass here, because the whole process may be about to end; the rest without holding up the caller.
        if locked(&self.scan).kill() == 0 {
            return;
        }
        let scan = Arc::clone(&self.scan);
        let rest = move || {
            kill_all(&scan, Duration::from_secs(3));
        };
        if let Err(error) = std::thread::Builder::new().name("motet-python-sweep".to_owned()).spawn(rest) {
            tracing::warn!(%error, "cannot start a thread; processes of a Python task may be left");
        }
    }
}

fn kill_group(group: Option<i32>) {
    #[cfg(unix)]
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        // An error means that the group is empty.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    #[cfg(not(unix))]
    let _ = group;
}

fn kill_all(scan: &Mutex<Scan>, within: Duration) -> bool {
    let started = Instant::now();
    while locked(scan).kill() > 0 {
        if started.elapsed() > within {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

fn locked(scan: &Mutex<Scan>) -> MutexGuard<'_, Scan> {
    scan.lock().unwrap_or_else(PoisonError::into_inner)
}
