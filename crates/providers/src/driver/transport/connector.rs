//! Opens connections: plain or by TLS, straight to the server or through a proxy.
//!
//! Keeps no connection; the pool above does.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{HeaderMap, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::AGENT;
use super::proxies::{Proxies, with_port};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Time after which a silent connection is asked whether it lives, and between two such questions.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

/// Number of such questions without an answer after which a connection is dead.
const KEEPALIVE_QUESTIONS: u32 = 3;

/// Time that what was sent may stay unacknowledged.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// The port of a SOCKS proxy that names none.
const SOCKS_PORT: u16 = 1080;

/// Opens connections; cheap to clone, as the pool does for every request.
#[derive(Clone)]
pub(super) struct Connector(Arc<Parts>);

struct Parts {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
    /// For a proxy that is itself reached by TLS: it speaks HTTP/1.1 only.
    tls_to_proxy: Arc<ClientConfig>,
    proxies: Arc<Proxies>,
    limit: Option<Duration>,
}

/// Connecting took longer than allowed.
#[derive(Debug)]
pub(in crate::driver) struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl StdError for TimedOut {}

impl Connector {
    pub(super) fn new(proxies: Arc<Proxies>, tls: ClientConfig, limit: Option<Duration>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE.0));
        tcp.set_keepalive_interval(Some(KEEPALIVE.1));
        tcp.set_keepalive_retries(Some(KEEPALIVE_QUESTIONS));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let mut tls_to_proxy = tls.clone();
        tls_to_proxy.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (tls, tls_to_proxy) = (Arc::new(tls), Arc::new(tls_to_proxy));
        Self(Arc::new(Parts { tcp, tls, tls_to_proxy, proxies, limit }))
    }
}

impl Service<Uri> for Connector {
    type Response = Pipe;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Pipe, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            match parts.limit {
                None => parts.connect(address).await,
                Some(limit) => {
                    tokio::time::timeout(limit, parts.connect(address)).await.map_err(|_| TimedOut)?
                }
            }
        })
    }
}

impl Parts {
    async fn connect(&self, address: Uri) -> Result<Pipe, BoxError> {
        let tcp = self.tcp.clone();
        let Some(proxy) = self.proxies.of(&address) else {
            let stream = HttpsConnector::from((tcp, Arc::clone(&self.tls))).call(address).await?;
            return Ok(Pipe::Straight(stream));
        };
        match proxy.uri().scheme_str() {
            Some("socks5" | "socks5h") => self.through_socks(address, &proxy).await,
            Some("http" | "https") if address.scheme() == Some(&Scheme::HTTPS) => {
                self.through_tunnel(address, &proxy).await
            }
            Some("http" | "https") => {
                let mut way = HttpsConnector::from((tcp, Arc::clone(&self.tls_to_proxy)));
                Ok(Pipe::Forwarded(way.call(proxy.uri().clone()).await?))
            }
            other => {
                let scheme = other.unwrap_or_default();
                Err(format!("proxies by `{scheme}` are not supported, only http, https, and socks5").into())
            }
        }
    }

    /// Has a SOCKS proxy look up the host and connect to it.
    async fn through_socks(&self, address: Uri, proxy: &Intercept) -> Result<Pipe, BoxError> {
        let mut socks = SocksV5::new(with_port(proxy.uri(), SOCKS_PORT)?, self.tcp.clone());
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        // The proxy is told a port in any case, and takes that of HTTPS where none is given.
        let port = if address.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let mut way = HttpsConnector::from((socks, Arc::clone(&self.tls)));
        Ok(Pipe::Straight(way.call(with_port(&address, port)?).await?))
    }

    /// Has a proxy pass on the bytes of a secure connection unread.
    async fn through_tunnel(&self, address: Uri, proxy: &Intercept) -> Result<Pipe, BoxError> {
        let way = HttpsConnector::from((self.tcp.clone(), Arc::clone(&self.tls_to_proxy)));
        let mut tunnel = Tunnel::new(proxy.uri().clone(), way)
            .with_headers(HeaderMap::from_iter([(USER_AGENT, AGENT.clone())]));
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(HeaderValue::clone(authorization));
        }
        let mut way = HttpsConnector::from((tunnel, Arc::clone(&self.tls)));
        Ok(Pipe::Tunnelled(Box::new(way.call(address).await?)))
    }
}

type Tcp = TokioIo<TcpStream>;

/// An open connection.
pub(super) enum Pipe {
    /// To the server, as far as HTTP can tell.
    Straight(MaybeHttpsStream<Tcp>),
    /// To a proxy that reads each request and passes it on.
    Forwarded(MaybeHttpsStream<Tcp>),
    /// To the server, inside a connection to a proxy.
    Tunnelled(Box<MaybeHttpsStream<MaybeHttpsStream<Tcp>>>),
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        let (known, forwarded) = match self {
            Pipe::Straight(stream) => (stream.connected(), false),
            Pipe::Forwarded(stream) => (stream.connected(), true),
            Pipe::Tunnelled(stream) => (stream.connected(), false),
        };
        // Made anew, without the peer's address, which would be copied into every answer.
        let connected = Connected::new().proxy(forwarded);
        if known.is_negotiated_h2() { connected.negotiated_h2() } else { connected }
    }
}

/// Does something with the stream inside.
macro_rules! inside {
    ($pipe:expr, $stream:ident => $work:expr) => {
        match $pipe {
            Pipe::Straight($stream) | Pipe::Forwarded($stream) => $work,
            Pipe::Tunnelled($stream) => $work,
        }
    };
}

impl Read for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        inside!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl Write for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        inside!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        inside!(self, stream => stream.is_write_vectored())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inside!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }
}
