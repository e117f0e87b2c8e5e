//! Kept answers through the runtime and the command: what each setting does, and how processes share a store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use motet::core::answers::AnswerClaim;
use motet::core::event::ready_stream;
use motet::core::settings::{CacheMode, Sources};
use motet::core::store::SharedStore;
use motet::persistence::memory::MemoryStore;
use motet::providers::layers::cache::{Key, Scope};
use motet::{
    ChatRequest, Cost, Delivery, ErrorKind, EventStream, FinishReason, Message, Result, RunContext, Runtime,
    Settings, StreamEvent, Usage,
};
use motet_core::Model;
use motet_tests::command::{Done, Place};
use motet_tests::server::{Reply, Server};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A model that says the number of the call, after a while.
#[derive(Default)]
struct Counting {
    calls: AtomicU32,
    takes: Duration,
    /// Length of the answer beside its number.
    padding: usize,
}

#[async_trait]
impl Model for Counting {
    async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        sleep(self.takes).await;
        let text = format!("{number}{}", " ".repeat(self.padding));
        Ok(ready_stream(vec![
            StreamEvent::TextDelta { part: 0, text },
            StreamEvent::Usage { usage: Usage::new(3, 5) },
            StreamEvent::Finished { reason: FinishReason::Stop, raw: None },
            StreamEvent::Cost { cost: Some(Cost::from_nanos(8)) },
        ]))
    }
}

fn runtime(settings: &[(&str, &str)], model: &Arc<Counting>) -> Runtime {
    let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned(), "test".to_owned());
    let overrides = settings.iter().map(set).chain([set(&("store", "memory:"))]).collect();
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
    runtime.add_model("test:counting".parse().unwrap(), Arc::clone(model) as Arc<dyn Model>);
    runtime
}

fn request(text: &str) -> ChatRequest {
    ChatRequest::new("test:counting".parse().unwrap(), vec![Message::user(text)])
}

async fn said(runtime: &Runtime, text: &str) -> String {
    runtime.complete(&RunContext::new(), &request(text)).await.unwrap().text().trim().to_owned()
}

const ON: (&str, &str) = ("cache.mode", "read_write");
const STORED: (&str, &str) = ("cache.place", "store");

#[tokio::test(start_paused = true)]
async fn the_setting_decides_and_a_run_may_decide_otherwise() {
    let off = runtime(&[], &Arc::default());
    assert_eq!((said(&off, "a").await, said(&off, "a").await), ("0".to_owned(), "1".to_owned()));
    let on = runtime(&[ON], &Arc::default());
    assert_eq!((said(&on, "a").await, said(&on, "a").await), ("0".to_owned(), "0".to_owned()));
    let context = RunContext::new().with_cache(CacheMode::Refresh);
    assert_eq!(on.complete(&context, &request("a")).await.unwrap().text(), "1");
    assert_eq!(said(&on, "a").await, "1");
    let context = RunContext::new().with_cache(CacheMode::ReadWrite);
    for _ in 0..2 {
        assert_eq!(off.complete(&context, &request("a")).await.unwrap().text(), "2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_marked_costs_nothing_and_is_recorded_so() {
    let runtime = runtime(&[ON], &Arc::default());
    said(&runtime, "a").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let context = RunContext::new()
        .with_events(Arc::new(move |event: &StreamEvent| sink.lock().unwrap().push(event.clone())));
    let response = runtime.complete(&context, &request("a")).await.unwrap();
    assert_eq!((response.cost, response.usage), (Some(Cost::ZERO), Some(Usage::new(3, 5))));
    assert_eq!(json!(response.metadata), json!({"cached": true, "saved_cost": 8e-9}));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|event| matches!(event, StreamEvent::CacheHit { .. })).count(), 1);
    let recorded = serde_json::to_string(&context.log().records()).unwrap();
    assert!(recorded.contains(r#""cached":true"#) && recorded.contains(r#""cost":0"#), "{recorded}");
}

#[tokio::test(start_paused = true)]
async fn answers_are_given_no_longer_than_their_age_in_memory_and_in_the_store() {
    for place in [("cache.place", "memory"), STORED] {
        let runtime = runtime(&[ON, ("cache.max_age", "10s"), place], &Arc::default());
        said(&runtime, "a").await;
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(said(&runtime, "a").await, "0", "{place:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(said(&runtime, "a").await, "1", "{place:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn memory_and_the_store_keep_no_more_than_they_may() {
    let big = || Arc::new(Counting { padding: 300 << 10, ..Counting::default() });
    let small = runtime(&[ON, ("cache.max_mb", "1")], &big());
    let roomy = runtime(&[ON, ("cache.max_mb", "4")], &big());
    for text in ["a", "b", "c", "d", "e", "f"] {
        said(&small, text).await;
        said(&roomy, text).await;
    }
    assert_eq!((said(&small, "a").await, said(&roomy, "a").await), ("6".to_owned(), "0".to_owned()));
    let stored = runtime(&[ON, STORED, ("cache.store_mb", "1")], &big());
    for text in ["a", "b", "c", "d", "e", "f"] {
        said(&stored, text).await;
    }
    let counts = stored.store().await.unwrap().answers().unwrap().counts().await.unwrap();
    assert_eq!(counts.answers, 3);
}

/// Two runtimes as two processes would be: each with a memory of its own, over one store.
fn pair(model: &Arc<Counting>) -> (Runtime, Runtime, SharedStore) {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let one = || runtime(&[ON, STORED], model).with_store(Arc::clone(&store)).unwrap();
    (one(), one(), store)
}

#[tokio::test(start_paused = true)]
async fn a_store_shares_answers_between_processes() {
    let model = Arc::new(Counting { takes: Duration::from_secs(2), ..Counting::default() });
    let (one, two, _) = pair(&model);
    said(&one, "a").await;
    assert_eq!(said(&two, "a").await, "0");
    let both = tokio::join!(said(&one, "b"), said(&two, "b"), said(&two, "b"));
    assert_eq!(both, ("1".to_owned(), "1".to_owned(), "1".to_owned()));
    assert_eq!(model.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_for_one_process_is_asked_anew_and_replaced_for_all() {
    let (model, store) = (Arc::default(), Arc::new(MemoryStore::new()) as SharedStore);
    let with = |max_age| {
        let runtime = runtime(&[ON, STORED, ("cache.max_age", max_age)], &model);
        runtime.with_store(Arc::clone(&store)).unwrap()
    };
    assert_eq!(said(&with("1h"), "a").await, "0");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(said(&with("1h"), "a").await, "0");
    assert_eq!(said(&with("10s"), "a").await, "1");
    assert_eq!(
        (said(&with("10s"), "a").await, said(&with("1h"), "a").await),
        ("1".to_owned(), "1".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_of_the_settings_do_not_share_answers() {
    let (model, store) = (Arc::default(), Arc::new(MemoryStore::new()) as SharedStore);
    let of = |tenant| {
        let runtime = runtime(&[ON, STORED, ("budget.tenant", tenant)], &model);
        runtime.with_store(Arc::clone(&store)).unwrap()
    };
    for (tenant, answer) in [("acme", "0"), ("other", "1"), ("acme", "0")] {
        assert_eq!(said(&of(tenant), "a").await, answer, "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_question_keeps_its_lease() {
    let model = Arc::new(Counting { takes: Duration::from_secs(120), ..Counting::default() });
    let (one, two, _) = pair(&model);
    let both = tokio::join!(said(&one, "a"), said(&two, "a"));
    assert_eq!((both.0.as_str(), both.1.as_str(), model.calls.load(Ordering::SeqCst)), ("0", "0", 1));
}

#[tokio::test(start_paused = true)]
async fn when_the_process_that_asks_dies_another_asks_soon() {
    let (one, _, store) = pair(&Arc::default());
    let answers = store.answers().unwrap();
    let key = Key::of_chat(&request("a"), &Scope::default()).unwrap().to_string();
    let lease = answers.lease(&key, "one that died", Duration::from_secs(15)).await.unwrap();
    assert_eq!(lease, AnswerClaim::Yours);
    let began = Instant::now();
    assert_eq!(said(&one, "a").await, "0");
    let took = began.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn when_a_caller_goes_away_other_processes_need_not_wait_for_its_lease() {
    let model = Arc::new(Counting { takes: Duration::from_secs(2), ..Counting::default() });
    let (one, two, _) = pair(&model);
    let leaving = tokio::spawn(async move { said(&one, "a").await });
    sleep(Duration::from_millis(100)).await;
    let waiting = tokio::spawn(async move { said(&two, "a").await });
    sleep(Duration::from_millis(100)).await;
    leaving.abort();
    let began = Instant::now();
    assert_eq!(waiting.await.unwrap(), "1");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_waits_no_longer_for_another_process() {
    let (one, _, store) = pair(&Arc::default());
    let key = Key::of_chat(&request("a"), &Scope::default()).unwrap().to_string();
    store.answers().unwrap().lease(&key, "another", Duration::from_secs(3_600)).await.unwrap();
    let context = RunContext::new().with_timeout(Duration::from_secs(5));
    let error = one.complete(&context, &request("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_a_warning_and_no_failure() {
    let model = Arc::default();
    let set = [ON, STORED, ("store", "sqlite:/dev/null/none.db")];
    let overrides =
        set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned(), "test".to_owned()));
    let loaded = Settings::load(&Sources { overrides: overrides.collect(), ..Sources::default() }).unwrap();
    let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
    runtime
        .add_model("test:counting".parse().unwrap(), Arc::clone(&model) as Arc<Counting> as Arc<dyn Model>);
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&warnings);
    let context = RunContext::new().with_events(Arc::new(move |event: &StreamEvent| {
        if let StreamEvent::Warning { message } = event {
            sink.lock().unwrap().push(message.clone());
        }
    }));
    for step in ["one", "two"] {
        let response = runtime.complete(&context.child(step), &request("a")).await.unwrap();
        assert_eq!(response.text(), "0", "memory keeps it all the same");
    }
    let warnings = warnings.lock().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("answers are not kept in the store: "),
        "{warnings:?}"
    );
}

fn answer(number: usize) -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "x-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": format!("answer {number}")}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
    })
}

fn counting_server() -> Server {
    Server::start(|_, number| {
        // Long enough that two processes that start together meet here.
        std::thread::sleep(Duration::from_millis(300));
        Reply::json(200, &answer(number))
    })
    .unwrap()
}

fn complete(place: &Place, server: &Server, more: &[&str]) -> Done {
    let url = server.url();
    let base = ["complete", "Hello", "--model", "custom:x", "--base-url", &url, "--output", "json"];
    place.run(&[&base, more].concat()).unwrap()
}

const KEPT: [&str; 4] = ["--cache", "read_write", "--set", "cache.place=store"];

#[test]
fn the_command_keeps_answers_in_the_store_and_counts_prunes_and_clears_them() {
    let (place, server) = (Place::new().unwrap(), counting_server());
    let first = complete(&place, &server, &KEPT).json().unwrap();
    assert_eq!(
        (&first["text"], &first["cost"], first.get("metadata")),
        (&json!("answer 0"), &json!(null), None)
    );
    let second = complete(&place, &server, &KEPT).json().unwrap();
    assert_eq!((&second["text"], &second["cost"]), (&json!("answer 0"), &json!(0.0)));
    assert_eq!(second["metadata"], json!({"cached": true}));
    assert_eq!(complete(&place, &server, &["--cache", "off"]).json().unwrap()["text"], "answer 1");
    assert_eq!(server.requests().len(), 2);
    let cache = |arguments: &[&str]| {
        place.run(&[&["cache"], arguments, &["--output", "json"]].concat()).unwrap().json().unwrap()
    };
    let counts = cache(&["stats"]);
    assert_eq!((&counts["answers"], &counts["expired"]), (&json!(1), &json!(0)));
    let bytes = counts["bytes"].as_u64().unwrap();
    assert!(bytes > 100, "{counts}");
    assert_eq!(cache(&["prune"]), json!({"answers": 0, "bytes": 0}));
    let text = place.run(&["cache", "stats"]).unwrap().stdout;
    assert!(
        text.starts_with(&format!("1 answers, {bytes} bytes, 0 over their time; the oldest is ")),
        "{text}"
    );
    assert_eq!(cache(&["clear"]), json!({"answers": 1, "bytes": bytes}));
    assert_eq!(complete(&place, &server, &KEPT).json().unwrap()["text"], "answer 2");
    let wrong = complete(&place, &server, &["--cache", "sometimes"]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn processes_that_ask_the_same_at_once_ask_once() {
    let (place, server) = (Place::new().unwrap(), counting_server());
    // The store exists before they start, so that they meet at the question.
    place.run(&["cache", "stats"]).unwrap();
    let url = server.url();
    let base = ["complete", "Hello", "--model", "custom:x", "--base-url", &url];
    let started: Vec<_> = (0..3).map(|_| place.start(&[&base[..], &KEPT].concat()).unwrap()).collect();
    for process in started {
        let done = Done::from(process.wait_with_output().unwrap());
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), "answer 0\n"), "{done:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn another_server_under_the_same_name_is_asked_itself() {
    let place = Place::new().unwrap();
    for _ in 0..2 {
        let server = counting_server();
        assert_eq!(complete(&place, &server, &KEPT).json().unwrap()["text"], "answer 0");
        assert_eq!(server.requests().len(), 1);
        let kept = complete(&place, &server, &KEPT).json().unwrap();
        assert_eq!((&kept["metadata"]["cached"], server.requests().len()), (&json!(true), 1));
    }
}

#[test]
fn a_task_says_how_it_uses_the_cache_and_the_report_tells_what_was_given() {
    let (place, server) = (Place::new().unwrap(), counting_server());
    let task = |id: &str, more: &str| {
        format!("  - {{id: {id}, method: llm/chat, {more} params: {{prompt: Hello}}}}\n")
    };
    let mut file = "name: twice\nmodel: custom:x\ntasks:\n".to_owned();
    file.push_str(&task("one", "cache: true,"));
    file.push_str(&task("two", "cache: true, dependencies: [one],"));
    file.push_str(&task("three", "dependencies: [two],"));
    file.push_str(&task("four", "cache: refresh, dependencies: [three],"));
    file.push_str(&task("five", "cache: read, dependencies: [four],"));
    file.push_str("outputs: {one: \"${one}\", two: \"${two}\", three: \"${three}\", four: \"${four}\", five: \"${five}\"}\n");
    place.write("twice.yaml", file).unwrap();
    let url = format!("providers.custom.base_url={}", server.url());
    let done = place.run(&["run", "twice.yaml", "--output", "json", "--set", &url]).unwrap();
    let report = done.json().unwrap();
    let outputs: BTreeMap<String, Value> = serde_json::from_value(report["outputs"].clone()).unwrap();
    let told = |name: &str| (outputs[name]["content"].clone(), outputs[name].get("cached").cloned());
    assert_eq!(told("one"), (json!("answer 0"), None), "{done:?}");
    assert_eq!(told("two"), (json!("answer 0"), Some(json!(true))));
    assert_eq!(told("three"), (json!("answer 1"), None));
    assert_eq!(told("four"), (json!("answer 2"), None));
    assert_eq!(told("five"), (json!("answer 2"), Some(json!(true))));
    assert_eq!((&report["model_calls"], &report["cached_calls"]), (&json!(5), &json!(2)));
    assert_eq!(report["usage"], json!({"input": 36, "output": 15}), "what was given used nothing");
    assert_eq!(server.requests().len(), 3);
}
