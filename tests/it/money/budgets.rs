//! Every setting of budgets through the runtime, and budgets that several processes share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use motet::providers::scripted::{Answer, ScriptedModel};
use motet::{ChatRequest, Cost, Error, ErrorKind, Message, RunContext, Runtime, StreamEvent, Usage};
use motet_core::budget::{Amount, Limits, MemoryBudget};
use motet_core::store::SharedStore;
use motet_core::usage::Price;
use motet_tests::command::Place;
use motet_tests::server::{Reply, Server};
use serde_json::{Value, json};

use super::{answer, runtime};

const MODEL: &str = "openai:gpt-4o-mini";
/// Its listed price.
const PRICE: Price = Price::new(150_000, 600_000);
/// What every answer of the test model uses: $0.00075.
const USAGE: (u64, u64) = (1_000, 1_000);

fn usage() -> Usage {
    Usage::new(USAGE.0, USAGE.1)
}

/// Adds a model that always answers the same, with the usage and cost of a real one.
fn with_model(runtime: Runtime) -> Runtime {
    let model = ScriptedModel::from_fn(|request| {
        let mut response = Answer::text("hi").respond(request)?;
        (response.usage, response.cost) = (Some(usage()), Some(PRICE.cost(&usage())));
        Ok(response)
    });
    runtime.add_model(MODEL.parse().unwrap(), Arc::new(model));
    runtime
}

fn asked() -> ChatRequest {
    ChatRequest {
        max_tokens: Some(1_000),
        ..ChatRequest::new(MODEL.parse().unwrap(), vec![Message::user("Hello")])
    }
}

async fn ask(runtime: &Runtime, context: &RunContext) -> Result<(), Error> {
    runtime.complete(context, &asked()).await.map(|_| ())
}

/// Asks until it is refused, each time as a step of its own; gives how often it was answered, and the refusal.
async fn exhaust(runtime: &Runtime, context: &RunContext) -> (u32, Error) {
    for number in 0..100 {
        if let Err(error) = ask(runtime, &context.child(&number.to_string())).await {
            return (number, error);
        }
    }
    panic!("nothing was refused");
}

#[tokio::test]
async fn a_runs_money_and_tokens_are_its_own() {
    for (option, value, times) in [("budget.run_cost", "0.003", 3), ("budget.run_tokens", "5000", 2)] {
        let runtime = with_model(runtime(&[(option, value)]));
        for _ in 0..2 {
            let (answered, error) = exhaust(&runtime, &RunContext::new()).await;
            assert_eq!((answered, error.kind()), (times, ErrorKind::BudgetExceeded), "{option}: {error}");
            assert!(error.message().starts_with("the budget of the run is"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_runs_time_ends_it_before_or_during_a_call() {
    let runtime = runtime(&[("budget.run_time", "10s")]);
    let slow = ScriptedModel::answers([Answer::text("hi").with_delay(Duration::from_secs(6))]);
    let slow = slow.on_exhausted(motet::providers::scripted::OnExhausted::RepeatLast);
    runtime.add_model(MODEL.parse().unwrap(), Arc::new(slow));
    let context = RunContext::new();
    ask(&runtime, &context.child("0")).await.unwrap();
    let error = ask(&runtime, &context.child("1")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "the run used up its budget of time"));
    let error = ask(&runtime, &context.child("2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert_eq!(error.message(), "the run used up its budget of time, which is 10s");
    ask(&runtime, &RunContext::new()).await.unwrap();
}

async fn spent(store: &SharedStore, book: &str) -> Amount {
    let books = store.books().await.unwrap();
    books.into_iter().find(|(name, _)| name == book).map(|(_, book)| book.spent).unwrap_or_default()
}

#[tokio::test]
async fn a_tenants_budget_holds_over_runs_and_is_kept_in_the_store() {
    for (option, value, times) in [("budget.tenant_cost", "0.003", 3), ("budget.tenant_tokens", "5000", 2)] {
        let place = Place::new().unwrap();
        let store = format!("sqlite:{}/store.db", place.path().display());
        let options = [("store", store.as_str()), (option, value), ("budget.tenant", "acme")];
        let first = with_model(runtime(&options));
        ask(&first, &RunContext::new()).await.unwrap();
        drop(first);
        let second = with_model(runtime(&options));
        let (answered, error) = exhaust(&second, &RunContext::new()).await;
        assert_eq!((answered, error.kind()), (times - 1, ErrorKind::BudgetExceeded), "{option}: {error}");
        assert!(error.message().starts_with("the budget of the tenant acme is"), "{error}");
        let other =
            RunContext::new().with_attribution(|ascribed| ascribed.tenant = Some("umbrella".to_owned()));
        ask(&second, &other).await.unwrap();
        let store = second.store().await.unwrap();
        assert_eq!(spent(&store, "tenant umbrella").await.tokens, usage().total());
        assert_eq!(
            spent(&store, "tenant acme").await.cost.nanos(),
            u64::from(times) * PRICE.cost(&usage()).nanos()
        );
    }
    let nameless = with_model(runtime(&[("budget.tenant_cost", "1")]));
    let error = ask(&nameless, &RunContext::new()).await.unwrap_err();
    assert_eq!(error.message(), "a tenant's budget holds, but no tenant is named");
}

#[tokio::test]
async fn a_days_budget_holds_over_all_runs() {
    for (option, value, times) in [("budget.day_cost", "0.003", 3), ("budget.day_tokens", "5000", 2)] {
        let runtime = with_model(runtime(&[(option, value)]));
        let mut answered = 0;
        let error = loop {
            match ask(&runtime, &RunContext::new()).await {
                Ok(()) => answered += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((answered, error.kind()), (times, ErrorKind::BudgetExceeded), "{option}: {error}");
        assert!(error.message().starts_with("the budget of the day 20"), "{error}");
    }
}

#[tokio::test]
async fn a_model_of_unknown_price_is_refused_or_warned_of_and_never_free() {
    let id = "openai:gpt-next";
    let ask = |options: Vec<(&'static str, &'static str)>| async move {
        let runtime = runtime(&options);
        let model = ScriptedModel::from_fn(|request| {
            let mut response = Answer::text("hi").respond(request)?;
            (response.usage, response.cost) = (Some(usage()), None);
            Ok(response)
        });
        runtime.add_model(id.parse().unwrap(), Arc::new(model));
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let listen = move |event: &StreamEvent| {
            if let StreamEvent::Warning { message } = event {
                heard.lock().unwrap().push(message.clone());
            }
        };
        let context = RunContext::new().with_events(Arc::new(listen));
        let request = ChatRequest { model: id.parse().unwrap(), ..asked() };
        let answered = runtime.complete(&context, &request).await.map(|response| response.cost);
        let warnings = warnings.lock().unwrap().clone();
        (answered, warnings, context.ledger().book().spent)
    };
    let (refused, _, _) = ask(vec![("budget.run_cost", "1")]).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.message(), "the price of `openai:gpt-next` is unknown, and a budget in money holds");
    let (answered, warnings, spent) =
        ask(vec![("budget.run_cost", "1"), ("budget.unknown_price", "warn")]).await;
    assert_eq!((answered.unwrap(), warnings.len()), (None, 1), "{warnings:?}");
    assert_eq!(spent, Amount { cost: Cost::ZERO, tokens: 2_000 });
    let (answered, warnings, _) = ask(vec![("budget.run_tokens", "100000")]).await;
    assert!(answered.is_ok() && warnings.is_empty(), "a budget of tokens needs no price");
    let priced = vec![
        ("budget.run_cost", "1"),
        ("prices.openai:gpt-next.input", "1"),
        ("prices.openai:gpt-next.output", "2"),
    ];
    let (_, _, spent) = ask(priced).await;
    assert_eq!(spent.cost.nanos(), 1_000 * 1_000 + 1_000 * 2_000, "counted by the price that was set");
}

#[tokio::test]
async fn a_fallback_that_is_dearer_is_reserved_for() {
    let options = [
        ("budget.run_cost", "0.002"),
        ("fallback.models", "openai:gpt-4o"),
        ("providers.openai.api_key", "sk-0123456789abcdef"),
    ];
    let runtime = with_model(runtime(&options));
    let error = ask(&runtime, &RunContext::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(error.message().contains("may need $0.01"), "{error}");
}

#[tokio::test]
async fn a_fallback_of_unknown_price_does_not_make_the_others_free() {
    let options = [
        ("budget.run_cost", "0.0001"),
        ("budget.unknown_price", "warn"),
        ("fallback.models", "openai:gpt-next"),
        ("providers.openai.api_key", "sk-0123456789abcdef"),
    ];
    let error = ask(&with_model(runtime(&options)), &RunContext::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}");
}

#[tokio::test]
async fn budgets_of_code_hold_where_the_settings_name_none() {
    let runtime = with_model(runtime(&[]));
    let limits = Limits { cost: Cost::from_dollars("0.003"), tokens: None };
    let budget = Arc::new(MemoryBudget::new("evening", limits));
    let context = RunContext::new().with_budget(budget.clone());
    let (answered, error) = exhaust(&runtime, &context).await;
    assert_eq!(answered, 3);
    assert!(error.message().starts_with("the budget of the evening is $0.003"), "{error}");
    assert_eq!(budget.book().spent.cost.nanos(), 3 * PRICE.cost(&usage()).nanos());
}

/// A cent is enough for a dozen answers; fifty are asked for at once.
#[tokio::test]
async fn fifty_calls_at_once_stay_within_a_cent() {
    for book in ["budget.run_cost", "budget.day_cost"] {
        let runtime = with_model(runtime(&[(book, "0.01")]));
        let context = RunContext::new();
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (runtime, context) = (runtime.clone(), context.child(&number.to_string()));
            calls.spawn(async move { ask(&runtime, &context).await });
        }
        let answered = calls.join_all().await.into_iter().filter(Result::is_ok).count() as u64;
        let paid = answered * PRICE.cost(&usage()).nanos();
        assert!(paid <= 10_000_000 && answered >= 8, "{book}: {answered} answers");
    }
}

#[test]
fn processes_that_share_a_store_share_its_budget() {
    let body = answer("openai-chat", &json!({"prompt_tokens": 1_000, "completion_tokens": 3_000}));
    let server = Server::start(move |_, _| Reply::json(200, &body)).unwrap();
    let place = Place::new().unwrap();
    let url = server.url();
    let start = || {
        let options =
            ["--set", "budget.day_cost=0.01", "--set", "store=sqlite:shared.db", "--max-tokens", "3000"];
        let base = ["complete", "Hello", "--model", MODEL, "--base-url", &url, "--output", "json"];
        let mut command = place.command(&[&base[..], &options].concat()).unwrap();
        command.env("OPENAI_API_KEY", "sk-0123456789abcdef");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let cost = PRICE.cost(&Usage::new(1_000, 3_000)).nanos();
    let mut answered = 0;
    for _ in 0..3 {
        let running: Vec<_> = (0..6).map(|_| start()).collect();
        for child in running {
            let output = child.wait_with_output().unwrap();
            let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if output.status.success() {
                answered += 1;
            } else {
                assert_eq!(told["error"]["kind"], "budget_exceeded", "{told} {output:?}");
            }
        }
    }
    assert_eq!(server.requests().len(), answered, "what does not fit is not sent");
    let paid = answered as u64 * cost;
    assert!(paid <= 10_000_000 && paid > 10_000_000 - 2 * cost, "{answered} answers");
    // Nothing is left reserved by processes that have ended.
    let store = motet::persistence::open(&format!("sqlite:{}/shared.db", place.path().display())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let books = runtime.block_on(store.books()).unwrap();
    let [(name, book)] = &books[..] else { panic!("{books:?}") };
    assert!(name.starts_with("day 20"), "{name}");
    let spent = Amount { cost: Cost::from_nanos(paid), tokens: answered as u64 * 4_000 };
    assert_eq!((book.spent, book.unknown, book.reserved), (spent, Amount::default(), Amount::default()));
}

const TWICE: &str = "
name: many
model: openai:gpt-4o-mini
tasks:
  - {id: one, method: llm/chat, params: {prompt: a, max_tokens: 1000}}
  - {id: two, method: llm/chat, params: {prompt: b, max_tokens: 1000}, dependencies: [one]}
  - {id: three, method: llm/chat, params: {prompt: c, max_tokens: 1000}, dependencies: [two]}
";

#[tokio::test]
async fn a_workflows_budget_holds_over_its_tasks_and_a_resumed_run_remembers() {
    let place = Place::new().unwrap();
    let file = place.write("many.yaml", TWICE).unwrap();
    let store = format!("sqlite:{}/store.db", place.path().display());
    let options = [("store", store.as_str()), ("budget.run_cost", "0.0018")];
    let never = tokio_util::sync::CancellationToken::new();
    let first = with_model(runtime(&options));
    let workflow = first.read_workflow(&file).unwrap();
    let run =
        first.start(&workflow.spec, serde_json::Map::new(), &workflow.run_settings(None)).await.unwrap();
    let report = first.work(&run, None, &never).await.unwrap();
    let failed: Vec<_> =
        report.failures().map(|task| (&*task.name, task.error.as_ref().unwrap().kind)).collect();
    assert_eq!((report.model_calls, failed), (2, vec![("three", ErrorKind::BudgetExceeded)]));
    drop(first);

    let second = with_model(runtime(&options));
    second.resume(&run, motet::workflow::Definition::AsStored).await.unwrap();
    let report = second.work(&run, None, &never).await.unwrap();
    assert_eq!(report.model_calls, 2, "the resumed run knows what it spent");
    drop(second);

    let wider = with_model(runtime(&[("store", store.as_str()), ("budget.run_cost", "0.003")]));
    wider.resume(&run, motet::workflow::Definition::AsStored).await.unwrap();
    let report = wider.work(&run, None, &never).await.unwrap();
    assert_eq!(report.model_calls, 3);
    assert_eq!(report.cost.unwrap().nanos(), 3 * PRICE.cost(&usage()).nanos());
}
