//! Random commands, the same for the store in memory and for another one: after each, both show the same.
//!
//! Everything random comes from a seed, which a failure names with all commands up to it. `MOTET_MODEL_SEEDS` says how
//! many seeds there are, for long runs; times, tokens, and tasks that became ready within one millisecond are not
//! compared.

mod commands;
mod views;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use motet_core::id::RunId;
use motet_core::store::{Claim, SharedStore};
use serde_json::Value;

use self::commands::Command;
use crate::fixture::{self, Numbers, Opened};

/// Seeds where nobody says how many.
const SEEDS: u64 = 10;
/// Commands of a seed.
const COMMANDS: usize = 60;
/// Seeds are begun for no longer than this where nobody says how many.
const LONGEST: Duration = Duration::from_secs(6);

/// A store in memory, another one, and what is known of both.
struct Pair {
    model: SharedStore,
    other: SharedStore,
    numbers: Numbers,
    /// Every run, in the order of their submission.
    runs: Vec<RunId>,
    /// Every claim, as the model and as the other store gave it.
    claims: Vec<(Claim, Claim)>,
    /// Runs that a task started.
    children: HashMap<(RunId, u32), RunId>,
    /// The run at the top of each of those.
    roots: HashMap<RunId, RunId>,
    /// Counts what was made.
    made: u32,
}

impl Pair {
    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let most = u32::try_from(all.len()).unwrap();
        (most > 0).then(|| all[self.numbers.below(most) as usize].clone())
    }

    /// Tells what happens in one of so many cases.
    fn one_in(&mut self, cases: u32) -> bool {
        self.numbers.below(cases) == 0
    }
}

/// Runs one seed.
async fn run_seed(seed: u64, other: &Opened) {
    let model = fixture::memory();
    let numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let mut pair = Pair {
        model: model.store.clone(),
        other: other.store.clone(),
        numbers,
        runs: Vec::new(),
        claims: Vec::new(),
        children: HashMap::new(),
        roots: HashMap::new(),
        made: 0,
    };
    let mut told: Vec<String> = Vec::new();
    for step in 0..COMMANDS {
        // What is ready by one command stands behind what was by another in every store.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let command = Command::random(&mut pair);
        told.push(format!("{step}: {}", shortened(format!("{command:?}"))));
        let (expected, found) = command.apply(&mut pair).await;
        assert_same(&expected, &found, "the answers", seed, &told);
        let (expected, found) = (views::of(&pair, &pair.model).await, views::of(&pair, &pair.other).await);
        assert_same(&expected, &found, "the stores", seed, &told);
    }
}

/// Cuts a long text.
fn shortened(text: String) -> String {
    text.chars().take(3_000).collect()
}

fn assert_same(expected: &Value, found: &Value, what: &str, seed: u64, told: &[String]) {
    if let Some(difference) = views::difference(expected, found, "") {
        panic!("seed {seed}: {what} differ {difference}\nafter\n{}", told.join("\n"));
    }
}

/// Runs as many seeds as are wanted on new stores of a kind; nothing where their server is missing.
async fn run_seeds(open: impl Fn() -> Option<Opened>) {
    let wanted = std::env::var("MOTET_MODEL_SEEDS").ok().map(|text| text.parse::<u64>().unwrap());
    let begun = Instant::now();
    for seed in 0..wanted.unwrap_or(SEEDS) {
        if wanted.is_none() && begun.elapsed() > LONGEST {
            break;
        }
        let Some(other) = open() else { return };
        println!("seed {seed}");
        run_seed(seed, &other).await;
    }
}

#[tokio::test]
async fn a_store_in_a_sqlite_file_does_as_that_in_memory() {
    run_seeds(|| Some(fixture::sqlite())).await;
}

#[tokio::test]
async fn a_store_in_sled_does_as_that_in_memory() {
    run_seeds(|| Some(fixture::sled())).await;
}

#[tokio::test]
async fn a_store_on_a_redis_server_does_as_that_in_memory() {
    run_seeds(fixture::redis).await;
}
