//! Requests to servers on loopback, which are allowed by name.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::method::FileScope;
use motet_core::{Error, Retry};
use wiremock::matchers::{body_json, body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn ask(allowed: &[&str], params: Value) -> Result<Value> {
    let method = HttpRequest::new(Allowed::new(allowed).unwrap());
    let call = MethodCall {
        params: params.as_object().unwrap().clone(),
        files: FileScope { base: ".".into(), allowed: Vec::new() },
        default_model: None,
        idempotency_key: "key".to_owned(),
        task: None,
    };
    method.call(&RunContext::new(), call).await.map(|outcome| outcome.result().unwrap())
}

async fn failure(params: Value) -> Error {
    ask(&["127.0.0.1"], params).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_is_given_by_its_kind() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/a"))
        .and(query_param("q", "x y"))
        .and(query_param("n", "1"))
        .and(header("x-key", "k"))
        .respond_with(
            ResponseTemplate::new(200).insert_header("X-Made-By", "me").set_body_json(json!({"a": null})),
        )
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(body_json(json!([1])))
        .respond_with(ResponseTemplate::new(201).set_body_string("done"))
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(body_string("raw"))
        .respond_with(ResponseTemplate::new(404).set_body_bytes([0xff, 0x00]))
        .mount(&server)
        .await;
    let url = format!("{}/a", server.uri());
    let allowed = &["127.0.0.1"];
    let got = ask(allowed, json!({"url": url, "query": {"q": "x y", "n": 1}, "headers": {"x-key": "k"}}))
        .await
        .unwrap();
    assert_eq!(
        (&got["status"], &got["json"], &got["headers"]["x-made-by"]),
        (&json!(200), &json!({"a": null}), &json!("me"))
    );
    let posted = ask(allowed, json!({"url": url, "json": [1]})).await.unwrap();
    assert_eq!((&posted["status"], &posted["text"]), (&json!(201), &json!("done")));
    let put = ask(allowed, json!({"url": url, "method": "put", "body": "raw", "expect": [200, "4xx"]}))
        .await
        .unwrap();
    assert_eq!((&put["status"], &put["base64"]), (&json!(404), &json!("/wA=")));
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_not_asked() {
    let server = MockServer::start().await;
    for allowed in [&[][..], &["*"], &["example.com"], &["localhost"]] {
        let error = ask(allowed, json!({"url": server.uri()})).await.unwrap_err();
        assert_eq!((error.kind(), error.is_unsent()), (ErrorKind::Permission, true), "{allowed:?}");
        assert!(error.hint().unwrap().contains("`http.allow`"));
    }
    // A name that leads to this machine is no way around it.
    let by_name = server.uri().replace("127.0.0.1", "localhost");
    assert_eq!(ask(&["*"], json!({"url": by_name})).await.unwrap_err().kind(), ErrorKind::Permission);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_to_allowed_hosts_alone_and_take_no_secret_along() {
    let (from, to) = (MockServer::start().await, MockServer::start().await);
    let target = to.uri();
    Mock::given(path("/out"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", target.as_str()))
        .mount(&from)
        .await;
    Mock::given(path("/evil"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", "http://localhost:1/"))
        .mount(&from)
        .await;
    Mock::given(path("/round"))
        .respond_with(ResponseTemplate::new(301).insert_header("location", "/round"))
        .mount(&from)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string("there"))
        .mount(&to)
        .await;
    let url = |place: &str| format!("{}{place}", from.uri());
    let headers = json!({"authorization": "Bearer hunter2-hunter2", "x-pass": "k", "accept": "text/plain"});
    let got =
        ask(&["127.0.0.1"], json!({"url": url("/out"), "headers": headers, "json": {"a": 1}})).await.unwrap();
    assert_eq!(got["text"], json!("there"));
    let received = to.received_requests().await.unwrap().pop().unwrap();
    assert!(!received.headers.contains_key("authorization") && !received.headers.contains_key("x-pass"));
    assert!(received.headers.contains_key("accept") && received.body.is_empty());
    Mock::given(method("PUT"))
        .and(body_json(json!([1])))
        .and(header("content-type", "application/json"))
        .respond_with(ResponseTemplate::new(200).set_body_string("put"))
        .mount(&to)
        .await;
    let put = ask(&["127.0.0.1"], json!({"url": url("/out"), "method": "PUT", "json": [1]})).await.unwrap();
    assert_eq!(put["text"], json!("put"));
    assert_eq!(failure(json!({"url": url("/evil")})).await.kind(), ErrorKind::Permission);
    assert_eq!(failure(json!({"url": url("/round")})).await.kind(), ErrorKind::LimitReached);
    let kept =
        ask(&["127.0.0.1"], json!({"url": url("/out"), "follow": false, "expect": 302})).await.unwrap();
    assert_eq!(kept["headers"]["location"], json!(target));
}

#[tokio::test]
async fn failures_say_what_happened_and_show_no_secret() {
    let server = MockServer::start().await;
    let echo = "you sent hunter2-hunter2 and swordfish-swordfish";
    Mock::given(path("/429"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "7").set_body_string(echo))
        .mount(&server)
        .await;
    Mock::given(path("/slow"))
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(30)))
        .mount(&server)
        .await;
    let large = vec![b'x'; MAX_RESPONSE_BYTES + 1];
    Mock::given(path("/large"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(large))
        .mount(&server)
        .await;
    let bad = ResponseTemplate::new(200).set_body_raw("{", "application/json");
    Mock::given(path("/bad")).respond_with(bad).mount(&server).await;
    let url = |place: &str| format!("{}{place}", server.uri());
    let headers = json!({"authorization": "Bearer hunter2-hunter2"});
    let params = json!({"url": url("/429"), "headers": headers, "query": {"key": "swordfish-swordfish"}});
    let error = failure(params).await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimit, Retry::After(Duration::from_secs(7))));
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    assert_eq!(failure(json!({"url": url("/slow"), "timeout": 0.05})).await.kind(), ErrorKind::Timeout);
    assert_eq!(failure(json!({"url": url("/large")})).await.kind(), ErrorKind::LimitReached);
    assert_eq!(failure(json!({"url": url("/bad")})).await.kind(), ErrorKind::InvalidOutput);
    assert_eq!(failure(json!({"url": "http://127.0.0.1:1"})).await.kind(), ErrorKind::Connection);
}

#[tokio::test]
async fn what_makes_no_request_is_refused() {
    for params in [
        json!({"url": "ftp://127.0.0.1"}),
        json!({"url": "127.0.0.1"}),
        json!({"url": "http://me:pw@127.0.0.1"}),
        json!({"url": "http://127.0.0.1", "method": "CONNECT"}),
        json!({"url": "http://127.0.0.1", "method": "GET", "body": "x"}),
        json!({"url": "http://127.0.0.1", "json": 1, "body": "x"}),
        json!({"url": "http://127.0.0.1", "headers": {"host": "evil"}}),
        json!({"url": "http://127.0.0.1", "headers": {"a": "x\ny"}}),
        json!({"url": "http://127.0.0.1", "query": {"a": {"b": 1}}}),
        json!({"url": "http://127.0.0.1", "timeout": 0}),
        json!({"url": "http://127.0.0.1", "expect": "ok"}),
    ] {
        assert_eq!(failure(params.clone()).await.kind(), ErrorKind::InvalidRequest, "{params}");
    }
}

#[test]
fn effects_are_those_of_http() {
    let effect = |params: Value| Asked::read(params.as_object().unwrap().clone()).unwrap().effect();
    let url = "http://example.com";
    for (params, expected) in [
        (json!({"url": url}), Effect::Pure),
        (json!({"url": url, "method": "DELETE"}), Effect::Idempotent),
        (json!({"url": url, "json": 1}), Effect::AtMostOnce),
        (json!({"url": url, "json": 1, "headers": {"Idempotency-Key": "a"}}), Effect::Idempotent),
    ] {
        assert_eq!(effect(params.clone()), expected, "{params}");
    }
}
