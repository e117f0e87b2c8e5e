//! Sends a request, follows its redirects, and reads the answer within bounds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode};
use motet_core::{Error, ErrorKind, Result, Retry, RunContext};
use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::allowed::{Allowed, Reach, check};
use super::params::{Asked, shown};
use super::{MAX_RESPONSE_BYTES, NAME};
use crate::driver::{BareClient, Bytewise};
use crate::mcp::told::Told;
use crate::rpc::causes;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Characters of an answer that an error shows.
const SHOWN: usize = 300;
/// Headers that go along to another host.
const FOR_EVERY_HOST: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Sends requests to the hosts that are allowed.
#[derive(Debug)]
pub(super) struct Exchange {
    allowed: Allowed,
    /// Clients by whether they speak TLS.
    clients: Mutex<HashMap<String, BareClient>>,
}

/// What is sent next.
struct Turn {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Exchange {
    pub(super) fn new(allowed: Allowed) -> Self {
        Self { allowed, clients: Mutex::default() }
    }

    pub(super) async fn perform(&self, context: &RunContext, asked: &Asked) -> Result<Value> {
        context.check()?;
        let limit = context.remaining().map_or(asked.timeout, |left| left.min(asked.timeout));
        let told = Told::new(&asked.secrets);
        let work = self.follow(asked, &told);
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, work) => ended,
            () = context.cancellation().cancelled() => {
                return Err(Error::new(ErrorKind::Cancelled, format!("{} was cancelled", asked.label())));
            }
        };
        let ended = ended.unwrap_or_else(|_| {
            let message = format!("{} gave no answer within {limit:?}", asked.label());
            Err(Error::new(ErrorKind::Timeout, message)
                .with_hint("give the task a larger `timeout` among its parameters"))
        });
        ended.map_err(|error| error.with_operation(NAME))
    }

    async fn follow(&self, asked: &Asked, told: &Told) -> Result<Value> {
        let mut turn = Turn {
            method: asked.method.clone(),
            url: asked.url.clone(),
            headers: asked.headers.clone(),
            body: asked.body.clone().into(),
        };
        for _ in 0..=REDIRECTS {
            let response = self.send(&turn, told).await?;
            match asked.follow.then(|| redirect(&turn, &response)).flatten() {
                Some(next) if !asked.is_expected(response.status()) => turn = next?,
                _ => return read(asked, &turn.url, response, told).await,
            }
        }
        Err(Error::new(
            ErrorKind::LimitReached,
            format!("{} was sent on more than {REDIRECTS} times", asked.label()),
        )
        .with_hint("give the address where it ends"))
    }

    async fn send(&self, turn: &Turn, told: &Told) -> Result<Response<Bytewise>> {
        let reach = self.allowed.reach(&turn.url)?;
        if let (Reach::Public, Some(Host::Domain(host))) = (reach, turn.url.host()) {
            self.look_up(host, &turn.url).await?;
        }
        let mut request = Request::new(turn.body.clone());
        *request.method_mut() = turn.method.clone();
        *request.uri_mut() = turn.url.as_str().parse().map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be sent", shown(&turn.url)))
        })?;
        *request.headers_mut() = turn.headers.clone();
        self.client(&turn.url)?.send(request).await.map_err(|error| {
            let why = told.masked(&causes(&error));
            let host = turn.url.host_str().unwrap_or_default();
            let failed = Error::new(ErrorKind::Connection, format!("`{host}` did not answer: {why}"));
            if error.is_connect() { failed.with_unsent() } else { failed }
        })
    }

    /// Refuses a name that leads into a network, unless it is allowed by name.
    async fn look_up(&self, host: &str, url: &Url) -> Result<()> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found = tokio::net::lookup_host((host, port)).await.map_err(|error| {
            Error::new(ErrorKind::Connection, format!("`{host}` cannot be found: {error}")).with_unsent()
        })?;
        for address in found {
            check(host, address.ip())?;
        }
        Ok(())
    }

    fn client(&self, url: &Url) -> Result<BareClient> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(url.scheme()) {
            return Ok(client.clone());
        }
        let client = BareClient::new(url, CONNECT)?;
        clients.insert(url.scheme().to_owned(), client.clone());
        Ok(client)
    }
}

/// Gives what a redirect asks to be sent next; `None` where the answer is none.
fn redirect(turn: &Turn, response: &Response<Bytewise>) -> Option<Result<Turn>> {
    let status = response.status();
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let wrong = || {
        Error::new(ErrorKind::InvalidOutput, format!("`{}` sends on to what is no address", shown(&turn.url)))
    };
    let Ok(mut url) = turn.url.join(location) else { return Some(Err(wrong())) };
    if !matches!(url.scheme(), "http" | "https") {
        return Some(Err(wrong()));
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut headers = turn.headers.clone();
    let same = (url.scheme(), url.host_str(), url.port_or_known_default())
        == (turn.url.scheme(), turn.url.host_str(), turn.url.port_or_known_default());
    if !same {
        // What opens one host is none of the next one's business, and any name may be that of a key.
        let own: Vec<_> = headers.keys().filter(|name| !FOR_EVERY_HOST.contains(name)).cloned().collect();
        own.iter().for_each(|name| drop(headers.remove(name)));
    }
    let keeps = match status.as_u16() {
        307 | 308 => true,
        // Only a POST is answered by being sent on to its result; a PUT or DELETE is what is asked for elsewhere.
        301 | 302 => turn.method != Method::POST,
        _ => matches!(turn.method, Method::GET | Method::HEAD),
    };
    let (method, body) = if keeps {
        (turn.method.clone(), turn.body.clone())
    } else {
        headers.remove(CONTENT_TYPE);
        (Method::GET, Bytes::new())
    };
    Some(Ok(Turn { method, url, headers, body }))
}

async fn read(asked: &Asked, url: &Url, response: Response<Bytewise>, told: &Told) -> Result<Value> {
    let status = response.status();
    let headers = response.headers().clone();
    let body = whole(url, response.into_body()).await?;
    if !asked.is_expected(status) {
        return Err(unexpected(url, status, &headers, &told.beginning(&body, SHOWN)));
    }
    let mut shown_headers = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        shown_headers.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    let mut result = json!({"status": status.as_u16(), "headers": shown_headers});
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let (field, value) = match is_json.then(|| serde_json::from_slice::<Value>(&body)) {
        Some(Ok(value)) => ("json", value),
        Some(Err(error)) if !body.is_empty() => {
            let message = format!("the answer of `{}` is said to be JSON, and is not: {error}", shown(url));
            return Err(Error::new(ErrorKind::InvalidOutput, message));
        }
        _ => match String::from_utf8(body.to_vec()) {
            Ok(text) => ("text", text.into()),
            Err(_) => ("base64", STANDARD.encode(&body).into()),
        },
    };
    if let Some(fields) = result.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    Ok(result)
}

async fn whole(url: &Url, mut body: Bytewise) -> Result<Bytes> {
    let too_large = || {
        let message =
            format!("the answer of `{}` is larger than {} MiB", shown(url), MAX_RESPONSE_BYTES >> 20);
        Error::new(ErrorKind::LimitReached, message).with_hint("ask for less of it")
    };
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            let message = format!("the answer of `{}` broke off: {}", shown(url), causes(&error));
            Error::new(ErrorKind::Connection, message)
        })?;
        if read.len() + piece.len() > MAX_RESPONSE_BYTES {
            return Err(too_large());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

fn unexpected(url: &Url, status: StatusCode, headers: &HeaderMap, said: &str) -> Error {
    let kind = match status.as_u16() {
        401 => ErrorKind::Authentication,
        403 => ErrorKind::Permission,
        404 | 410 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimit,
        500..=599 => ErrorKind::Overloaded,
        100..=399 => ErrorKind::ToolFailed,
        _ => ErrorKind::InvalidRequest,
    };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let message = format!("`{}` answered with status {}{said}", shown(url), status.as_u16());
    let error = Error::new(kind, message).with_status(status.as_u16());
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match wait {
        Some(seconds) if error.retry().is_retryable() => {
            error.with_retry(Retry::After(Duration::from_secs(seconds.min(3_600))))
        }
        _ => error,
    }
}
