//! How many requests begin, run at once, wait, and are held in memory.

use super::*;

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_asked_and_the_input_is_taken_as_there_is_room() {
    let model = TestModel::new(after(10), &[]);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = questions(100).inspect({
        let taken = Arc::clone(&taken);
        move |_| {
            taken.fetch_add(1, Ordering::SeqCst);
        }
    });
    let batch = Batch::of(counted).options(options(|options| options.max_concurrent = 7));
    let mut running = batch.start(&RunContext::new(), models(&model));
    let first = running.next().await.unwrap().unwrap();
    assert_eq!(first.text().unwrap(), format!("re: q{}", first.index));
    tokio::time::sleep(Duration::from_secs(60)).await;
    // One result was taken, one waits in the channel, and one with the driver; no more begins until they are taken.
    assert!(taken.load(Ordering::SeqCst) <= 7 + 3, "{}", taken.load(Ordering::SeqCst));
    let summary = running.finish().await.unwrap();
    assert_eq!((summary.total, summary.succeeded, model.most()), (100, 100, 7));
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_the_batch_where_asked() {
    let model = TestModel::new(after(10), &[("q9", fails(ErrorKind::InvalidRequest))]);
    let fail_fast = options(|options| options.strategy = BatchStrategy::FailFast);
    let report = collect(&model, Batch::of(questions(1_000)).options(fail_fast)).await;
    // The first eight end together, then the tenth fails among the next eight.
    assert_eq!(model.asked().len(), 16);
    let summary = &report.summary;
    assert_eq!((summary.total, summary.failed), (1_000, 1));
    assert_eq!(summary.succeeded + summary.cancelled, 15);
    assert!(summary.succeeded >= 8 && summary.cancelled >= 1, "{summary:?}");
    assert_eq!(summary.not_started, 984);
    assert_eq!(model.running.load(Ordering::SeqCst), 0, "what ran was cancelled");
    assert!(summary.elapsed < Duration::from_millis(25), "{:?}", summary.elapsed);
    let cancelled =
        report.results.iter().find(|result| matches!(result.outcome, BatchOutcome::Cancelled { .. }));
    let error = cancelled.unwrap().error().unwrap();
    assert_eq!(error.message, "the batch ended because request `10` failed");
    let error = summary.error().unwrap();
    assert_eq!(error.message(), "1 of 1000 requests failed; the first, `10`: the model is out of order");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_others_are_still_running_at_cancels_them() {
    let slow = after(3_600_000);
    let model = TestModel::new(slow, &[("q0", fails(ErrorKind::Authentication))]);
    let fail_fast = options(|options| options.strategy = BatchStrategy::FailFast);
    let report = collect(&model, Batch::of(questions(1_000)).options(fail_fast)).await;
    assert_eq!(model.asked().len(), 8);
    assert_eq!((report.summary.cancelled, report.summary.not_started), (7, 992));
    assert_eq!(report.summary.elapsed, Duration::from_millis(10));
    assert_eq!(report.summary.cost, None, "what was cancelled may have been billed");
}

#[tokio::test(start_paused = true)]
async fn results_come_before_the_end_and_as_they_are_ready() {
    let model = TestModel::new(after(10), &[("q0", after(1_000))]);
    let batch = Batch::of(questions(5));
    let mut running = batch.start(&RunContext::new(), models(&model));
    let begun = tokio::time::Instant::now();
    let mut order = Vec::new();
    while let Some(result) = running.next().await {
        order.push((result.unwrap().index, begun.elapsed().as_millis()));
    }
    order[..4].sort_unstable();
    assert_eq!(order, [(1, 10), (2, 10), (3, 10), (4, 10), (0, 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_asked_and_few_are_begun_beyond_the_one_waited_for() {
    let model = TestModel::new(after(10), &[("q0", after(60_000))]);
    let in_order = options(|options| {
        options.order = Order::AsAsked;
        options.max_concurrent = 4;
    });
    let mut running = Batch::of(questions(200)).options(in_order).start(&RunContext::new(), models(&model));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(model.asked().len(), 16, "four times as many as run at once");
    let mut order = Vec::new();
    while let Some(result) = running.next().await {
        order.push(result.unwrap().index);
    }
    assert_eq!(order, (0..200).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn the_order_asked_holds_when_requests_are_tried_again() {
    let model = TestModel::new(after(10), &[("q1", Reply { failures: 1, ..fails(ErrorKind::Overloaded) })]);
    let in_order = options(|options| {
        options.order = Order::AsAsked;
        options.retry_failed = 1;
        options.max_concurrent = 2;
    });
    let mut running = Batch::of(questions(40)).options(in_order).start(&RunContext::new(), models(&model));
    let mut order = Vec::new();
    while let Some(result) = running.next().await {
        let result = result.unwrap();
        assert!(result.is_success());
        order.push(result.index);
    }
    assert_eq!(order, (0..40).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_hundred_thousand_requests_are_never_in_memory_together() {
    const COUNT: usize = 100_000;
    let model = TestModel::new(Reply { nanos: Some(1), ..Reply::default() }, &[]);
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let requests = (0..COUNT).map({
        let (open, most) = (Arc::clone(&open), Arc::clone(&most));
        move |_| {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            ask("x")
        }
    });
    let mut running = Batch::of(requests).start(&RunContext::new(), models(&model));
    let mut seen = 0;
    while let Some(result) = running.next().await {
        seen += usize::from(result.unwrap().is_success());
        open.fetch_sub(1, Ordering::SeqCst);
        // What the model was asked is of no interest here, and would grow.
        model.asked.lock().unwrap().clear();
    }
    assert_eq!(seen, COUNT);
    let most = most.load(Ordering::SeqCst);
    assert!((8..=12).contains(&most), "{most} requests were between their taking and their result");
    assert_eq!(running.finish().await.unwrap().succeeded, COUNT as u64);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_slow_holds_no_result_back_and_can_be_stopped() {
    let model = TestModel::new(after(10), &[]);
    let slow = stream::iter([Ok(ask("q0")), Ok(ask("q1"))]).chain(stream::pending());
    let stop = CancellationToken::new();
    let context = RunContext::new().with_cancellation(stop.clone());
    let mut running = Batch::new(slow).start(&context, models(&model));
    for _ in 0..2 {
        assert!(running.next().await.unwrap().unwrap().is_success());
    }
    stop.cancel();
    assert!(running.next().await.is_none());
    let summary = running.finish().await.unwrap();
    assert_eq!((summary.total, summary.succeeded, summary.interrupted), (2, 2, false));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_callers_time_is_seen_while_nothing_else_happens() {
    let busy = Reply { wait: Some(Duration::from_secs(3_600)), ..fails(ErrorKind::RateLimit) };
    let model = TestModel::new(after(10), &[("q0", busy)]);
    let again = options(|options| options.retry_failed = 1);
    let inputs =
        [Batch::of(questions(2)), Batch::new(stream::iter([Ok(ask("q1"))]).chain(stream::pending()))];
    for batch in inputs {
        let begun = tokio::time::Instant::now();
        let context = RunContext::new().with_timeout(Duration::from_secs(60));
        let collected = batch.options(again.clone()).collect(&context, models(&model));
        let report = tokio::time::timeout(Duration::from_secs(7_200), collected).await.unwrap().unwrap();
        assert_eq!((begun.elapsed().as_secs(), report.summary.succeeded), (60, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_stopped_before_the_end_of_its_input_is_not_done() {
    let model = TestModel::new(after(10), &[]);
    let endless = stream::iter([Ok(ask("q0"))]).chain(stream::poll_fn(|_| Poll::Pending));
    let context = RunContext::new().with_timeout(Duration::from_secs(60));
    let summary = Batch::new(endless).collect(&context, models(&model)).await.unwrap().summary;
    assert_eq!((summary.total, summary.succeeded, summary.interrupted), (1, 1, true));
    assert_eq!(summary.error().unwrap().kind(), ErrorKind::Cancelled);
}
