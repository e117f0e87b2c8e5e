//! Limits in memory, under a clock that stands still until all wait.

use std::sync::Mutex;

use motet_core::event::StreamEvent;
use motet_core::limits::Allowance;
use motet_core::{ErrorKind, Retry};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::layers::rate_limit::gcra::Rate;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limiter(limits: Limits, max_wait: Option<Duration>) -> Arc<MemoryLimiter> {
    Arc::new(MemoryLimiter::new(Arc::new(LimitQueue::new(limits)), Learning::Tighten, max_wait))
}

fn requests(per_minute: u32, burst: u32) -> Limits {
    Limits::per_minute(Some(per_minute), None, Some(burst))
}

fn tokens(per_minute: u32) -> Limits {
    Limits::per_minute(None, Some(per_minute), None)
}

fn told(requests: Option<Allowance>, tokens: Option<Allowance>) -> RateLimits {
    let mut limits = RateLimits::default();
    (limits.requests, limits.tokens) = (requests, tokens);
    limits
}

fn left(limit: u64, remaining: u64) -> Option<Allowance> {
    Some(Allowance::new(Some(limit), Some(remaining), None))
}

async fn admit(limiter: &MemoryLimiter, tokens: u64) -> Permit {
    limiter.admit(&RunContext::new(), tokens, "test").await.unwrap()
}

/// Asks at once in the order given; gives who was admitted when, in seconds.
async fn race(limiter: &Arc<MemoryLimiter>, asks: &[(&'static str, u64)]) -> Vec<(&'static str, u64)> {
    let (begun, order) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = Vec::new();
    for (name, tokens) in asks {
        let (limiter, order, name, tokens) = (Arc::clone(limiter), Arc::clone(&order), *name, *tokens);
        tasks.push(tokio::spawn(async move {
            admit(&limiter, tokens).await;
            order.lock().unwrap().push((name, begun.elapsed().as_secs()));
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    Arc::try_unwrap(order).unwrap().into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_and_the_rest_one_by_one() {
    for (burst, expected) in [(1, [0, 1, 2, 3]), (3, [0, 0, 0, 1])] {
        let order =
            race(&limiter(requests(60, burst), None), &[("a", 0), ("b", 0), ("c", 0), ("d", 0)]).await;
        assert_eq!(order.iter().map(|(_, at)| *at).collect::<Vec<_>>(), expected, "a burst of {burst}");
        assert_eq!(order.iter().map(|(name, _)| *name).collect::<String>(), "abcd");
    }
}

#[tokio::test(start_paused = true)]
async fn small_requests_do_not_overtake_a_large_one() {
    let limiter = limiter(tokens(600), None);
    admit(&limiter, 600).await;
    let order = race(&limiter, &[("large", 500), ("small", 10), ("small", 10)]).await;
    assert_eq!(order, [("large", 50), ("small", 51), ("small", 52)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_fits_waits_for_all_and_leaves_a_debt() {
    let limiter = limiter(tokens(600), None);
    let order = race(&limiter, &[("small", 100), ("huge", 1_200), ("next", 10)]).await;
    assert_eq!(order, [("small", 0), ("huge", 10), ("next", 10 + 61)]);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_no_trace() {
    let limiter = limiter(requests(60, 1), None);
    admit(&limiter, 0).await;
    let waiting = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { admit(&limiter, 5).await }
    });
    sleep(Duration::from_millis(100)).await;
    assert_eq!(limiter.expected_wait(0), Duration::from_millis(1_900));
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(limiter.expected_wait(0), Duration::from_millis(900));
    let begun = Instant::now();
    admit(&limiter, 0).await;
    assert_eq!(begun.elapsed().as_millis(), 900);
}

#[tokio::test(start_paused = true)]
async fn what_a_model_took_of_its_own_limits_is_given_back_when_the_shared_ones_are_not_waited_for() {
    let limiter = limiter(requests(60, 1), None);
    limiter.learn(&told(left(1, 1), None));
    admit(&limiter, 0).await;
    sleep(seconds(60)).await;
    limiter.shared.pause(seconds(100));
    let waiting = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { admit(&limiter, 0).await }
    });
    sleep(seconds(1)).await;
    assert_eq!(limiter.own.expected_wait(0), seconds(59));
    waiting.abort();
    waiting.await.unwrap_err();
    assert_eq!(limiter.own.expected_wait(0), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_stops_waiting_at_once() {
    let limiter = limiter(requests(1, 1), None);
    admit(&limiter, 0).await;
    let token = CancellationToken::new();
    let context = RunContext::new().with_cancellation(token.clone());
    let begun = Instant::now();
    let (error, ()) = tokio::join!(limiter.admit(&context, 0, "test"), async {
        sleep(seconds(2)).await;
        token.cancel();
    });
    assert_eq!((error.unwrap_err().kind(), begun.elapsed()), (ErrorKind::Cancelled, seconds(2)));
    assert_eq!(limiter.expected_wait(0), seconds(58));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_vain() {
    let limiter = limiter(requests(1, 1), Some(seconds(90)));
    admit(&limiter, 0).await;
    let begun = Instant::now();
    let context = RunContext::new().with_timeout(seconds(30));
    let late = limiter.admit(&context, 0, "acme/key").await.unwrap_err();
    assert_eq!((late.kind(), late.retry()), (ErrorKind::Timeout, Retry::Never));
    assert_eq!(
        late.to_string(),
        "the rate limit of `acme/key` leaves no room for 60s, and the run's deadline is in 30s"
    );
    assert!(late.hint().is_some());
    let waiting = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { admit(&limiter, 0).await }
    });
    tokio::task::yield_now().await;
    let long = limiter.admit(&RunContext::new(), 0, "acme/key").await.unwrap_err();
    assert_eq!((long.kind(), long.retry()), (ErrorKind::RateLimit, Retry::Never));
    assert_eq!(
        long.to_string(),
        "the rate limit of `acme/key` leaves no room for 120s, longer than the 90s that `rate_limit.max_wait` allows"
    );
    assert_eq!(begun.elapsed(), Duration::ZERO, "all this was foreseeable");
    waiting.await.unwrap();
    assert_eq!(begun.elapsed(), seconds(60));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_grows_too_long_ends_when_patience_does() {
    let limiter = limiter(tokens(60), Some(seconds(30)));
    let permit = admit(&limiter, 60).await;
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { limiter.admit(&RunContext::new(), 20, "test").await.unwrap_err() }
    });
    sleep(seconds(5)).await;
    limiter.settle(permit, Some(600));
    let error = waiting.await.unwrap();
    assert_eq!(
        (error.kind(), begun.elapsed()),
        (ErrorKind::RateLimit, seconds(20)),
        "seen when its turn should be"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_is_told_once_and_only_when_there_is_any() {
    let limiter = limiter(requests(60, 1), None);
    limiter.learn(&told(left(30, 1), None));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let context = RunContext::new()
        .with_events(Arc::new(move |event: &StreamEvent| sink.lock().unwrap().push(event.clone())));
    limiter.admit(&context, 0, "acme").await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 0);
    limiter.admit(&context, 0, "acme").await.unwrap();
    let expected =
        StreamEvent::Waiting { reason: "rate_limit".into(), delay_ms: 2_000, scope: "acme".into() };
    assert_eq!(*heard.lock().unwrap(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_is_there_for_the_next_one_at_once() {
    let limiter = limiter(Limits { requests: Some(Rate::per_minute(1)), ..tokens(600) }, None);
    let permit = admit(&limiter, 600).await;
    assert_eq!(limiter.expected_wait(10), seconds(60));
    limiter.settle(permit, None);
    assert_eq!(limiter.expected_wait(600), Duration::ZERO, "nothing was sent");
    let permit = admit(&limiter, 600).await;
    limiter.settle(permit, Some(60));
    sleep(seconds(54)).await;
    assert_eq!(limiter.expected_wait(600), seconds(6), "the request counts, though few tokens do");

    let limiter = self::limiter(tokens(600), None);
    let permit = admit(&limiter, 600).await;
    let begun = Instant::now();
    let (_, ()) = tokio::join!(admit(&limiter, 500), async {
        sleep(seconds(7)).await;
        limiter.settle(permit, Some(10));
    });
    assert_eq!(begun.elapsed(), seconds(7), "who waits learns of it");
}

#[tokio::test(start_paused = true)]
async fn more_use_than_was_reserved_is_a_debt() {
    let limiter = limiter(tokens(600), None);
    let permit = admit(&limiter, 100).await;
    limiter.settle(permit, Some(1_000));
    assert_eq!(limiter.expected_wait(100), seconds(50));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everything_back_and_no_burst_follows_that_the_limit_forbids() {
    let limiter = limiter(requests(60, 2), None);
    limiter.pause(seconds(20));
    limiter.pause(seconds(10));
    let order = race(&limiter, &[("a", 0), ("b", 0), ("c", 0)]).await;
    assert_eq!(order, [("a", 20), ("b", 20), ("c", 21)]);
}

#[tokio::test(start_paused = true)]
async fn others_who_use_the_key_are_made_room_for() {
    let limiter = limiter(requests(60, 60), None);
    admit(&limiter, 0).await;
    limiter.learn(&told(left(30, 2), None));
    let order = race(&limiter, &[("a", 0), ("b", 0), ("c", 0)]).await;
    assert_eq!(order, [("a", 0), ("b", 0), ("c", 2)]);
    assert_eq!(limiter.learnt().requests, Some(Rate::per_minute(30)));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_is_taken_over_and_raised_again() {
    let limiter = limiter(requests(600, 600), None);
    limiter.learn(&told(left(60, 0), None));
    let gaps = |order: Vec<(&str, u64)>| order.iter().map(|(_, at)| *at).collect::<Vec<_>>();
    assert_eq!(gaps(race(&limiter, &[("a", 0), ("b", 0)]).await), [1, 2]);
    limiter.learn(&told(left(6_000, 6_000), None));
    sleep(seconds(1)).await;
    assert_eq!(gaps(race(&limiter, &[("a", 0), ("b", 0), ("c", 0)]).await), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_settings_say_what_is_learnt() {
    let both = told(left(60, 0), left(600, 0));
    for (learning, configured, expected) in [
        (Learning::Off, requests(600, 600), (None, None)),
        (Learning::Tighten, requests(600, 600), (Some(60), None)),
        (Learning::Tighten, Limits::default(), (None, None)),
        (Learning::Adopt, Limits::default(), (Some(60), Some(600))),
    ] {
        let limiter = MemoryLimiter::new(Arc::new(LimitQueue::new(configured)), learning, None);
        limiter.learn(&both);
        let rates = (expected.0.map(Rate::per_minute), expected.1.map(Rate::per_minute));
        assert_eq!(
            (limiter.learnt().requests, limiter.learnt().tokens),
            rates,
            "{learning:?} {configured:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn models_share_what_is_configured_and_learn_each_for_itself() {
    let shared = Arc::new(LimitQueue::new(requests(60, 2)));
    let model = || MemoryLimiter::new(Arc::clone(&shared), Learning::Tighten, None);
    let (one, other) = (model(), model());
    one.pause(seconds(30));
    assert_eq!((one.expected_wait(0), other.expected_wait(0)), (seconds(30), Duration::ZERO));
    admit(&other, 0).await;
    admit(&other, 0).await;
    assert_eq!(other.expected_wait(0), seconds(1));
    let begun = Instant::now();
    let (_, ()) = tokio::join!(admit(&one, 0), async {
        for _ in 0..5 {
            admit(&other, 0).await;
        }
        assert_eq!(begun.elapsed(), seconds(5), "the model that pauses keeps no other waiting");
    });
    assert_eq!(begun.elapsed(), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_before_a_limit_was_known_is_not_given_back_to_it() {
    let limiter = limiter(tokens(6_000), None);
    let permit = admit(&limiter, 3_000).await;
    sleep(seconds(1)).await;
    limiter.learn(&told(None, left(600, 0)));
    limiter.settle(permit, Some(0));
    assert_eq!(limiter.expected_wait(600), seconds(60));
}
