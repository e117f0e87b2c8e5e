//! Sends requests over HTTP: hyper's pooled client, over connections that this crate opens itself.
//!
//! Knows no provider, no time limit but that of connecting, and no error of Motet's. Follows no redirect. Sends nothing
//! twice, but for a request of which not a byte went out because the server had closed an idle connection meanwhile.

mod connector;
mod proxies;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

pub(super) use connector::TimedOut;
pub(super) use proxies::Proxies;

use connector::Connector;

/// Why no answer began.
pub(super) type Failure = hyper_util::client::legacy::Error;

/// Who sends.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("motet/", env!("CARGO_PKG_VERSION")));

/// Time after which a connection that serves no call is closed.
const IDLE: Duration = Duration::from_secs(90);

/// A client that keeps its connections open for the next call; cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client<Connector, Full<Bytes>>,
    proxies: Arc<Proxies>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes a client that connects in a way; `limit` is how long connecting may take in all.
    pub(super) fn new(proxies: Proxies, tls: ClientConfig, limit: Option<Duration>) -> Self {
        let proxies = Arc::new(proxies);
        let connector = Connector::new(Arc::clone(&proxies), tls, limit);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .retry_canceled_requests(true)
            .build(connector);
        Self { client, proxies }
    }

    /// Adds to the headers of requests to an address what this client says of itself, and what a proxy wants to see that
    /// passes requests on as they are; what is there already stays.
    pub(super) fn complete(&self, headers: &mut HeaderMap, address: &Uri) {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(AGENT);
        if let Some(value) = self.proxies.forwarding_authorization(address) {
            headers.entry(PROXY_AUTHORIZATION).or_insert(value);
        }
    }

    /// Sends a request and waits for the beginning of its answer.
    ///
    /// # Errors
    /// Whatever kept an answer from beginning, below it the cause.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, Failure> {
        Ok(self.client.request(request.map(Full::new)).await?.map(Body))
    }
}

/// The bytes of an answer as they come; dropping it unread closes the connection.
pub(super) struct Body(Incoming);

impl Stream for Body {
    type Item = Result<Bytes, hyper::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.0).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // What follows the body says nothing that is asked for.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
