//! What every request to one provider has in common: client, address, headers, key, signature, time limits, refusals.
//!
//! Knows no operation: chat, embeddings, and the others bring what they send and read what comes back.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, Uri};
use motet_core::{Error, ErrorKind, Result, Secret};
use url::Url;

use super::clock::{Clock, Phase};
use super::dry_run::DryRun;
use super::transport::{Body, Transport};
use super::{clients, failure, signing};
use crate::dialect::{Answer, Dialect, HttpRequest, Method, Origin};
use crate::dialects;
use crate::driver::Clients;
use crate::provider::{AwsCredentials, ProviderConfig, ProviderRow, Timeouts};

/// Largest body of a refusal that is read, in bytes.
const REFUSAL_LIMIT: usize = 1 << 20;

/// The way to one provider.
pub(super) struct Connection {
    pub(super) row: &'static ProviderRow,
    /// Reads refusals, whatever was asked.
    pub(super) dialect: &'static dyn Dialect,
    transport: Transport,
    /// Base address without a slash at its end.
    base: Url,
    /// The first path that was asked for, joined to the base; mostly there is no other.
    address: OnceLock<(String, Uri)>,
    /// What the row and the configuration say.
    headers: HeaderMap,
    /// These, and what the client adds.
    sent: HeaderMap,
    /// What must never be shown: the key, or the token of the session that is signed for.
    pub(super) key: Option<Secret>,
    /// No call can succeed for want of a key.
    lacks_key: bool,
    /// Credentials to sign with where there is no key.
    aws: Option<AwsCredentials>,
    pub(super) timeouts: Timeouts,
}

impl Connection {
    /// Prepares the way.
    ///
    /// # Errors
    /// `Configuration` when the key or base URL is missing, or when the base URL, a header, or the proxy is malformed.
    pub(super) fn new(row: &'static ProviderRow, config: &ProviderConfig, clients: &Clients) -> Result<Self> {
        if config.lacks_key(row) {
            return Err(clients::missing_key(row));
        }
        Self::without_key(row, config, clients)
    }

    /// Prepares the way although its key may be missing.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for the key.
    pub(super) fn without_key(
        row: &'static ProviderRow,
        config: &ProviderConfig,
        clients: &Clients,
    ) -> Result<Self> {
        let dialect = dialects::find(row.dialect)?;
        let base = clients::base_url(row, config)?;
        let aws = config.aws.clone().filter(|_| config.api_key.is_none());
        let transport = clients.client(&base, config)?;
        let headers = clients::headers(row, clients::key_header(row, dialect), config)?;
        let mut sent = headers.clone();
        transport.complete(&mut sent, &clients::sent(&base)?);
        Ok(Self {
            row,
            dialect,
            transport,
            headers,
            sent,
            base,
            address: OnceLock::new(),
            // What Amazon says of a wrong signature repeats the headers, the session's token among them.
            key: config.api_key.clone().or_else(|| aws.as_ref()?.session_token.clone()),
            lacks_key: config.lacks_key(row),
            aws,
            timeouts: config.timeouts,
        })
    }

    /// Sends a request and waits for the beginning of its answer.
    pub(super) async fn send(&self, wire: &HttpRequest, clock: &Clock) -> Result<Response<Body>> {
        let request = match &self.aws {
            None => self.request(wire, &self.sent)?,
            Some(credentials) => {
                // What the client adds is not signed, as proxies may change it.
                let mut request = self.request(wire, &self.headers)?;
                signing::sign(&mut request, self.row.auth, Some(credentials))?;
                let address = request.uri().clone();
                self.transport.complete(request.headers_mut(), &address);
                request
            }
        };
        let sent = clock.within(Phase::FirstByte, self.transport.send(request)).await?;
        sent.map_err(|error| failure::of_sending(error, self.row, &self.base, &self.timeouts))
    }

    /// Reads a refusal and tells what it means.
    pub(super) async fn refused(&self, response: Response<Body>, origin: &Origin, clock: &Clock) -> Error {
        let status = response.status().as_u16();
        let headers = pairs(response.headers());
        let body = match clock.body(response.into_body(), REFUSAL_LIMIT).await {
            Ok(body) => body,
            Err(error) if error.kind() == ErrorKind::Cancelled => return error,
            Err(_) => Bytes::new(),
        };
        let body = failure::redacted(&body, self.key.as_ref());
        self.dialect.classify(&Answer { status, headers: &headers, body: &body }, origin)
    }

    /// Shows a request as it would be sent, with its secrets masked.
    pub(super) fn shown(&self, wire: HttpRequest) -> Result<DryRun> {
        let mut request = self.request(&wire, &self.headers)?;
        if self.aws.is_some() {
            signing::sign(&mut request, self.row.auth, self.aws.as_ref())?;
        }
        let mut headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), self.masked(name, value)))
            .collect();
        let placeholder = self.placeholder();
        headers.extend(placeholder.clone());
        let body = String::from_utf8_lossy(&wire.body).into_owned();
        Ok(DryRun {
            method: wire.method.as_str(),
            url: request.uri().to_string(),
            headers,
            body: self.key.as_ref().map_or(body.clone(), |key| key.redact(&body)),
            warnings: wire.warnings,
            missing_key: placeholder.and_then(|_| self.row.key_names.first().copied()),
        })
    }

    /// Gives the header that the key would stand in, where a key is needed and there is none.
    fn placeholder(&self) -> Option<(String, String)> {
        let name = self.row.key_names.first().filter(|_| self.lacks_key)?;
        let header = clients::key_header(self.row, self.dialect);
        let is_known = self.aws.is_some() || self.headers.contains_key(header.name);
        (!is_known).then(|| (header.name.to_owned(), format!("{}<{name}>", header.prefix)))
    }

    fn masked(&self, name: &HeaderName, value: &HeaderValue) -> String {
        let text = String::from_utf8_lossy(value.as_bytes());
        match &self.key {
            _ if !(value.is_sensitive() || clients::is_secret(name)) => text.into_owned(),
            Some(key) if text.contains(key.expose()) => text.replace(key.expose(), &key.masked()),
            _ => "****".to_owned(),
        }
    }

    fn request(&self, wire: &HttpRequest, headers: &HeaderMap) -> Result<Request<Bytes>> {
        let mut headers = headers.clone();
        for (name, value) in &wire.headers {
            let value = HeaderValue::from_str(value).map_err(|_| clients::bad_header(name))?;
            headers.entry(*name).or_insert(value);
        }
        let mut request = Request::new(Bytes::new());
        match wire.method {
            Method::Get => {
                headers.remove("content-type");
            }
            Method::Post => {
                *request.method_mut() = http::Method::POST;
                *request.body_mut() = wire.body.clone();
            }
        }
        *request.uri_mut() = self.uri(&wire.path)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn uri(&self, path: &str) -> Result<Uri> {
        if let Some((_, uri)) = self.address.get().filter(|(known, _)| known == path) {
            return Ok(uri.clone());
        }
        let uri = clients::sent(&clients::joined(&self.base, path))?;
        // Another thread may have been faster; then its path is the one that is kept.
        let _ = self.address.set((path.to_owned(), uri.clone()));
        Ok(uri)
    }
}

/// Gives headers as text, for those who read an answer that came whole.
pub(super) fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
