//! Identical calls at once: one asks, the others wait, and somebody always goes on.

use futures::future::join_all;

use super::*;

fn waits(seen: &Mutex<Vec<StreamEvent>>) -> usize {
    let is_wait = |event: &&StreamEvent| matches!(event, StreamEvent::Waiting { reason, scope, .. } if reason == "single_flight" && scope == "openai:x");
    seen.lock().unwrap().iter().filter(is_wait).count()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_at_once_ask_once() {
    for (mode, delivery) in [
        (CacheMode::ReadWrite, Delivery::Plain),
        (CacheMode::ReadWrite, Delivery::Streamed),
        (CacheMode::Read, Delivery::Plain),
    ] {
        let rig = rig(mode, good);
        let (context, seen) = watched();
        let answers = join_all((0..100).map(|_| rig.ask_for(&context, "a", delivery))).await;
        let costs: Vec<u64> =
            answers.iter().map(|answer| answer.as_ref().unwrap().cost.unwrap().nanos()).collect();
        assert_eq!(costs.iter().sum::<u64>(), 1, "only the one who asked pays");
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().text() == "answer 0"));
        assert_eq!(
            (rig.calls(), waits(&seen), rig.cache.flights.count()),
            (1, 99, 0),
            "{mode:?} {delivery:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_look_nothing_up_all_ask() {
    for mode in [CacheMode::Write, CacheMode::Refresh] {
        let rig = rig(mode, good);
        let context = RunContext::new();
        join_all((0..5).map(|_| rig.ask(&context, "a"))).await;
        assert_eq!(rig.calls(), 5, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asks_fails_the_next_asks_and_no_one_inherits_the_failure() {
    let rig = rig(CacheMode::ReadWrite, |number: u32, _: &RunContext| match number {
        0 => Err(Error::new(ErrorKind::Overloaded, "busy")),
        1 => Ok(vec![
            Ok(StreamEvent::TextDelta { part: 0, text: "half".into() }),
            Err(Error::new(ErrorKind::Truncated, "cut")),
        ]),
        2 => Ok(vec![Ok(StreamEvent::TextDelta { part: 0, text: "half".into() })]),
        _ => Ok(numbered(number, FinishReason::Stop)),
    });
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        rig.model.calls.store(0, Ordering::SeqCst);
        let text = format!("{delivery:?}");
        let context = RunContext::new();
        let answers = join_all((0..10).map(|_| rig.ask_for(&context, &text, delivery))).await;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!((failed, rig.calls()), (3, 4), "each failure is one caller's own");
        assert!(answers.iter().flatten().all(|answer| answer.text() == "answer 3"));
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asks_goes_away_the_next_asks() {
    // It goes away before the answer begins, and amid the answer.
    for after in [Duration::from_millis(500), Duration::from_millis(2_500)] {
        let rig = Arc::new(rig(CacheMode::ReadWrite, good));
        let ask = |rig: &Arc<Rig<_>>| {
            let rig = Arc::clone(rig);
            tokio::spawn(async move { rig.ask_for(&RunContext::new(), "a", Delivery::Streamed).await })
        };
        let leader = ask(&rig);
        tokio::task::yield_now().await;
        let others: Vec<_> = (0..5).map(|_| ask(&rig)).collect();
        sleep(after).await;
        leader.abort();
        for other in others {
            assert_eq!(other.await.unwrap().unwrap().text(), "answer 1");
        }
        assert_eq!((rig.calls(), rig.cache.flights.count()), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_after_its_last_word_was_worth_its_money() {
    let rig = rig(CacheMode::ReadWrite, good);
    let mut stream = rig.stack.open(&RunContext::new(), &request("a"), Delivery::Streamed).await.unwrap();
    while !matches!(stream.next().await, Some(Ok(StreamEvent::Finished { .. }))) {}
    drop(stream);
    assert_eq!(rig.ask(&RunContext::new(), "a").await.unwrap().text(), "answer 0");
}

#[tokio::test(start_paused = true)]
async fn who_waits_ends_with_its_own_run() {
    let rig = Arc::new(rig(CacheMode::ReadWrite, good));
    let leader = { Arc::clone(&rig) };
    let leading =
        tokio::spawn(async move { leader.ask_for(&RunContext::new(), "a", Delivery::Streamed).await });
    tokio::task::yield_now().await;
    let hasty = RunContext::new().with_timeout(Duration::from_millis(300));
    assert_eq!(rig.ask(&hasty, "a").await.unwrap_err().kind(), ErrorKind::Timeout);
    let token = tokio_util::sync::CancellationToken::new();
    let cancelled = RunContext::new().with_cancellation(token.clone());
    let (answer, ()) = tokio::join!(rig.ask(&cancelled, "a"), async { token.cancel() });
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(leading.await.unwrap().unwrap().text(), "answer 0");
    assert_eq!(rig.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_keeps_what_another_only_read_keeps_it() {
    let rig = rig(CacheMode::Off, good);
    let (read, write) =
        (RunContext::new().with_cache(CacheMode::Read), RunContext::new().with_cache(CacheMode::ReadWrite));
    let (first, second) = tokio::join!(rig.ask(&read, "a"), rig.ask(&write, "a"));
    assert_eq!(first.unwrap().text(), second.unwrap().text());
    assert_eq!(rig.ask(&read, "a").await.unwrap().text(), "answer 0");
    assert_eq!(rig.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_reaches_those_who_wait_before_its_caller_reads_it() {
    let rig = rig(CacheMode::ReadWrite, good);
    let unread = rig.stack.open(&RunContext::new(), &request("a"), Delivery::Plain).await.unwrap();
    let hasty = RunContext::new().with_timeout(Duration::from_secs(1));
    assert_eq!(rig.ask(&hasty, "a").await.unwrap().text(), "answer 0");
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_under_many_threads() {
    let rig = Arc::new(rig_of(Cache::new(limits()), CacheMode::ReadWrite, good));
    // The model sleeps a second; here failing calls must not.
    let flights = Arc::clone(&rig.cache.flights);
    for round in 0..200u32 {
        let key = Key::of_chat(&request(&round.to_string()), &Scope::default()).unwrap();
        let led = Arc::new(AtomicU32::new(0));
        let racing = (0..8u32).map(|_| {
            let (flights, led) = (Arc::clone(&flights), Arc::clone(&led));
            tokio::spawn(async move {
                loop {
                    match flights.join(key) {
                        // The first three leaders go away.
                        super::super::flight::Seat::Lead(lead) => {
                            if led.fetch_add(1, Ordering::SeqCst) >= 3 {
                                return drop(lead);
                            }
                            tokio::task::yield_now().await;
                        }
                        super::super::flight::Seat::Wait(wait) => {
                            let landed = wait.landed(&RunContext::new()).await.unwrap();
                            assert!(landed.is_none());
                        }
                    }
                }
            })
        });
        let all = join_all(racing);
        let ended = tokio::time::timeout(Duration::from_secs(30), all).await;
        assert!(ended.is_ok(), "somebody waits for ever in round {round}");
        assert_eq!((led.load(Ordering::SeqCst), flights.count()), (11, 0));
    }
}
