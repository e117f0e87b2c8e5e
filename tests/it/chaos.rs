//! Runs whose workers are killed and halted at any moment, and whose store is killed and set back: nothing is lost, done
//! twice, or done too early.

use std::path::Path;

use motet_tests::chaos::{KINDS, Told};

const WORKER: &str = env!("CARGO_BIN_EXE_chaos_worker");

/// Lets seeds loose on a kind of store; gives what came of all of them together, `None` where its server is missing.
fn unleash(scheme: &str, fsync: Option<&str>, seeds: std::ops::Range<u64>) -> Option<Told> {
    let kind = KINDS.iter().find(|kind| kind.scheme == scheme && kind.fsync == fsync).unwrap();
    let mut all = Told::default();
    for seed in seeds {
        all += kind.unleash(seed, Path::new(WORKER)).unwrap()?;
    }
    Some(all)
}

#[test]
fn workers_on_one_file_may_die_and_halt_at_any_moment() {
    let told = unleash("sqlite", None, 0..8).unwrap();
    assert!(told.kills >= 15 && told.halts >= 5, "{told:?}");
    assert!(told.attempts > told.tasks, "nobody was interrupted: {told:?}");
}
