//! What a task asks for, checked.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};
use url::Url;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_hours(1);

/// A checked request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) follow: bool,
    expect: Vec<Expected>,
    /// Values that no error may show.
    pub(super) secrets: Vec<String>,
}

/// A status that counts as success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Status(u16),
    /// The first digit.
    Class(u16),
}

impl Asked {
    pub(super) fn read(mut params: Map<String, Value>) -> Result<Self> {
        params.retain(|_, value| !value.is_null());
        let mut secrets = Vec::new();
        let url = address(&params, &mut secrets)?;
        let mut headers = headers(&params, &mut secrets)?;
        let body = match (params.remove("json"), params.remove("body")) {
            (Some(_), Some(_)) => {
                return Err(invalid("both `json` and `body` are given").with_hint("keep one of them"));
            }
            (Some(value), None) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Some(value.to_string().into_bytes())
            }
            (None, Some(Value::String(text))) => Some(text.into_bytes()),
            (None, Some(_)) => {
                return Err(invalid("`body` must be a text").with_hint("give other values as `json`"));
            }
            (None, None) => None,
        };
        let method =
            match params.get("method").map(|method| method.as_str().unwrap_or_default().to_ascii_uppercase())
            {
                None if body.is_some() => Method::POST,
                None => Method::GET,
                Some(name) => match name.as_str() {
                    "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
                        Method::from_bytes(name.as_bytes()).unwrap_or(Method::GET)
                    }
                    _ => {
                        return Err(invalid(&format!("`{name}` is no method that can be sent"))
                            .with_hint("give GET, HEAD, POST, PUT, PATCH, DELETE, or OPTIONS"));
                    }
                },
            };
        if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
            return Err(
                invalid(&format!("{method} carries no body")).with_hint("give `query`, or another `method`")
            );
        }
        let body = body.unwrap_or_default();
        let (timeout, expect) = (timeout(params.get("timeout"))?, expected(params.get("expect"))?);
        let follow = params.get("follow").and_then(Value::as_bool).unwrap_or(true);
        Ok(Self { method, url, headers, body, timeout, follow, expect, secrets })
    }

    /// Tells what happens when it is sent twice, as HTTP has it; a key by which the other side knows it again makes any
    /// request safe.
    pub(super) fn effect(&self) -> Effect {
        match self.method {
            Method::GET | Method::HEAD | Method::OPTIONS => Effect::Pure,
            Method::PUT | Method::DELETE => Effect::Idempotent,
            _ if self.headers.contains_key("idempotency-key") => Effect::Idempotent,
            _ => Effect::AtMostOnce,
        }
    }

    /// Gives what makes it this request, to be hashed.
    pub(super) fn identity(&self) -> Value {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        json!([self.method.as_str(), self.url.as_str(), headers, String::from_utf8_lossy(&self.body)])
    }

    /// Names it for people, without anything that may be secret.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }

    pub(super) fn is_expected(&self, status: StatusCode) -> bool {
        self.expect.iter().any(|expected| match expected {
            Expected::Status(number) => *number == status.as_u16(),
            Expected::Class(digit) => *digit == status.as_u16() / 100,
        })
    }
}

/// Gives an address without user, password, query, and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn address(params: &Map<String, Value>, secrets: &mut Vec<String>) -> Result<Url> {
    let text = params.get("url").and_then(Value::as_str).unwrap_or_default();
    let wrong = |why: &str| invalid(&format!("`url` {why}")).with_hint("write it as `https://host/path`");
    let mut url = Url::parse(text.trim()).map_err(|error| wrong(&format!("is malformed: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("is no address of HTTP"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password").with_hint("send them in the header `authorization`"));
    }
    url.set_fragment(None);
    let query = params.get("query").and_then(Value::as_object);
    for (name, value) in query.into_iter().flatten() {
        let values = match value {
            Value::Array(list) => list.as_slice(),
            Value::Null => continue,
            one => std::slice::from_ref(one),
        };
        for value in values {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Object(_) | Value::Array(_) => {
                    return Err(invalid(&format!(
                        "the value `{name}` of `query` is no text, number, or list of them"
                    )));
                }
                plain => plain.to_string(),
            };
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.extend(
        url.query()
            .map(|query| query.split(['&', '=']).map(str::to_owned).collect::<Vec<_>>())
            .unwrap_or_default(),
    );
    Ok(url)
}

fn headers(params: &Map<String, Value>, secrets: &mut Vec<String>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let written = params.get("headers").and_then(Value::as_object);
    for (name, value) in written.into_iter().flatten() {
        let bad = || {
            invalid(&format!("the header `{name}` has a name or value that cannot be sent"))
                .with_hint("use letters, digits, and `-` in the name, and one line of text as the value")
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(bad()),
        };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        if matches!(header.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            return Err(
                invalid(&format!("the header `{name}` follows from the request")).with_hint("leave it out")
            );
        }
        let mut sent = HeaderValue::from_str(&text).map_err(|_| bad())?;
        sent.set_sensitive(true);
        headers.insert(header, sent);
        // The words of `Bearer ...` are masked apart too.
        secrets.extend(text.split_whitespace().map(str::to_owned));
        secrets.push(text);
    }
    Ok(headers)
}

fn timeout(written: Option<&Value>) -> Result<Duration> {
    let Some(seconds) = written.and_then(Value::as_f64) else { return Ok(DEFAULT_TIMEOUT) };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST)
        .ok_or_else(|| {
            invalid(&format!("`timeout` is `{seconds}`"))
                .with_hint(format!("give seconds above 0 and up to {}", LONGEST.as_secs()))
        })
}

fn expected(written: Option<&Value>) -> Result<Vec<Expected>> {
    let list = match written {
        None => return Ok(vec![Expected::Class(2)]),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    let one = |value: &Value| {
        let status = match value {
            Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Value::String(text) => match text.to_ascii_lowercase().strip_suffix("xx") {
                Some(digit) => {
                    let digit = digit.parse::<u16>().ok().filter(|digit| (1..=5).contains(digit));
                    return digit.map(Expected::Class);
                }
                None => text.parse().ok(),
            },
            _ => None,
        };
        status.filter(|status| (100..600).contains(status)).map(Expected::Status)
    };
    let read: Option<Vec<Expected>> = list.iter().map(one).collect();
    read.filter(|read| !read.is_empty()).ok_or_else(|| {
        invalid("`expect` is no status")
            .with_hint("give a number such as `200`, a class such as `2xx`, or a list")
    })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
