//! The driver against a server on loopback that says exactly what each test needs.

pub(super) mod server;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use motet_core::accumulate::fold;
use motet_core::request::{JsonSchemaOutput, Output};
use motet_core::usage::Price;
use motet_core::{
    ChatRequest, ChatResponse, Delivery, Error, ErrorKind, EventStream, FinishReason, Message, Model as _,
    ModelId, Result, Retry, RunContext, Secret, StreamEvent,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Clients, HttpModel};
use crate::dialect::{JsonOutput, Profile};
use crate::provider::{ProviderConfig, ProviderRow, Proxy, Timeouts};
use crate::rows;
use server::{Reply, Server, chunk, end, json_answer, stream_head};

pub(super) const KEY: &str = "sk-abcdefghijklmnop1234";

pub(super) fn config(address: &str) -> ProviderConfig {
    ProviderConfig {
        base_url: Some(format!("http://{address}/v1")),
        api_key: Some(Secret::new(KEY)),
        proxy: Proxy::Off,
        ..ProviderConfig::default()
    }
}

fn id() -> ModelId {
    "custom:m".parse().unwrap()
}

fn model(config: &ProviderConfig) -> HttpModel {
    HttpModel::new(rows::find("custom").unwrap(), id(), config, &Clients::default()).unwrap()
}

fn request() -> ChatRequest {
    ChatRequest::new(id(), vec![Message::user("Hi")])
}

async fn open(server: &Server, delivery: Delivery) -> Result<EventStream> {
    model(&config(&server.address)).open(&RunContext::new(), &request(), delivery).await
}

async fn ask(server: &Server, delivery: Delivery) -> Result<ChatResponse> {
    fold(id(), open(server, delivery).await?).await
}

async fn failure(replies: Vec<Reply>, delivery: Delivery) -> Error {
    ask(&Server::start(replies).await, delivery).await.unwrap_err()
}

fn text(text: &str) -> String {
    chunk(&format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]})))
}

fn finish() -> String {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2});
    let last = json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage});
    chunk(&format!("data: {last}\n\n"))
}

fn done() -> String {
    chunk("data: [DONE]\n\n")
}

fn hello() -> serde_json::Value {
    json!({
        "id": "r1", "model": "m-1", "usage": {"prompt_tokens": 10, "completion_tokens": 2},
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    })
}

#[tokio::test]
async fn a_plain_call_sends_one_request_and_gives_the_whole_answer() {
    let server = Server::start(vec![Reply::close(json_answer(200, "x-request-id: q1\r\n", &hello()))]).await;
    let price = Price::new(1_000_000, 2_000_000);
    let model = model(&config(&server.address)).with_price(Some(price));
    let events = model.open(&RunContext::new(), &request(), Delivery::Plain).await.unwrap();
    let answer = fold(id(), events).await.unwrap();
    assert_eq!(answer.text(), "Hello");
    assert_eq!(answer.request_id.as_deref(), Some("q1"));
    assert_eq!(answer.response_id.as_deref(), Some("r1"));
    assert_eq!(answer.cost.unwrap().nanos(), 14_000);
    let sent = server.requests().remove(0);
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("authorization: Bearer {KEY}\r\n")), "{sent}");
    assert!(sent.contains("content-type: application/json\r\n") && sent.contains("user-agent: motet/"));
    assert!(sent.ends_with(r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#), "{sent}");
}

#[tokio::test]
async fn a_streamed_call_gives_events_as_they_come_and_ends_with_its_cost() {
    let body =
        [stream_head("x-request-id: q2\r\n"), text("Hel"), text("lo"), finish(), done(), end()].concat();
    let server = Server::start(vec![Reply::close(body)]).await;
    let model = model(&config(&server.address)).with_price(Some(Price::FREE));
    let events = model.open(&RunContext::new(), &request(), Delivery::Streamed).await.unwrap();
    let events: Vec<StreamEvent> = events.map(Result::unwrap).collect().await;
    let names: Vec<String> =
        events.iter().map(|event| serde_json::to_value(event).unwrap()["event"].to_string()).collect();
    assert_eq!(names.join(" "), r#""response_started" "text_delta" "text_delta" "usage" "finished" "cost""#);
    assert!(server.requests()[0].contains(r#""stream":true,"stream_options":{"include_usage":true}"#));
}

#[tokio::test]
async fn the_connection_serves_the_next_call_also_after_a_stream() {
    let streamed = [stream_head(""), text("a"), finish(), done(), end()].concat();
    let server =
        Server::start(vec![Reply::keep(streamed), Reply::keep(json_answer(200, "", &hello()))]).await;
    let model = model(&config(&server.address));
    for delivery in [Delivery::Streamed, Delivery::Plain] {
        let events = model.open(&RunContext::new(), &request(), delivery).await.unwrap();
        fold(id(), events).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn an_answer_in_the_other_form_is_read_all_the_same() {
    let streamed = [stream_head(""), text("Hello"), finish(), done(), end()].concat();
    let plain = || json_answer(200, "", &hello());
    let mislabelled = plain().replace("application/json", "text/event-stream");
    for (reply, delivery) in
        [(plain(), Delivery::Streamed), (mislabelled, Delivery::Streamed), (streamed, Delivery::Plain)]
    {
        let server = Server::start(vec![Reply::close(reply)]).await;
        assert_eq!(ask(&server, delivery).await.unwrap().text(), "Hello");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_truncated() {
    let whole = json_answer(200, "", &hello());
    let plain = Reply::close(whole[..whole.len() - 20].to_owned());
    let streamed = || [stream_head("x-request-id: q3\r\n"), text("Hel")].concat();
    let in_frame = [streamed(), chunk("data: {\"choices\": [{\"del")].concat();
    for (reply, delivery) in [
        (plain, Delivery::Plain),
        (Reply::close(streamed()), Delivery::Streamed),
        (Reply::close([streamed(), end()].concat()), Delivery::Streamed),
        (Reply::close(in_frame.clone()), Delivery::Streamed),
        (Reply::close([in_frame, end()].concat()), Delivery::Streamed),
        (Reply::close([stream_head(""), end()].concat()), Delivery::Streamed),
    ] {
        let error = failure(vec![reply], delivery).await;
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Truncated, Retry::Backoff), "{error}");
        assert_eq!(
            (error.provider(), error.operation(), error.status()),
            (Some("custom"), Some("chat"), Some(200))
        );
        assert!(error.hint().unwrap().starts_with("try again; "), "{error:?}");
    }
    let finished = Reply::close([stream_head(""), text("Hel"), finish()].concat());
    let server = Server::start(vec![finished]).await;
    assert_eq!(ask(&server, Delivery::Streamed).await.unwrap().text(), "Hel");
}

#[tokio::test]
async fn what_came_before_an_error_in_a_stream_is_shown() {
    let broken = chunk("data: {\"error\": {\"message\": \"out of memory\", \"code\": 503}}\n\n");
    let corrupt = chunk("data: {nonsense\n\n");
    let refused = chunk("data: {\"error\": {\"message\": \"no tool\", \"code\": \"tool_use_failed\"}}\n\n");
    let look = Some("check the base URL, and that the server speaks `openai-chat`");
    for (frame, kind, message, hint) in [
        (broken, ErrorKind::Overloaded, "out of memory", None),
        (refused, ErrorKind::InvalidOutput, "no tool", None),
        (corrupt, ErrorKind::InvalidOutput, "begins with `{nonsense`", look),
    ] {
        let body = [stream_head("x-request-id: q4\r\n"), text("Hel"), frame, text("never"), end()].concat();
        let server = Server::start(vec![Reply::close(body)]).await;
        let events: Vec<Result<StreamEvent>> =
            open(&server, Delivery::Streamed).await.unwrap().collect().await;
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(matches!(&events[1], Ok(StreamEvent::TextDelta { text, .. }) if text == "Hel"));
        let error = events[2].as_ref().unwrap_err();
        assert_eq!((error.kind(), error.request_id()), (kind, Some("q4")));
        assert!(error.message().contains(message), "{error}");
        if kind == ErrorKind::InvalidOutput {
            assert_eq!(error.hint(), hint);
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_what_its_headers_say_and_never_shows_the_key() {
    let body = json!({"error": {"message": format!("slow down, {KEY}"), "code": "rate_limit_exceeded"}});
    let reply = json_answer(429, "retry-after: 2\r\nx-request-id: q5\r\n", &body);
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let error = failure(vec![Reply::close(reply.clone())], delivery).await;
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!((error.status(), error.request_id()), (Some(429), Some("q5")));
        assert_eq!(error.message(), "slow down, ****");
        assert_eq!(error.model(), Some(&id()));
    }
}

#[tokio::test]
async fn no_error_shows_the_key_wherever_the_server_repeats_it() {
    let error = json!({"error": {"message": format!("key {KEY}"), "code": KEY}});
    let frame = chunk(&format!("data: {error}\n\n"));
    for (reply, delivery) in [
        (json_answer(200, "", &error), Delivery::Plain),
        (json_answer(200, "", &json!(KEY)), Delivery::Plain),
        (json_answer(200, "", &error), Delivery::Streamed),
        (json_answer(500, &format!("x-request-id: {KEY}\r\n"), &error), Delivery::Plain),
        ([stream_head(""), frame, end()].concat(), Delivery::Streamed),
    ] {
        let error = failure(vec![Reply::close(reply)], delivery).await;
        assert!(!format!("{error:?} {error} {:?}", error.report()).contains("abcdefgh"), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_in_another_format_makes_one_look_at_the_address() {
    let foreign = Reply::close(json_answer(200, "", &serde_json::json!({"type": "message", "content": []})));
    let error = failure(vec![foreign], Delivery::Plain).await;
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidOutput, "the answer has no choices"));
    let hint = "check the base URL, and that the server speaks `openai-chat`";
    assert_eq!(error.hint(), Some(hint));
}

#[tokio::test]
async fn web_pages_are_named_as_such() {
    let page = "<html><title>502 Bad Gateway</title></html>";
    let reply = |status: u16| {
        let length = page.len();
        format!("HTTP/1.1 {status} X\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{page}")
    };
    let error = failure(vec![Reply::close(reply(502))], Delivery::Plain).await;
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.message(), "a web page came instead of an answer: `502 Bad Gateway`");
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let error = failure(vec![Reply::close(reply(200))], delivery).await;
        assert_eq!(error.kind(), ErrorKind::InvalidOutput);
        assert!(error.hint().unwrap().contains("base URL"), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let other = Server::start(vec![]).await;
    let reply = format!("HTTP/1.1 307 X\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", other.address);
    let error = failure(vec![Reply::close(reply)], Delivery::Plain).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::InvalidRequest, Some(307)));
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn each_time_limit_says_which_it_was() {
    let short = Some(Duration::from_millis(20));
    let none = Timeouts { connect: None, first_byte: None, idle: None, total: None };
    let started = || [stream_head(""), text("Hel")].concat();
    let head = "HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n";
    for (timeouts, reply, delivery, message) in [
        (
            Timeouts { first_byte: short, ..none },
            String::new(),
            Delivery::Plain,
            "the answer did not begin within 20ms",
        ),
        (
            Timeouts { idle: short, ..none },
            started(),
            Delivery::Streamed,
            "nothing more of the answer came for 20ms",
        ),
        (
            Timeouts { idle: short, ..none },
            head.to_owned(),
            Delivery::Plain,
            "nothing more of the answer came for 20ms",
        ),
        (
            Timeouts { total: short, ..none },
            started(),
            Delivery::Streamed,
            "the whole call took longer than 20ms",
        ),
    ] {
        let server = Server::start(vec![Reply::hang(reply)]).await;
        let model = model(&ProviderConfig { timeouts, ..config(&server.address) });
        let opened = model.open(&RunContext::new(), &request(), delivery).await;
        let error = match opened {
            Ok(events) => fold(id(), events).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, message));
        assert!(error.retry().is_retryable());
    }
    let server = Server::start(vec![Reply::hang(started())]).await;
    let context = RunContext::new().with_timeout(Duration::from_millis(20));
    let events = model(&config(&server.address)).open(&context, &request(), Delivery::Streamed).await;
    let error = match events {
        Ok(events) => fold(id(), events).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "the run's deadline passed"));
}

#[tokio::test]
async fn cancelling_closes_the_connection_at_once() {
    for reply in [String::new(), [stream_head(""), text("Hel")].concat()] {
        let server = Server::start(vec![Reply::hang(reply)]).await;
        let token = CancellationToken::new();
        let context = RunContext::new().with_cancellation(token.clone());
        let model = Arc::new(model(&config(&server.address)));
        let call = tokio::spawn(async move {
            fold(id(), model.open(&context, &request(), Delivery::Streamed).await?).await
        });
        server.replied().await;
        token.cancel();
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Cancelled, Retry::Never));
        server.closed().await;
    }
}

#[tokio::test]
async fn dropping_the_events_closes_the_connection() {
    let server = Server::start(vec![Reply::hang([stream_head(""), text("Hel")].concat())]).await;
    let mut events = open(&server, Delivery::Streamed).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(StreamEvent::TextDelta { .. }))));
    drop(events);
    server.closed().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_error_with_advice() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let secret =
        ProviderConfig { base_url: Some(format!("http://me:hunter2@{address}/v1")), ..config(&address) };
    let error = model(&secret).open(&RunContext::new(), &request(), Delivery::Plain).await.err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Connection, Retry::Backoff));
    assert_eq!(error.message(), format!("`{address}` refused the connection"));
    assert_eq!(error.hint(), Some("check the base URL and that the server is running"));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_is_a_connection_error() {
    let error = failure(vec![Reply::close(String::new())], Delivery::Plain).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().contains("broke before the answer began"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_named() {
    let server = Server::start(vec![Reply::hang("HTTP/1.1 400 X\r\n\r\n".to_owned())]).await;
    let secure = ProviderConfig { base_url: Some(format!("https://{}/v1", server.address)), ..config("") };
    let error = model(&secure).open(&RunContext::new(), &request(), Delivery::Plain).await.err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Connection, Retry::Never), "{error:?}");
    assert!(error.message().starts_with("no secure connection to `127.0.0.1:"), "{error}");
}

#[test]
fn a_dry_run_shows_the_request_and_no_secret() {
    let secret = ProviderConfig {
        base_url: Some("https://me:hunter2@host/v1/".into()),
        headers: vec![("x-team".into(), "blue".into()), ("x-token".into(), "hunter2".into())],
        ..config("")
    };
    let shown = model(&secret).dry_run(&request(), Delivery::Plain).unwrap();
    assert_eq!((shown.method, shown.url.as_str()), ("POST", "https://host/v1/chat/completions"));
    let header =
        |name: &str| shown.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer ****1234"));
    assert_eq!((header("x-team"), header("x-token")), (Some("blue"), Some("****")));
    assert_eq!(shown.body, r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#);
}

#[test]
fn a_dry_run_needs_no_key_and_shows_where_it_would_stand() {
    let openai = rows::find("openai").unwrap();
    let id: ModelId = "openai:gpt-4o".parse().unwrap();
    let look = |config: &ProviderConfig| {
        let model = HttpModel::to_look_at(openai, id.clone(), config, &Clients::default()).unwrap();
        model.dry_run(&ChatRequest::new(id.clone(), vec![Message::user("Hi")]), Delivery::Plain).unwrap()
    };
    let shown = look(&ProviderConfig::default());
    let authorization = ("authorization".to_owned(), "Bearer <OPENAI_API_KEY>".to_owned());
    assert!(shown.headers.contains(&authorization), "{:?}", shown.headers);
    assert_eq!(
        (shown.missing_key, shown.url.as_str()),
        (Some("OPENAI_API_KEY"), "https://api.openai.com/v1/chat/completions")
    );
    let own = vec![("Authorization".to_owned(), "Bearer hunter2".to_owned())];
    let shown = look(&ProviderConfig { headers: own, ..ProviderConfig::default() });
    assert!(shown.missing_key.is_none() && !format!("{shown:?}").contains("hunter2"), "{shown:?}");
}

#[test]
fn a_model_needs_its_key_and_answers_only_for_itself() {
    let openai = rows::find("openai").unwrap();
    let missing = HttpModel::new(
        openai,
        "openai:gpt-4o".parse().unwrap(),
        &ProviderConfig::default(),
        &Clients::default(),
    );
    let error = missing.err().unwrap();
    assert_eq!(error.hint(), Some("set `OPENAI_API_KEY` in the environment or in `.env`"));
    let other = ChatRequest::new("custom:other".parse().unwrap(), vec![Message::user("Hi")]);
    let error = model(&config("h")).dry_run(&other, Delivery::Plain).unwrap_err();
    assert_eq!(error.message(), "a request for `custom:other` was given to model `custom:m`");
}

#[tokio::test]
async fn a_server_that_speaks_lines_of_json_is_read_and_its_row_advises() {
    let line = |content: &str, done: bool| {
        json!({"model": "m", "message": {"content": content}, "done": done, "eval_count": 1}).to_string()
    };
    let whole = [line("Hel", false), line("lo", true)].join("\n");
    let (first, second) = whole.split_at(30);
    let page = "<html><title>Log in</title></html>";
    let missing = json_answer(404, "", &json!({"error": "model 'm' not found"}));
    let server = Server::start(vec![
        Reply::close([stream_head(""), chunk(first), chunk(second), end()].concat()),
        Reply::close([stream_head(""), chunk(page), end()].concat()),
        Reply::close(missing),
    ])
    .await;
    let local: ModelId = "ollama:m".parse().unwrap();
    let config =
        ProviderConfig { base_url: Some(format!("http://{}", server.address)), ..ProviderConfig::default() };
    let row = rows::find("ollama").unwrap();
    let model = HttpModel::new(row, local.clone(), &config, &Clients::default()).unwrap();
    let asked = ChatRequest::new(local.clone(), vec![Message::user("Hi")]);
    let context = RunContext::new();
    let open = || model.open(&context, &asked, Delivery::Streamed);
    let answer = fold(local.clone(), open().await.unwrap()).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.usage.unwrap().output), ("Hello", 1));
    let error = fold(local.clone(), open().await.unwrap()).await.unwrap_err();
    assert!(error.message().starts_with("a web page came instead of an answer"), "{error}");
    let error = open().await.err().unwrap();
    assert_eq!(error.hint(), Some("fetch the model with `ollama pull m`"));
    assert!(server.requests()[0].starts_with("POST /api/chat HTTP/1.1\r\n"));
}

#[test]
fn a_provider_that_signs_needs_a_key_or_credentials_and_shows_neither() {
    let bedrock = rows::find("bedrock").unwrap();
    let id: ModelId = "bedrock:us.amazon.nova-lite-v1:0".parse().unwrap();
    let made = |config: &ProviderConfig| HttpModel::new(bedrock, id.clone(), config, &Clients::default());
    let error = made(&ProviderConfig::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.message(), "provider `bedrock` needs an API key, or credentials to sign with");
    assert_eq!(
        error.hint(),
        Some(
            "set `AWS_BEARER_TOKEN_BEDROCK`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` in the environment or in `.env`"
        )
    );
    let signing = ProviderConfig {
        aws: Some(crate::provider::AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new("hunter2secret"),
            session_token: Some(Secret::new("hunter2token")),
            region: "eu-west-1".into(),
        }),
        variables: vec![("region", "eu-west-1".into())],
        headers: vec![("x-token".into(), "hunter2".into())],
        ..ProviderConfig::default()
    };
    let request = ChatRequest::new(id.clone(), vec![Message::user("Hi")]);
    let shown = made(&signing).unwrap().dry_run(&request, Delivery::Streamed).unwrap();
    assert_eq!(
        shown.url,
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/us.amazon.nova-lite-v1%3A0/converse-stream"
    );
    let header =
        |name: &str| shown.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((header("authorization"), header("x-token")), (Some("****"), Some("****")));
    assert!(header("x-amz-date").is_some() && header("x-amz-security-token").is_some());
    assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
    let keyed = ProviderConfig { api_key: Some(Secret::new("sk-abcdefghijklmn1234")), ..signing };
    let shown = made(&keyed).unwrap().dry_run(&request, Delivery::Plain).unwrap();
    assert!(shown.headers.contains(&("authorization".to_owned(), "Bearer ****1234".to_owned())));
    assert!(shown.headers.iter().all(|(name, _)| !name.starts_with("x-amz")));
}

#[tokio::test]
async fn an_answer_by_a_forced_tool_is_text_plain_and_streamed() {
    static ROW: ProviderRow = ProviderRow {
        name: "ollama",
        profile: Profile { json_output: JsonOutput::Tool, ..Profile::COMMON },
        ..ProviderRow::COMPATIBLE
    };
    let call = |arguments: &str| json!([{"index": 0, "id": "c", "function": {"name": "out", "arguments": arguments}}]);
    let delta = |arguments: &str| {
        chunk(&format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": call(arguments)}}]})))
    };
    let last =
        chunk(&format!("data: {}\n\n", json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})));
    let streamed = [stream_head(""), delta("{\"n\""), delta(":1}"), last, done(), end()].concat();
    let message = json!({"tool_calls": call("{\"n\":1}")});
    let plain = json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]});
    let mut asked = request();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    asked.output = Output::JsonSchema(JsonSchemaOutput { name: "out".into(), schema, strict: true });
    for (delivery, body) in [(Delivery::Plain, json_answer(200, "", &plain)), (Delivery::Streamed, streamed)]
    {
        let server = Server::start(vec![Reply::close(body)]).await;
        let model = HttpModel::new(&ROW, id(), &config(&server.address), &Clients::default()).unwrap();
        let answer =
            fold(id(), model.open(&RunContext::new(), &asked, delivery).await.unwrap()).await.unwrap();
        assert_eq!((answer.text().as_str(), answer.finish_reason), ("{\"n\":1}", FinishReason::Stop));
        assert_eq!(answer.message, Message::assistant("{\"n\":1}"));
        assert!(
            server.requests()[0].contains(r#""tool_choice":{"type":"function","function":{"name":"out"}}"#)
        );
    }
    asked.messages.clear();
    let model = HttpModel::new(&ROW, id(), &config("127.0.0.1:9"), &Clients::default()).unwrap();
    let error = model.open(&RunContext::new(), &asked, Delivery::Plain).await.err().unwrap();
    assert_eq!(error.message(), "the request has no messages");
}
