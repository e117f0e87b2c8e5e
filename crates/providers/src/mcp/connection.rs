//! One connection to a server: the handshake, and questions with a time limit.
//!
//! Opens nothing twice and asks nothing twice; what a lost connection means is for others to say.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use motet_core::mcp::ServerConfig;
use motet_core::{Error, ErrorKind, Result, Retry};
use rmcp::RoleClient;
use rmcp::model::{ClientRequest, CustomRequest, ServerCapabilities, ServerResult};
use rmcp::service::{ClientInitializeError, PeerRequestOptions, RequestHandle, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::{Client, Failure};
use super::listener::Listener;
use super::process::Process;
use super::stdio::Stdio;
use super::told::Told;
use crate::driver::BareClient;

/// How long an answer may still take that a server wrote before it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the end of a program may take that closed its standard output.
const ENDING: Duration = Duration::from_secs(2);

/// A way to a server on which hands were shaken; dropping it ends the server, or its session.
pub(super) struct Connection {
    service: RunningService<RoleClient, Listener>,
    process: Option<Process>,
    told: Arc<Told>,
    /// A request failed on its way, so that a new handshake is due.
    broken: AtomicBool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("process", &self.process).finish_non_exhaustive()
    }
}

/// What is asked, and within which bounds.
pub(super) struct Question<'a> {
    pub(super) method: &'static str,
    pub(super) params: Value,
    pub(super) timeout: Duration,
    pub(super) cancellation: Option<&'a CancellationToken>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server answered with an error of the protocol.
    Refused {
        /// The protocol's number of the error.
        code: i32,
        /// What the server says.
        message: String,
    },
    /// The server ended or the connection broke after the question was sent.
    Lost(String),
    /// The question was not sent.
    Unsent(String),
    /// Its time was over; the server was told.
    TimedOut,
    /// Nobody wants the answer any more; the server was told.
    Cancelled,
}

impl Connection {
    /// Starts the server or connects to it, and shakes hands.
    pub(super) async fn open(
        name: &str,
        config: &ServerConfig,
        expanded: &Expanded,
        changes: Arc<AtomicU64>,
    ) -> Result<Self> {
        let listener = Listener::new(name, changes);
        let told = Arc::new(Told::new(expanded.env.values().chain(expanded.headers.values())));
        let (service, process) = match (&config.command, &config.url) {
            (Some(_), None) => {
                let (process, pipes) = Process::start(name, config, &expanded.env, &told)?;
                let transport = Stdio::new(pipes.stdout, pipes.stdin, Arc::clone(&told));
                let shaken =
                    tokio::time::timeout(config.timeout, rmcp::serve_client(listener, transport)).await;
                (shaken, Some(process))
            }
            (None, Some(url)) => {
                let transport = http(name, url, expanded, (config.timeout, &told))?;
                (tokio::time::timeout(config.timeout, rmcp::serve_client(listener, transport)).await, None)
            }
            (None, None) | (Some(_), Some(_)) => return Err(neither_or_both(name)),
        };
        let failed = match service {
            Ok(Ok(service)) => return Ok(Self { service, process, told, broken: AtomicBool::new(false) }),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        Err(unshaken(name, config, failed, process.as_ref(), &told).await)
    }

    /// Tells whether questions can still be asked.
    pub(super) fn is_open(&self) -> bool {
        let ended = self.process.as_ref().is_some_and(|process| process.ended().is_some());
        let broken = self.broken.load(Ordering::SeqCst);
        !ended && !broken && !self.service.is_closed() && !self.service.is_transport_closed()
    }

    /// Gives what the server says it can do.
    pub(super) fn capabilities(&self) -> ServerCapabilities {
        self.service.peer_info().map(|info| info.capabilities.clone()).unwrap_or_default()
    }

    /// Gives name and version of the server, in its own words.
    pub(super) fn implementation(&self) -> Option<(String, String)> {
        let info = self.service.peer_info()?;
        let server = info.server_info.as_ref()?;
        Some((server.name.clone(), server.version.clone()))
    }

    /// Masks the server's secrets in a text.
    pub(super) fn masked(&self, text: &str) -> String {
        self.told.masked(text)
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Value, Trouble> {
        let request = CustomRequest::new(question.method, Some(question.params));
        let sent = self
            .service
            .send_cancellable_request(ClientRequest::CustomRequest(request), PeerRequestOptions::no_options())
            .await;
        let handle = match sent {
            Ok(handle) => handle,
            Err(error) => return Err(Trouble::Unsent(self.explained(&error.to_string()).await)),
        };
        let mut pending = Pending(Some(handle));
        let answer = tokio::select! {
            biased;
            answer = pending.answer() => answer,
            () = cancelled(question.cancellation) => {
                pending.cancel("the caller does not want the answer any more").await;
                return Err(Trouble::Cancelled);
            }
            () = tokio::time::sleep(question.timeout) => {
                pending.cancel("its time is over").await;
                return Err(Trouble::TimedOut);
            }
            () = self.died() => Err(ServiceError::TransportClosed),
        };
        pending.0 = None;
        match answer {
            Ok(ServerResult::CustomResult(result)) => Ok(result.0),
            Ok(other) => serde_json::to_value(other)
                .map_err(|error| Trouble::Lost(format!("its answer cannot be read: {error}"))),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    /// Waits until the program has ended and cannot have left an answer behind; for ever where there is none.
    async fn died(&self) {
        match &self.process {
            Some(process) => {
                process.end().await;
                tokio::time::sleep(LAST_WORDS).await;
            }
            None => std::future::pending().await,
        }
    }

    async fn trouble(&self, error: ServiceError) -> Trouble {
        match error {
            ServiceError::McpError(error) => {
                Trouble::Refused { code: error.code.0, message: self.masked(&error.message) }
            }
            ServiceError::Timeout { .. } => Trouble::TimedOut,
            ServiceError::Cancelled { .. } => Trouble::Cancelled,
            ServiceError::TransportSend(error) => {
                self.broken.store(true, Ordering::SeqCst);
                match error.error.downcast_ref::<StreamableHttpError<Failure>>() {
                    Some(StreamableHttpError::Client(failure)) => {
                        let text = self.masked(&failure.to_string());
                        if failure.is_unheard() { Trouble::Unsent(text) } else { Trouble::Lost(text) }
                    }
                    Some(StreamableHttpError::SessionExpired) => {
                        Trouble::Unsent("it does not know the session any more".to_owned())
                    }
                    Some(other) => Trouble::Lost(self.masked(&other.to_string())),
                    None => Trouble::Lost(self.explained(&error.error.to_string()).await),
                }
            }
            ServiceError::TransportClosed => Trouble::Lost(self.explained("the connection ended").await),
            other => Trouble::Lost(self.masked(&other.to_string())),
        }
    }

    /// Adds to a message how the program ended and what it told.
    async fn explained(&self, message: &str) -> String {
        let ended = match &self.process {
            Some(process) => tokio::time::timeout(ENDING, process.end()).await.ok(),
            None => None,
        };
        let message = ended.map_or_else(|| message.to_owned(), |how| format!("it ended with {}", how.0));
        self.masked(&message) + &self.told.explanation()
    }

    /// Takes leave: the server is given time to end by itself.
    pub(super) async fn close(mut self) {
        if self.service.close().await.is_ok()
            && let Some(process) = &self.process
        {
            process.finish().await;
        }
    }
}

async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

/// A question on its way; dropping it tells the server that nobody waits any more.
struct Pending(Option<RequestHandle<RoleClient>>);

impl Pending {
    async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        match &mut self.0 {
            Some(handle) => (&mut handle.rx).await.map_err(|_| ServiceError::TransportClosed)?,
            None => Err(ServiceError::TransportClosed),
        }
    }

    async fn cancel(&mut self, why: &str) {
        if let Some(handle) = self.0.take() {
            // A server that takes no messages any more cannot be told either.
            let telling = handle.cancel(Some(why.to_owned()));
            tokio::time::timeout(LAST_WORDS, telling).await.ok();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let (Some(handle), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(handle.cancel(Some("the caller is gone".to_owned())));
        }
    }
}

/// Environment and headers with the variables they name put in.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) env: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
}

fn http(
    name: &str,
    url: &str,
    Expanded { headers, .. }: &Expanded,
    (timeout, told): (Duration, &Arc<Told>),
) -> Result<StreamableHttpClientTransport<Client>> {
    let malformed = |why: &str| {
        Error::new(ErrorKind::Configuration, format!("the address of the server `{name}` {why}"))
            .with_hint("write it as `https://host/path`")
    };
    let address = Url::parse(url).map_err(|error| malformed(&format!("is malformed: {error}")))?;
    if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
        return Err(malformed("is not an address of HTTP"));
    }
    let mut sent = HashMap::new();
    for (header, value) in headers {
        let pair = HeaderName::from_bytes(header.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok())
            .ok_or_else(|| {
                let text = format!("header `{header}` of the server `{name}` cannot be sent");
                Error::new(ErrorKind::Configuration, text)
                    .with_hint("use letters, digits, and `-` in the name, and one line of text as the value")
            })?;
        let (header, mut value) = pair;
        value.set_sensitive(true);
        sent.insert(header, value);
    }
    let client = Client { http: BareClient::new(&address, timeout)?, told: Arc::clone(told) };
    let mut config = StreamableHttpClientTransportConfig::with_uri(address.as_str());
    config.custom_headers = sent;
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

fn neither_or_both(name: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the server `{name}` needs either a program or an address"))
        .with_hint("set `command` for a program that is started, or `url` for one that is reached by HTTP")
}

/// Tells why hands were not shaken.
async fn unshaken(
    name: &str,
    config: &ServerConfig,
    failed: Option<ClientInitializeError>,
    process: Option<&Process>,
    told: &Told,
) -> Error {
    let Some(failed) = failed else {
        let message = format!(
            "the server `{name}` did not shake hands within {:?}{}",
            config.timeout,
            told.explanation()
        );
        return Error::new(ErrorKind::Timeout, message).with_hint(
            "look whether the program speaks the Model Context Protocol, or give it more `timeout`",
        );
    };
    let (kind, why) = match &failed {
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. }
            if process.is_some() =>
        {
            (ErrorKind::Connection, "the connection ended".to_owned())
        }
        ClientInitializeError::TransportError { error, .. } => {
            match error.error.downcast_ref::<StreamableHttpError<Failure>>() {
                Some(StreamableHttpError::Client(failure)) => (kind_of(failure), failure.to_string()),
                Some(other) => (ErrorKind::Connection, other.to_string()),
                None => (ErrorKind::Connection, error.error.to_string()),
            }
        }
        ClientInitializeError::JsonRpcError(error) => (ErrorKind::ToolFailed, error.message.to_string()),
        other => (ErrorKind::Connection, other.to_string()),
    };
    let ended = match process {
        Some(process) => tokio::time::timeout(ENDING, process.end()).await.ok(),
        None => None,
    };
    let why = ended.map_or(why, |how| format!("it ended with {}", how.0));
    let message =
        format!("no handshake with the server `{name}`: {}{}", told.masked(&why), told.explanation());
    let error = Error::new(kind, message);
    match kind {
        ErrorKind::Connection => error.with_retry(Retry::Backoff),
        ErrorKind::Authentication | ErrorKind::Permission => {
            error.with_hint(format!("set what the server wants to see under `headers` of `{name}`"))
        }
        _ => error,
    }
}

fn kind_of(failure: &Failure) -> ErrorKind {
    match failure {
        Failure::Refused { status: 401, .. } => ErrorKind::Authentication,
        Failure::Refused { status: 403, .. } => ErrorKind::Permission,
        Failure::Refused { status: 404 | 405, .. } => ErrorKind::NotFound,
        Failure::Refused { .. } | Failure::Unreachable(_) | Failure::Broken(_) => ErrorKind::Connection,
    }
}
