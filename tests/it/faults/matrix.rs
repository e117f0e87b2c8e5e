//! Every kind of error at every stage, plain and streamed.

use std::time::Duration;

use motet_core::{Delivery, ErrorKind, RunContext, StreamEvent};
use motet_providers::simulated::{Fault, Stage};

use super::{BOTH, Simulated, always, call, call_within, faulty, runtime, text};

const LATENCY: Duration = Duration::from_millis(100);

/// Settings under which waits are up to 1 s and 2 s.
const SETTINGS: &[(&str, &str)] = &[
    ("retry.max_attempts", "3"),
    ("retry.min_delay", "1s"),
    ("retry.max_delay", "2s"),
    ("breaker.enabled", "false"),
];

/// Kinds that may pass; all others are the caller's to mend.
const PASSING: &[ErrorKind] = &[
    ErrorKind::RateLimit,
    ErrorKind::Connection,
    ErrorKind::Timeout,
    ErrorKind::Overloaded,
    ErrorKind::Truncated,
];

fn cases() -> impl Iterator<Item = (ErrorKind, Stage, Delivery)> {
    let stages =
        |kind| Stage::ALL.iter().flat_map(move |stage| BOTH.map(|delivery| (kind, *stage, delivery)));
    ErrorKind::ALL.iter().copied().flat_map(stages)
}

/// Tells whether a failure can be mended unseen.
fn is_mended(kind: ErrorKind, stage: Stage, delivery: Delivery) -> bool {
    PASSING.contains(&kind) && !(stage == Stage::MidStream && delivery == Delivery::Streamed)
}

/// Tells the time that a number of broken requests takes.
fn broken(stage: Stage, requests: u32) -> Duration {
    match stage {
        Stage::BeforeConnect | Stage::MidBody => Duration::ZERO,
        _ => LATENCY * requests,
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_stays_is_tried_as_often_as_allowed_and_no_oftener() {
    for (kind, stage, delivery) in cases() {
        let case = format!("{kind} at {stage:?}, {delivery:?}");
        let runtime = runtime(SETTINGS);
        let mut rules = always(Fault::new(stage, kind));
        rules.latency = LATENCY;
        let model = Simulated::new(&runtime, "simulated:a", rules);
        let called = call(&runtime, &model.id, delivery).await;
        if stage == Stage::AfterFinish {
            assert_eq!((called.text(), model.arrived()), (text(), 1), "{case}");
            assert!(called.events.iter().any(|event| matches!(event, StreamEvent::Warning { .. })), "{case}");
            continue;
        }
        let requests = if is_mended(kind, stage, delivery) { 3 } else { 1 };
        assert_eq!((called.error().kind(), model.arrived()), (kind, u64::from(requests)), "{case}");
        assert_eq!(called.waits().len() as u32, requests - 1, "{case}");
        let told = called.error().context().iter().any(|(name, value)| name == "attempts" && value == "3");
        assert_eq!(told, requests == 3, "{case}");
        let least = broken(stage, requests);
        let most = least + if requests == 3 { Duration::from_secs(3) } else { Duration::ZERO };
        assert!(
            (least..=most + Duration::from_millis(5)).contains(&called.took),
            "{case}: {:?}",
            called.took
        );
        assert_eq!(called.discarded(), 0, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_is_not_seen_and_one_that_is_seen_is_final() {
    for (kind, stage, delivery) in cases() {
        let case = format!("{kind} at {stage:?}, {delivery:?}");
        let runtime = runtime(SETTINGS);
        let mut rules = faulty([Fault::new(stage, kind)]);
        rules.latency = LATENCY;
        let model = Simulated::new(&runtime, "simulated:a", rules);
        let called = call(&runtime, &model.id, delivery).await;
        if stage == Stage::AfterFinish {
            assert_eq!((called.text(), model.arrived()), (text(), 1), "{case}");
        } else if is_mended(kind, stage, delivery) {
            assert_eq!((called.text(), model.arrived()), (text(), 2), "{case}");
            let (least, most) =
                (broken(stage, 1) + LATENCY, broken(stage, 1) + LATENCY + Duration::from_secs(1));
            assert!(
                (least..=most + Duration::from_millis(5)).contains(&called.took),
                "{case}: {:?}",
                called.took
            );
        } else {
            assert_eq!((called.error().kind(), model.arrived()), (kind, 1), "{case}");
            assert_eq!(called.error().context(), [], "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_may_recover_do_so_and_say_so() {
    let mut settings = SETTINGS.to_vec();
    settings.push(("retry.recover_streams", "true"));
    for kind in ErrorKind::ALL {
        let runtime = runtime(&settings);
        let model = Simulated::new(&runtime, "simulated:a", faulty([Fault::new(Stage::MidStream, *kind)]));
        let called = call(&runtime, &model.id, Delivery::Streamed).await;
        if PASSING.contains(kind) {
            assert_eq!((called.text(), called.discarded(), model.arrived()), (text(), 1, 2), "{kind}");
        } else {
            assert_eq!((called.error().kind(), called.discarded(), model.arrived()), (*kind, 0, 1), "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_ended_by_the_deadline_or_by_cancelling() {
    for (stage, delivery) in Stage::ALL.iter().flat_map(|stage| BOTH.map(|delivery| (*stage, delivery))) {
        for cancelled in [false, true] {
            let case = format!("{stage:?}, {delivery:?}, cancelled: {cancelled}");
            let runtime = runtime(SETTINGS);
            let fault = Fault::new(stage, ErrorKind::Overloaded).hanging();
            let model = Simulated::new(&runtime, "simulated:a", faulty([fault]));
            let context = if cancelled {
                let context = RunContext::new();
                let token = context.cancellation().clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(7)).await;
                    token.cancel();
                });
                context
            } else {
                RunContext::new().with_timeout(Duration::from_secs(7))
            };
            let called = call_within(&runtime, context, &model.id, delivery).await;
            assert_eq!(model.arrived(), 1, "{case}");
            if stage == Stage::AfterFinish {
                assert_eq!(called.text(), text(), "{case}");
                assert!(called.took < Duration::from_secs(6), "{case}: {:?}", called.took);
                continue;
            }
            let kind = if cancelled { ErrorKind::Cancelled } else { ErrorKind::Timeout };
            assert_eq!(called.error().kind(), kind, "{case}");
            let (end, millisecond) = (Duration::from_secs(7), Duration::from_millis(1));
            assert!((end..=end + 2 * millisecond).contains(&called.took), "{case}: {:?}", called.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_run() {
    let advice = Duration::from_secs(60);
    for delivery in BOTH {
        let runtime = runtime(SETTINGS);
        let fault = Fault::new(Stage::InHeaders, ErrorKind::RateLimit).with_retry_after(advice);
        let model = Simulated::new(&runtime, "simulated:a", faulty([fault.clone(), fault]));
        let context = RunContext::new();
        let token = context.cancellation().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            token.cancel();
        });
        let called = call_within(&runtime, context, &model.id, delivery).await;
        assert_eq!((called.error().kind(), model.arrived()), (ErrorKind::Cancelled, 1));
        assert!(called.took <= Duration::from_millis(7_002), "{:?}", called.took);
        let context = RunContext::new().with_timeout(advice);
        let called = call_within(&runtime, context, &model.id, delivery).await;
        assert_eq!(
            (called.error().kind(), called.error().retry_after()),
            (ErrorKind::RateLimit, Some(advice))
        );
        assert_eq!((called.took, model.arrived()), (Duration::ZERO, 2), "what cannot fit is not waited for");
    }
}
