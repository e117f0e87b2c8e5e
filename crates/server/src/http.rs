//! The two addresses of the server: `POST /rpc` for calls, `GET /health` for those who watch over it.
//!
//! Bodies are read up to a bound and never logged.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::StreamExt as _;
use motet::core::rpc::codes::{INVALID_REQUEST, Place, code};
use motet::core::rpc::{Failure, Id, Response as Answer};
use motet::core::store::RunFilter;
use motet::{Error, ErrorKind, Result};
use serde_json::json;

use crate::access::Access;
use crate::calls::Calls;

const JSON: &str = "application/json";
/// Longest time for a request's body to arrive.
const ARRIVAL: Duration = Duration::from_secs(120);
/// Bytes of a request that are read at least before its sender is cut off.
const LEAST_DROPPED: usize = 16 << 20;
/// Longest time for the store to show that it can be read.
const LOOK: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) calls: Calls,
    pub(crate) access: Access,
    /// Largest body that is read, in bytes.
    pub(crate) largest: usize,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/rpc", post(rpc)).route("/health", get(health)).with_state(shared)
}

async fn rpc(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let sent = async {
        shared.access.check(&headers)?;
        check_type(&headers)?;
        read(&headers, body, shared.largest).await
    };
    match sent.await {
        Ok(sent) => match shared.calls.respond(&sent).await {
            Some(answer) => written(StatusCode::OK, answer),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Err(error) => refused(&error),
    }
}

/// Refuses what a page of a browser may send anywhere without asking: it may not say that it sends JSON.
fn check_type(headers: &HeaderMap) -> Result<()> {
    let written = headers.get(CONTENT_TYPE).and_then(|written| written.to_str().ok()).unwrap_or_default();
    let kind = written.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidRequest, "the request does not say that it holds JSON")
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16())
        .with_hint("send the header `content-type: application/json`"))
}

async fn read(headers: &HeaderMap, body: Body, largest: usize) -> Result<Bytes> {
    let too_large = || {
        let message = format!("the request is larger than the {} MiB that the server reads", largest >> 20);
        Error::new(ErrorKind::LimitReached, message)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE.as_u16())
            .with_hint("set `server.max_request_mb` of the server higher, or send less")
    };
    // A refusal that comes while the other side still sends gets lost, so that a little more is read and dropped.
    let most = largest.saturating_mul(4).max(LEAST_DROPPED);
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| usize::try_from(told).map_or(true, |told| told > most)) {
        return Err(too_large());
    }
    let pieces = async {
        let mut pieces = body.into_data_stream();
        let (mut whole, mut arrived) = (Vec::new(), 0_usize);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                Error::new(ErrorKind::InvalidRequest, format!("the request broke off: {error}"))
                    .with_status(StatusCode::BAD_REQUEST.as_u16())
            })?;
            arrived = arrived.saturating_add(piece.len());
            if arrived > most {
                return Err(too_large());
            }
            if arrived <= largest {
                whole.extend_from_slice(&piece);
            } else {
                whole = Vec::new();
            }
        }
        if arrived > largest { Err(too_large()) } else { Ok(Bytes::from(whole)) }
    };
    tokio::time::timeout(ARRIVAL, pieces).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, "the request did not arrive in time")
            .with_status(StatusCode::REQUEST_TIMEOUT.as_u16()))
    })
}

/// Answers what is not even looked at, in the protocol's form beside HTTP's own.
fn refused(error: &Error) -> Response {
    let status = match (error.status(), error.kind()) {
        (Some(status), _) => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        (None, ErrorKind::Authentication) => StatusCode::UNAUTHORIZED,
        (None, ErrorKind::Permission) => StatusCode::FORBIDDEN,
        (None, _) => StatusCode::BAD_REQUEST,
    };
    tracing::info!(status = status.as_u16(), %error, "a request was refused");
    let failure = Failure {
        code: match error.kind() {
            ErrorKind::InvalidRequest => INVALID_REQUEST,
            kind => code(kind, Place::Network),
        },
        message: error.message().to_owned(),
        data: serde_json::to_value(error.report()).ok(),
    };
    let mut answer = written(status, Answer::failed(Id::Null, failure).to_json().to_string());
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn written(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}

/// Tells whether the store can be read; nothing else, as anybody may ask.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let filter = RunFilter { limit: 1, ..RunFilter::default() };
    let (status, word) = match tokio::time::timeout(LOOK, shared.calls.store.runs(&filter)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    written(status, json!({"status": word}).to_string())
}
