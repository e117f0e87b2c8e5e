//! Watches how far running code makes the process grow, and stops what grows too far.
//!
//! The interpreter itself bounds single large values only. One thread looks about once a millisecond while code runs; a run
//! that ends sooner never meets it. Growth cannot be told apart between runs that run at the same moment, nor from
//! other work of the process: the bound is a brake, and is set far above what honest code needs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monty_types::{BASELINE_MEMORY, LIVE_MEMORY};

use super::printed::Stop;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(1);
/// Looks without any run after which the thread sleeps until it is woken.
const IDLE_TICKS: u32 = 500;
/// How long the thread sleeps before it ends.
const REST: Duration = Duration::from_secs(10);
/// Looks that a stopped run has to end by itself, before the brake is pulled that also ends loops inside the interpreter.
const GRACE_TICKS: usize = 20;

/// A run that is watched.
#[derive(Debug)]
struct Run {
    limit: usize,
    /// Bytes by which it made the process grow before.
    grown_before: usize,
    stop: Stop,
    /// Size of the process when the run was first looked at; 0 before.
    began_at: AtomicUsize,
    grown: AtomicUsize,
    /// Looks since it was stopped.
    stopped_for: AtomicUsize,
}

#[derive(Debug, Default)]
struct Watch {
    runs: Vec<Arc<Run>>,
    is_alive: bool,
    is_asleep: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { runs: Vec::new(), is_alive: false, is_asleep: false });
static WOKEN: Condvar = Condvar::new();

fn watch_list() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The duty to watch a run, which ends with this value.
pub(super) struct Watched(Option<Arc<Run>>);

/// Watches a run that begins, or goes on, now.
pub(super) fn watch(limit: usize, grown_before: usize, stop: Stop) -> Watched {
    if !cfg!(target_os = "linux") {
        return Watched(None);
    }
    let zero = || AtomicUsize::new(0);
    let (began_at, grown, stopped_for) = (zero(), zero(), zero());
    let run = Arc::new(Run { limit, grown_before, stop, began_at, grown, stopped_for });
    let mut list = watch_list();
    list.runs.push(Arc::clone(&run));
    if !list.is_alive {
        let spawned = std::thread::Builder::new().name("sandbox-memory".to_owned()).spawn(look);
        list.is_alive = spawned.is_ok();
    } else if list.is_asleep {
        WOKEN.notify_one();
    }
    Watched(Some(run))
}

impl Watched {
    /// Gives the bytes by which the run made the process grow so far.
    pub(super) fn end(&self) -> usize {
        self.0.as_ref().map_or(0, |run| run.grown_before + run.grown.load(Ordering::Relaxed))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(run) = &self.0 {
            watch_list().runs.retain(|other| !Arc::ptr_eq(run, other));
        }
    }
}

/// Looks at all runs until there were none for a while.
fn look() {
    let mut idle = 0;
    loop {
        let mut list = watch_list();
        idle = if list.runs.is_empty() { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            list.is_asleep = true;
            let (woken, _) = WOKEN
                .wait_timeout_while(list, REST, |list| list.runs.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            list = woken;
            list.is_asleep = false;
            idle = 0;
            if list.runs.is_empty() {
                list.is_alive = false;
                return;
            }
        }
        let runs = if list.runs.is_empty() { Vec::new() } else { list.runs.clone() };
        drop(list);
        if let Some(size) = resident_bytes().filter(|_| !runs.is_empty()) {
            let stubborn = runs.iter().filter(|run| run.is_stubborn(size)).count();
            // Every run asks these two numbers, so this ends all that run at the moment.
            BASELINE_MEMORY.store(0, Ordering::Relaxed);
            LIVE_MEMORY.store(if stubborn > 0 { usize::MAX } else { 0 }, Ordering::Relaxed);
        } else {
            LIVE_MEMORY.store(0, Ordering::Relaxed);
        }
        drop(runs);
        std::thread::sleep(TICK);
    }
}

impl Run {
    /// Stops the run when it has grown too far; true when it was stopped a while ago for that and still goes on.
    fn is_stubborn(&self, size: usize) -> bool {
        let began_at = match self.began_at.load(Ordering::Relaxed) {
            0 => {
                self.began_at.store(size, Ordering::Relaxed);
                size
            }
            size => size,
        };
        let grown = size.saturating_sub(began_at);
        self.grown.store(grown, Ordering::Relaxed);
        if grown.saturating_add(self.grown_before) > self.limit {
            self.stop.out_of_memory();
        }
        let is_stopped = self.stop.reason().is_some();
        is_stopped && self.stopped_for.fetch_add(1, Ordering::Relaxed) >= GRACE_TICKS
    }
}

/// Gives how much memory the process holds; `None` where that cannot be told.
fn resident_bytes() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: usize = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size())
    }
    #[cfg(not(target_os = "linux"))]
    None
}
