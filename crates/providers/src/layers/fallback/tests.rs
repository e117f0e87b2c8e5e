//! Three simulated models that stand in for one another.

use std::collections::BTreeMap;
use std::sync::Mutex;

use motet_core::accumulate::Accumulator;
use tokio::time::Instant;

use super::*;
use crate::layers::breaker::{BreakerLayer, Circuit, Limits};
use crate::layers::retry::{self, Chance, RetryLayer};
use crate::layers::trial::{Came, Trial, ask, id, listening};
use crate::layers::{Bottom, Stack};
use crate::simulated::{self, Fault, Stage};

const SECOND: Duration = Duration::from_secs(1);

/// Three models of one another's fallback.
struct Bench {
    trials: BTreeMap<&'static str, Trial>,
    memory: Arc<Memory>,
    rules: Rules,
    /// What each model has between its retries and itself.
    inside: BTreeMap<&'static str, Arc<dyn Layer>>,
    outside: Vec<Arc<dyn Layer>>,
    max_attempts: u32,
}

impl Bench {
    /// Models `a`, `b`, and `c`, whose requests always have these faults, or none.
    fn new(faults: [Option<Fault>; 3]) -> Self {
        let trial = |always| Trial::new(simulated::Rules { always, ..simulated::Rules::new() });
        Self {
            trials: ["a", "b", "c"].into_iter().zip(faults.map(trial)).collect(),
            memory: Arc::new(Memory::new(60 * SECOND)),
            rules: Rules { on: vec![ErrorKind::Overloaded, ErrorKind::TokenLimit], recover_streams: false },
            inside: BTreeMap::new(),
            outside: Vec::new(),
            max_attempts: 3,
        }
    }

    fn chain(&self, name: &'static str, first: Vec<Arc<dyn Layer>>) -> Chain {
        let mut rules = retry::Rules::default();
        rules.recover_streams = self.rules.recover_streams;
        let mut layers = first;
        layers.extend(self.outside.iter().cloned());
        layers.push(Arc::new(RetryLayer::new(rules, Chance::seeded(1), None)));
        layers.extend(self.inside.get(name).cloned());
        self.trials[name].chain(layers)
    }

    fn stack(&self) -> Stack {
        let others = ["b", "c"].map(|name| (id(&format!("simulated:{name}")), self.chain(name, Vec::new())));
        let layer = FallbackLayer::new(self.rules.clone(), Arc::clone(&self.memory), others.into());
        Stack::new(self.chain("a", vec![Arc::new(layer)]), self.max_attempts, Some(100 * SECOND))
    }

    async fn ask(&self, delivery: Delivery) -> Came {
        ask(&self.stack(), &RunContext::new(), delivery).await
    }

    fn arrived(&self) -> [u64; 3] {
        ["a", "b", "c"].map(|name| self.trials[name].arrived())
    }
}

fn busy() -> Option<Fault> {
    Some(Fault::new(Stage::InHeaders, ErrorKind::Overloaded))
}

fn fault(stage: Stage, kind: ErrorKind) -> Option<Fault> {
    Some(Fault::new(stage, kind))
}

fn model_of(came: &Came) -> String {
    let mut accumulator = Accumulator::new(id("simulated:a"));
    came.events.iter().cloned().for_each(|event| accumulator.push(event).unwrap());
    accumulator.finish().unwrap().model.to_string()
}

#[tokio::test(start_paused = true)]
async fn the_next_model_answers_and_is_named_in_the_answer() {
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let bench = Bench::new([busy(), busy(), None]);
        let (context, events) = listening();
        let came = ask(&bench.stack(), &context, delivery).await;
        assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:c", [1, 1, 1]));
        let told: Vec<(String, String, ErrorKind)> = events
            .lock()
            .unwrap()
            .iter()
            .filter_map(|event| match event {
                StreamEvent::FellBack { from, to, error } => {
                    Some((from.to_string(), to.to_string(), error.kind))
                }
                _ => None,
            })
            .collect();
        let step = |from: &str, to: &str| {
            (format!("simulated:{from}"), format!("simulated:{to}"), ErrorKind::Overloaded)
        };
        assert_eq!(told, [step("a", "b"), step("b", "c")]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_model_asked_for_tells_of_no_other() {
    let bench = Bench::new([None, None, None]);
    let came = bench.ask(Delivery::Streamed).await;
    assert!(!came.events.iter().any(|event| matches!(event, StreamEvent::AnsweredBy { .. })));
    assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:a", [1, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn only_listed_kinds_go_on_and_the_error_names_all_who_were_asked() {
    let bench = Bench::new([fault(Stage::InHeaders, ErrorKind::InvalidRequest), None, None]);
    let came = bench.ask(Delivery::Plain).await;
    assert_eq!((came.error().kind(), bench.arrived()), (ErrorKind::InvalidRequest, [1, 0, 0]));
    assert_eq!(came.error().context(), []);

    let bench = Bench::new([busy(), fault(Stage::InHeaders, ErrorKind::InvalidRequest), None]);
    let came = bench.ask(Delivery::Plain).await;
    assert_eq!((came.error().kind(), bench.arrived()), (ErrorKind::InvalidRequest, [1, 1, 0]));
    assert_eq!(came.error().context(), [("models".into(), "`simulated:a`, `simulated:b`".to_owned())]);

    let bench = Bench::new([busy(), busy(), fault(Stage::InHeaders, ErrorKind::TokenLimit)]);
    let came = bench.ask(Delivery::Streamed).await;
    assert_eq!(came.error().kind(), ErrorKind::TokenLimit);
    assert!(came.error().to_string().contains("models: `simulated:a`, `simulated:b`, `simulated:c`"));
}

#[tokio::test(start_paused = true)]
async fn every_model_is_sent_to_once_and_all_resends_come_out_of_one_budget() {
    for (max_attempts, expected) in [(1, [1, 1, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (6, [4, 1, 1])] {
        let bench = Bench { max_attempts, ..Bench::new([busy(), busy(), busy()]) };
        let came = bench.ask(Delivery::Plain).await;
        assert!(came.error.is_some());
        assert_eq!(bench.arrived(), expected, "of {max_attempts} attempts");
    }
    // The last one has what the others left.
    let bench = Bench {
        max_attempts: 6,
        ..Bench::new([
            fault(Stage::InHeaders, ErrorKind::TokenLimit),
            fault(Stage::InHeaders, ErrorKind::TokenLimit),
            busy(),
        ])
    };
    bench.ask(Delivery::Plain).await;
    assert_eq!(bench.arrived(), [1, 1, 4]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_after_the_time_is_over() {
    let late =
        Trial::new(simulated::Rules { latency: 101 * SECOND, always: busy(), ..simulated::Rules::new() });
    let mut bench = Bench::new([busy(), None, None]);
    bench.trials.insert("a", late);
    let came = bench.ask(Delivery::Plain).await;
    assert_eq!((came.error().kind(), bench.arrived()), (ErrorKind::Overloaded, [1, 0, 0]));

    let mut bench = Bench::new([busy(), None, None]);
    bench.trials.insert(
        "a",
        Trial::new(simulated::Rules { latency: 9 * SECOND, always: busy(), ..simulated::Rules::new() }),
    );
    let came = ask(&bench.stack(), &RunContext::new().with_timeout(8 * SECOND), Delivery::Plain).await;
    assert_eq!((came.error().kind(), bench.arrived()), (ErrorKind::Overloaded, [1, 0, 0]));
    assert!(bench.memory.why(&id("simulated:a")).is_none(), "the run's own end says nothing of the model");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_failed_is_passed_over_for_a_while() {
    let mut bench = Bench { max_attempts: 1, ..Bench::new([busy(), None, None]) };
    bench.ask(Delivery::Plain).await;
    assert_eq!(bench.arrived(), [1, 1, 0]);
    let (context, events) = listening();
    let came = ask(&bench.stack(), &context, Delivery::Plain).await;
    assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:b", [1, 2, 0]));
    let fell = StreamEvent::FellBack {
        from: id("simulated:a"),
        to: id("simulated:b"),
        error: Box::new(busy().unwrap().error().report()),
    };
    assert!(events.lock().unwrap().contains(&fell), "who listens is told why");
    tokio::time::advance(59 * SECOND).await;
    bench.ask(Delivery::Plain).await;
    assert_eq!(bench.arrived(), [1, 3, 0]);
    tokio::time::advance(SECOND).await;
    bench.trials.insert("a", Trial::new(simulated::Rules::new()));
    let came = bench.ask(Delivery::Plain).await;
    assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:a", [1, 3, 0]));
}

#[tokio::test(start_paused = true)]
async fn where_all_failed_they_are_asked_in_order_and_who_answers_is_forgiven() {
    let mut bench = Bench { max_attempts: 1, ..Bench::new([busy(), busy(), busy()]) };
    for times in 1..=2 {
        assert!(bench.ask(Delivery::Plain).await.error.is_some());
        assert_eq!(bench.arrived(), [times; 3]);
    }
    bench.trials.insert("a", Trial::new(simulated::Rules::new()));
    for times in 1..=2 {
        bench.ask(Delivery::Plain).await;
        assert_eq!(bench.arrived(), [times, 2, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_failed_are_asked_after_all_others() {
    let mut bench = Bench { max_attempts: 1, ..Bench::new([busy(), None, None]) };
    bench.ask(Delivery::Plain).await;
    for name in ["b", "c"] {
        bench.trials.insert(name, Trial::new(simulated::Rules { always: busy(), ..simulated::Rules::new() }));
    }
    bench.trials.insert("a", Trial::new(simulated::Rules::new()));
    let came = bench.ask(Delivery::Streamed).await;
    assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:a", [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fits_no_model_makes_none_a_bad_one() {
    let bench =
        Bench { max_attempts: 1, ..Bench::new([fault(Stage::InHeaders, ErrorKind::TokenLimit), None, None]) };
    for times in 1..=3 {
        bench.ask(Delivery::Plain).await;
        assert_eq!(bench.arrived(), [times, times, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_declared_void_or_the_failure_is_final() {
    let broken = || fault(Stage::MidStream, ErrorKind::Overloaded);
    let bench = Bench { max_attempts: 1, ..Bench::new([broken(), None, None]) };
    let came = bench.ask(Delivery::Streamed).await;
    assert_eq!(
        (came.error().kind(), came.discarded(), bench.arrived()),
        (ErrorKind::Overloaded, 0, [1, 0, 0])
    );
    bench.ask(Delivery::Streamed).await;
    assert_eq!(bench.arrived(), [1, 1, 0], "it is kept in mind nevertheless");

    let mut bench = Bench { max_attempts: 1, ..Bench::new([broken(), broken(), None]) };
    bench.rules.recover_streams = true;
    let came = bench.ask(Delivery::Streamed).await;
    assert!(came.error.is_none());
    assert_eq!((model_of(&came).as_str(), came.discarded(), bench.arrived()), ("simulated:c", 2, [1, 1, 1]));
    assert_eq!(came.text(), (0..20).map(|number| format!("word{number} ")).collect::<String>());

    let mut bench = Bench { max_attempts: 1, ..Bench::new([broken(), busy(), busy()]) };
    bench.rules.recover_streams = true;
    let came = bench.ask(Delivery::Streamed).await;
    assert_eq!((came.discarded(), bench.arrived()), (0, [1, 1, 1]), "nothing came in its place");
    assert!(came.error().to_string().contains("models: `simulated:a`, `simulated:b`, `simulated:c`"));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_or_long_advice_is_not_waited_for_while_another_can_be_asked() {
    let mut limits = Limits::default();
    (limits.min_calls, limits.open_for) = (1, 20 * SECOND);
    let circuit = Arc::new(Circuit::new(limits, Instant::now()));
    let mut bench = Bench { max_attempts: 9, ..Bench::new([None, None, None]) };
    bench.trials.insert(
        "a",
        Trial::new(simulated::Rules { faults: [(0, busy().unwrap())].into(), ..simulated::Rules::new() }),
    );
    bench.inside.insert("a", Arc::new(BreakerLayer::new(circuit, "simulated:a")));
    let start = Instant::now();
    let came = bench.ask(Delivery::Plain).await;
    assert_eq!((model_of(&came).as_str(), bench.arrived()), ("simulated:b", [1, 1, 0]));
    assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());

    let advised = |seconds| busy().map(|fault| fault.with_retry_after(seconds * SECOND));
    for (advice, waited, arrived) in [(31, 0, [1, 1, 0]), (29, 29, [2, 1, 0])] {
        let bench = Bench { max_attempts: 4, ..Bench::new([advised(advice), None, None]) };
        let start = Instant::now();
        bench.ask(Delivery::Plain).await;
        assert_eq!((start.elapsed().as_secs(), bench.arrived()), (waited, arrived));
    }
}

/// Notes each model that is asked, and how that ended.
struct Noting(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Layer for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let (notes, model) = (Arc::clone(&self.0), call.ask.model().to_string());
        call.on_end(move |ending| {
            notes.lock().unwrap().push(format!("{model} {}", matches!(ending.outcome, Outcome::Done)));
        });
        next.call(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn layers_around_a_model_are_told_of_that_model_only() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut bench = Bench::new([busy(), None, None]);
    bench.outside.push(Arc::new(Noting(Arc::clone(&notes))));
    bench.ask(Delivery::Streamed).await;
    assert_eq!(*notes.lock().unwrap(), ["simulated:a false", "simulated:b true"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_chat_stays_with_its_model() {
    let bench = Bench::new([None, None, None]);
    let layer = FallbackLayer::new(
        bench.rules.clone(),
        Arc::clone(&bench.memory),
        vec![(id("simulated:b"), bench.chain("b", Vec::new()))],
    );
    let stack = Stack::new(Chain::new(vec![Arc::new(layer)], Bottom::None), 3, None);
    let request = motet_core::EmbedRequest::new(id("simulated:a"), vec!["text".to_owned()]);
    let error =
        motet_core::embedding::Embedder::embed(&stack, &RunContext::new(), &request).await.unwrap_err();
    assert_eq!((error.kind(), bench.arrived()), (ErrorKind::Internal, [0, 0, 0]));
}
