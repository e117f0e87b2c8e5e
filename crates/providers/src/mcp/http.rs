//! Speaks with a server by streamable HTTP: what the library asks of a client, over Motet's own.
//!
//! Sends nothing twice, follows no redirect, and reads no answer beyond its bounds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use motet_core::error::Error;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::common::http_header::{HEADER_LAST_EVENT_ID, HEADER_SESSION_ID};
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};

use super::message::{self, MESSAGE_LIMIT};
use super::told::Told;
use crate::driver::{BareClient, Bytewise};
use crate::framing::FramingKind;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// Bytes of a refusal that are read.
const REFUSAL_LIMIT: usize = 64 << 10;
/// Characters of a refusal that an error shows.
const SHOWN: usize = 300;

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection could be made, so nothing was sent.
    Unreachable(String),
    /// The connection broke; what was sent may have arrived.
    Broken(String),
    /// The server refused the request.
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        text: String,
    },
}

impl Failure {
    /// Tells whether nothing was done for certain: nothing was sent, or the server did not want it.
    pub(super) fn is_unheard(&self) -> bool {
        match self {
            Failure::Unreachable(_) => true,
            Failure::Broken(_) => false,
            Failure::Refused { status, .. } => (400..500).contains(status),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
            Failure::Broken(why) => write!(f, "the connection broke: {why}"),
            Failure::Refused { status, text } if text.is_empty() => {
                write!(f, "it answered with status {status}")
            }
            Failure::Refused { status, text } => write!(f, "it answered with status {status}: {text}"),
        }
    }
}

impl std::error::Error for Failure {}

type Outcome<T> = Result<T, StreamableHttpError<Failure>>;
/// One event, as the library reads it; it has no name of its own outside of a crate that is not ours to use.
type Event = <<BoxedSseResponse as Stream>::Item as Success>::Value;

/// Gives a result's type of success a name.
pub(super) trait Success {
    /// The type.
    type Value;
}

impl<T, E> Success for Result<T, E> {
    type Value = T;
}

/// A client of one server; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) http: BareClient,
    /// Masks what the server repeats of the headers that it was sent.
    pub(super) told: Arc<Told>,
}

/// What every request carries.
struct Head {
    uri: Arc<str>,
    session: Option<Arc<str>>,
    token: Option<String>,
    headers: HashMap<HeaderName, HeaderValue>,
}

impl Head {
    fn request(self, method: Method, body: Bytes) -> Outcome<Request<Bytes>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.parse().map_err(|_| unsendable("the address"))?;
        let headers = request.headers_mut();
        headers.extend(self.headers);
        if let Some(token) = self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            headers.insert(AUTHORIZATION, value.map_err(|_| unsendable("the token"))?);
        }
        if let Some(session) = self.session {
            let value = HeaderValue::from_str(&session).map_err(|_| unsendable("the session's id"))?;
            headers.insert(HEADER_SESSION_ID, value);
        }
        Ok(request)
    }
}

impl Client {
    async fn send(&self, request: Request<Bytes>) -> Outcome<Response<Bytewise>> {
        self.http.send(request).await.map_err(|error| {
            let why = causes(&error);
            let failure = if error.is_connect() { Failure::Unreachable(why) } else { Failure::Broken(why) };
            StreamableHttpError::Client(failure)
        })
    }

    async fn post(&self, head: Head, message: ClientJsonRpcMessage) -> Outcome<StreamableHttpPostResponse> {
        let expects_answer = matches!(message, JsonRpcMessage::Request(_));
        let had_session = head.session.is_some();
        let mut request = head.request(Method::POST, serde_json::to_vec(&message)?.into())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(ACCEPT, both);
        let response = self.send(request).await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND && had_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        if !status.is_success() {
            return self.refused(response).await;
        }
        let session = response.headers().get(HEADER_SESSION_ID);
        let session = session.and_then(|value| value.to_str().ok()).map(str::to_owned);
        match kind(&response) {
            Kind::Events if expects_answer => {
                Ok(StreamableHttpPostResponse::Sse(events(response.into_body()), session))
            }
            Kind::Json if expects_answer => {
                let body = whole(response.into_body(), MESSAGE_LIMIT).await?;
                let message = message::read(&body).ok_or_else(|| self.unreadable(&body))?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            _ if !expects_answer => Ok(StreamableHttpPostResponse::Accepted),
            _ if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) => {
                Ok(StreamableHttpPostResponse::Accepted)
            }
            _ => Err(StreamableHttpError::UnexpectedContentType(content_type(&response))),
        }
    }

    async fn listen(&self, head: Head, last_event: Option<String>) -> Outcome<BoxedSseResponse> {
        let mut request = head.request(Method::GET, Bytes::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(last) = last_event {
            let value = HeaderValue::from_str(&last).map_err(|_| unsendable("the id of an event"))?;
            request.headers_mut().insert(HEADER_LAST_EVENT_ID, value);
        }
        let response = self.send(request).await?;
        match (response.status(), kind(&response)) {
            (StatusCode::METHOD_NOT_ALLOWED, _) => Err(StreamableHttpError::ServerDoesNotSupportSse),
            (status, Kind::Events) if status.is_success() => Ok(events(response.into_body())),
            (status, _) if status.is_success() => {
                Err(StreamableHttpError::UnexpectedContentType(content_type(&response)))
            }
            (status, _) => Err(HttpStatusError::new(status.as_u16(), None).into()),
        }
    }

    /// Reads what a server that refuses says: an error of the protocol is its answer.
    async fn refused(&self, response: Response<Bytewise>) -> Outcome<StreamableHttpPostResponse> {
        let status = response.status();
        let is_json = matches!(kind(&response), Kind::Json);
        let challenge =
            response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().map(str::to_owned));
        let body = whole(response.into_body(), REFUSAL_LIMIT).await.unwrap_or_default();
        let is_about_rights = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_json
            && !is_about_rights
            && let Some(error @ ServerJsonRpcMessage::Error(_)) = message::read(&body)
        {
            return Ok(StreamableHttpPostResponse::Json(error, None));
        }
        let text = match &challenge {
            Some(Ok(challenge)) => self.told.beginning(challenge.as_bytes(), SHOWN),
            _ => self.told.beginning(&body, SHOWN),
        };
        Err(StreamableHttpError::Client(Failure::Refused { status: status.as_u16(), text }))
    }

    fn unreadable(&self, body: &[u8]) -> StreamableHttpError<Failure> {
        let text = self.told.beginning(body, SHOWN);
        StreamableHttpError::Client(Failure::Broken(format!("its answer is not the protocol: `{text}`")))
    }
}

impl StreamableHttpClient for Client {
    type Error = Failure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<StreamableHttpPostResponse> {
        self.post(Head { uri, session, token, headers }, message).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        let head = Head { uri, session: Some(session), token, headers };
        // Whether the server forgets the session now or later changes nothing here.
        self.send(head.request(Method::DELETE, Bytes::new())?).await.map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<BoxStream<'static, Result<Event, SseError>>> {
        self.listen(Head { uri, session, token, headers }, last_event).await
    }
}

/// What an answer is written in.
enum Kind {
    Json,
    Events,
    Other,
}

fn kind(response: &Response<Bytewise>) -> Kind {
    match content_type(response) {
        Some(text) if text.starts_with(JSON) => Kind::Json,
        Some(text) if text.starts_with(EVENTS) => Kind::Events,
        _ => Kind::Other,
    }
}

fn content_type(response: &Response<Bytewise>) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
}

async fn whole(mut body: Bytewise, limit: usize) -> Outcome<Bytes> {
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| StreamableHttpError::Client(Failure::Broken(causes(&error))))?;
        if read.len() + piece.len() > limit {
            return Err(StreamableHttpError::ResponseBodyTooLarge { max_size: limit });
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

/// Cuts an answer into events, each bounded, and its message too.
fn events(body: Bytewise) -> BoxedSseResponse {
    let reader = FramingKind::Sse.reader(MESSAGE_LIMIT);
    let pieces = body.map(Some).chain(futures::stream::iter([None]));
    let found = pieces.scan(Some(reader), |reader, piece| {
        let mut events = Vec::new();
        if let Some(current) = reader {
            let mut sink = |frame: crate::framing::Frame<'_>| {
                events.push(Ok(event(frame.event, frame.data)));
                Ok(())
            };
            let ended = match piece {
                Some(Ok(bytes)) => current.feed(&bytes, &mut sink).err().map(boxed),
                Some(Err(error)) => Some(Box::new(error) as Box<dyn std::error::Error + Send + Sync>),
                None => current.finish(&mut sink).err().map(boxed),
            };
            if let Some(error) = ended {
                events.push(Err(SseError::Body(error)));
                *reader = None;
            }
        }
        futures::future::ready(Some(futures::stream::iter(events)))
    });
    found.flatten().boxed()
}

fn boxed(error: Error) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}

fn event(name: Option<&str>, data: &[u8]) -> Event {
    let data = message::bounded(data).map_or_else(
        || String::from_utf8_lossy(data).into_owned(),
        |bounded| String::from_utf8_lossy(&bounded).into_owned(),
    );
    let event = Event::default().data(data);
    // The library takes every event for a message that is not named otherwise.
    match name {
        Some(name) => event.event(name),
        None => event,
    }
}

fn unsendable(what: &str) -> StreamableHttpError<Failure> {
    StreamableHttpError::Client(Failure::Unreachable(format!("{what} holds what HTTP cannot send")))
}

/// Gives an error with what lies below it.
fn causes(error: &dyn std::error::Error) -> String {
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
