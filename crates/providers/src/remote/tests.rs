//! Providers of several instances, over servers on loopback.

use std::time::Duration;

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn limits() -> breaker::Limits {
    breaker::Limits { min_calls: 2, ..breaker::Limits::default() }
}

fn provider(written: Value) -> RemoteProvider {
    let config = RemoteConfig::read("box", &written).unwrap();
    RemoteProvider::new("box", config, limits(), &|_| None).unwrap()
}

/// Starts a server that answers every call with this result.
async fn server(result: Value) -> MockServer {
    let server = MockServer::start().await;
    answer(
        &server,
        ResponseTemplate::new(200).set_body_json(json!({"jsonrpc": "2.0", "id": null, "result": result})),
    )
    .await;
    server
}

async fn answer(server: &MockServer, template: ResponseTemplate) {
    Mock::given(method("POST")).respond_with(template).mount(server).await;
}

async fn call(provider: &RemoteProvider) -> Result<Value> {
    provider.call(&RunContext::new(), "box/who", None).await
}

#[test]
fn what_is_written_is_checked() {
    for (written, why) in [
        (json!({"type": "http"}), "it needs `url`"),
        (json!({"type": "stdio", "url": "http://x"}), "it needs `command`"),
        (
            json!({"type": "http", "url": "http://x", "command": "y"}),
            "`command` does not go with `type: http`",
        ),
        (
            json!({"type": "http", "url": "http://x", "methods": ["a"], "prefix": "b/"}),
            "both `methods` and `prefix`",
        ),
        (
            json!({"type": "http", "url": "http://x", "instances": [{"url": "http://y"}]}),
            "both `url` and `instances`",
        ),
        (json!({"type": "http", "instances": [{"adress": "http://y"}]}), "an instance has no `adress`"),
        (json!({"type": "http", "url": "http://x", "colour": 1}), "unknown field `colour`"),
        (json!({"type": "http", "url": "http://x", "timeout": 0}), "its `timeout` is zero"),
        (
            json!({"type": "http", "url": "http://x", "health": {"path": "/", "method": "a"}}),
            "both `path` and `method`",
        ),
        (json!({"type": "ftp", "url": "http://x"}), "unknown variant"),
    ] {
        let error = RemoteConfig::read("box", &written).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Configuration && error.to_string().contains(why),
            "{written}: {error}"
        );
    }
}

#[test]
fn methods_are_routed_by_list_prefix_or_name() {
    let read = |written: Value| RemoteConfig::read("box", &written).unwrap();
    let listed = read(json!({"type": "http", "url": "http://x", "methods": ["text/sum"], "timeout": "2s"}));
    assert!(listed.takes("box", "text/sum") && !listed.takes("box", "text/other"));
    assert_eq!((listed.sent_name("box", "text/sum"), listed.timeout), ("text/sum", Duration::from_secs(2)));
    let prefixed = read(json!({"type": "http", "url": "http://x", "prefix": "text/"}));
    assert!(prefixed.takes("box", "text/any") && !prefixed.takes("box", "text/"));
    assert_eq!(prefixed.sent_name("box", "text/any"), "text/any");
    let plain = read(json!({"type": "http", "url": "http://x"}));
    assert!(plain.takes("box", "box/any") && !plain.takes("box", "boxes/any") && !plain.takes("box", "box/"));
    assert_eq!(plain.sent_name("box", "box/a/b"), "a/b");
}

#[tokio::test]
async fn calls_go_to_the_instance_with_the_fewest_under_way() {
    let (a, b) = (server(json!("a")).await, server(json!("b")).await);
    let provider = provider(json!({"type": "http", "instances": [{"url": a.uri()}, {"url": b.uri()}]}));
    // The first two calls are under way together, so that each goes to an instance of its own.
    let (one, two) = (provider.choose(&[]).unwrap(), provider.choose(&[]).unwrap());
    assert_ne!(one.0, two.0);
    let busy = one.0;
    drop(two);
    for _ in 0..4 {
        assert_ne!(provider.choose(&[]).unwrap().0, busy);
    }
    drop(one);
    assert!(provider.snapshot().instances.iter().all(|instance| instance.under_way == 0));
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..4 {
        seen.push(call(&provider).await.unwrap());
    }
    assert!(seen.contains(&json!("a")) && seen.contains(&json!("b")), "{seen:?}");
}

#[tokio::test]
async fn a_call_that_was_not_heard_goes_to_the_next_instance_and_others_do_not() {
    let there = server(Value::Null).await;
    let provider =
        provider(json!({"type": "http", "instances": [{"url": "http://127.0.0.1:1"}, {"url": there.uri()}]}));
    for _ in 0..6 {
        assert_eq!(call(&provider).await.unwrap(), Value::Null);
    }
    let snapshot = provider.snapshot();
    let states: Vec<&str> = snapshot.instances.iter().map(InstanceSnapshot::state).collect();
    assert_eq!(states, ["resting", "ok"]);
    there.reset().await;
    answer(&there, ResponseTemplate::new(503)).await;
    assert_eq!(call(&provider).await.unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(there.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_instance_that_failed_a_look_is_left_alone_until_one_succeeds() {
    let there = MockServer::start().await;
    let right = ResponseTemplate::new(200).set_body_json(json!({"jsonrpc": "2.0", "id": null, "result": 1}));
    answer(&there, right.clone()).await;
    Mock::given(method("GET"))
        .and(path("/health"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&there)
        .await;
    let written =
        json!({"type": "http", "url": there.uri(), "health": {"path": "/health", "interval": "1h"}});
    let config = RemoteConfig::read("box", &written).unwrap();
    let provider = RemoteProvider::new("box", config, limits(), &|_| None).unwrap();
    let context = RunContext::new();
    let found = provider.check(&context, Duration::from_secs(5)).await.unwrap();
    assert!(!found.is_ready() && found.instances[0].state() == "unhealthy");
    let error = call(&provider).await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent()), (ErrorKind::Overloaded, true));
    there.reset().await;
    answer(&there, right).await;
    Mock::given(method("GET"))
        .and(path("/health"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&there)
        .await;
    assert!(provider.check(&context, Duration::from_secs(5)).await.unwrap().is_ready());
    assert_eq!(call(&provider).await.unwrap(), json!(1));
}

/// Answers one call at a time: `wait` once there is the file that it names, `ping` unless it is the first of its kind.
const ONE_AT_A_TIME: &str = r#"
import json, os, sys, time
is_first = not os.path.exists("started")
open("started", "w").close()
for line in sys.stdin:
    call = json.loads(line)
    if call["method"] == "wait":
        while not os.path.exists("go"):
            time.sleep(0.01)
    elif is_first:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": os.getpid()}), flush=True)
"#;

fn one_at_a_time(folder: &std::path::Path) -> RemoteProvider {
    std::fs::write(folder.join("server.py"), ONE_AT_A_TIME).unwrap();
    let health = json!({"method": "ping", "interval": "1h"});
    let written = json!({"type": "stdio", "command": "python3", "args": ["-u", "server.py"],
        "directory": folder.display().to_string(), "health": health});
    let config = RemoteConfig::read("box", &written).unwrap();
    RemoteProvider::new("box", config, limits(), &|_| None).unwrap()
}

#[tokio::test]
async fn a_look_leaves_a_program_alone_that_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let provider = one_at_a_time(folder.path());
    let context = RunContext::new();
    let look = async {
        while provider.snapshot().instances[0].under_way == 0 || !folder.path().join("started").exists() {
            tokio::task::yield_now().await;
        }
        let found = provider.check(&context, Duration::from_millis(50)).await.unwrap();
        std::fs::write(folder.path().join("go"), "").unwrap();
        found
    };
    let (ended, found) = tokio::join!(provider.call(&context, "box/wait", None), look);
    assert!(ended.unwrap().is_u64() && found.is_ready(), "{found:?}");
}

#[tokio::test]
async fn a_program_that_answers_no_look_is_started_anew_after_some() {
    let folder = tempfile::tempdir().unwrap();
    let provider = one_at_a_time(folder.path());
    let context = RunContext::new();
    let mut looks = 0;
    while !provider.check(&context, Duration::from_millis(300)).await.unwrap().is_ready() {
        looks += 1;
        assert!(looks < 50, "{:?}", provider.snapshot());
    }
    assert!(looks >= 3, "{looks}");
    provider.close().await;
}

#[tokio::test]
async fn an_error_about_the_work_is_an_answer_and_one_about_the_provider_is_none() {
    let there = MockServer::start().await;
    for (code, state) in [(-29003, "ok"), (-29007, "ok"), (-25004, "ok"), (-30007, "resting")] {
        there.reset().await;
        let failed = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": "no"}});
        answer(&there, ResponseTemplate::new(200).set_body_json(failed)).await;
        let provider = provider(json!({"type": "http", "url": there.uri()}));
        for _ in 0..4 {
            call(&provider).await.unwrap_err();
        }
        assert_eq!(provider.snapshot().instances[0].state(), state, "{code}");
    }
}

#[tokio::test]
async fn health_is_looked_at_again_and_again_by_itself() {
    let there = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({"jsonrpc": "2.0", "id": null, "result": 1})),
        )
        .expect(2..)
        .mount(&there)
        .await;
    let written = json!({"type": "http", "url": there.uri(), "health": {"method": "ping", "interval": 0.01}});
    let provider = provider(written);
    while there.received_requests().await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(provider);
}
