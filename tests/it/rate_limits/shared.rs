//! The script on a real server: the same decisions as in memory, and one limit for several processes.

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use motet_core::RunContext;
use motet_core::limits::{Allowance, RateLimits};
use motet_core::settings::{Learning, Outage};
use motet_providers::layers::rate_limit::book::{Ahead, Book, Limits, Told};
use motet_providers::layers::rate_limit::gcra::Rate;
use motet_providers::layers::rate_limit::{
    LimitQueue, Limiter as _, MemoryLimiter, Permit, RedisLimiter, RedisServer, SCRIPT,
};
use motet_tests::redis::Redis;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::Instant;

/// Something that happens to limits; times are microseconds.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Book { tokens: u64, within: Option<u64> },
    Settle { which: prop::sample::Index, used: Option<u64> },
    Lower { requests: u64, tokens: u64 },
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..9_000_000_u64).prop_map(Step::Pass),
        (0..3_000_u64, prop::option::of(0..9_000_000_u64))
            .prop_map(|(tokens, within)| Step::Book { tokens, within }),
        (any::<prop::sample::Index>(), prop::option::of(0..9_000_u64))
            .prop_map(|(which, used)| Step::Settle { which, used }),
        (0..90_u64, 0..9_000_u64).prop_map(|(requests, tokens)| Step::Lower { requests, tokens }),
        (0..9_000_000_u64).prop_map(Step::Pause),
    ]
}

/// Both keepers of the same limits, and what both granted.
struct Pair<'a> {
    connection: &'a mut redis::Connection,
    keys: [String; 3],
    book: Book,
    rates: [Rate; 2],
    now: u64,
    granted: Vec<(u64, u64)>,
}

impl Pair<'_> {
    fn script(&mut self, operation: &str, arguments: &[i128]) -> Vec<i64> {
        let script = redis::Script::new(SCRIPT);
        let mut invocation = script.prepare_invoke();
        for key in &self.keys {
            invocation.key(key);
        }
        invocation.arg(operation).arg(self.now);
        for argument in arguments {
            invocation.arg(argument.to_string());
        }
        invocation.invoke(self.connection).unwrap()
    }

    /// Gives the times of one request and of its tokens.
    fn costs(&self, requests: u64, tokens: u64) -> [i128; 2] {
        let [of_requests, of_tokens] = self.rates;
        [of_requests.time_of(requests).into(), of_tokens.time_of(tokens).into()]
    }

    fn perform(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let nanos = self.now * 1_000;
        let windows = self.rates.map(|rate| i128::from(rate.window()));
        match step {
            Step::Pass(time) => self.now += time,
            Step::Book { tokens, within } => {
                let at = self.book.earliest(nanos, Ahead::default(), *tokens);
                let granted = within.is_none_or(|within| at - nanos <= within * 1_000);
                if granted {
                    self.book.take(at, *tokens);
                    self.granted.push((nanos, *tokens));
                }
                let [requests, of_tokens] = self.costs(1, *tokens);
                let within = within.map_or(-1, |within| i128::from(within) * 1_000);
                let answer = self.script("book", &[within, requests, windows[0], of_tokens, windows[1]]);
                prop_assert_eq!(
                    answer[..2].to_vec(),
                    [i64::from(granted), i64::try_from(at - nanos).unwrap()]
                );
            }
            Step::Settle { which, used } if !self.granted.is_empty() => {
                let (taken_at, tokens) = self.granted.swap_remove(which.index(self.granted.len()));
                self.book.settle(taken_at, tokens, *used);
                let (before, after) =
                    (self.costs(1, tokens), used.map_or([0, 0], |used| self.costs(1, used)));
                let taken_at = i128::from(taken_at / 1_000);
                self.script("settle", &[taken_at, after[0] - before[0], after[1] - before[1]]);
            }
            Step::Settle { .. } => {}
            Step::Lower { requests, tokens } => {
                let [of_requests, of_tokens] = self.rates;
                let told =
                    Told { requests: Some((of_requests, *requests)), tokens: Some((of_tokens, *tokens)) };
                self.book.mirror(nanos, &told);
                let left = self.costs(*requests, *tokens);
                self.script("lower", &[windows[0], left[0], windows[1], left[1]]);
            }
            Step::Pause(time) => {
                self.book.pause(nanos + time * 1_000);
                self.script("pause", &[i128::from(*time) * 1_000]);
            }
        }
        Ok(())
    }
}

#[test]
fn the_script_decides_as_the_process_does() {
    let Some(server) = Redis::start().unwrap() else { return };
    let connection = RefCell::new(redis::Client::open(server.url()).unwrap().get_connection().unwrap());
    let cases = Cell::new(0);
    let rates = (1..700_u64, 1..90_u64, 1..3_000_000_u64).prop_map(|(requests, burst, tokens)| {
        [Rate::per_minute(requests).with_burst(burst), Rate::per_minute(tokens)]
    });
    let steps = prop::collection::vec(step(), 1..60);
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let result = runner.run(&(rates, steps), |(rates, steps)| {
        cases.set(cases.get() + 1);
        let mut pair = Pair {
            connection: &mut connection.borrow_mut(),
            keys: ["requests", "tokens", "pause"].map(|name| format!("{}:{name}", cases.get())),
            book: Book::new(Limits { requests: Some(rates[0]), tokens: Some(rates[1]) }),
            rates,
            now: 1_800_000_000_000_000,
            granted: Vec::new(),
        };
        steps.iter().try_for_each(|step| pair.perform(step))
    });
    result.unwrap();
}

/// Makes a limiter of one process.
fn limiter(redis: &Redis, limits: Limits, on_outage: Outage) -> Arc<RedisLimiter> {
    let local = MemoryLimiter::new(Arc::new(LimitQueue::new(limits)), Learning::Tighten, None);
    let server = RedisServer::new(&redis.url(), on_outage).unwrap();
    Arc::new(RedisLimiter::new(server, "acme/default", "m", local))
}

async fn admit(limiter: &RedisLimiter, tokens: u64) -> Permit {
    limiter.admit(&RunContext::new(), tokens, "acme").await.unwrap()
}

#[test]
fn four_processes_keep_to_one_limit_and_use_all_of_it() {
    const PER_MINUTE: u32 = 6_000;
    const BURST: u32 = 30;
    let Some(redis) = Redis::start().unwrap() else { return };
    let arguments = [redis.url(), PER_MINUTE.to_string(), BURST.to_string(), "3000".to_owned()];
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limited"));
        command.args(&arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..4).map(|_| start()).collect();
    let mut grants: Vec<u128> = Vec::new();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        let times = lines.lines().map(|line| {
            let (granted, went) = line.split_once(' ').unwrap();
            let (granted, went): (u128, u128) = (granted.parse().unwrap(), went.parse().unwrap());
            assert!(went >= granted, "a request went {} us before its time", granted - went);
            granted
        });
        let before = grants.len();
        grants.extend(times);
        assert!(grants.len() - before > 30, "every process has its share");
    }
    grants.sort_unstable();
    // In microseconds times requests a minute, so that all is whole.
    let worth = |time: u128| time * u128::from(PER_MINUTE);
    let minute = 60_000_000;
    for (first, begin) in grants.iter().enumerate() {
        for (last, end) in grants.iter().enumerate().skip(first) {
            let sum = (last - first + 1) as u128 * minute;
            let most = u128::from(BURST) * minute + worth(end - begin + 1);
            assert!(sum <= most, "{} in {} us", last - first + 1, end - begin);
        }
    }
    let time = grants.last().unwrap() - grants[0];
    let share = grants.len() as f64 * minute as f64 / (f64::from(BURST) * minute as f64 + worth(time) as f64);
    assert!(share >= 0.9, "{} requests in {time} us are {share} of what may be", grants.len());
    println!("{} requests in {time} us are {share:.4} of what may be", grants.len());
}

#[tokio::test]
async fn large_requests_of_one_process_are_not_starved_by_small_ones_of_another() {
    let Some(redis) = Redis::start().unwrap() else { return };
    let limits = Limits::per_minute(None, Some(60_000), None);
    let (one, other) = (limiter(&redis, limits, Outage::Fail), limiter(&redis, limits, Outage::Fail));
    admit(&one, 60_000).await;
    let begun = Instant::now();
    let small = tokio::spawn(async move {
        loop {
            admit(&other, 10).await;
        }
    });
    admit(&one, 500).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    small.abort();
}

#[tokio::test]
async fn what_was_not_used_goes_back_and_what_was_used_beyond_is_a_debt() {
    let Some(redis) = Redis::start().unwrap() else { return };
    let limits = Limits::per_minute(Some(1), Some(600), None);
    let (one, other) = (limiter(&redis, limits, Outage::Fail), limiter(&redis, limits, Outage::Fail));
    let permit = admit(&one, 600).await;
    assert!(permit.comes_at().is_some());
    assert!((58..=60).contains(&wait_of(&other, 600).await));
    one.settle(permit, None);
    until_wait_of(&other, 600, 0..=0).await;
    let permit = admit(&other, 600).await;
    other.settle(permit, Some(6_000));
    until_wait_of(&one, 600, 590..=600).await;
}

/// Gives for how many seconds there is no room, as the server tells a call that cannot wait so long.
async fn wait_of(limiter: &RedisLimiter, tokens: u64) -> u64 {
    let context = RunContext::new().with_timeout(Duration::from_secs(5));
    match limiter.admit(&context, tokens, "acme").await {
        Ok(permit) => {
            limiter.settle(permit, None);
            0
        }
        Err(_) => limiter.expected_wait(tokens).as_secs(),
    }
}

/// Waits until the server tells such a wait, as what nobody waits for takes a moment on its way.
async fn until_wait_of(limiter: &RedisLimiter, tokens: u64, seconds: RangeInclusive<u64>) {
    let begun = Instant::now();
    while !seconds.contains(&wait_of(limiter, tokens).await) {
        let wait = wait_of(limiter, tokens).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{wait} is not in {seconds:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn who_stops_waiting_gives_its_place_back() {
    let Some(redis) = Redis::start().unwrap() else { return };
    let limits = Limits::per_minute(Some(1), None, Some(1));
    let (one, other) = (limiter(&redis, limits, Outage::Fail), limiter(&redis, limits, Outage::Fail));
    admit(&one, 0).await;
    assert!((50..60).contains(&wait_of(&other, 0).await));
    let waiting = tokio::spawn({
        let one = Arc::clone(&one);
        async move { admit(&one, 0).await }
    });
    until_wait_of(&other, 0, 100..=120).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    until_wait_of(&other, 0, 30..=60).await;
}

#[tokio::test]
async fn a_pause_and_what_is_told_hold_for_all_processes() {
    let Some(redis) = Redis::start().unwrap() else { return };
    let limits = Limits::per_minute(Some(600), None, None);
    let (one, other) = (limiter(&redis, limits, Outage::Fail), limiter(&redis, limits, Outage::Fail));
    let mut told = RateLimits::default();
    told.requests = Some(Allowance::new(Some(1), Some(1), None));
    one.learn(&told);
    other.learn(&told);
    admit(&one, 0).await;
    until_wait_of(&other, 0, 50..=60).await;
    one.pause(Duration::from_secs(90));
    until_wait_of(&other, 0, 80..=90).await;
}

#[tokio::test]
async fn calls_that_wait_while_the_server_is_killed_and_comes_back_all_get_their_turn() {
    let Some(mut redis) = Redis::start().unwrap() else { return };
    let limiter = limiter(&redis, Limits::per_minute(Some(3_000), None, Some(5)), Outage::Local);
    let begun = Instant::now();
    let asks = |count: usize| {
        let ask = |_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { admit(&limiter, 0).await })
        };
        (0..count).map(ask).collect::<Vec<_>>()
    };
    let mut waiting = asks(40);
    let is_local = |permit: &Permit| permit.comes_at().is_none();
    waiting.remove(0).await.unwrap();
    redis.kill().unwrap();
    waiting.extend(asks(20));
    let mut local = 0;
    for call in waiting {
        local += usize::from(is_local(&call.await.unwrap()));
    }
    assert!(local >= 20, "{local} calls went on without the server");
    // Fifty a second after five at once; the server's books and the process's own overlap by what one call reserved.
    assert!(begun.elapsed() >= Duration::from_millis((60 - 5 - 2) * 20), "{:?}", begun.elapsed());
    redis.start_again().unwrap();
    let back = Instant::now();
    while is_local(&admit(&limiter, 0).await) {
        assert!(back.elapsed() < Duration::from_secs(20), "the server is not found again");
    }
}
