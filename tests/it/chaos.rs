//! Runs whose workers are killed and halted at any moment, and whose store is killed and set back: nothing is lost, done
//! twice, or done too early.

use std::path::Path;

use motet_tests::chaos::{Chaos, KINDS, Kind, Shape, Told, Trouble};

const WORKER: &str = env!("CARGO_BIN_EXE_chaos_worker");

fn kind(scheme: &str, fsync: Option<&str>) -> &'static Kind {
    KINDS.iter().find(|kind| kind.scheme == scheme && kind.fsync == fsync).unwrap()
}

/// Lets seeds loose on a kind of store with a fault of their own; `None` where that cannot be brought about here.
fn unleash_with(trouble: Trouble, scheme: &str, seeds: std::ops::Range<u64>) -> Option<Told> {
    let kind = kind(scheme, None);
    let mut all = Told::default();
    for seed in seeds {
        let chaos = Chaos { trouble: Some(trouble), ..Chaos::of_seed(seed, kind.workers) };
        all += kind.let_loose(&chaos, Path::new(WORKER)).unwrap()?;
    }
    Some(all)
}

/// Lets seeds loose on a kind of store; gives what came of all of them together, `None` where its server is missing.
fn unleash(scheme: &str, fsync: Option<&str>, seeds: std::ops::Range<u64>) -> Option<Told> {
    let mut all = Told::default();
    for seed in seeds {
        all += kind(scheme, fsync).unleash(seed, Path::new(WORKER)).unwrap()?;
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

#[test]
fn a_task_that_kills_its_workers_takes_none_of_its_neighbours_with_it() {
    for kind in KINDS {
        let chaos = Chaos {
            shape: Shape { layers: 1, width: 20, poison: true },
            workers: kind.workers.min(2),
            faults: 0,
            max_running: Some(8),
            ..Chaos::of_seed(3, 1)
        };
        // The check is that the poison is dead and everything else is done.
        let Some(told) = kind.let_loose(&chaos, Path::new(WORKER)).unwrap() else { continue };
        assert_eq!(told.resumed, 0, "a neighbour was given up: {told:?}");
    }
}

#[test]
fn workers_on_one_file_outlive_a_clock_that_jumps() {
    let told = unleash_with(Trouble::Clock, "sqlite", 80..83).unwrap();
    assert!(told.jumps >= 8, "{told:?}");
}

#[test]
fn a_sled_store_outlives_a_clock_that_jumps() {
    let told = unleash_with(Trouble::Clock, "sled", 83..86).unwrap();
    assert!(told.jumps >= 8, "{told:?}");
}

#[test]
fn workers_on_one_file_go_on_when_a_full_disk_has_room_again() {
    let Some(told) = unleash_with(Trouble::Disk, "sqlite", 90..92) else { return };
    assert!(told.fills >= 6, "{told:?}");
}

#[test]
fn a_sled_store_goes_on_when_a_full_disk_has_room_again() {
    let Some(told) = unleash_with(Trouble::Disk, "sled", 92..94) else { return };
    assert!(told.fills >= 6, "{told:?}");
}

#[test]
fn a_sqlite_store_whose_log_lost_its_end_goes_on_from_before() {
    let told = unleash_with(Trouble::Torn, "sqlite", 100..103).unwrap();
    assert!(told.tears >= 2, "{told:?}");
}

#[test]
fn a_sled_store_whose_log_lost_its_end_goes_on_from_before() {
    let told = unleash_with(Trouble::Torn, "sled", 103..106).unwrap();
    assert!(told.tears >= 2, "{told:?}");
}
