//! Calls by POST, over the connections that all requests share.
//!
//! Follows no redirect. Shows no header's value.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request as HttpRequest, Response as HttpResponse, StatusCode};
use motet_core::rpc::{Request, Response};
use motet_core::{Error, ErrorKind, Result, Retry};
use url::Url;

use super::{Endpoint, Manner, answers, without_secrets, written};
use crate::driver::{BareClient, Bytewise};
use crate::mcp::told::Told;

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Characters of a refusal that an error shows.
const SHOWN: usize = 300;

/// A service behind an address.
pub(super) struct Http {
    name: String,
    url: Url,
    headers: HeaderMap,
    client: BareClient,
    told: Told,
    most_bytes: usize,
}

impl Http {
    pub(super) fn new(
        name: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        most_bytes: usize,
    ) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Configuration, format!("the address of `{name}` {why}"))
                .with_hint("write it as `http://host:port/path` or `https://host/path`")
        };
        let parsed = Url::parse(url).map_err(|error| wrong(&format!("is malformed: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(wrong("is not an address of HTTP"));
        }
        let mut sent = HeaderMap::new();
        for (header, value) in headers {
            let bad = || {
                Error::new(
                    ErrorKind::Configuration,
                    format!("the header `{header}` of `{name}` cannot be sent"),
                )
                .with_hint("use letters, digits, and `-` in its name, and one line of text as its value")
            };
            let mut text = HeaderValue::from_str(value).map_err(|_| bad())?;
            text.set_sensitive(true);
            sent.insert(HeaderName::from_bytes(header.as_bytes()).map_err(|_| bad())?, text);
        }
        let client = BareClient::new(&parsed, CONNECT)?;
        let told = Told::new(headers.values());
        Ok(Self { name: name.to_owned(), url: parsed, headers: sent, client, told, most_bytes })
    }

    async fn send(&self, method: Method, url: &Url, body: Bytes) -> Result<HttpResponse<Bytewise>> {
        let mut request = HttpRequest::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| {
            Error::new(ErrorKind::Configuration, format!("the address of `{}` cannot be sent", self.name))
        })?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(self.headers.clone());
        self.client.send(request).await.map_err(|error| {
            let why = self.told.masked(&causes(&error));
            let name = &self.name;
            if error.is_connect() {
                return Error::new(ErrorKind::Connection, format!("`{name}` cannot be reached: {why}"))
                    .with_unsent()
                    .with_hint("look whether it runs, and whether its address is right");
            }
            Error::new(ErrorKind::Connection, format!("the connection to `{name}` broke: {why}"))
        })
    }

    async fn whole(&self, mut body: Bytewise) -> Result<Bytes> {
        let mut read = BytesMut::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| {
                let why = causes(&error);
                Error::new(ErrorKind::Connection, format!("the answer of `{}` broke off: {why}", self.name))
            })?;
            if read.len() + piece.len() > self.most_bytes {
                let message =
                    format!("the answer of `{}` is larger than {} MiB", self.name, self.most_bytes >> 20);
                return Err(Error::new(ErrorKind::LimitReached, message));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let kind = match status.as_u16() {
            401 => ErrorKind::Authentication,
            403 => ErrorKind::Permission,
            404 | 410 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::Timeout,
            429 => ErrorKind::RateLimit,
            500..=599 => ErrorKind::Overloaded,
            _ => ErrorKind::InvalidRequest,
        };
        let said = self.told.beginning(body, SHOWN);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let message = format!("`{}` answered with status {}{said}", self.name, status.as_u16());
        let error = Error::new(kind, message).with_status(status.as_u16());
        if status.is_redirection() {
            return error.with_hint("it sends calls elsewhere; give the address where they are answered");
        }
        // A service that failed may have done what it was asked for; whoever called decides whether to ask again.
        if status == StatusCode::INTERNAL_SERVER_ERROR { error.with_retry(Retry::Never) } else { error }
    }
}

#[async_trait]
impl Endpoint for Http {
    async fn exchange(&self, calls: &[Request], manner: Manner) -> Result<Vec<Response>> {
        let wants_answer = calls.iter().any(|call| !call.is_notification());
        let response = self.send(Method::POST, &self.url, written(calls, manner).into()).await?;
        let status = response.status();
        let body = self.whole(response.into_body()).await?;
        if status.is_success() && !wants_answer {
            return Ok(Vec::new());
        }
        let answered = answers(&body).map(|answers| {
            answers.into_iter().map(|answer| without_secrets(answer, &self.told)).collect::<Vec<_>>()
        });
        match answered {
            // An error of the protocol is the answer, whatever the status says.
            Ok(answers) if status.is_success() || answers.iter().any(|answer| answer.outcome.is_err()) => {
                Ok(answers)
            }
            _ if !status.is_success() => Err(self.refused(status, &body)),
            Ok(answers) => Ok(answers),
            Err(_) => {
                // What is wrong repeats a part of the text, of which a masked value must not be half.
                let text = self.told.masked(&String::from_utf8_lossy(&body));
                let why = answers(text.as_bytes()).err().unwrap_or_default();
                let said = self.told.beginning(&body, SHOWN);
                let message = format!("the answer of `{}` is not the protocol: {why}: {said}", self.name);
                Err(Error::new(ErrorKind::InvalidOutput, message))
            }
        }
    }

    async fn look(&self, path: Option<&str>) -> Result<()> {
        let url = match path {
            Some(path) => self.url.join(path).map_err(|error| {
                let message = format!("`{path}` is no path of `{}`: {error}", self.name);
                Error::new(ErrorKind::Configuration, message)
            })?,
            None => self.url.clone(),
        };
        let response = self.send(Method::GET, &url, Bytes::new()).await?;
        let status = response.status();
        // Without a path of its own, any answer shows that it is there: the address of calls need not take GET.
        if status.is_success() || (path.is_none() && !status.is_server_error()) {
            return Ok(());
        }
        Err(self.refused(status, &self.whole(response.into_body()).await.unwrap_or_default()))
    }

    async fn close(&self) {}
}

/// Gives an error with the causes below it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        below = cause.source();
    }
    text
}
