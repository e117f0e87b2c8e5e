//! Several keys under real quotas: everything is done, in the time that the quotas allow, and each key has its share.
//!
//! The clock stands still while nothing waits, so minutes of quota take no time.

mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::settings::Learning;
use motet_core::{ChatRequest, Delivery, EventStream, Message, Model, Result, RunContext};
use motet_core::{StreamEvent, model::chat};
use motet_providers::layers::key_pool::{KeyPool, KeyPoolLayer, Member, PooledKey};
use motet_providers::layers::rate_limit::{LimitQueue, Limits, MemoryLimiter, RateLimitLayer};
use motet_providers::layers::{Bottom, Chain, Layer, Stack};
use motet_providers::simulated::{Quota, Rules, SimulatedModel, Simulation};
use tokio::time::{Instant, sleep};

/// What each key is allowed.
const QUOTA: Quota = Quota { requests_per_minute: 60, tokens_per_minute: 40_000 };
/// Requests of one test.
const REQUESTS: usize = 600;
/// Words of an answer, which are its tokens.
const WORDS: u64 = 20;

/// A provider with keys, and calls by all of them.
struct Bench {
    keys: Vec<PooledKey>,
    /// Requests and tokens a minute that are configured for a key.
    limits: Vec<Option<(u32, u32)>>,
    rules: Rules,
    jitter: bool,
    at_once: usize,
    /// How often a call may be sent again when no key takes it, after as long as it is told to wait.
    resends: u32,
}

/// What came of it.
#[derive(Debug)]
struct Score {
    time: Duration,
    /// Requests answered, by key.
    answered: Vec<u64>,
    too_many: u64,
    revoked: u64,
    failed: usize,
    tokens: u64,
}

impl Score {
    /// Gives the least time in which quotas of so many groups allow it all.
    fn ideal(&self, groups: u64) -> Duration {
        let over = |used: u64, quota: u64| used as f64 / (groups * quota) as f64 - 1.0;
        let minutes = over(REQUESTS as u64, QUOTA.requests_per_minute);
        Duration::from_mins(1).mul_f64(minutes.max(over(self.tokens, QUOTA.tokens_per_minute)))
    }

    fn share(&self, key: usize) -> f64 {
        self.answered[key] as f64 / self.answered.iter().sum::<u64>() as f64
    }

    fn is_within(&self, ideal: Duration) -> bool {
        self.time <= ideal.mul_f64(1.05) && self.time >= ideal.mul_f64(0.95)
    }
}

/// A model whose answers take more or less time.
struct Jittery(SimulatedModel, Mutex<u64>);

#[async_trait]
impl Model for Jittery {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let delay = {
            let mut seed = self.1.lock().unwrap();
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Duration::from_millis((*seed >> 33) % 3_000)
        };
        let events = self.0.open(context, request, delivery).await?;
        sleep(delay).await;
        Ok(events)
    }
}

impl Bench {
    fn new(keys: Vec<PooledKey>) -> Self {
        let mut rules = Rules::new();
        rules.quota = Some(QUOTA);
        rules.latency = Duration::from_secs(1);
        rules.groups = keys.iter().map(|key| (key.name.clone(), key.group.clone())).collect();
        let limits = vec![Some((60, 40_000)); keys.len()];
        Self { keys, limits, rules, jitter: false, at_once: 60, resends: 0 }
    }

    fn stack(&self, simulation: &Arc<Mutex<Simulation>>) -> (Stack, Arc<KeyPool>) {
        let start = Instant::now();
        let mut groups: Vec<(&str, Arc<MemoryLimiter>)> = Vec::new();
        let members = self.keys.iter().zip(&self.limits).enumerate().map(|(at, (key, limits))| {
            let model = SimulatedModel::new(Arc::clone(simulation), start, &key.name);
            let model: Arc<dyn Model> =
                if self.jitter { Arc::new(Jittery(model, Mutex::new(at as u64))) } else { Arc::new(model) };
            let member = Member::new(Chain::new(Vec::new(), Bottom::Model(model)));
            let Some((requests, tokens)) = *limits else { return member };
            let known = groups.iter().find(|(group, _)| *group == key.group).map(|(_, one)| Arc::clone(one));
            let limiter = known.unwrap_or_else(|| {
                let queue = LimitQueue::new(Limits::per_minute(Some(requests), Some(tokens), None));
                let limiter = Arc::new(MemoryLimiter::new(Arc::new(queue), Learning::Tighten, None));
                groups.push((&key.group, Arc::clone(&limiter)));
                limiter
            });
            member.limited(RateLimitLayer::new(limiter, format!("test/{}", key.name)))
        });
        let members = members.collect();
        let pool = Arc::new(KeyPool::new("test", self.keys.clone()));
        let layer: Arc<dyn Layer> = Arc::new(KeyPoolLayer::new(Arc::clone(&pool), members, None));
        (Stack::new(Chain::new(vec![layer], Bottom::None), 3, None), pool)
    }

    /// Sends all requests, their inputs of about so many tokens.
    async fn run(&self, about: u64) -> Score {
        let simulation = Arc::new(Mutex::new(Simulation::new(self.rules.clone())));
        let (stack, pool) = self.stack(&simulation);
        let start = Instant::now();
        let sizes: Vec<u64> = (0..REQUESTS as u64).map(|number| about / 2 + number * 7_919 % about).collect();
        let calls = sizes.iter().enumerate().map(|(number, size)| {
            let mut text = format!("{number} ");
            text.push_str(&"x".repeat(*size as usize * 4 - text.len()));
            let mut request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user(text)]);
            request.max_tokens = Some(WORDS as u32);
            let stack = &stack;
            let resends = self.resends;
            async move {
                for _ in 0..resends {
                    match chat(stack, &RunContext::new(), &request).await {
                        Err(error) if error.retry_after().is_some() => {
                            sleep(error.retry_after().unwrap_or_default()).await;
                        }
                        answer => return answer,
                    }
                }
                chat(stack, &RunContext::new(), &request).await
            }
        });
        let answers: Vec<_> = futures::stream::iter(calls).buffer_unordered(self.at_once).collect().await;
        let time = start.elapsed();
        let simulation = simulation.lock().unwrap();
        let counts: Vec<_> = self.keys.iter().map(|key| simulation.counts(&key.name)).collect();
        for (counts, shown) in counts.iter().zip(pool.snapshot()) {
            let known = shown.counts.unwrap();
            assert_eq!((known.in_flight, known.sent), (0, counts.arrived), "{shown:?}");
            let seen = (known.succeeded, known.rate_limited, known.refused);
            assert_eq!(seen, (counts.answered, counts.too_many, counts.revoked), "{shown:?}");
        }
        Score {
            time,
            answered: counts.iter().map(|counts| counts.answered).collect(),
            too_many: counts.iter().map(|counts| counts.too_many).sum(),
            revoked: counts.iter().map(|counts| counts.revoked).sum(),
            failed: answers.iter().filter(|answer| answer.is_err()).count(),
            tokens: sizes.iter().map(|size| size + WORDS).sum(),
        }
    }
}

fn keys(count: usize) -> Vec<PooledKey> {
    (0..count).map(|number| PooledKey::new(format!("key-{number}"))).collect()
}

/// Checks that nothing failed, that hardly anything was refused, and that the quotas were used up.
fn assert_good(score: &Score, groups: u64) {
    assert_eq!(score.failed, 0, "{score:?}");
    assert!(score.too_many * 100 < REQUESTS as u64, "{score:?}");
    let ideal = score.ideal(groups);
    assert!(score.is_within(ideal), "{score:?}, where {ideal:?} is possible");
}

fn assert_shares(score: &Score, shares: &[f64]) {
    for (key, share) in shares.iter().enumerate() {
        assert!((score.share(key) / share - 1.0).abs() <= 0.1, "key {key} of {score:?}");
    }
}

/// Sizes of requests at which requests or tokens are what is scarce.
const SIZES: [u64; 2] = [300, 1_200];

#[tokio::test(start_paused = true)]
async fn three_keys_use_up_their_quotas_whichever_is_scarce() {
    for size in SIZES {
        let score = Bench::new(keys(3)).run(size).await;
        assert_good(&score, 3);
        assert_shares(&score, &[1.0 / 3.0; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_longer_or_shorter_change_nothing() {
    for size in SIZES {
        let bench = Bench { jitter: true, ..Bench::new(keys(3)) };
        let score = bench.run(size).await;
        assert_good(&score, 3);
        assert_shares(&score, &[1.0 / 3.0; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_revoked_midway_loses_no_call() {
    for size in SIZES {
        let mut bench = Bench::new(keys(3));
        bench.rules.revoked.insert("key-1".to_owned(), Duration::from_secs(50));
        let score = bench.run(size).await;
        assert_eq!(score.failed, 0, "{score:?}");
        assert!(score.too_many * 100 < REQUESTS as u64, "{score:?}");
        assert!((1..=2).contains(&score.revoked), "its waiting calls moved without being sent: {score:?}");
        // What it did until then, the others did not have to.
        let minutes = |rate: f64, used: f64| (used - rate * (3.0 + 50.0 / 60.0)) / (2.0 * rate);
        let requests = minutes(60.0, REQUESTS as f64).max(minutes(40_000.0, score.tokens as f64));
        let ideal = Duration::from_mins(1).mul_f64(requests);
        assert!(score.is_within(ideal), "{score:?}, where {ideal:?} is possible");
    }
}

#[tokio::test(start_paused = true)]
async fn two_keys_of_one_group_have_one_quota() {
    for size in SIZES {
        let mut grouped = keys(3);
        grouped[0] = PooledKey::new("key-0").in_group("both");
        grouped[1] = PooledKey::new("key-1").in_group("both");
        let score = Bench::new(grouped).run(size).await;
        assert_good(&score, 2);
        assert_shares(&score, &[0.25, 0.25, 0.5]);
    }
}

#[tokio::test(start_paused = true)]
async fn weights_share_the_work_out() {
    let weighted =
        || vec![keys(3)[0].clone().with_weight(2), PooledKey::new("key-1"), PooledKey::new("key-2")];
    for (at_once, jitter) in [(1, false), (3, true), (7, false), (60, true)] {
        let mut bench = Bench { at_once, jitter, ..Bench::new(weighted()) };
        bench.rules.quota = None;
        bench.limits = vec![None; 3];
        let score = bench.run(300).await;
        assert_eq!((score.failed, score.too_many), (0, 0));
        assert_shares(&score, &[0.5, 0.25, 0.25]);
    }
    // Where limits bind, they say what a key can do.
    let mut bench = Bench::new(weighted());
    bench.rules.quota = Some(Quota { requests_per_minute: 120, tokens_per_minute: 80_000 });
    bench.limits[0] = Some((120, 80_000));
    let score = bench.run(300).await;
    assert_good(&score, 4);
    assert_shares(&score, &[0.5, 0.25, 0.25]);
}

#[tokio::test(start_paused = true)]
async fn quotas_that_are_not_configured_are_met_by_resting() {
    let mut bench = Bench::new(keys(3));
    bench.limits = vec![None; 3];
    bench.resends = 40;
    bench.at_once = 6;
    let score = bench.run(300).await;
    assert_eq!(score.failed, 0, "{score:?}");
    assert!(score.too_many > 0, "{score:?}");
    let ideal = score.ideal(3);
    assert!(score.time <= ideal.mul_f64(1.15), "{score:?}, where {ideal:?} is possible");
    assert_shares(&score, &[1.0 / 3.0; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_names_its_key() {
    let bench = Bench::new(keys(2));
    let simulation = Arc::new(Mutex::new(Simulation::new(bench.rules.clone())));
    let (stack, _) = bench.stack(&simulation);
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("hello")]);
    let mut by = Vec::new();
    for _ in 0..4 {
        by.push(chat(&stack, &RunContext::new(), &request).await.unwrap().metadata["key"].clone());
    }
    assert_eq!(by, ["key-0", "key-1", "key-0", "key-1"]);
    let events = stack.open(&RunContext::new(), &request, Delivery::Streamed).await.unwrap();
    let named = events
        .filter(|event| {
            let is = matches!(event, Ok(StreamEvent::Metadata { name, .. }) if name == "key");
            std::future::ready(is)
        })
        .count()
        .await;
    assert_eq!(named, 1);
}
