//! Sends requests, and owns all policy for unknown, corrupt, and cut-off frames.
//!
//! Knows no wire format: a dialect writes requests and reads answers. Retries nothing; that is a layer's work.

mod clients;
mod clock;
mod failure;
mod live;
mod reading;
mod signing;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use motet_core::event::ready_stream;
use motet_core::usage::Price;
use motet_core::{
    ChatRequest, Delivery, Error, ErrorKind, EventStream, Model, ModelId, Result, RunContext, Secret,
    StreamEvent,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, Url};

pub use clients::Clients;
pub use reading::StreamReader;

use crate::dialect::lowering::Restoring;
use crate::dialect::{Answer, Dialect, HttpRequest, Method, Origin, Profile};
use crate::dialect::{content, limits, lowering};
use crate::dialects;
use crate::provider::{AwsCredentials, ProviderConfig, ProviderRow, Timeouts};
use clock::{Clock, Phase};
use failure::Answered;

/// Largest plain answer that is read, in bytes.
const BODY_LIMIT: usize = 64 << 20;
/// Largest body of a refusal that is read, in bytes.
const REFUSAL_LIMIT: usize = 1 << 20;

/// One model behind HTTP, without any layer.
pub struct HttpModel {
    dialect: &'static dyn Dialect,
    origin: Arc<Origin>,
    client: reqwest::Client,
    /// Base address without a slash at its end.
    base: Url,
    /// The first path that was asked for, joined to the base; mostly there is no other.
    address: OnceLock<(String, Url)>,
    headers: HeaderMap,
    key: Option<Secret>,
    /// Credentials to sign with where there is no key.
    aws: Option<AwsCredentials>,
    timeouts: Timeouts,
    price: Option<Price>,
}

impl HttpModel {
    /// Prepares calls of one model of a provider.
    ///
    /// # Errors
    /// `Configuration` when the key or base URL is missing, or when the base URL, a header, or the proxy is malformed.
    pub fn new(
        row: &'static ProviderRow,
        model: ModelId,
        config: &ProviderConfig,
        clients: &Clients,
    ) -> Result<Self> {
        let dialect = dialects::find(row.dialect)?;
        // Another server than the provider's own may well want no key; if it does, it says so.
        if row.key_required && config.api_key.is_none() && config.base_url.is_none() {
            return Err(clients::missing_key(row));
        }
        let base = clients::base_url(row, config)?;
        Ok(Self {
            dialect,
            client: clients.client(&base, config)?,
            headers: clients::headers(row, dialect.key_header(), config)?,
            base,
            address: OnceLock::new(),
            origin: Arc::new(Origin::new(row, model)),
            key: config.api_key.clone(),
            aws: config.aws.clone().filter(|_| config.api_key.is_none()),
            timeouts: config.timeouts,
            price: None,
        })
    }

    /// Sets the price by which answers tell their cost.
    #[must_use]
    pub fn with_price(mut self, price: Option<Price>) -> Self {
        self.price = price;
        self
    }

    /// Gives what is known about the model.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.origin.profile
    }

    /// Gives the request that a call would send, with its secrets masked, and sends nothing.
    ///
    /// # Errors
    /// What keeps the request from being written.
    pub fn dry_run(&self, request: &ChatRequest, delivery: Delivery) -> Result<DryRun> {
        let (wire, _) = self.encode(request, delivery)?;
        let sent = self.request(&wire)?;
        let masked = |name: &HeaderName, value: &HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let shown = match &self.key {
                _ if !value.is_sensitive() => text.into_owned(),
                Some(key) if text.contains(key.expose()) => text.replace(key.expose(), &key.masked()),
                _ => "****".to_owned(),
            };
            (name.as_str().to_owned(), shown)
        };
        let headers = sent.headers().iter().map(|(name, value)| masked(name, value)).collect();
        let body = String::from_utf8_lossy(&wire.body).into_owned();
        Ok(DryRun {
            method: wire.method.as_str(),
            url: failure::shown_url(sent.url()),
            headers,
            body: self.key.as_ref().map_or(body.clone(), |key| key.redact(&body)),
            warnings: wire.warnings,
        })
    }

    /// Writes a request, and tells how its answer is turned back.
    fn encode(&self, request: &ChatRequest, delivery: Delivery) -> Result<(HttpRequest, Restoring)> {
        if request.model != self.origin.model {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("a request for `{}` was given to model `{}`", request.model, self.origin.model),
            )
            .with_hint("set the request's model to the one that is called"));
        }
        self.write(request, delivery).map_err(|error| self.named(error))
    }

    fn write(&self, request: &ChatRequest, delivery: Delivery) -> Result<(HttpRequest, Restoring)> {
        content::check(request, &self.origin)?;
        let lowered = lowering::lower(request, &self.origin.profile, delivery)?;
        let mut wire = self.dialect.encode(&lowered.request, &self.origin.profile, delivery)?;
        wire.warnings.extend(lowered.warnings);
        Ok((wire, lowered.restoring))
    }

    fn request(&self, wire: &HttpRequest) -> Result<reqwest::Request> {
        let method = match wire.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut request = reqwest::Request::new(method, self.url(&wire.path));
        let mut headers = self.headers.clone();
        for (name, value) in &wire.headers {
            let value = HeaderValue::from_str(value).map_err(|_| clients::bad_header(name))?;
            headers.entry(*name).or_insert(value);
        }
        *request.headers_mut() = headers;
        *request.body_mut() = Some(wire.body.clone().into());
        signing::sign(&mut request, &wire.body, self.origin.row.auth, self.aws.as_ref())?;
        Ok(request)
    }

    fn url(&self, path: &str) -> Url {
        let joined = || clients::joined(&self.base, path);
        let (known, url) = self.address.get_or_init(|| (path.to_owned(), joined()));
        if known == path { url.clone() } else { joined() }
    }

    async fn send(&self, wire: &HttpRequest, clock: &Clock) -> Result<Response> {
        let request = self.request(wire)?;
        let sent = clock.within(Phase::FirstByte, self.client.execute(request)).await?;
        sent.map_err(|error| failure::of_sending(error, self.origin.row, &self.base, &self.timeouts))
    }

    /// Reads a refusal and tells what it means.
    async fn refused(&self, response: Response, clock: &Clock) -> Error {
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<(String, String)> =
            response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = match clock.body(response, REFUSAL_LIMIT).await {
            Ok(body) => body,
            Err(error) if error.kind() == ErrorKind::Cancelled => return error,
            Err(_) => Bytes::new(),
        };
        let body = failure::redacted(&body, self.key.as_ref());
        let answer = Answer { status, headers: &headers, body: &body };
        self.dialect.classify(&answer, &self.origin)
    }

    /// Reads an answer that came whole, in whichever of the two forms it came.
    fn decode(&self, body: &[u8]) -> Result<Vec<StreamEvent>> {
        let decode = |body: &[u8]| {
            if reading::is_event_stream(body) {
                let mut events = Vec::new();
                let mut reader = StreamReader::new(self.dialect, &self.origin);
                reader.feed(body, &mut events)?;
                reader.finish(&mut events)?;
                return Ok(events);
            }
            self.dialect
                .decode(body, &self.origin)
                .map_err(|error| reading::foreign_page(body).unwrap_or(error))
        };
        decode(body).map_err(|error| match failure::redacted_if_needed(body, self.key.as_ref()) {
            Some(clean) => decode(&clean).err().unwrap_or(error),
            None => error,
        })
    }

    /// Names provider, model, and operation in an error.
    fn named(&self, error: Error) -> Error {
        failure::named(error, &self.origin, self.key.as_ref())
    }

    async fn open_answer(
        &self,
        request: &ChatRequest,
        delivery: Delivery,
        clock: Clock,
    ) -> Result<EventStream> {
        let (wire, mut restoring) = self.encode(request, delivery)?;
        let response = self.send(&wire, &clock).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, &clock).await);
        }
        let request_id = request_id(response.headers());
        let mut events: Vec<StreamEvent> =
            wire.warnings.into_iter().map(|message| StreamEvent::Warning { message }).collect();
        if request_id.is_some() {
            events.push(StreamEvent::ResponseStarted {
                response_id: None,
                request_id: request_id.clone(),
                served_model: None,
            });
        }
        let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let limits = limits::read(headers, SystemTime::now);
        if !limits.is_empty() {
            events.push(StreamEvent::Limits { limits });
        }
        let answered = Answered {
            origin: Arc::clone(&self.origin),
            key: self.key.clone(),
            status: response.status().as_u16(),
            request_id,
        };
        if delivery == Delivery::Streamed {
            let decoding = live::Decoding::new(self.dialect, &self.origin, restoring, self.price);
            let body = response.bytes_stream().map(|piece| piece.map_err(failure::of_body));
            return Ok(live::events(body, decoding, clock, events, answered));
        }
        let body = clock.body(response, BODY_LIMIT).await;
        let decoded = body.and_then(|body| self.decode(&body)).map_err(|error| answered.complete(error))?;
        let known = events.len();
        events.extend(decoded);
        restoring.apply(&mut events, known);
        live::add_cost(&mut events, self.price);
        Ok(ready_stream(events))
    }
}

#[async_trait]
impl Model for HttpModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        context.check()?;
        let clock = Clock::new(context, self.timeouts);
        self.open_answer(request, delivery, clock).await.map_err(|error| self.named(error))
    }
}

/// A request as a call would send it, with its secrets masked.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct DryRun {
    /// Verb.
    pub method: &'static str,
    /// Address without user and password.
    pub url: String,
    /// Headers; keys and other secrets are masked.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: String,
    /// What was asked for and left out or changed.
    pub warnings: Vec<String>,
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-request-id").or_else(|| headers.get("request-id"))?;
    value.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
