//! Every setting of rate limits, by what it does to calls of a runtime.
//!
//! The calls wait for nothing: where there is no room, the longest wait of a millisecond ends them at once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use motet::Runtime;
use motet_core::embedding::EmbedRequest;
use motet_core::settings::{Settings, Sources};
use motet_core::{ChatRequest, Error, ErrorKind, Message, RunContext, StreamEvent};
use motet_tests::redis::Redis;
use motet_tests::server::{Reply, Server};
use serde_json::json;

/// Makes a runtime whose provider `acme` is a server of the test, with these settings beside.
fn runtime(server: &Server, settings: &[(&str, &str)]) -> Runtime {
    let base = [
        ("providers.acme.base_url", server.url()),
        ("rate_limit.max_wait", "1ms".to_owned()),
        ("retry.max_attempts", "1".to_owned()),
    ];
    let own = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let overrides =
        base.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value, "test".to_owned()));
    let loaded = Settings::load(&Sources { overrides: overrides.collect(), ..Sources::default() }).unwrap();
    Runtime::new(loaded, PathBuf::from(".")).unwrap()
}

/// Answers every chat with fifty tokens.
fn answer() -> Reply {
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 10});
    let message = json!({"message": {"content": "Hello"}, "finish_reason": "stop"});
    Reply::json(200, &json!({"choices": [message], "usage": usage}))
}

fn server() -> Server {
    Server::start(|_, _| answer()).unwrap()
}

/// Asks as a step of its own, since a run gives the recorded answer to a step that it knows.
async fn ask_of(runtime: &Runtime, context: &RunContext, model: &str) -> Result<(), Error> {
    static STEPS: AtomicU32 = AtomicU32::new(0);
    let context = &context.child(&STEPS.fetch_add(1, Ordering::Relaxed).to_string());
    let mut request = ChatRequest::new(format!("acme:{model}").parse().unwrap(), vec![Message::user("Hi")]);
    request.max_tokens = Some(60);
    runtime.complete(context, &request).await.map(drop)
}

async fn ask(runtime: &Runtime) -> Result<(), Error> {
    ask_of(runtime, &RunContext::new(), "m").await
}

/// Asks until a limit forbids it; gives how many calls there were, and why there were no more.
async fn asks(runtime: &Runtime) -> (usize, Error) {
    for number in 0..100 {
        if let Err(error) = ask(runtime).await {
            return (number, error);
        }
    }
    panic!("nothing limits the calls")
}

fn is_full(error: &Error) -> bool {
    error.kind() == ErrorKind::RateLimit
        && error.message().contains("the rate limit of `acme` leaves no room")
}

#[tokio::test]
async fn requests_a_minute_and_the_burst_of_them_are_kept_to() {
    let server = server();
    for (settings, expected) in [
        (&[("providers.acme.requests_per_minute", "3")][..], 3),
        (&[("providers.acme.requests_per_minute", "3"), ("providers.acme.burst", "2")], 2),
        (&[("providers.acme.requests_per_minute", "3"), ("providers.acme.burst", "5")], 5),
    ] {
        let (calls, error) = asks(&runtime(&server, settings)).await;
        assert!(calls == expected && is_full(&error), "{calls} with {settings:?}: {error}");
    }
}

#[tokio::test]
async fn tokens_a_minute_are_reserved_before_a_call_and_settled_after_it() {
    // A call reserves some 65 tokens and uses 50, so the third finds less than it may need.
    let server = server();
    let (calls, error) = asks(&runtime(&server, &[("providers.acme.tokens_per_minute", "150")])).await;
    assert!(calls == 2 && is_full(&error), "{calls}: {error}");
    let (calls, _) = asks(&runtime(&server, &[("providers.acme.tokens_per_minute", "200")])).await;
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn all_models_and_operations_of_a_provider_share_its_limit() {
    let vectors = json!({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}});
    let server = Server::start(move |request, _| {
        if request.path.ends_with("embeddings") { Reply::json(200, &vectors) } else { answer() }
    });
    let server = server.unwrap();
    let runtime = runtime(&server, &[("providers.acme.requests_per_minute", "3")]);
    ask_of(&runtime, &RunContext::new(), "one").await.unwrap();
    ask_of(&runtime, &RunContext::new(), "two").await.unwrap();
    let texts = EmbedRequest::new("acme:vectors".parse().unwrap(), vec!["a".to_owned()]);
    runtime.embed(&RunContext::new(), &texts).await.unwrap();
    assert!(is_full(&ask_of(&runtime, &RunContext::new(), "three").await.unwrap_err()));
}

#[tokio::test]
async fn a_call_waits_for_its_turn_unless_that_takes_longer_than_it_may() {
    let settings = [
        ("providers.acme.requests_per_minute", "600"),
        ("providers.acme.burst", "1"),
        ("rate_limit.max_wait", "5s"),
    ];
    let server = server();
    let runtime = runtime(&server, &settings);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let context = RunContext::new().with_events(Arc::new(move |event: &StreamEvent| {
        if let StreamEvent::Waiting { reason, delay_ms, scope } = event {
            sink.lock().unwrap().push((reason.clone(), *delay_ms, scope.clone()));
        }
    }));
    let begun = Instant::now();
    for done in join_all((0..4).map(|_| ask_of(&runtime, &context, "m"))).await {
        done.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(295), "{:?}", begun.elapsed());
    let heard = heard.lock().unwrap();
    let right = |(reason, delay, scope): &(String, u64, String)| {
        reason == "rate_limit" && *delay <= 300 && scope == "acme"
    };
    assert!(!heard.is_empty() && heard.len() <= 3 && heard.iter().all(right), "{heard:?}");
}

#[tokio::test]
async fn a_call_fails_at_once_where_its_deadline_comes_first() {
    let settings = [("providers.acme.requests_per_minute", "1"), ("rate_limit.max_wait", "10m")];
    let server = server();
    let runtime = runtime(&server, &settings);
    ask(&runtime).await.unwrap();
    let context = RunContext::new().with_timeout(Duration::from_secs(20));
    let error = ask_of(&runtime, &context, "m").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("and the run's deadline is in"), "{error}");
}

#[tokio::test]
async fn what_the_provider_tells_is_learnt_as_the_settings_say() {
    let told = || answer().with_header("x-ratelimit-limit-requests", "5");
    let server =
        Server::start(move |_, _| told().with_header("x-ratelimit-remaining-requests", "0")).unwrap();
    let limit = ("providers.acme.requests_per_minute", "3");
    for (settings, expected) in [
        (&[limit][..], 1),
        (&[limit, ("rate_limit.learn", "tighten")], 1),
        (&[("rate_limit.learn", "adopt")], 1),
        (&[limit, ("rate_limit.learn", "off")], 3),
    ] {
        let (calls, error) = asks(&runtime(&server, settings)).await;
        assert!(calls == expected && is_full(&error), "{calls} with {settings:?}: {error}");
    }
    let unlimited = runtime(&server, &[]);
    for _ in 0..5 {
        ask(&unlimited).await.unwrap();
    }
}

#[tokio::test]
async fn a_model_that_asks_for_a_pause_is_left_alone_and_others_are_not() {
    let server = Server::start(|request, number| match (number, request.body["model"].as_str()) {
        (0, _) => {
            Reply::json(429, &json!({"error": {"message": "slow down"}})).with_header("retry-after", "30")
        }
        _ => answer(),
    });
    let server = server.unwrap();
    let runtime = runtime(&server, &[("providers.acme.requests_per_minute", "40")]);
    assert_eq!(ask(&runtime).await.unwrap_err().status(), Some(429));
    assert!(is_full(&ask(&runtime).await.unwrap_err()));
    assert_eq!(server.requests().len(), 1);
    ask_of(&runtime, &RunContext::new(), "other").await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_hold_are_refused() {
    let server = server();
    let error = ask(&runtime(&server, &[("providers.acme.burst", "3")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("providers.acme.requests_per_minute"), "{error:?}");
    for store in ["sqlite:limits.db", "redis:/nowhere:secret@"] {
        let overrides = vec![("rate_limit.store".to_owned(), store.to_owned(), "test".to_owned())];
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        let error = Runtime::new(loaded, PathBuf::from(".")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn runtimes_share_limits_by_the_store_that_they_name() {
    let Some(redis) = Redis::start().unwrap() else { return };
    let (server, url) = (server(), redis.url());
    let limit = ("providers.acme.requests_per_minute", "3");
    let shared = [limit, ("rate_limit.store", url.as_str())];
    let (one, other) = (runtime(&server, &shared), runtime(&server, &shared));
    ask(&one).await.unwrap();
    ask(&other).await.unwrap();
    ask(&one).await.unwrap();
    assert!(is_full(&ask(&other).await.unwrap_err()) && is_full(&ask(&one).await.unwrap_err()));
    assert_eq!(asks(&runtime(&server, &[limit])).await.0, 3, "in memory each has its own");
    assert_eq!(redis.keys().unwrap(), ["motet:limits:1:{acme/default}:requests"]);
}

#[tokio::test]
async fn without_the_server_each_process_goes_on_by_itself_and_says_so_once() {
    let Some(mut redis) = Redis::start().unwrap() else { return };
    let (server, url) = (server(), redis.url());
    let settings = [("providers.acme.requests_per_minute", "4"), ("rate_limit.store", &url)];
    let runtime = runtime(&server, &settings);
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&warnings);
    let context = RunContext::new().with_events(Arc::new(move |event: &StreamEvent| {
        if let StreamEvent::Warning { message } = event {
            sink.lock().unwrap().push(message.clone());
        }
    }));
    ask_of(&runtime, &context, "m").await.unwrap();
    redis.kill().unwrap();
    for _ in 0..3 {
        ask_of(&runtime, &context, "m").await.unwrap();
    }
    let error = ask_of(&runtime, &context, "m").await.unwrap_err();
    assert!(is_full(&error), "what was taken on the server is not forgotten: {error}");
    {
        let warnings = warnings.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("is away, so this process keeps them by itself"), "{warnings:?}");
        assert!(!warnings[0].contains(redis.password()), "{warnings:?}");
    }
    redis.start_again().unwrap();
    until_answered(&runtime, &context).await;
    assert_eq!(redis.keys().unwrap(), ["motet:limits:1:{acme/default}:requests"], "the server is used again");
    redis.kill().unwrap();
    let _ = ask_of(&runtime, &context, "m").await;
    assert_eq!(warnings.lock().unwrap().len(), 2, "it went away once more");
}

#[tokio::test]
async fn without_the_server_calls_fail_where_the_settings_say_so() {
    let Some(mut redis) = Redis::start().unwrap() else { return };
    let (server, url) = (server(), redis.url());
    let settings = [
        ("providers.acme.requests_per_minute", "1000"),
        ("rate_limit.store", &url),
        ("rate_limit.on_outage", "fail"),
    ];
    let runtime = runtime(&server, &settings);
    ask(&runtime).await.unwrap();
    redis.kill().unwrap();
    for _ in 0..2 {
        let error = ask(&runtime).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection);
        assert!(error.hint().unwrap().contains("rate_limit.on_outage"), "{error:?}");
        assert!(!format!("{error:?}").contains(redis.password()), "{error:?}");
    }
    assert_eq!(server.requests().len(), 1);
    redis.start_again().unwrap();
    until_answered(&runtime, &RunContext::new()).await;
    assert_eq!(redis.keys().unwrap().len(), 1);
}

/// Asks until a call gets room, as it does when the server was found again.
async fn until_answered(runtime: &Runtime, context: &RunContext) {
    let begun = Instant::now();
    while let Err(error) = ask_of(runtime, context, "m").await {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server is not found again: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
