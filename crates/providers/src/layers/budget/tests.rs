//! The layer over models that fail, hang, and answer, and over budgets in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use motet_core::budget::{Amount, Limits, MemoryBudget};
use motet_core::event::ready_stream;
use motet_core::usage::Price;
use motet_core::{ChatRequest, Cost, Delivery, EventStream, FinishReason, Message, Model, ModelId, Usage};
use tokio::time::Instant;

use super::*;
use crate::layers::{Bottom, Chain, Stack};
use crate::simulated::{Fault, Rules, SimulatedModel, Simulation, Stage};

/// Answers at once with fixed counts and their cost, or without counts.
struct Priced(Option<Usage>);

const PRICE: Price = Price::new(1_000_000, 2_000_000);

#[async_trait]
impl Model for Priced {
    async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let mut events = vec![StreamEvent::TextDelta { part: 0, text: "hi".to_owned() }];
        if let Some(usage) = self.0 {
            events
                .extend([StreamEvent::Usage { usage }, StreamEvent::Cost { cost: Some(PRICE.cost(&usage)) }]);
        }
        events.push(StreamEvent::Finished { reason: FinishReason::Stop, raw: None });
        Ok(ready_stream(events))
    }
}

/// Sends a failed call again, as the layer for that does.
struct Again;

#[async_trait]
impl Layer for Again {
    fn name(&self) -> &'static str {
        "again"
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let (context, attempts, endings) =
            (call.context.clone(), call.attempts.clone(), call.endings.clone());
        let again = call.ask.again().into_owned();
        match next.call(call).await {
            Err(error) => {
                context.before_resend(&error).await?;
                next.call(Call { context, ask: again, attempts, endings, counted: true }).await
            }
            answer => answer,
        }
    }
}

fn id() -> ModelId {
    "a:b".parse().unwrap()
}

fn request() -> ChatRequest {
    ChatRequest { max_tokens: Some(1_000), ..ChatRequest::new(id(), vec![Message::user("Hello")]) }
}

fn stack(price: Option<Price>, layers: Vec<Arc<dyn Layer>>, model: impl Model + 'static) -> Stack {
    let mut all: Vec<Arc<dyn Layer>> =
        vec![Arc::new(BudgetLayer::new(move || vec![Candidate::new(id(), price)]))];
    all.extend(layers);
    Stack::new(Chain::new(all, Bottom::Model(Arc::new(model))), 3, None)
}

fn simulated(rules: Rules) -> SimulatedModel {
    SimulatedModel::new(Arc::new(Mutex::new(Simulation::new(rules))), Instant::now(), "k")
}

fn budget(dollars: &str) -> (Arc<MemoryBudget>, RunContext) {
    let limits = Limits { cost: Cost::from_dollars(dollars), tokens: None };
    let budget = Arc::new(MemoryBudget::new("test", limits));
    (Arc::clone(&budget), RunContext::new().with_budget(budget))
}

async fn drain(stack: &Stack, context: &RunContext) -> Result<()> {
    let mut events = stack.open(context, &request(), Delivery::Streamed).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}

/// What one call reserves.
fn whole() -> Cost {
    let asked = request();
    let ask = crate::layers::Ask::Chat {
        request: crate::layers::Lent::Borrowed(&asked),
        delivery: Delivery::Plain,
    };
    bound::bound(&ask, &[Candidate::new(id(), Some(PRICE))]).estimate.cost.unwrap()
}

#[tokio::test]
async fn an_answer_counts_by_what_it_cost_and_without_counts_in_whole() {
    let (budget, context) = budget("1");
    drain(&stack(Some(PRICE), vec![], Priced(Some(Usage::new(10, 5)))), &context).await.unwrap();
    let expected = Amount { cost: Cost::from_nanos(20_000), tokens: 15 };
    assert_eq!((budget.book().spent, budget.book().reserved), (expected, Amount::default()));
    drain(&stack(Some(PRICE), vec![], Priced(None)), &context).await.unwrap();
    assert_eq!(budget.book().unknown.cost, whole());
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_not_made() {
    let (budget, context) = budget("0.0001");
    let error = drain(&stack(Some(PRICE), vec![], Priced(None)), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(error.message().starts_with("the budget of the test is $0.0001: $0.00 are spent"), "{error}");
    assert_eq!(budget.book().reserved, Amount::default());
}

#[tokio::test(start_paused = true)]
async fn only_a_failure_that_may_have_been_billed_counts() {
    for (stage, kind, status, counts) in [
        (Stage::BeforeConnect, ErrorKind::Connection, None, false),
        (Stage::AfterConnect, ErrorKind::Connection, None, true),
        (Stage::AfterConnect, ErrorKind::Timeout, None, true),
        (Stage::InHeaders, ErrorKind::Overloaded, Some(529), false),
        (Stage::InHeaders, ErrorKind::RateLimit, Some(429), false),
        (Stage::MidBody, ErrorKind::Truncated, Some(200), true),
        (Stage::MidStream, ErrorKind::Truncated, Some(200), true),
        (Stage::MidStream, ErrorKind::Overloaded, Some(200), true),
    ] {
        let mut fault = Fault::new(stage, kind);
        fault.status = status;
        let (budget, context) = budget("1");
        let rules = Rules { always: Some(fault), ..Rules::new() };
        drain(&stack(Some(PRICE), vec![], simulated(rules)), &context).await.unwrap_err();
        let expected = if counts { whole() } else { Cost::ZERO };
        assert_eq!(budget.book().unknown.cost, expected, "{stage:?} {kind}");
        assert_eq!(budget.book().reserved, Amount::default(), "{stage:?} {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_drops_counts_in_whole() {
    let hanging =
        Rules { always: Some(Fault::new(Stage::MidStream, ErrorKind::Truncated).hanging()), ..Rules::new() };
    let (budget, context) = budget("1");
    let stack = stack(Some(PRICE), vec![], simulated(hanging));
    let mut events = stack.open(&context, &request(), Delivery::Streamed).await.unwrap();
    events.next().await.unwrap().unwrap();
    drop(events);
    assert_eq!(budget.book().unknown.cost, whole());
    // Dropped before anything came.
    let silent = Rules { latency: Duration::from_secs(60), ..Rules::new() };
    let silent = self::stack(Some(PRICE), vec![], simulated(silent));
    let asked = request();
    let opening = silent.open(&context, &asked, Delivery::Streamed);
    assert!(tokio::time::timeout(Duration::from_secs(1), opening).await.is_err());
    assert_eq!(budget.book().unknown.cost.nanos(), whole().nanos() * 2);
    assert_eq!(budget.book().reserved, Amount::default());
}

#[tokio::test(start_paused = true)]
async fn a_resend_needs_a_reservation_of_its_own_where_the_failed_send_counts() {
    let failing_once = |kind, status: Option<u16>| {
        let mut fault = Fault::new(Stage::AfterConnect, kind);
        fault.status = status;
        simulated(Rules { faults: [(0, fault)].into(), ..Rules::new() })
    };
    let layers = || vec![Arc::new(Again) as Arc<dyn Layer>];
    let (budget_, context) = budget("1");
    drain(&stack(Some(PRICE), layers(), failing_once(ErrorKind::Timeout, None)), &context).await.unwrap();
    assert_eq!(budget_.book().unknown.cost, whole(), "the first send counts in whole");
    let usage = Usage::new(2, 20);
    let expected = Amount { cost: PRICE.cost(&usage), tokens: 22 };
    assert_eq!(budget_.book().spent, expected, "the second one by its counts");

    let (budget_, context) = budget("1");
    drain(&stack(Some(PRICE), layers(), failing_once(ErrorKind::RateLimit, Some(429))), &context)
        .await
        .unwrap();
    assert_eq!(budget_.book().unknown.cost, Cost::ZERO, "a refusal costs nothing");

    let once_and_a_half = Cost::from_nanos(whole().nanos() * 3 / 2);
    let limits = Limits { cost: Some(once_and_a_half), tokens: None };
    let tight = Arc::new(MemoryBudget::new("tight", limits));
    let context = RunContext::new().with_budget(tight.clone());
    let stack = stack(Some(PRICE), layers(), failing_once(ErrorKind::Timeout, None));
    let error = drain(&stack, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(
        error.context().iter().any(|(name, value)| name == "after" && value.contains("timeout")),
        "{error:?}"
    );
    assert_eq!((tight.book().unknown.cost, tight.book().reserved), (whole(), Amount::default()));
}

#[tokio::test]
async fn every_budget_holds_and_a_refusal_of_one_leaves_nothing_in_the_others() {
    let (wide, context) = budget("1");
    let limits = Limits { cost: None, tokens: Some(10) };
    let narrow = Arc::new(MemoryBudget::new("narrow", limits));
    let context = context.with_budget(narrow.clone());
    let error = drain(&stack(Some(PRICE), vec![], Priced(None)), &context).await.unwrap_err();
    assert!(error.message().contains("the budget of the narrow is 10 tokens"), "{error}");
    assert_eq!((wide.book(), narrow.book()), Default::default());
}

#[tokio::test]
async fn what_cannot_be_bounded_is_refused() {
    let (_, context) = budget("1");
    let error = drain(&stack(None, vec![], Priced(None)), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("prices.\"a:b\".input"), "{error:?}");
    let unlimited = ChatRequest { max_tokens: None, ..request() };
    let stack = stack(Some(PRICE), vec![], Priced(None));
    let error = stack.open(&context, &unlimited, Delivery::Plain).await.err().unwrap();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::InvalidRequest, "nothing limits how much `a:b` writes, and a budget holds")
    );
    let mut unseen = request();
    unseen.extra.insert("previous_response_id".to_owned(), "r".into());
    let error = stack.open(&context, &unseen, Delivery::Plain).await.err().unwrap();
    assert!(error.message().starts_with("the request holds `previous_response_id`"), "{error}");
}

#[tokio::test]
async fn without_a_budget_nothing_is_looked_up() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let layer = BudgetLayer::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        vec![Candidate::new(id(), Some(PRICE))]
    });
    let bottom = Bottom::Model(Arc::new(Priced(Some(Usage::new(1, 1)))));
    let stack = Stack::new(Chain::new(vec![Arc::new(layer)], bottom), 1, None);
    drain(&stack, &RunContext::new()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let (_, context) = budget("1");
    for _ in 0..3 {
        drain(&stack, &context).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// Fifty calls at once, each of which costs far less than is reserved for it.
#[tokio::test(start_paused = true)]
async fn calls_at_once_never_spend_more_than_there_is() {
    let (budget, context) = budget("0.01");
    let model = simulated(Rules { latency: Duration::from_millis(10), words: 1_000, ..Rules::new() });
    let stack = Arc::new(stack(Some(PRICE), vec![], model));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (stack, context) = (Arc::clone(&stack), context.clone());
        calls.spawn(async move { drain(&stack, &context).await });
    }
    let mut made = 0;
    while let Some(ended) = calls.join_next().await {
        match ended.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::BudgetExceeded),
        }
        let book = budget.book();
        assert!(book.spent.cost + book.unknown.cost + book.reserved.cost <= Cost::from_nanos(10_000_000));
    }
    let fit = 10_000_000 / whole().nanos();
    assert_eq!(made, fit, "as many as fit side by side");
    assert!(made >= 2);
}

/// One request a minute, and then none for who has no time to wait.
fn limited() -> Arc<dyn Layer> {
    use crate::layers::rate_limit::{LimitQueue, Limits, MemoryLimiter, RateLimitLayer};
    let queue = LimitQueue::new(Limits::per_minute(Some(1), None, None));
    let learning = motet_core::settings::Learning::Off;
    Arc::new(RateLimitLayer::new(Arc::new(MemoryLimiter::new(Arc::new(queue), learning, None)), "test"))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_limits_held_back_costs_nothing_and_opens_no_circuit() {
    use crate::layers::breaker::{BreakerLayer, Circuit, CircuitState, Limits};
    let limits = Limits { min_calls: 2, ..Limits::default() };
    let circuit = Arc::new(Circuit::new(limits, Instant::now()));
    let breaker = Arc::new(BreakerLayer::new(Arc::clone(&circuit), "a:b"));
    let stack = stack(Some(PRICE), vec![breaker, limited()], Priced(Some(Usage::new(10, 5))));
    let (budget, context) = budget("1");
    drain(&stack, &context).await.unwrap();
    for _ in 0..3 {
        let hurried = context.clone().with_time_budget(Duration::from_secs(1));
        assert_eq!(drain(&stack, &hurried).await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    let spent = Amount { cost: Cost::from_nanos(20_000), tokens: 15 };
    let book = budget.book();
    assert_eq!((book.spent, book.unknown, book.reserved), (spent, Amount::default(), Amount::default()));
    assert_eq!(circuit.snapshot(Instant::now()).state, CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_billed_counts_also_when_the_run_is_cancelled_before_the_resend() {
    use crate::layers::retry::{Chance, RetryLayer, Rules as Retries};
    let hangs = Fault::new(Stage::AfterConnect, ErrorKind::Timeout).with_retry_after(Duration::from_secs(9));
    let model = simulated(Rules { faults: [(0, hangs)].into(), ..Rules::new() });
    let retry = Arc::new(RetryLayer::new(Retries::default(), Chance::seeded(1), None));
    let stack = stack(Some(PRICE), vec![retry], model);
    let (budget, context) = budget("1");
    let stop = tokio_util::sync::CancellationToken::new();
    let context = context.with_cancellation(stop.clone());
    let (ended, ()) = tokio::join!(drain(&stack, &context), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!((budget.book().unknown.cost, budget.book().reserved), (whole(), Amount::default()));
}
