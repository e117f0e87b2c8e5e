//! Keys from settings to the wire: which key each request carries, and what a refusal of one does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use motet::core::settings::{Settings, Sources};
use motet::core::{EmbedRequest, ErrorKind, StreamEvent};
use motet::providers::layers::key_pool::KeyStatus;
use motet::{ChatRequest, Message, RunContext, Runtime};
use motet_core::rerank::RerankRequest;
use motet_tests::command::Place;
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

/// The secret of a key.
fn secret(name: &str) -> String {
    format!("sk-{name}-0123456789abcdef")
}

/// Gives the name of the key that a request carries.
fn key_of(request: &Request) -> String {
    let (_, header) = request.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    header.trim_start_matches("Bearer sk-").split('-').next().unwrap().to_owned()
}

fn answered(request: &Request) -> Reply {
    let usage = json!({"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1_000});
    if request.path.ends_with("/embeddings") {
        let data = json!([{"object": "embedding", "index": 0, "embedding": [0.5]}]);
        return Reply::json(200, &json!({"object": "list", "data": data, "model": "e", "usage": usage}));
    }
    if request.path.ends_with("/rerank") {
        return Reply::json(200, &json!({"id": "r", "results": [{"index": 0, "relevance_score": 0.9}]}));
    }
    if request.path.ends_with("/models") {
        return Reply::json(200, &json!({"object": "list", "data": [{"id": "m", "object": "model"}]}));
    }
    let message = json!({"role": "assistant", "content": "Yes."});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    Reply::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}),
    )
}

fn refused(status: u16, code: &str, key: &str) -> Reply {
    let message = format!("Not with the key {}.", secret(key));
    Reply::json(status, &json!({"error": {"message": message, "type": code, "code": code}}))
}

/// A runtime whose provider `custom` is a server, with keys of these settings beside their secrets.
struct Wire {
    server: Server,
    runtime: Runtime,
    events: Arc<Mutex<Vec<StreamEvent>>>,
}

impl Wire {
    fn new(
        keys: &[(&str, &[(&str, &str)])],
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(move |request, _| answer(request)).unwrap();
        let mut settings = vec![("providers.custom.base_url".to_owned(), server.url())];
        for (key, options) in keys {
            settings.push((format!("providers.custom.keys.{key}.api_key"), secret(key)));
            let path = |option: &str| format!("providers.custom.keys.{key}.{option}");
            settings.extend(options.iter().map(|(option, value)| (path(option), (*value).to_owned())));
        }
        let overrides = settings.into_iter().map(|(path, value)| (path, value, "test".to_owned())).collect();
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
        Self { server, runtime, events: Arc::default() }
    }

    fn context(&self) -> RunContext {
        let events = Arc::clone(&self.events);
        let listener = move |event: &StreamEvent| events.lock().unwrap().push(event.clone());
        RunContext::new().with_events(Arc::new(listener))
    }

    async fn ask(&self, model: &str) -> motet::Result<motet::ChatResponse> {
        let request = ChatRequest::new(model.parse().unwrap(), vec![Message::user("May I?")]);
        self.runtime.complete(&self.context(), &request).await
    }

    async fn ask_times(&self, times: usize) {
        for _ in 0..times {
            self.ask("custom:m").await.unwrap();
        }
    }

    fn used(&self) -> Vec<String> {
        self.server.requests().iter().map(key_of).collect()
    }

    fn count(&self, key: &str) -> usize {
        self.used().iter().filter(|used| *used == key).count()
    }

    fn changes(&self) -> Vec<(String, String)> {
        let events = self.events.lock().unwrap();
        let changes = events.iter().filter_map(|event| match event {
            StreamEvent::KeyChanged { key, state, .. } => Some((key.clone(), state.clone())),
            _ => None,
        });
        changes.collect()
    }

    /// Checks that whatever can be shown shows no secret.
    fn assert_secrets_are_kept(&self, error: Option<&motet::Error>) {
        let mut shown = format!("{:?} {:?}", self.events.lock().unwrap(), self.runtime.loaded());
        let snapshot = self.runtime.keys("custom").unwrap();
        shown.push_str(&format!("{snapshot:?} {}", serde_json::to_string(&snapshot).unwrap()));
        shown.push_str(&serde_json::to_string(&self.runtime.providers()).unwrap());
        if let Some(error) = error {
            shown.push_str(&format!("{error} {error:?} {:?} {:?}", error.hint(), error.report()));
        }
        for key in ["a", "b", "c"] {
            assert!(!shown.contains(&secret(key)), "{shown}");
        }
    }
}

const TWO: &[(&str, &[(&str, &str)])] = &[("a", &[]), ("b", &[])];

#[tokio::test]
async fn keys_take_turns_and_answers_name_them() {
    let wire = Wire::new(TWO, answered);
    for key in ["a", "b", "a", "b"] {
        assert_eq!(wire.ask("custom:m").await.unwrap().metadata["key"], key);
    }
    assert_eq!(wire.used(), ["a", "b", "a", "b"]);
    let snapshot = wire.runtime.keys("custom").unwrap();
    let counts: Vec<_> = snapshot.iter().map(|key| key.counts.unwrap()).collect();
    assert!(counts.iter().all(|counts| (counts.sent, counts.succeeded, counts.in_flight) == (2, 2, 0)));
    wire.ask("custom:other").await.unwrap();
    assert_eq!(wire.used().last().unwrap(), "a", "all models share the pool");
}

#[tokio::test]
async fn vectors_and_rankings_use_the_same_pool() {
    let wire = Wire::new(TWO, answered);
    let texts = EmbedRequest::new("custom:e".parse().unwrap(), vec!["one".to_owned()]);
    for key in ["a", "b"] {
        let response = wire.runtime.embed(&wire.context(), &texts).await.unwrap();
        assert_eq!(response.metadata["key"], key);
    }
    let request = RerankRequest {
        model: "custom:r".parse().unwrap(),
        query: "which".to_owned(),
        documents: vec!["one".to_owned()],
        top_n: None,
        extra: serde_json::Map::new(),
    };
    for _ in 0..2 {
        wire.runtime.rerank(&wire.context(), &request).await.unwrap();
    }
    wire.ask("custom:m").await.unwrap();
    assert_eq!(wire.used(), ["a", "b", "a", "b", "a"]);
}

#[tokio::test]
async fn a_refused_key_is_left_alone_and_its_call_goes_on_with_another() {
    let wire = Wire::new(TWO, |request| match key_of(request).as_str() {
        "a" => refused(401, "invalid_api_key", "a"),
        _ => answered(request),
    });
    wire.ask_times(4).await;
    assert_eq!(wire.used(), ["a", "b", "b", "b", "b"]);
    assert_eq!(wire.changes(), [("a".to_owned(), "quarantined".to_owned())]);
    let snapshot = wire.runtime.keys("custom").unwrap();
    assert_eq!((snapshot[0].state, snapshot[1].state), (KeyStatus::Quarantined, KeyStatus::Ready));
    let rest = &snapshot[0].rests[0];
    assert!((290..=300).contains(&rest.seconds), "{rest:?}");
    assert_eq!(rest.error.as_ref().unwrap().kind, ErrorKind::Authentication);
    assert_eq!(snapshot[0].counts.unwrap().refused, 1);
    wire.assert_secrets_are_kept(None);
}

#[tokio::test]
async fn without_any_key_left_the_error_names_them_and_nothing_is_sent() {
    let wire = Wire::new(TWO, |request| refused(401, "invalid_api_key", &key_of(request)));
    let first = wire.ask("custom:m").await.unwrap_err();
    let second = wire.ask("custom:m").await.unwrap_err();
    assert_eq!(wire.used(), ["a", "b"]);
    for error in [first, second] {
        assert_eq!((error.kind(), error.status()), (ErrorKind::Authentication, Some(401)));
        let hint = error.hint().unwrap();
        assert!(hint.contains("`a` (authentication), `b` (authentication)"), "{hint}");
        assert!(hint.contains("providers.custom.keys"), "{hint}");
        wire.assert_secrets_are_kept(Some(&error));
    }
}

#[tokio::test]
async fn a_key_that_is_asked_too_often_rests_as_long_as_the_provider_says() {
    let wire = Wire::new(TWO, |request| match key_of(request).as_str() {
        "a" => refused(429, "rate_limit_exceeded", "a").with_header("retry-after", "70"),
        _ => answered(request),
    });
    wire.ask_times(3).await;
    assert_eq!(wire.used(), ["a", "b", "b", "b"]);
    assert_eq!(wire.changes(), [("a".to_owned(), "cooling".to_owned())]);
    let rest = wire.runtime.keys("custom").unwrap()[0].rests[0].clone();
    assert_eq!((rest.model.as_deref(), rest.state), (Some("m"), KeyStatus::Cooling));
    assert!((60..=70).contains(&rest.seconds), "{rest:?}");
    wire.ask("custom:other").await.unwrap();
    assert_eq!(wire.used().split_off(4), ["a", "b"], "other models have limits of their own");
    wire.assert_secrets_are_kept(None);
}

#[tokio::test]
async fn weights_say_who_does_how_much() {
    let wire = Wire::new(&[("a", &[("weight", "3")]), ("b", &[])], answered);
    wire.ask_times(8).await;
    assert_eq!((wire.count("a"), wire.count("b")), (6, 2));
}

#[tokio::test]
async fn an_account_without_quota_rests_with_all_its_keys() {
    let keys: &[(&str, &[(&str, &str)])] =
        &[("a", &[("group", "team")]), ("b", &[("group", "team")]), ("c", &[])];
    let wire = Wire::new(keys, |request| match key_of(request).as_str() {
        "c" => answered(request),
        key => refused(429, "insufficient_quota", key),
    });
    wire.ask_times(3).await;
    assert_eq!(wire.used(), ["a", "c", "c", "c"], "`b` has the same account as `a`");
    let states: Vec<_> = wire.runtime.keys("custom").unwrap().iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyStatus::Quarantined, KeyStatus::Quarantined, KeyStatus::Ready]);
}

#[tokio::test]
async fn each_limit_of_a_key_sends_what_is_over_it_to_others() {
    let limits: [(&[(&str, &str)], usize); 3] = [
        (&[("requests_per_minute", "2")], 2),
        (&[("requests_per_minute", "5"), ("burst", "1")], 1),
        (&[("tokens_per_minute", "2500")], 2),
    ];
    for (limit, most) in limits {
        let wire = Wire::new(&[("a", limit), ("b", &[])], answered);
        wire.ask_times(9).await;
        assert_eq!((wire.count("a"), wire.count("b")), (most, 9 - most), "{limit:?}");
    }
}

#[tokio::test]
async fn a_limit_of_one_key_holds_for_its_group() {
    let keys: &[(&str, &[(&str, &str)])] =
        &[("a", &[("group", "team"), ("requests_per_minute", "2")]), ("b", &[("group", "team")]), ("c", &[])];
    let wire = Wire::new(keys, answered);
    wire.ask_times(9).await;
    assert_eq!((wire.count("a"), wire.count("b"), wire.count("c")), (1, 1, 7));
}

#[tokio::test]
async fn a_model_that_one_key_may_not_ask_is_asked_by_others() {
    let wire = Wire::new(TWO, |request| match (key_of(request).as_str(), &request.body["model"]) {
        ("a", Value::String(model)) if model == "secret" => refused(404, "model_not_found", "a"),
        (_, Value::String(model)) if model == "nobody" => refused(403, "forbidden", "b"),
        _ => answered(request),
    });
    for _ in 0..3 {
        wire.ask("custom:secret").await.unwrap();
    }
    assert_eq!(wire.used(), ["a", "b", "b", "b"]);
    wire.ask("custom:m").await.unwrap();
    assert_eq!(wire.used().last().unwrap(), "a", "it may ask other models");
    let before = wire.used().len();
    for _ in 0..2 {
        assert_eq!(wire.ask("custom:nobody").await.unwrap_err().kind(), ErrorKind::Permission);
    }
    assert_eq!(wire.used().len(), before + 4, "what no key may do says nothing of the keys");
    assert_eq!(wire.changes(), [("a".to_owned(), "quarantined".to_owned())]);
}

#[tokio::test]
async fn one_key_is_no_pool() {
    let wire = Wire::new(&[("a", &[])], |_| refused(401, "invalid_api_key", "a"));
    for _ in 0..2 {
        let error = wire.ask("custom:m").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        wire.assert_secrets_are_kept(Some(&error));
    }
    assert_eq!((wire.used().len(), wire.changes().len()), (2, 0));
    let shown = wire.runtime.keys("custom").unwrap();
    assert_eq!((shown.len(), shown[0].name.as_str(), shown[0].counts), (1, "a", None));
    assert_eq!(wire.runtime.keys("openai").unwrap()[0].name, "default");
    assert!(wire.runtime.keys("offline").unwrap().is_empty() && wire.runtime.keys("nobody").is_err());
}

#[test]
fn the_command_shows_keys_and_checks_each() {
    let server = Server::start(|request, _| match key_of(request).as_str() {
        "b" => refused(401, "invalid_api_key", "b"),
        _ => answered(request),
    })
    .unwrap();
    let place = Place::new().unwrap();
    let key = |name: &str| format!("[providers.lab.keys.{name}]\napi_key = \"{}\"\n", secret(name));
    let settings = format!("[providers.lab]\nbase_url = \"{}\"\n{}{}", server.url(), key("a"), key("b"));
    place.write("motet.toml", settings).unwrap();
    let listed = place.run(&["provider", "list", "--ready"]).unwrap().stdout;
    let line = listed.lines().find(|line| line.starts_with("lab")).unwrap();
    assert!(line.contains(" a b "), "{line}");
    let listed = place.run(&["provider", "list", "--output", "json"]).unwrap();
    let all = listed.json().unwrap();
    let lab = all.as_array().unwrap().iter().find(|one| one["name"] == "lab").unwrap();
    let shown = json!({"name": "a", "group": "a", "weight": 1, "state": "ready",
        "in_flight": 0, "sent": 0, "succeeded": 0, "rate_limited": 0, "refused": 0});
    assert_eq!(lab["keys"][0], shown);
    let health = place.run(&["provider", "health", "lab"]).unwrap();
    assert_eq!(health.code, Some(0), "it can be called with the other key");
    let status = |name: &str| {
        let line = health.stdout.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!([status("lab "), status("lab/a"), status("lab/b")], ["ok", "ok", "key"]);
    assert!(health.stderr.contains("warning: lab: key `b`"), "{}", health.stderr);
    let report = place.run(&["provider", "health", "lab", "--output", "json"]).unwrap();
    assert_eq!(report.json().unwrap()[0]["keys"][1]["status"], "key_refused");
    for shown in [listed.stdout, health.stdout, health.stderr, report.stdout] {
        assert!(!shown.contains("0123456789"), "{shown}");
    }
}
