//! Proxies, addresses with a password, and connections that die.

use std::time::Duration;

use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Model as _, ModelId, RunContext, Secret};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::driver::tests::server::{Reply, Server, json_answer};
use crate::driver::{Clients, HttpModel};
use crate::provider::{ProviderConfig, Proxy, Timeouts};
use crate::rows;

fn answer() -> String {
    let choice = json!({"message": {"content": "Hello"}, "finish_reason": "stop"});
    json_answer(200, "", &json!({"choices": [choice]}))
}

/// Calls a model once, at this address and through this proxy.
async fn call(base_url: &str, proxy: Proxy) -> motet_core::Result<String> {
    let id: ModelId = "custom:m".parse().unwrap();
    let config = ProviderConfig { base_url: Some(base_url.to_owned()), proxy, ..ProviderConfig::default() };
    let model = HttpModel::new(rows::find("custom").unwrap(), id.clone(), &config, &Clients::default())?;
    let request = ChatRequest::new(id, vec![Message::user("Hi")]);
    let response = motet_core::model::chat(&model, &RunContext::new(), &request).await?;
    Ok(response.text())
}

fn proxy(scheme: &str, address: &str) -> Proxy {
    Proxy::Address(Secret::new(format!("{scheme}://me:hunter2@{address}")))
}

#[tokio::test]
async fn a_proxy_is_given_whole_addresses_and_its_password() {
    let server = Server::start(vec![Reply::keep(answer())]).await;
    let text = call("http://nowhere.invalid:81/v1?a=1", proxy("http", &server.address)).await.unwrap();
    assert_eq!(text, "Hello");
    let request = &server.requests()[0];
    assert!(
        request.starts_with("POST http://nowhere.invalid:81/v1/chat/completions?a=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: nowhere.invalid:81\r\n"), "{request}");
    assert!(request.contains("\r\nproxy-authorization: Basic bWU6aHVudGVyMg==\r\n"), "{request}");
}

#[tokio::test]
async fn a_secure_server_is_reached_through_a_tunnel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // What goes through the tunnel begins as TLS does.
        (String::from_utf8(head).unwrap(), connection.read_u8().await.unwrap())
    });
    let error = call("https://nowhere.invalid/v1", proxy("http", &address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    let (head, first) = seen.await.unwrap();
    assert!(head.starts_with("CONNECT nowhere.invalid:443 HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(
        head.contains("proxy-authorization: basic bwu6ahvudgvymg==") && head.contains("user-agent: motet/"),
        "{head}"
    );
    assert_eq!(first, 0x16);
}

#[tokio::test]
async fn a_proxy_that_refuses_its_password_says_so_and_nothing_shows_it() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n".to_owned();
    let server = Server::start(vec![Reply::close(refusal)]).await;
    let error = call("https://nowhere.invalid/v1", proxy("http", &server.address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().ends_with("proxy authorization required"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_socks_proxy_is_told_the_password_and_the_hosts_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut offer = [0; 3];
        connection.read_exact(&mut offer).await.unwrap();
        connection.write_all(&[5, 2]).await.unwrap();
        let mut login = [0; 12];
        connection.read_exact(&mut login).await.unwrap();
        connection.write_all(&[1, 0]).await.unwrap();
        let mut wish = [0; 22];
        connection.read_exact(&mut wish).await.unwrap();
        connection.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await.unwrap();
        let mut request = vec![0; 4096];
        let length = connection.read(&mut request).await.unwrap();
        connection.write_all(answer().as_bytes()).await.unwrap();
        request.truncate(length);
        (offer, login, wish, String::from_utf8(request).unwrap())
    });
    let text = call("http://nowhere.invalid/v1", proxy("socks5", &address)).await.unwrap();
    assert_eq!(text, "Hello");
    let (offer, login, wish, request) = seen.await.unwrap();
    assert_eq!((offer, &login), ([5, 1, 2], b"\x01\x02me\x07hunter2"));
    assert_eq!(&wish, b"\x05\x01\x00\x03\x0fnowhere.invalid\x00\x50");
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn a_password_in_the_address_is_not_part_of_the_host() {
    let server = Server::start(vec![Reply::keep(answer())]).await;
    call(&format!("http://me:hunter2@{}/v1", server.address), Proxy::Off).await.unwrap();
    let request = &server.requests()[0];
    assert!(
        request.contains(&format!("\r\nhost: {}\r\n", server.address)) && !request.contains("hunter2"),
        "{request}"
    );
}

/// A server that answers the first request of a connection and closes it while nothing is asked; then it reads the
/// next request, and answers or not.
#[tokio::test]
async fn a_request_is_sent_anew_only_if_nothing_of_it_went_out() {
    for answers in [true, false] {
        let first = Server::start(vec![
            Reply::close(answer()),
            if answers { Reply::keep(answer()) } else { Reply::close(String::new()) },
            Reply::keep(answer()),
        ])
        .await;
        let id: ModelId = "custom:m".parse().unwrap();
        let base_url = Some(format!("http://{}/v1", first.address));
        let config = ProviderConfig { base_url, proxy: Proxy::Off, ..ProviderConfig::default() };
        let model =
            HttpModel::new(rows::find("custom").unwrap(), id.clone(), &config, &Clients::default()).unwrap();
        let request = ChatRequest::new(id, vec![Message::user("Hi")]);
        let context = RunContext::new();
        let call = || motet_core::model::chat(&model, &context, &request);
        call().await.unwrap();
        assert_eq!(call().await.is_ok(), answers, "the second request is answered by a second connection");
        assert_eq!(
            (first.requests().len(), first.connections()),
            (2, 2),
            "what a server read is never sent again"
        );
    }
}

#[tokio::test]
async fn connecting_takes_no_longer_than_allowed() {
    // The proxy takes the connection and says nothing, so that the tunnel never stands.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let id: ModelId = "custom:m".parse().unwrap();
    let none = Timeouts { connect: None, first_byte: None, idle: None, total: None };
    let config = ProviderConfig {
        base_url: Some("https://nowhere.invalid/v1".to_owned()),
        proxy: proxy("http", &address),
        timeouts: Timeouts { connect: Some(Duration::from_millis(20)), ..none },
        ..ProviderConfig::default()
    };
    let model =
        HttpModel::new(rows::find("custom").unwrap(), id.clone(), &config, &Clients::default()).unwrap();
    let request = ChatRequest::new(id, vec![Message::user("Hi")]);
    let error = model.open(&RunContext::new(), &request, Delivery::Plain).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "no connection to `nowhere.invalid` could be made within 20ms");
}

#[test]
fn an_address_of_a_proxy_is_understood_or_refused() {
    for (address, known) in [
        ("http://host:3128", true),
        ("http://me:password@host:3128/", true),
        ("https://host", true),
        ("SOCKS5://host:1080", true),
        ("socks5h://host", true),
        ("host:3128", true),
        ("socks4://host", false),
        ("ftp://host", false),
        ("http://", false),
        ("http://me:hunter2@[bad", false),
        ("", false),
    ] {
        assert_eq!(super::Proxies::of_address(address).is_some(), known, "{address}");
    }
}
