//! The pool over models that do as they are told: what moves where, what waits, and what comes back.

mod property;
mod sticky;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::event::{failing_stream, ready_stream};
use motet_core::message::Opaque;
use motet_core::model::chat;
use motet_core::settings::Learning;
use motet_core::{
    ChatRequest, ChatResponse, Delivery, Error, ErrorKind, EventStream, FinishReason, Message, Model, Result,
    Retry, RunContext, StreamEvent,
};
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::layers::rate_limit::{LimitQueue, Limits, MemoryLimiter};
use crate::layers::{Bottom, Stack};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// What a key does now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    /// Answers with a payload that has its number.
    Thinks,
    Fails(ErrorKind),
    /// Too many requests, with so many seconds to wait.
    Busy(Option<u64>),
    /// Begins to answer, and then says that there were too many requests.
    BusyInside,
}

struct Provider {
    moods: Mutex<Vec<Mood>>,
    /// Key and time of every request.
    sent: Mutex<Vec<(usize, Instant)>>,
    latency: Mutex<Duration>,
}

struct ByKey(Arc<Provider>, usize);

#[async_trait]
impl Model for ByKey {
    async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let Self(provider, key) = self;
        provider.sent.lock().unwrap().push((*key, Instant::now()));
        let latency = *provider.latency.lock().unwrap();
        sleep(latency).await;
        let mood = provider.moods.lock().unwrap()[*key];
        let started =
            || StreamEvent::ResponseStarted { response_id: None, request_id: None, served_model: None };
        let mut events = vec![started()];
        match mood {
            Mood::Answers => {}
            Mood::Thinks => {
                let opaque = Opaque { provider: "test".to_owned(), payload: format!("payload-{key}").into() };
                events.push(StreamEvent::PartOpaque { part: 0, opaque });
            }
            Mood::Fails(kind) => return Err(Error::new(kind, format!("key {key} fails"))),
            Mood::Busy(seconds) => return Err(busy(seconds)),
            Mood::BusyInside => return Ok(failing_stream(events, busy(Some(30)))),
        }
        events.push(StreamEvent::TextDelta { part: 1, text: "Yes.".to_owned() });
        events.push(StreamEvent::Finished { reason: FinishReason::Stop, raw: None });
        Ok(ready_stream(events))
    }
}

fn busy(seconds: Option<u64>) -> Error {
    let error = Error::new(ErrorKind::RateLimit, "slow down").with_status(429);
    match seconds {
        Some(seconds) => error.with_retry(Retry::After(Duration::from_secs(seconds))),
        None => error,
    }
}

struct Bench {
    provider: Arc<Provider>,
    pool: Arc<KeyPool>,
    stack: Stack,
    events: Arc<Mutex<Vec<StreamEvent>>>,
}

impl Bench {
    fn new(moods: &[Mood]) -> Self {
        let keys = (0..moods.len()).map(|key| PooledKey::new(format!("key-{key}")));
        Self::with(keys.collect(), moods, &[], 3)
    }

    /// Makes a pool of keys; `limits` are requests a minute.
    fn with(keys: Vec<PooledKey>, moods: &[Mood], limits: &[u32], most: u32) -> Self {
        let provider = Arc::new(Provider {
            moods: Mutex::new(moods.to_vec()),
            sent: Mutex::default(),
            latency: Mutex::default(),
        });
        let pool = Arc::new(KeyPool::new("test", keys));
        let members = (0..moods.len()).map(|key| {
            let model: Arc<dyn Model> = Arc::new(ByKey(Arc::clone(&provider), key));
            let member = Member::new(Chain::new(Vec::new(), Bottom::Model(model)));
            let Some(limit) = limits.get(key) else { return member };
            let queue = LimitQueue::new(Limits::per_minute(Some(*limit), None, Some(1)));
            let limiter = MemoryLimiter::new(Arc::new(queue), Learning::Off, None);
            member.limited(RateLimitLayer::new(Arc::new(limiter), "test"))
        });
        let layer: Arc<dyn Layer> = Arc::new(KeyPoolLayer::new(Arc::clone(&pool), members.collect(), None));
        let stack = Stack::new(Chain::new(vec![layer], Bottom::None), most, None);
        Self { provider, pool, stack, events: Arc::default() }
    }

    fn mood(&self, key: usize, mood: Mood) {
        self.provider.moods.lock().unwrap()[key] = mood;
    }

    fn takes(&self, latency: Duration) {
        *self.provider.latency.lock().unwrap() = latency;
    }

    fn context(&self) -> RunContext {
        let events = Arc::clone(&self.events);
        let listener = move |event: &StreamEvent| events.lock().unwrap().push(event.clone());
        RunContext::new().with_events(Arc::new(listener))
    }

    async fn say(&self, messages: Vec<Message>) -> Result<ChatResponse> {
        chat(&self.stack, &self.context(), &ChatRequest::new("test:m".parse().unwrap(), messages)).await
    }

    async fn ask(&self) -> Result<ChatResponse> {
        self.say(vec![Message::user("May I?")]).await
    }

    /// Gives the keys that requests went to since the last time.
    fn used(&self) -> Vec<usize> {
        std::mem::take(&mut *self.provider.sent.lock().unwrap()).into_iter().map(|(key, _)| key).collect()
    }

    fn changes(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let changes = events.iter().filter_map(|event| match event {
            StreamEvent::KeyChanged { key, state, .. } => Some(format!("{key} {state}")),
            StreamEvent::Waiting { reason, delay_ms, .. } => Some(format!("{reason} {delay_ms}")),
            _ => None,
        });
        changes.collect()
    }

    fn in_flight(&self) -> u32 {
        self.pool.snapshot().iter().map(|key| key.counts.unwrap().in_flight).sum()
    }
}

use Mood::{Answers, Busy, BusyInside, Fails, Thinks};

#[tokio::test(start_paused = true)]
async fn a_refusal_inside_a_stream_rests_the_key_and_the_next_attempt_may_come_at_once() {
    let bench = Bench::new(&[BusyInside, Answers]);
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("May I?")]);
    let events = bench.stack.open(&bench.context(), &request, Delivery::Streamed).await.unwrap();
    let error = events.map(|event| event.err()).collect::<Vec<_>>().await.pop().flatten().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimit, Retry::After(Duration::ZERO)));
    assert_eq!(bench.changes(), ["key-0 cooling"]);
    bench.mood(1, BusyInside);
    let error = bench.ask().await.unwrap_err();
    assert_eq!(bench.used(), [0, 1]);
    assert_eq!(error.retry(), Retry::After(30 * SECOND), "when the first of them comes back");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_key_takes_now_is_told_when_one_will() {
    let bench = Bench::new(&[Busy(Some(40)), Busy(Some(20)), Fails(ErrorKind::Authentication)]);
    let error = bench.ask().await.unwrap_err();
    assert_eq!(bench.used(), [0, 1, 2]);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimit, Retry::After(20 * SECOND)));
    bench.mood(1, Answers);
    let start = Instant::now();
    bench.ask().await.unwrap();
    assert_eq!((bench.used(), start.elapsed()), (vec![1], 20 * SECOND), "nothing was sent, so it waits here");
    let changes = bench.changes();
    assert_eq!(changes[3..], ["key_pool 20000", "key-1 ready"], "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let bench = Bench::new(&[Busy(Some(90)), Busy(Some(100))]);
    bench.ask().await.unwrap_err();
    let error = bench.ask().await.unwrap_err();
    let told = (error.kind(), error.retry());
    assert_eq!(told, (ErrorKind::RateLimit, Retry::After(90 * SECOND)), "longer than a minute");
    advance(60 * SECOND).await;
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("May I?")]);
    let hurried = RunContext::new().with_timeout(10 * SECOND);
    let start = Instant::now();
    let error = chat(&bench.stack, &hurried, &request).await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Timeout, Duration::ZERO));
    let token = CancellationToken::new();
    let cancelled = RunContext::new().with_cancellation(token.clone());
    let waiting = chat(&bench.stack, &cancelled, &request);
    let cancel = async {
        sleep(SECOND).await;
        token.cancel();
    };
    let (error, ()) = tokio::join!(waiting, cancel);
    assert_eq!((error.unwrap_err().kind(), start.elapsed()), (ErrorKind::Cancelled, SECOND));
    assert_eq!((bench.used(), bench.in_flight()), (vec![0, 1], 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_tried_again_after_a_while_and_comes_back() {
    for kind in [ErrorKind::Authentication, ErrorKind::QuotaExceeded] {
        let bench = Bench::new(&[Fails(kind), Answers]);
        bench.ask().await.unwrap();
        assert_eq!((bench.used(), bench.changes()), (vec![0, 1], vec!["key-0 quarantined".to_owned()]));
        advance(5 * MINUTE - SECOND).await;
        bench.ask().await.unwrap();
        assert_eq!(bench.used(), [1]);
        advance(SECOND).await;
        bench.ask().await.unwrap();
        assert_eq!((bench.used(), bench.changes().len()), (vec![0, 1], 0), "refused again: twice as long");
        bench.mood(0, Answers);
        advance(10 * MINUTE - SECOND).await;
        bench.ask().await.unwrap();
        assert_eq!(bench.used(), [1]);
        advance(SECOND).await;
        bench.ask().await.unwrap();
        assert_eq!((bench.used(), bench.changes()), (vec![0], vec!["key-0 ready".to_owned()]));
        assert_eq!(bench.pool.snapshot()[0].state, KeyStatus::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_probes_while_others_go_elsewhere() {
    let bench = Bench::new(&[Fails(ErrorKind::Authentication), Answers]);
    bench.ask().await.unwrap();
    bench.used();
    advance(5 * MINUTE).await;
    bench.takes(SECOND);
    let (one, two, three) = tokio::join!(bench.ask(), bench.ask(), bench.ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(bench.used(), [0, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn resends_are_counted_and_a_last_attempt_is_no_probe() {
    let moods = [Fails(ErrorKind::Authentication), Busy(None), Fails(ErrorKind::QuotaExceeded), Answers];
    let keys = || (0..4).map(|key| PooledKey::new(format!("key-{key}"))).collect();
    let bench = Bench::with(keys(), &moods, &[], 3);
    let error = bench.ask().await.unwrap_err();
    assert_eq!((bench.used(), error.kind()), (vec![0, 1, 2], ErrorKind::QuotaExceeded));
    bench.ask().await.unwrap();
    assert_eq!(bench.used(), [3]);
    let once = Bench::with(keys(), &moods, &[], 1);
    once.ask().await.unwrap_err();
    advance(6 * MINUTE).await;
    once.mood(1, Answers);
    once.ask().await.unwrap();
    assert_eq!(once.used(), [0, 1], "not `key-0`, whose refusal could not be made good");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_keys_limit_leaves_when_the_key_goes_to_rest() {
    for (mood, rest) in [(Fails(ErrorKind::Authentication), "quarantined"), (Busy(Some(600)), "cooling")] {
        let keys = vec![PooledKey::new("key-0"), PooledKey::new("key-1")];
        let bench = Bench::with(keys, &[mood, Answers], &[60, 30], 3);
        bench.takes(SECOND / 2);
        let start = Instant::now();
        let calls = futures::future::join_all((0..6).map(|_| bench.ask()));
        assert!(calls.await.iter().all(Result::is_ok));
        let used = bench.used();
        let by = |key: usize| used.iter().filter(|used| **used == key).count();
        assert_eq!((by(0), by(1)), (1, 6), "only the first was sent by `key-0`: {used:?}");
        assert!(start.elapsed() <= 11 * SECOND, "{:?}", start.elapsed());
        assert_eq!(bench.changes().iter().filter(|change| **change == format!("key-0 {rest}")).count(), 1);
        assert_eq!(bench.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_its_key_back() {
    let bench = Bench::new(&[Answers, Answers]);
    bench.takes(MINUTE);
    {
        let call = std::pin::pin!(bench.ask());
        assert!(tokio::time::timeout(SECOND, call).await.is_err());
    }
    assert_eq!(bench.in_flight(), 0);
    bench.takes(Duration::ZERO);
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("May I?")]);
    let stream = bench.stack.open(&RunContext::new(), &request, Delivery::Streamed).await.unwrap();
    assert_eq!(bench.in_flight(), 1);
    drop(stream);
    let counts: Vec<KeyCounts> = bench.pool.snapshot().iter().map(|key| key.counts.unwrap()).collect();
    assert_eq!((bench.in_flight(), counts[0].succeeded + counts[1].succeeded), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_answers_hang_gets_little_more_to_do() {
    let bench = Bench::new(&[Answers, Answers]);
    bench.takes(1_000 * SECOND);
    let hanging: Vec<_> =
        futures::future::join_all((0..4).map(|_| tokio::time::timeout(SECOND, bench.ask()))).await;
    assert!(hanging.iter().all(Result::is_err));
    assert_eq!(bench.used(), [0, 1, 0, 1]);
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("May I?")]);
    bench.takes(Duration::ZERO);
    // Streams that nobody reads stay open; those of `key-1` are read at once.
    let mut open = Vec::new();
    for _ in 0..40 {
        let stream = bench.stack.open(&RunContext::new(), &request, Delivery::Streamed).await.unwrap();
        match bench.used()[..] {
            [0] => open.push(stream),
            _ => assert!(stream.collect::<Vec<_>>().await.iter().all(Result::is_ok)),
        }
    }
    assert!((2..=6).contains(&open.len()), "{}", open.len());
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_not_the_keys_are_left_to_others() {
    for kind in [ErrorKind::Overloaded, ErrorKind::InvalidRequest, ErrorKind::Timeout] {
        let bench = Bench::new(&[Fails(kind), Answers]);
        assert_eq!(bench.ask().await.unwrap_err().kind(), kind);
        assert_eq!((bench.used(), bench.changes().len()), (vec![0], 0));
        assert_eq!(bench.pool.snapshot()[0].state, KeyStatus::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_asked_before_a_call_goes_on_with_another_key() {
    #[derive(Debug)]
    struct Closed;
    #[async_trait]
    impl motet_core::budget::ResendGate for Closed {
        async fn before_resend(&self, failed: &Error) -> Result<()> {
            assert_eq!(failed.kind(), ErrorKind::RateLimit);
            Err(Error::new(ErrorKind::BudgetExceeded, "nothing is left"))
        }
    }
    let bench = Bench::new(&[Mood::Busy(None), Mood::Answers]);
    let context = bench.context().with_resend_gate(Arc::new(Closed));
    let request = ChatRequest::new("test:m".parse().unwrap(), vec![Message::user("May I?")]);
    let error = chat(&bench.stack, &context, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert_eq!(bench.provider.sent.lock().unwrap().len(), 1);
}
