//! Real servers on loopback and real programs, which are written in a few lines of Python.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{body_json, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Answers by method: `echo` gives the parameters back, `null` nothing, `fail` an error, `die` ends, `hang` never answers,
/// `later` answers after the next call, `pid` tells the process, `close` stays without an output, `leak` fails with a key;
/// a batch with `refuse` in it is refused as a whole.
const SERVER: &str = r#"
import json, os, sys, time
late = []
def answer(call):
    name, id = call.get("method"), call.get("id")
    if name == "die":
        os._exit(3)
    if name == "close":
        os.close(1)
        time.sleep(60)
    if name == "leak":
        key = os.environ["BOX_KEY"]
        return {"jsonrpc": "2.0", "id": id, "error": {"code": 7, "message": key, "data": [{"key": key}]}}
    if name == "hang" or id is None:
        return None
    if name == "fail":
        return {"jsonrpc": "2.0", "id": id, "error": {"code": -29003, "message": "too slow", "data": {"retryable": True}}}
    if name == "nothing":
        return {"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}}
    result = {"echo": call.get("params"), "null": None, "pid": os.getpid(), "env": sorted(os.environ)}.get(name)
    return {"jsonrpc": "2.0", "id": id, "result": result}
print("ready, for people")
for line in sys.stdin:
    call = json.loads(line)
    if isinstance(call, list) and any(one["method"] == "refuse" for one in call):
        error = {"code": -32600, "message": "no batches"}
        print(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}), flush=True)
    elif isinstance(call, list):
        print(json.dumps([a for a in map(answer, reversed(call)) if a]), flush=True)
    elif call.get("method") == "later":
        late.append(call)
    else:
        said = answer(call)
        if said:
            print(json.dumps(said), flush=True)
        for call in late:
            print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": "late"}), flush=True)
        late.clear()
"#;

fn program(folder: &Path) -> RpcClient {
    let path = folder.join("server.py");
    std::fs::write(&path, SERVER).unwrap();
    let path = path.display().to_string();
    RpcClient::new("box", Address::stdio("python3", ["-u".to_owned(), path])).unwrap()
}

fn named(value: Value) -> Option<Params> {
    Params::read(value)
}

async fn call(client: &RpcClient, method: &str) -> Result<Value> {
    client.call(&RunContext::new(), method, None, LONG).await
}

fn is_running(pid: &Value) -> bool {
    Path::new(&format!("/proc/{pid}/cmdline")).exists()
        && !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ")
}

/// Waits until a program that was killed is gone.
async fn gone(pid: &Value) {
    while is_running(pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_answers_calls_whose_answers_may_come_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let context = RunContext::new();
    // Whoever waits first for the program to start is the first to write.
    let (late, echo) = tokio::join!(
        call(&client, "later"),
        client.call(&context, "echo", named(json!({"a": [1, null]})), LONG)
    );
    assert_eq!((late.unwrap(), echo.unwrap()), (json!("late"), json!({"a": [1, null]})));
    assert_eq!(call(&client, "null").await.unwrap(), Value::Null);
    let many = (0..50).map(|number| {
        let client = client.clone();
        async move { client.call(&RunContext::new(), "echo", named(json!([number])), LONG).await.unwrap() }
    });
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().enumerate().all(|(number, answer)| *answer == json!([number])));
    client.notify(&RunContext::new(), "echo", None, LONG).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_program_that_ends_is_told_of_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let first = call(&client, "pid").await.unwrap();
    let error = call(&client, "die").await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent()), (ErrorKind::Connection, false));
    assert!(error.message().contains("exit code 3"), "{error}");
    let second = call(&client, "pid").await.unwrap();
    assert!(first != second && !is_running(&first));
    client.close().await;
    assert!(!is_running(&second));
    let none = RpcClient::new("box", Address::stdio("no-such-program", ["x"])).unwrap();
    let error = call(&none, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent()), (ErrorKind::Configuration, true));
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let first = call(&client, "pid").await.unwrap();
    let context = RunContext::new();
    let error = client.call(&context, "hang", None, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    gone(&first).await;
    let second = call(&client, "pid").await.unwrap();
    let stop = CancellationToken::new();
    let context = RunContext::new().with_cancellation(stop.clone());
    let (ended, ()) = tokio::join!(client.call(&context, "hang", None, LONG), async {
        stop.cancel();
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    gone(&second).await;
    let third = call(&client, "pid").await.unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(50), call(&client, "hang")).await;
    assert!(dropped.is_err());
    gone(&third).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_no_other_program_than_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let first = call(&client, "pid").await.unwrap();
    let context = RunContext::new();
    let closed = client.call(&context, "close", None, Duration::from_millis(500));
    // The first program has no output any more, so the next call starts a second one while the first still runs.
    let next = async {
        let mut pid = first.clone();
        while pid == first {
            pid = call(&client, "pid").await.unwrap_or(first.clone());
        }
        pid
    };
    let (ended, second) = tokio::join!(closed, next);
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
    gone(&first).await;
    assert_eq!(call(&client, "pid").await.unwrap(), second);
}

#[tokio::test]
async fn a_look_that_is_not_answered_leaves_the_program_running() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let first = call(&client, "pid").await.unwrap();
    let context = RunContext::new();
    let error = client.probe(&context, "hang", Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // An error without an id can only be that of the batch, as nobody waits for the look any more.
    let calls = [Request::new("refuse", None, Id::from(70)), Request::new("echo", None, Id::from(71))];
    let error = client.batch(&context, &calls, LONG).await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidRequest && error.message().contains("no batches"), "{error}");
    assert_eq!(call(&client, "pid").await.unwrap(), first);
    client.probe(&context, "echo", LONG).await.unwrap();
}

#[tokio::test]
async fn batches_are_answered_in_the_order_of_their_calls_and_errors_keep_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let client = program(folder.path());
    let calls = [
        Request::new("echo", named(json!([1])), Id::from(7)),
        Request::notification("echo", None),
        Request::new("fail", None, Id::Text("a".into())),
    ];
    let answers = client.batch(&RunContext::new(), &calls, LONG).await.unwrap();
    assert_eq!(answers[0], Response::done(Id::from(7), json!([1])));
    assert_eq!(answers[1].outcome.as_ref().unwrap_err().code, -29003);
    assert_eq!(answers.len(), 2);
    let twice = [calls[0].clone(), calls[0].clone()];
    let error = client.batch(&RunContext::new(), &twice, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let error = call(&client, "fail").await.unwrap_err();
    assert_eq!((error.kind(), error.retry().is_retryable()), (ErrorKind::Timeout, true));
    assert!(error.context().iter().any(|(name, value)| name == "code" && value == "-29003"));
    assert_eq!(call(&client, "nothing").await.unwrap_err().kind(), ErrorKind::Unsupported);
    client.close().await;
}

#[tokio::test]
async fn a_program_sees_only_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.py");
    std::fs::write(&path, SERVER).unwrap();
    let env = [("BOX_KEY".to_owned(), "secret-value".to_owned())].into();
    let args = vec!["-u".to_owned(), path.display().to_string()];
    let address = Address::Stdio { command: "python3".into(), args, env, directory: None };
    let client = RpcClient::new("box", address).unwrap();
    let seen = call(&client, "env").await.unwrap();
    assert!(seen.as_array().unwrap().contains(&json!("BOX_KEY")));
    assert!(!seen.as_array().unwrap().contains(&json!("CARGO_PKG_NAME")), "{seen}");
    let error = call(&client, "leak").await.unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(shown.contains("****") && !shown.contains("secret-value"), "{shown}");
    client.close().await;
}

#[tokio::test]
async fn a_service_is_called_by_post_and_its_errors_are_told() {
    let server = MockServer::start().await;
    let sent = json!({"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1});
    let right = json!({"jsonrpc": "2.0", "id": 1, "result": 3});
    Mock::given(method("POST"))
        .and(header("x-key", "hunter2-hunter2"))
        .and(body_json(&sent))
        .respond_with(ResponseTemplate::new(200).set_body_json(&right))
        .mount(&server)
        .await;
    let mut address = Address::http(server.uri());
    if let Address::Http { headers, .. } = &mut address {
        headers.insert("x-key".into(), "hunter2-hunter2".into());
    }
    let client = RpcClient::new("web", address.clone()).unwrap();
    let sum = client.call(&RunContext::new(), "add", named(json!([1, 2])), LONG).await.unwrap();
    assert_eq!(sum, json!(3));
    for (status, body, kind) in [
        (401, "no hunter2-hunter2", ErrorKind::Authentication),
        (503, "", ErrorKind::Overloaded),
        (429, "", ErrorKind::RateLimit),
        (302, "", ErrorKind::InvalidRequest),
        (200, "hello", ErrorKind::InvalidOutput),
        (200, r#"["hunter2-hunter2"]"#, ErrorKind::InvalidOutput),
        (200, r#"{"jsonrpc": "2.0", "id": 9, "result": 1}"#, ErrorKind::InvalidOutput),
        (
            200,
            r#"{"jsonrpc": "2.0", "id": 1, "error":
                {"code": -29002, "message": "not hunter2-hunter2", "data": {"sent": ["hunter2-hunter2"]}}}"#,
            ErrorKind::ToolFailed,
        ),
        (
            400,
            r#"{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}}"#,
            ErrorKind::InvalidRequest,
        ),
        (
            500,
            r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -31005, "message": "slow"}}"#,
            ErrorKind::RateLimit,
        ),
    ] {
        server.reset().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount(&server)
            .await;
        let client = RpcClient::new("web", address.clone()).unwrap();
        let error = call(&client, "add").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}: {error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
    let gone = RpcClient::new("web", Address::http("http://127.0.0.1:1/")).unwrap();
    let error = call(&gone, "add").await.unwrap_err();
    assert_eq!((error.kind(), error.is_unsent()), (ErrorKind::Connection, true));
}

#[tokio::test]
async fn one_call_is_sent_as_it_is_and_a_batch_that_is_refused_says_why() {
    let server = MockServer::start().await;
    let call = Request::new("add", None, Id::from(7));
    Mock::given(body_json(call.clone().into_json()))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(Response::done(Id::from(7), json!(3)).to_json()),
        )
        .mount(&server)
        .await;
    let refusal = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no batches"}});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(400).set_body_json(refusal))
        .with_priority(9)
        .mount(&server)
        .await;
    let client = RpcClient::new("web", Address::http(server.uri())).unwrap();
    let context = RunContext::new();
    let answer = client.whole(&context, call.clone(), LONG).await.unwrap();
    assert_eq!(answer, Some(Response::done(Id::from(7), json!(3))));
    for calls in [[call], [Request::notification("add", None)]] {
        let error = client.batch(&context, &calls, LONG).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::InvalidRequest && error.message().contains("no batches"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_slow_service_is_given_up_in_time() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    Mock::given(method("POST")).respond_with(slow).mount(&server).await;
    let client = RpcClient::new("web", Address::http(server.uri())).unwrap();
    let begun = Instant::now();
    let error = client.call(&RunContext::new(), "x", None, Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
