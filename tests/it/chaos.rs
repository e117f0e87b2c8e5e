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
    assert!(told.kills >= 10 && told.halts >= 3, "{told:?}");
    assert!(told.attempts > told.tasks, "nobody was interrupted: {told:?}");
}

#[test]
fn the_process_of_a_sled_store_may_die_at_any_moment() {
    let told = unleash("sled", None, 20..26).unwrap();
    assert!(told.kills >= 15, "{told:?}");
}

#[test]
fn workers_and_a_server_that_syncs_always_may_die_at_any_moment() {
    let Some(told) = unleash("redis", Some("always"), 40..44) else { return };
    assert!(told.kills + told.outages >= 10, "{told:?}");
}

#[test]
fn workers_and_a_server_that_syncs_every_second_may_die_at_any_moment() {
    let Some(told) = unleash("redis", Some("everysec"), 60..64) else { return };
    assert!(told.kills + told.outages >= 10, "{told:?}");
}
