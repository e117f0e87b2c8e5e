//! The threads on which sandboxed code runs: as many as processors, with stacks of a known size, gone when idle.
//!
//! Code that runs long keeps no thread of the async runtime, and deep recursion within the interpreter finds room.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of a thread's stack; reserved, and taken only as far as it is used.
const STACK: usize = 64 << 20;
/// How long an idle thread stays.
const REST: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

struct Threads {
    jobs: VecDeque<Job>,
    alive: usize,
    idle: usize,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { jobs: VecDeque::new(), alive: 0, idle: 0 });
static WOKEN: Condvar = Condvar::new();

fn threads() -> MutexGuard<'static, Threads> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a job on one of the threads; false where no thread can be had, and the job is dropped.
pub(super) fn submit(job: Job) -> bool {
    let most = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let mut state = threads();
    state.jobs.push_back(job);
    if state.idle >= state.jobs.len() {
        WOKEN.notify_one();
        return true;
    }
    if state.alive >= most {
        return true;
    }
    let spawned = std::thread::Builder::new().name("sandbox".to_owned()).stack_size(STACK).spawn(work);
    match spawned {
        Ok(_) => state.alive += 1,
        Err(_) if state.alive == 0 => {
            state.jobs.pop_back();
            return false;
        }
        Err(_) => {}
    }
    true
}

fn work() {
    let mut state = threads();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = threads();
            continue;
        }
        state.idle += 1;
        let (woken, waited) = WOKEN
            .wait_timeout_while(state, REST, |state| state.jobs.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state = woken;
        state.idle -= 1;
        if waited.timed_out() && state.jobs.is_empty() {
            state.alive -= 1;
            return;
        }
    }
}
