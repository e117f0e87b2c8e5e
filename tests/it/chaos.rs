//! Runs whose workers are killed and halted at any moment: nothing is lost, done twice, or done too early.

use std::path::Path;

use motet_tests::chaos::{Chaos, Ground, Told, unleash};

const WORKER: &str = env!("CARGO_BIN_EXE_chaos_worker");

/// Lets the seeds from one on loose on a file; gives what came of all of them together.
fn on_a_file(seeds: std::ops::Range<u64>, scheme: &str, workers: usize) -> Told {
    let mut all = Told::default();
    for seed in seeds {
        let directory = tempfile::tempdir().unwrap();
        let ground = Ground {
            url: format!("{scheme}:{}", directory.path().join("store").display()),
            directory: directory.path(),
            program: Path::new(WORKER),
            server: None,
            is_exclusive: workers == 1,
        };
        let told = unleash(&Chaos::of_seed(seed, workers), ground).unwrap();
        all.kills += told.kills;
        all.halts += told.halts;
        all.tasks += told.tasks;
        all.attempts += told.attempts;
    }
    all
}

#[test]
fn workers_on_one_file_may_die_and_halt_at_any_moment() {
    let told = on_a_file(0..5, "sqlite", 3);
    assert!(told.kills >= 10 && told.halts >= 3, "{told:?}");
    assert!(told.attempts > told.tasks, "nobody was interrupted: {told:?}");
}

#[test]
fn more_workers_on_one_file_may_die_and_halt_at_any_moment() {
    let told = on_a_file(5..10, "sqlite", 4);
    assert!(told.kills >= 10 && told.halts >= 3, "{told:?}");
}
