//! What a server refuses, in which words and codes, and how it ends.

use std::time::Duration;

use motet_tests::command::Place;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use reqwest::{Client, RequestBuilder, Response};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Served;

const TOKEN: &str = "0123456789abcdef-right";
const OTHER: &str = "0123456789abcdef-wrong";

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

fn post(served: &Served, body: impl Into<reqwest::Body>) -> RequestBuilder {
    post_as("application/json", served, body)
}

fn post_as(kind: &str, served: &Served, body: impl Into<reqwest::Body>) -> RequestBuilder {
    client().post(format!("{}/rpc", served.url())).header(CONTENT_TYPE, kind).body(body)
}

/// The status, and the code of the error where the body holds one.
async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let read: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!(read["result"], Value::Null, "{body}");
    (status, read["error"]["code"].clone())
}

#[tokio::test]
async fn garbage_is_answered_with_the_codes_of_the_protocol() {
    let place = Place::new().unwrap();
    let served = Served::start(
        &place,
        &["--listen", "127.0.0.1:0", "--store", "memory:", "--set", "server.max_request_mb=1"],
        &[],
    );
    for (body, code) in [
        ("", -32700),
        ("{\"jsonrpc\": \"2.0\", \"method", -32700),
        ("[]", -32600),
        ("[1, 2]", 0),
        ("\"text\"", -32600),
        (r#"{"jsonrpc": "2.0", "method": "run.fly", "id": 1}"#, -32601),
        (r#"{"jsonrpc": "2.0", "method": "run.get", "params": {"n": 1}, "id": 1}"#, -32602),
    ] {
        let (status, found) = told(post(&served, body).send().await.unwrap()).await;
        // A batch is answered by a list, which has no code of its own.
        assert_eq!((status, found.as_i64().unwrap_or_default()), (200, code), "{body}");
    }
    let bytes = told(post(&served, vec![0xFF, 0xFE, 0]).send().await.unwrap()).await;
    assert_eq!(bytes, (200, json!(-32700)));
    let notified = post(&served, r#"{"jsonrpc": "2.0", "method": "store.advance"}"#).send().await.unwrap();
    assert_eq!((notified.status().as_u16(), notified.text().await.unwrap().as_str()), (204, ""));
    let large = told(post(&served, vec![b' '; 2 << 20]).send().await.unwrap()).await;
    assert_eq!(large, (413, json!(-31004)));
    let form = post_as("text/plain", &served, "[]").send().await.unwrap();
    assert_eq!(told(form).await, (415, json!(-32600)));
    let foreign = post(&served, "[]").header(HOST, "pages.example").send().await.unwrap();
    assert_eq!(told(foreign).await, (403, json!(-25006)));
    let get = client().get(format!("{}/rpc", served.url())).send().await.unwrap();
    assert_eq!(get.status().as_u16(), 405);
    let health = client().get(format!("{}/health", served.url())).send().await.unwrap();
    assert_eq!(
        (health.status().as_u16(), health.text().await.unwrap().as_str()),
        (200, r#"{"status":"ok"}"#)
    );
}

#[tokio::test]
async fn only_who_shows_a_token_is_answered_and_no_token_or_body_is_logged() {
    let place = Place::new().unwrap();
    place.write("tokens.txt", format!("# for the box\n{TOKEN}\n")).unwrap();
    let variables = [("MOTET_SERVER_TOKENS_FILE", "tokens.txt"), ("MOTET_LOG", "trace")];
    let served = Served::start(&place, &["--listen", "127.0.0.1:0"], &variables);
    let url = served.url();
    let call = |arguments: &[&str], token: Option<&str>| {
        let mut command = place.command(arguments).unwrap();
        command.envs(token.map(|token| ("MOTET_SERVER_TOKEN", token)));
        motet_tests::command::Done::from(command.output().unwrap())
    };
    let worker = ["worker", "--server", &url, "--once"];
    let wrong = call(&worker, Some(OTHER));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("the server does not take the token that was shown"), "{wrong:?}");
    assert!(wrong.stderr.contains("MOTET_SERVER_TOKEN") && !wrong.stderr.contains(OTHER), "{wrong:?}");
    let none = call(&worker, None);
    assert!(none.code == Some(1) && none.stderr.contains("asks for a token"), "{none:?}");
    assert_eq!(call(&worker, Some(TOKEN)).code, Some(0));
    // A token holds for any name of the server.
    let sent =
        post(&served, r#"{"jsonrpc": "2.0", "method": "run.get", "params": ["private-run"], "id": 1}"#);
    let named = sent.header(HOST, "box.example").header(AUTHORIZATION, format!("Bearer {TOKEN}"));
    assert_eq!(named.send().await.unwrap().status().as_u16(), 200);
    let bare = post(&served, "[]").send().await.unwrap();
    assert_eq!(bare.headers()["www-authenticate"], "Bearer");
    assert_eq!(told(bare).await, (401, json!(-25005)));
    served.signal(Signal::TERM);
    let (code, log) = served.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("run.get"), "the log tells which methods were called: {log}");
    for hidden in [TOKEN, OTHER, "private-run"] {
        assert!(!log.contains(hidden), "{hidden} stands in {log}");
    }
}

#[test]
fn what_others_could_reach_is_not_listened_on_without_a_token() {
    let place = Place::new().unwrap();
    let open = place.run(&["serve", "--listen", "0.0.0.0:0"]).unwrap();
    assert_eq!(open.code, Some(3), "{open:?}");
    assert!(open.stderr.contains("can be reached by others, and the server has no token"), "{open:?}");
    let short = place.run(&["serve", "--set", "server.tokens=secret"]).unwrap();
    assert!(short.code == Some(3) && short.stderr.contains("fewer than 16 characters"), "{short:?}");
    let nowhere = place.run(&["serve", "--listen", "nowhere"]).unwrap();
    assert!(
        nowhere.code == Some(3) && nowhere.stderr.contains("`nowhere` cannot be listened on"),
        "{nowhere:?}"
    );
    let missing = place.run(&["serve", "--set", "server.tokens_file=none.txt"]).unwrap();
    assert!(missing.code == Some(3) && missing.stderr.contains("none.txt` cannot be read"), "{missing:?}");
    let served = Served::start(&place, &["--listen", "0.0.0.0:0"], &[("MOTET_SERVER_TOKENS", TOKEN)]);
    assert!(served.address.starts_with("0.0.0.0:"));
    let taken = place.run(&["serve", "--listen", &served.address, "--set", "server.tokens=0123456789abcdef"]);
    assert_eq!(taken.unwrap().code, Some(3));
    let user = place.run(&["--store", "http://:secret@127.0.0.1:1", "workflow", "list"]).unwrap();
    assert!(user.code == Some(3) && user.stderr.contains("server.token"), "{user:?}");
    let flag = place.run(&["worker", "--server", "sqlite:x.db"]).unwrap();
    assert_eq!(flag.code, Some(2), "{flag:?}");
}

#[tokio::test]
async fn a_server_told_to_stop_ends_who_waits_and_ends_well() {
    let place = Place::new().unwrap();
    let served = Served::start(&place, &["--listen", "127.0.0.1:0", "--store", "memory:"], &[]);
    let changed = |seen: u64, at_most: u64| {
        let call = json!({"jsonrpc": "2.0", "method": "store.changed", "params": [seen, at_most], "id": 1});
        post(&served, call.to_string()).send()
    };
    let newest: Value = serde_json::from_str(&changed(0, 0).await.unwrap().text().await.unwrap()).unwrap();
    let waiting = tokio::spawn(changed(newest["result"].as_u64().unwrap(), 30_000));
    // Answers to calls that came later show that the one that waits is there, as far as that can be seen from outside.
    for _ in 0..10 {
        changed(0, 0).await.unwrap();
    }
    served.signal(Signal::TERM);
    let (exit, log) = served.ended();
    assert_eq!(exit, Some(0), "{log}");
    assert!(!log.contains("broken off"), "nothing was left to wait for: {log}");
    if let Ok(answer) = waiting.await.unwrap() {
        assert_eq!(told(answer).await, (200, json!(-31002)));
    }
}
