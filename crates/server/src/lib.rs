//! A server of stores: whoever may not open a store calls it here, by JSON-RPC 2.0 over HTTP.
//!
//! Answers what the store's contract has, and decides nothing by itself. Logs neither bodies nor tokens.

mod access;
mod calls;
mod http;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use motet::core::settings::Settings;
use motet::core::store::SharedStore;
use motet::{Error, ErrorKind, Result, Secret};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::access::Access;
use self::calls::Calls;
use self::http::{Shared, router};

/// Longest time that calls have to end when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How a server answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Address and port to listen on, such as `127.0.0.1:7420`; port 0 takes a free one.
    pub listen: String,
    /// Tokens of which callers must show one; without any, only this machine's own addresses are listened on.
    pub tokens: Vec<Secret>,
    /// Largest request that is read, in bytes.
    pub largest_request: usize,
}

impl ServerConfig {
    /// Listens on an address of this machine's own, without tokens, for requests of at most 64 MiB.
    #[must_use]
    pub fn new(listen: impl Into<String>) -> Self {
        Self { listen: listen.into(), tokens: Vec::new(), largest_request: 64 << 20 }
    }

    /// Takes what the settings say; a relative path in them starts at the directory.
    ///
    /// # Errors
    /// `Configuration` when the file of tokens cannot be read or holds none.
    pub fn of(settings: &Settings, directory: &Path) -> Result<Self> {
        let server = &settings.server;
        let mut tokens = server.tokens.clone();
        if let Some(file) = &server.tokens_file {
            tokens.extend(access::read_tokens(&directory.join(file))?);
        }
        let largest_request = (server.max_request_mb as usize) << 20;
        Ok(Self { listen: server.listen.clone(), tokens, largest_request })
    }
}

/// A server that listens, and answers as soon as it is served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
}

impl Server {
    /// Begins to listen for calls of a store.
    ///
    /// # Errors
    /// `Configuration` when the address is wrong or taken, when it is not this machine's own and there is no token, or
    /// when a token is too short to keep anybody out.
    pub async fn bind(store: SharedStore, config: &ServerConfig) -> Result<Self> {
        let access = Access::new(&config.tokens)?;
        let listen = &config.listen;
        let unusable = |error: std::io::Error| {
            Error::new(ErrorKind::Configuration, format!("`{listen}` cannot be listened on: {error}"))
                .with_hint("write an address of this machine and a free port, such as `127.0.0.1:7420`")
        };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen).await.map_err(unusable)?.collect();
        if access.is_open() && !addresses.iter().all(|address| address.ip().is_loopback()) {
            let message = format!("`{listen}` can be reached by others, and the server has no token");
            return Err(Error::new(ErrorKind::Configuration, message).with_hint(
                "set `server.tokens` or `server.tokens_file`, or listen on `127.0.0.1` or `[::1]` alone",
            ));
        }
        let listener = TcpListener::bind(&*addresses).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let calls = Calls { store, stopping: CancellationToken::new() };
        Ok(Self { listener, address, shared: Shared { calls, access, largest: config.largest_request } })
    }

    /// Gives where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is told to stop, and lets calls that have begun end then, for ten seconds at most; those that only
    /// wait are ended at once.
    ///
    /// # Errors
    /// `Internal` when connections can no longer be taken.
    pub async fn serve(self, stop: CancellationToken) -> Result<()> {
        let mut shared = self.shared;
        shared.calls.stopping = stop.clone();
        // Answers are small and wanted at once.
        let listener = self.listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection delays small answers");
            }
        });
        let served = axum::serve(listener, router(Arc::new(shared)));
        let served = served.with_graceful_shutdown(stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = served => ended.map_err(|error| {
                Error::new(ErrorKind::Internal, "the server can take no more connections").with_source(error)
            }),
            () = late => {
                tracing::warn!("calls that did not end in time were broken off");
                Ok(())
            }
        }
    }
}
