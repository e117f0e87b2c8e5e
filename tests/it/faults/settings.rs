//! Every setting of retries, fallback, and circuit breakers, seen by its effect.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::message::Message;
use motet_core::request::{JsonSchemaOutput, Output};
use motet_core::store::{RunState, SharedStore};
use motet_core::workflow::WorkflowSpec;
use motet_core::{ChatRequest, Delivery, EmbedRequest, ErrorKind, RunContext, StreamEvent};
use motet_persistence::memory::MemoryStore;
use motet_providers::layers::breaker::CircuitState;
use motet_providers::layers::retry::{Failure, Judgement, RetryJudge};
use motet_providers::simulated::{Fault, Rules, Stage};
use motet_workflows::dag::plan::{RunSettings, plan};
use motet_workflows::dag::worker::{Worker, WorkerConfig};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use super::{BOTH, Called, Simulated, always, call, call_within, id, runtime, text};

const SECOND: Duration = Duration::from_secs(1);

fn busy() -> Fault {
    fault(ErrorKind::Overloaded)
}

fn fault(kind: ErrorKind) -> Fault {
    Fault::new(Stage::InHeaders, kind)
}

/// Asks a model that always has a fault, under settings, and gives how often it was asked.
async fn broken(fault: Fault, settings: &[(&str, &str)]) -> (Called, u64) {
    let mut all = vec![("breaker.enabled", "false")];
    all.extend(settings);
    let runtime = runtime(&all);
    let model = Simulated::new(&runtime, "simulated:a", always(fault));
    let called = call(&runtime, &model.id, Delivery::Plain).await;
    (called, model.arrived())
}

#[tokio::test(start_paused = true)]
async fn max_attempts_counts_all_sends() {
    assert_eq!(broken(busy(), &[]).await.1, 3, "the default");
    for attempts in [1, 2, 7] {
        assert_eq!(broken(busy(), &[("retry.max_attempts", &attempts.to_string())]).await.1, attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn delays_and_multiplier_shape_the_waits() {
    let waits = async |min: &str, max: &str, multiplier: &str| {
        let settings = [
            ("retry.max_attempts", "40"),
            ("retry.max_time", "10h"),
            ("retry.min_delay", min),
            ("retry.max_delay", max),
            ("retry.multiplier", multiplier),
        ];
        broken(busy(), &settings).await.0.waits()
    };
    let grown = waits("10s", "90s", "3").await;
    assert_eq!(grown.len(), 39);
    for (wait, limit) in grown.iter().zip([10_000, 30_000].into_iter().chain(std::iter::repeat(90_000))) {
        assert!(*wait <= limit, "{wait} is over {limit}");
    }
    assert!(grown.iter().any(|wait| *wait > 45_000), "{grown:?}");
    let even = waits("10s", "90s", "1").await;
    assert!(even.iter().all(|wait| *wait <= 10_000) && even.iter().any(|wait| *wait > 5_000), "{even:?}");
    let low = waits("10s", "20s", "100").await;
    assert!(low.iter().all(|wait| *wait <= 20_000) && low.iter().any(|wait| *wait > 10_000), "{low:?}");
}

#[tokio::test(start_paused = true)]
async fn max_time_ends_the_retries() {
    let advised = busy().with_retry_after(4 * SECOND);
    for (time, requests, took) in [("3s", 1, 0), ("4s", 2, 4), ("9s", 3, 8), ("1h", 5, 16)] {
        let settings = [("retry.max_attempts", "5"), ("retry.max_time", time)];
        let (called, arrived) = broken(advised.clone(), &settings).await;
        assert_eq!((arrived, called.took.as_secs()), (requests, took), "{time}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_replaces_what_errors_say_of_themselves() {
    let on = ("retry.on", "invalid_output,timeout");
    for (kind, usual, listed) in [
        (ErrorKind::Overloaded, 3, 1),
        (ErrorKind::Timeout, 3, 3),
        (ErrorKind::InvalidOutput, 1, 3),
        (ErrorKind::Authentication, 1, 1),
    ] {
        assert_eq!(broken(fault(kind), &[]).await.1, usual, "{kind}");
        assert_eq!(broken(fault(kind), &[on]).await.1, listed, "{kind}");
    }
}

struct Never;

#[async_trait]
impl RetryJudge for Never {
    async fn judge(&self, failure: &Failure<'_>) -> Judgement {
        assert!(failure.retried && failure.attempt == 1);
        Judgement::Stop
    }
}

#[tokio::test(start_paused = true)]
async fn a_judge_of_the_runtime_is_asked() {
    let runtime = runtime(&[]);
    runtime.judge_retries(Arc::new(Never));
    let model = Simulated::new(&runtime, "simulated:a", always(busy()));
    call(&runtime, &model.id, Delivery::Streamed).await;
    assert_eq!(model.arrived(), 1);
}

/// Three models, of which `b` and `c` stand in for others.
fn three(settings: &[(&str, &str)], rules: [Rules; 3]) -> (motet::Runtime, [Simulated; 3]) {
    let mut all = vec![
        ("fallback.models", "simulated:b,simulated:b,simulated:c,simulated:a"),
        ("retry.max_attempts", "1"),
        ("breaker.enabled", "false"),
    ];
    all.extend(settings);
    let runtime = runtime(&all);
    let mut rules = ["simulated:a", "simulated:b", "simulated:c"].into_iter().zip(rules);
    let models = [(); 3].map(|()| {
        let (name, rules) = rules.next().unwrap();
        Simulated::new(&runtime, name, rules)
    });
    (runtime, models)
}

fn arrived(models: &[Simulated; 3]) -> [u64; 3] {
    models.each_ref().map(Simulated::arrived)
}

#[tokio::test(start_paused = true)]
async fn models_of_the_list_answer_in_turn_and_are_named() {
    for delivery in BOTH {
        let (runtime, models) = three(&[], [always(busy()), always(busy()), Rules::new()]);
        let called = call(&runtime, &id("simulated:a"), delivery).await;
        assert_eq!(called.response.as_ref().unwrap().model, id("simulated:c"));
        assert_eq!((called.text(), arrived(&models)), (text(), [1, 1, 1]));
        let ended = called.events.iter().find_map(|event| match event {
            StreamEvent::ModelCallEnded { model, .. } => Some(model.clone()),
            _ => None,
        });
        assert_eq!(ended, Some(id("simulated:c")));
        // Each model has all others to fall back to, and itself only once.
        let (runtime, models) = three(&[], [always(busy()), always(busy()), always(busy())]);
        let called = call(&runtime, &id("simulated:c"), delivery).await;
        assert_eq!((called.error().kind(), arrived(&models)), (ErrorKind::Overloaded, [1, 1, 1]));
        let names = "`simulated:c`, `simulated:b`, `simulated:a`".to_owned();
        assert_eq!(called.error().context(), [("models".into(), names)]);
    }
}

#[tokio::test(start_paused = true)]
async fn on_says_after_which_kinds_the_next_model_is_asked() {
    let usual = [
        ErrorKind::RateLimit,
        ErrorKind::QuotaExceeded,
        ErrorKind::TokenLimit,
        ErrorKind::Connection,
        ErrorKind::Timeout,
        ErrorKind::Overloaded,
        ErrorKind::Truncated,
        ErrorKind::Authentication,
        ErrorKind::Permission,
        ErrorKind::NotFound,
    ];
    for kind in ErrorKind::ALL {
        let (runtime, models) = three(&[], [always(fault(*kind)), Rules::new(), Rules::new()]);
        call(&runtime, &id("simulated:a"), Delivery::Plain).await;
        assert_eq!(arrived(&models), [1, u64::from(usual.contains(kind)), 0], "{kind}");
        let listed = [("fallback.on", "content_filter")];
        let (runtime, models) = three(&listed, [always(fault(*kind)), Rules::new(), Rules::new()]);
        call(&runtime, &id("simulated:a"), Delivery::Plain).await;
        assert_eq!(arrived(&models), [1, u64::from(*kind == ErrorKind::ContentFilter), 0], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn remember_says_how_long_a_model_is_passed_over() {
    for (settings, remembered) in [(&[][..], 60), (&[("fallback.remember", "5s")], 5)] {
        let (runtime, models) = three(settings, [always(busy()), Rules::new(), Rules::new()]);
        call(&runtime, &id("simulated:a"), Delivery::Plain).await;
        tokio::time::advance((remembered - 1) * SECOND).await;
        call(&runtime, &id("simulated:a"), Delivery::Plain).await;
        assert_eq!(arrived(&models), [1, 2, 0]);
        tokio::time::advance(SECOND).await;
        call(&runtime, &id("simulated:a"), Delivery::Plain).await;
        assert_eq!(arrived(&models), [2, 3, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn recover_streams_holds_for_other_models_too() {
    let broken = || always(Fault::new(Stage::MidStream, ErrorKind::Overloaded));
    for (recover, outcome) in [("true", Ok(1)), ("false", Err(ErrorKind::Overloaded))] {
        let settings = [("retry.recover_streams", recover)];
        let (runtime, _) = three(&settings, [broken(), Rules::new(), Rules::new()]);
        let called = call(&runtime, &id("simulated:a"), Delivery::Streamed).await;
        let found = called.response.as_ref().map(|_| called.discarded()).map_err(motet_core::Error::kind);
        assert_eq!(found, outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_stand_in_is_told_of_before_it_is_needed() {
    for (models, word) in
        [("nobody:m", "nobody"), ("openai:gpt-4o-mini", "OPENAI_API_KEY"), ("custom:m", "base")]
    {
        let runtime = runtime(&[("fallback.models", models)]);
        let model = Simulated::new(&runtime, "simulated:a", Rules::new());
        let called = call(&runtime, &model.id, Delivery::Plain).await;
        let error = called.error();
        assert_eq!((error.kind(), model.arrived()), (ErrorKind::Configuration, 0));
        let all = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(all.contains(word) && all.contains("fallback.models") && all.contains(models), "{all}");
    }
}

#[tokio::test(start_paused = true)]
async fn vectors_do_not_fall_back() {
    let runtime = runtime(&[("fallback.models", "nobody:m")]);
    let request = EmbedRequest::new(id("offline:extract"), vec!["text".to_owned()]);
    assert!(runtime.embed(&RunContext::new(), &request).await.is_ok());
}

/// Calls a model as often as given, under settings of the breaker, and gives how many requests came and its state.
async fn circuit(settings: &[(&str, &str)], faults: &[bool]) -> (motet::Runtime, Simulated) {
    let mut all = vec![("retry.max_attempts", "1"), ("breaker.min_calls", "4")];
    all.extend(settings);
    let runtime = runtime(&all);
    let mut rules = Rules::new();
    rules.faults =
        (0..).zip(faults).filter(|(_, broken)| **broken).map(|(number, _)| (number, busy())).collect();
    let model = Simulated::new(&runtime, "simulated:a", rules);
    for _ in faults {
        call(&runtime, &model.id, Delivery::Plain).await;
    }
    (runtime, model)
}

fn state(runtime: &motet::Runtime) -> CircuitState {
    let circuits = runtime.circuits();
    assert_eq!(circuits.len(), 1);
    assert_eq!(circuits[0].0, "simulated:a");
    circuits[0].1.state
}

#[tokio::test(start_paused = true)]
async fn breakers_open_by_share_number_and_window() {
    let (good, bad) = (false, true);
    let (runtime, model) = circuit(&[], &[bad; 6]).await;
    assert_eq!((model.arrived(), state(&runtime)), (4, CircuitState::Open));
    let (runtime, model) = circuit(&[("breaker.enabled", "false")], &[bad; 6]).await;
    assert_eq!((model.arrived(), runtime.circuits().len()), (6, 0));
    let (runtime, model) = circuit(&[("breaker.min_calls", "5")], &[bad; 6]).await;
    assert_eq!((model.arrived(), state(&runtime)), (5, CircuitState::Open));
    for (rate, expected) in [("75", CircuitState::Open), ("76", CircuitState::Closed)] {
        let (runtime, _) = circuit(&[("breaker.failure_rate", rate)], &[good, bad, bad, bad]).await;
        assert_eq!(state(&runtime), expected, "{rate}");
    }
    for (window, expected) in [("2m", CircuitState::Open), ("30s", CircuitState::Closed)] {
        let (runtime, model) = circuit(&[("breaker.window", window)], &[bad; 3]).await;
        assert_eq!(model.arrived(), 3);
        tokio::time::advance(40 * SECOND).await;
        let last = Simulated::new(&runtime, "simulated:a", always(busy()));
        call(&runtime, &last.id, Delivery::Plain).await;
        assert_eq!(state(&runtime), expected, "{window}");
    }
}

#[tokio::test(start_paused = true)]
async fn breakers_close_again_after_their_time_and_probes() {
    for (settings, open_for, probes) in
        [(&[][..], 30, 3), (&[("breaker.open_for", "7s"), ("breaker.probes", "1")], 7, 1)]
    {
        let (runtime, model) = circuit(settings, &[true; 4]).await;
        tokio::time::advance((open_for - 1) * SECOND).await;
        let refused = call(&runtime, &model.id, Delivery::Plain).await;
        assert_eq!((refused.error().retry_after(), model.arrived()), (Some(SECOND), 4));
        tokio::time::advance(SECOND).await;
        for probe in 1..=probes {
            assert_eq!(state(&runtime), CircuitState::HalfOpen);
            assert!(call(&runtime, &model.id, Delivery::Plain).await.response.is_ok());
            assert_eq!(model.arrived(), 4 + probe);
        }
        assert_eq!(state(&runtime), CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_has_one_circuit_whoever_asks_it() {
    let settings = [("breaker.enabled", "true"), ("breaker.min_calls", "2"), ("fallback.remember", "1ms")];
    let (runtime, models) = three(&settings, [always(busy()), always(busy()), Rules::new()]);
    call(&runtime, &id("simulated:a"), Delivery::Plain).await;
    tokio::time::advance(SECOND).await;
    call(&runtime, &id("simulated:b"), Delivery::Plain).await;
    assert_eq!(arrived(&models), [1, 2, 2]);
    let found: Vec<_> =
        runtime.circuits().into_iter().map(|(scope, circuit)| (scope, circuit.state)).collect();
    let expected = [
        ("simulated:a", CircuitState::Closed),
        ("simulated:b", CircuitState::Open),
        ("simulated:c", CircuitState::Closed),
    ];
    assert_eq!(found, expected.map(|(scope, state)| (scope.to_owned(), state)));
}

#[tokio::test(start_paused = true)]
async fn repairs_share_the_attempts_of_their_call() {
    let runtime = runtime(&[("structured.max_repairs", "2"), ("breaker.enabled", "false")]);
    let schema = json!({"type": "object", "required": ["name"]});
    let ask = async |faults: &[u64]| {
        let mut rules = Rules::new();
        rules.faults = faults.iter().map(|number| (*number, busy())).collect();
        let model = Simulated::new(&runtime, "simulated:a", rules);
        let mut request = ChatRequest::new(model.id.clone(), vec![Message::user("Who?")]);
        let (name, schema) = ("person".to_owned(), schema.clone());
        request.output = Output::JsonSchema(JsonSchemaOutput { name, schema, strict: true });
        let error = runtime.structured(&RunContext::new(), request).await.unwrap_err();
        (error.kind(), model.arrived())
    };
    assert_eq!(ask(&[]).await, (ErrorKind::InvalidOutput, 3), "one turn and two repairs");
    assert_eq!(ask(&[0, 2]).await, (ErrorKind::InvalidOutput, 5), "both resends used by two turns");
    assert_eq!(ask(&[0, 2, 4]).await, (ErrorKind::Overloaded, 5), "none is left for the third");
    assert_eq!(ask(&[0, 1, 2]).await, (ErrorKind::Overloaded, 3), "all used up in the first turn");
}

/// Runs one task that asks a broken model, and gives how often that was asked.
async fn task(retry: &serde_json::Value) -> u64 {
    let runtime =
        runtime(&[("retry.min_delay", "1ms"), ("retry.max_delay", "1ms"), ("breaker.enabled", "false")]);
    let model = Simulated::new(&runtime, "simulated:a", always(busy()));
    let task = json!({"id": "ask", "method": "llm/chat", "retry": retry,
        "params": {"model": "simulated:a", "messages": [{"role": "user", "content": "Tell me."}]}});
    let spec: WorkflowSpec = serde_json::from_value(json!({"name": "play", "tasks": [task]})).unwrap();
    let store: SharedStore = Arc::new(MemoryStore::new());
    let run = store.submit(plan(&spec, Map::new(), &RunSettings::default()).unwrap()).await.unwrap();
    let worker = Worker::new(store, runtime.methods(), WorkerConfig::default());
    assert_eq!(worker.run_to_end(&run, &CancellationToken::new()).await.unwrap(), RunState::Failed);
    model.arrived()
}

#[tokio::test]
async fn attempts_of_a_task_are_not_multiplied_by_those_of_its_calls() {
    let policy = |attempts: u32| json!({"max_attempts": attempts, "base_delay": 1, "max_delay": 1, "backoff": "fixed", "jitter": false});
    assert_eq!(task(&policy(1)).await, 3, "a task without retries leaves them to its calls");
    assert_eq!(task(&policy(2)).await, 2);
    assert_eq!(task(&policy(5)).await, 5);
}

#[tokio::test(start_paused = true)]
async fn calls_side_by_side_do_not_share_attempts() {
    let runtime = runtime(&[("breaker.enabled", "false")]);
    let model = Simulated::new(&runtime, "simulated:a", always(busy()));
    let context = RunContext::new();
    let calls = (0..4)
        .map(|number| call_within(&runtime, context.child(&number.to_string()), &model.id, Delivery::Plain));
    futures::future::join_all(calls).await;
    assert_eq!(model.arrived(), 12);
}
