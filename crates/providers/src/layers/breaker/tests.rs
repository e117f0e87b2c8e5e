//! Circuits before a simulated model: what opens them, and what callers see of it.

use futures::StreamExt as _;
use motet_core::attempts::Attempts;
use motet_core::{Delivery, Model as _};

use super::*;
use crate::layers::Stack;
use crate::layers::retry::{Chance, RetryLayer, Rules};
use crate::layers::trial::{Trial, ask, listening, request, with};
use crate::simulated::{self, Fault, Stage};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { min_calls: 2, open_for: 10 * SECOND, probes: 1, ..Limits::default() }
}

fn breaker(limits: Limits) -> (Arc<Circuit>, Arc<dyn Layer>) {
    let circuit = Arc::new(Circuit::new(limits, Instant::now()));
    let layer = BreakerLayer::new(Arc::clone(&circuit), "simulated:a");
    (circuit, Arc::new(layer))
}

fn retry() -> Arc<dyn Layer> {
    Arc::new(RetryLayer::new(Rules::default(), Chance::seeded(1), None))
}

/// A provider whose first requests have a fault.
fn broken(fault: Fault, times: u64) -> Trial {
    let faults = (0..times).map(|number| (number, fault.clone())).collect();
    Trial::new(simulated::Rules { faults, ..simulated::Rules::new() })
}

fn busy() -> Fault {
    Fault::new(Stage::InHeaders, ErrorKind::Overloaded)
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_model_open_it_and_nothing_else_does() {
    for kind in ErrorKind::ALL {
        let opening =
            [ErrorKind::Connection, ErrorKind::Timeout, ErrorKind::Overloaded, ErrorKind::Truncated]
                .contains(kind);
        for stage in [Stage::InHeaders, Stage::MidStream] {
            let trial = broken(Fault::new(stage, *kind), 9);
            let (circuit, layer) = breaker(limits());
            let stack = trial.stack(vec![layer], 1);
            for _ in 0..5 {
                ask(&stack, &RunContext::new(), Delivery::Streamed).await;
            }
            let expected = if opening { (CircuitState::Open, 2) } else { (CircuitState::Closed, 5) };
            let found = (circuit.snapshot(Instant::now()).state, trial.arrived());
            assert_eq!(found, expected, "{kind} at {stage:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_says_when_to_come_again_and_counts_as_no_send() {
    let trial = broken(busy(), 2);
    let (circuit, layer) = breaker(limits());
    let stack = trial.stack(vec![layer], 1);
    let (context, events) = listening();
    for _ in 0..2 {
        ask(&stack, &context, Delivery::Plain).await;
    }
    tokio::time::advance(4 * SECOND).await;
    let attempts = Arc::new(Attempts::new(3, None));
    attempts.first();
    let refused = ask(&stack, &with(&attempts), Delivery::Plain).await;
    let error = refused.error();
    assert_eq!(
        (error.kind(), error.retry_after(), trial.arrived()),
        (ErrorKind::Overloaded, Some(6 * SECOND), 2)
    );
    assert!(is_open(error) && error.hint().is_some_and(|hint| hint.contains("breaker.open_for")));
    assert!(error.message().contains("`simulated:a`") && error.message().contains("6.0 s"), "{error}");
    assert!(!is_open(&busy().error()));
    assert_eq!((circuit.snapshot(Instant::now()).calls, attempts.sent()), (2, 0));
    tokio::time::advance(6 * SECOND).await;
    let answered = ask(&stack, &context, Delivery::Plain).await;
    assert!(answered.error.is_none());
    let told: Vec<(String, String)> = events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            StreamEvent::CircuitChanged { scope, state } => Some((scope.clone(), state.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        ["open", "half_open", "closed"].map(|state| ("simulated:a".to_owned(), state.to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_circuit_where_its_time_allows() {
    for (time, arrived) in [(None, 3), (Some(9 * SECOND), 2)] {
        let trial = broken(busy(), 2);
        let (_, layer) = breaker(limits());
        for _ in 0..2 {
            ask(&trial.stack(vec![Arc::clone(&layer)], 1), &RunContext::new(), Delivery::Plain).await;
        }
        let start = Instant::now();
        let stack = Stack::new(trial.chain(vec![retry(), layer]), 2, time);
        let attempts = Attempts::new(2, time).into();
        let came = ask(&stack, &with(&attempts), Delivery::Streamed).await;
        assert_eq!(trial.arrived(), arrived);
        if time.is_none() {
            assert!(came.error.is_none() && start.elapsed() >= 10 * SECOND);
            assert_eq!(attempts.sent(), 1);
        } else {
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert_eq!(came.error().context(), [], "nothing was sent");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_frees_its_place_and_says_nothing() {
    let rules = simulated::Rules {
        faults: (0..2).map(|number| (number, busy())).collect(),
        between: SECOND,
        ..simulated::Rules::new()
    };
    let trial = Trial::new(rules);
    let (circuit, layer) = breaker(limits());
    let stack = trial.stack(vec![layer], 1);
    for _ in 0..2 {
        ask(&stack, &RunContext::new(), Delivery::Plain).await;
    }
    tokio::time::advance(10 * SECOND).await;
    let context = RunContext::new();
    let mut probe = stack.open(&context, &request(), Delivery::Streamed).await.unwrap();
    probe.next().await.unwrap().unwrap();
    let second = stack.open(&context, &request(), Delivery::Streamed).await;
    assert!(second.err().is_some_and(|error| is_open(&error)));
    drop(probe);
    assert_eq!(circuit.snapshot(Instant::now()).state, CircuitState::HalfOpen);
    assert!(ask(&stack, &context, Delivery::Streamed).await.error.is_none());
    assert_eq!(circuit.snapshot(Instant::now()).state, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_run_is_no_failure_of_the_model() {
    let (circuit, layer) = breaker(limits());
    let rules = simulated::Rules {
        latency: 2 * SECOND,
        always: Some(Fault::new(Stage::InHeaders, ErrorKind::Timeout)),
        ..simulated::Rules::new()
    };
    let stack = Trial::new(rules).stack(vec![layer], 1);
    for _ in 0..5 {
        let came = ask(&stack, &RunContext::new().with_timeout(SECOND), Delivery::Plain).await;
        assert_eq!(came.error().kind(), ErrorKind::Timeout);
    }
    assert_eq!(circuit.snapshot(Instant::now()).calls, 0);
    ask(&stack, &RunContext::new().with_timeout(3 * SECOND), Delivery::Plain).await;
    assert_eq!(circuit.snapshot(Instant::now()).failures, 1);
}
