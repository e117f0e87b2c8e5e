//! The same through real sockets and the real driver: what reaches the server is counted there.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use motet::Runtime;
use motet_core::{Delivery, ErrorKind, StreamEvent};
use motet_tests::server::{Reply, Request, Server};
use serde_json::json;

use super::{BOTH, Called, call, id, runtime};

/// Settings for a provider `lab` at an address, with short waits.
fn lab(address: &str, more: &[(&str, &str)]) -> Runtime {
    let mut settings = vec![
        ("providers.lab.base_url", address),
        ("providers.lab.api_key", "sk-lab-0123456789"),
        ("retry.min_delay", "1ms"),
        ("retry.max_delay", "2ms"),
        ("breaker.enabled", "false"),
    ];
    settings.extend(more);
    runtime(&settings)
}

fn answer(request: &Request) -> Reply {
    let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500});
    if request.body["stream"] != true {
        return Reply::json(
            200,
            &json!({"id": "r", "model": "served", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there"}}]}),
        );
    }
    let piece = |delta: serde_json::Value, reason: Option<&str>| json!({"id": "r", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    Reply::events(&[
        piece(json!({"role": "assistant", "content": ""}), None),
        piece(json!({"content": "Hello "}), None),
        piece(json!({"content": "there"}), None),
        piece(json!({}), Some("stop")),
        json!({"id": "r", "model": "served", "choices": [], "usage": usage}),
    ])
}

fn refusal(status: u16) -> Reply {
    Reply::json(status, &json!({"error": {"message": "no", "type": "test"}}))
}

/// Asks a server whose first requests are answered by a function.
async fn asked(
    broken: usize,
    fault: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    delivery: Delivery,
    more: &[(&str, &str)],
) -> (Called, usize) {
    let server =
        Server::start(move |request, number| if number < broken { fault(request) } else { answer(request) });
    let server = server.unwrap();
    let called = call(&lab(&server.url(), more), &id("lab:m"), delivery).await;
    (called, server.requests().len())
}

#[tokio::test]
async fn statuses_are_tried_again_where_that_can_help() {
    use ErrorKind::{Authentication, InvalidRequest, NotFound, Overloaded, Permission, RateLimit, Timeout};
    for (status, kind, passes) in [
        (400, InvalidRequest, false),
        (401, Authentication, false),
        (403, Permission, false),
        (404, NotFound, false),
        (408, Timeout, true),
        (413, InvalidRequest, false),
        (429, RateLimit, true),
        (500, Overloaded, true),
        (502, Overloaded, true),
        (503, Overloaded, true),
        (529, Overloaded, true),
    ] {
        for delivery in BOTH {
            let (called, requests) = asked(9, move |_| refusal(status), delivery, &[]).await;
            let error = called.error();
            assert_eq!((error.status(), error.kind()), (Some(status), kind));
            assert_eq!(requests, if passes { 3 } else { 1 }, "{status}, {delivery:?}");
            let (called, requests) = asked(1, move |_| refusal(status), delivery, &[]).await;
            assert_eq!((called.response.is_ok(), requests), (passes, if passes { 2 } else { 1 }), "{status}");
        }
    }
}

#[tokio::test]
async fn used_up_quota_is_no_limit_to_wait_for() {
    let body = json!({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
        "code": "insufficient_quota"}});
    let (called, requests) = asked(9, move |_| Reply::json(429, &body), Delivery::Plain, &[]).await;
    assert_eq!((called.error().kind(), requests), (ErrorKind::QuotaExceeded, 1));
}

#[tokio::test]
async fn advice_of_the_headers_is_followed_in_every_form() {
    for delivery in BOTH {
        let short = |_: &Request| refusal(429).with_header("retry-after-ms", "30");
        let (called, requests) = asked(1, short, delivery, &[]).await;
        assert!(called.response.is_ok() && requests == 2);
        assert!(called.took >= Duration::from_millis(30), "{:?}", called.took);
        assert_eq!(called.waits(), [30]);
        let seconds = |_: &Request| refusal(503).with_header("retry-after", "3600");
        let (called, requests) = asked(9, seconds, delivery, &[]).await;
        assert_eq!((called.error().retry_after(), requests), (Some(Duration::from_secs(3_600)), 1));
        let date = |_: &Request| {
            let now = SystemTime::now();
            let later = httpdate(now + Duration::from_secs(3_600));
            refusal(429).with_header("date", &httpdate(now)).with_header("retry-after", &later)
        };
        let (called, requests) = asked(9, date, delivery, &[]).await;
        let advice = called.error().retry_after().unwrap().as_secs();
        assert!((3_590..=3_601).contains(&advice) && requests == 1, "{advice}");
    }
}

fn httpdate(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

/// Gives the place in a streamed answer's body that follows a text.
fn after(body: &str, text: &str) -> usize {
    body.find(text).unwrap() + text.len()
}

#[tokio::test]
async fn answers_that_break_off_are_asked_for_again_unless_they_were_shown() {
    for at in [0, 5, 60] {
        let (called, requests) =
            asked(9, move |request| answer(request).cut_after(at), Delivery::Plain, &[]).await;
        assert_eq!((called.error().kind(), requests), (ErrorKind::Truncated, 3), "plain, at {at}");
    }
    for at in [0, 5, 60] {
        let (called, requests) =
            asked(9, move |request| answer(request).cut_after(at), Delivery::Streamed, &[]).await;
        assert_eq!((called.error().kind(), requests), (ErrorKind::Truncated, 3), "streamed, at {at}");
    }
    let shown = |request: &Request| {
        let reply = answer(request);
        let at = after(&reply.body, "Hello \"}") + 60;
        reply.cut_after(at)
    };
    let (called, requests) = asked(1, shown, Delivery::Streamed, &[]).await;
    assert_eq!((called.error().kind(), requests, called.discarded()), (ErrorKind::Truncated, 1, 0));
    let (called, requests) = asked(1, shown, Delivery::Streamed, &[("retry.recover_streams", "true")]).await;
    assert_eq!((called.text().as_str(), requests, called.discarded()), ("Hello there", 2, 1));
    let complete = |request: &Request| {
        let reply = answer(request);
        let at = after(&reply.body, "\"total_tokens\":1500}}\n\n");
        reply.cut_after(at)
    };
    let (called, requests) = asked(9, complete, Delivery::Streamed, &[]).await;
    assert_eq!((called.text().as_str(), requests), ("Hello there", 1), "all of the answer is there");
}

#[tokio::test]
async fn an_error_within_a_stream_is_one_like_any_other() {
    let told = |_: &Request| {
        Reply::events(&[json!({"error": {"message": "overloaded", "type": "server_error", "code": 503}})])
    };
    let (called, requests) = asked(1, told, Delivery::Streamed, &[]).await;
    assert_eq!((called.text().as_str(), requests), ("Hello there", 2));
    let late = |request: &Request| {
        let mut reply = answer(request);
        let error = json!({"error": {"message": "late", "type": "server_error", "code": 503}});
        reply.body.push_str(&format!("data: {error}\n\n"));
        reply
    };
    let (called, requests) = asked(9, late, Delivery::Streamed, &[]).await;
    let found = called.response.map(|response| response.text()).map_err(|error| error.to_string());
    assert_eq!((found, requests), (Ok("Hello there".to_owned()), 1));
}

#[tokio::test]
async fn connections_that_fail_are_made_again() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for delivery in BOTH {
        let called = call(&lab(&format!("http://{unused}/v1"), &[]), &id("lab:m"), delivery).await;
        assert_eq!((called.error().kind(), called.waits().len()), (ErrorKind::Connection, 2));
        assert_eq!(called.error().context(), [("attempts".into(), "3".to_owned())]);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let thread = std::thread::spawn(move || {
        // Reads a little and closes: six connections, three for each delivery.
        for connection in listener.incoming().take(6).flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = (&connection).read(&mut [0; 16]);
        }
    });
    for delivery in BOTH {
        let called = call(&lab(&format!("http://{address}/v1"), &[]), &id("lab:m"), delivery).await;
        assert_eq!((called.error().kind(), called.waits().len()), (ErrorKind::Connection, 2));
    }
    thread.join().unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn another_provider_takes_over_with_its_own_key_and_price() {
    let broken = Server::start(|_, _| refusal(503)).unwrap();
    let works = Server::start(|request, _| answer(request)).unwrap();
    for delivery in BOTH {
        let url = works.url();
        let more = [
            ("fallback.models", "den:n"),
            ("fallback.remember", "1ms"),
            ("retry.max_attempts", "2"),
            ("providers.den.base_url", url.as_str()),
            ("providers.den.api_key", "sk-den-9876543210"),
            ("prices.lab:m.input", "100"),
            ("prices.lab:m.output", "100"),
            ("prices.den:n.input", "1"),
            ("prices.den:n.output", "2"),
        ];
        let called = call(&lab(&broken.url(), &more), &id("lab:m"), delivery).await;
        let response = called.response.as_ref().unwrap();
        assert_eq!((response.model.to_string().as_str(), response.text().as_str()), ("den:n", "Hello there"));
        assert_eq!(response.cost.unwrap().nanos(), 1_000 * 1_000 + 500 * 2_000);
        let ended = called.events.iter().any(|event| {
            matches!(event, StreamEvent::ModelCallEnded { model, cost, .. } if *model == id("den:n") && *cost == response.cost)
        });
        assert!(ended);
    }
    let keys = |server: &Server, key: &str| {
        server.requests().iter().all(|request| {
            request
                .headers
                .iter()
                .any(|(name, value)| name == "authorization" && value == &format!("Bearer {key}"))
        })
    };
    assert!(keys(&broken, "sk-lab-0123456789") && keys(&works, "sk-den-9876543210"));
    assert_eq!((broken.requests().len(), works.requests().len()), (2, 2));
    assert!(works.requests().iter().all(|request| request.body["model"] == "n"));
}
