//! The simulated provider as a real server on loopback, which speaks OpenAI's API as far as Motet asks for it.
//!
//! Chat plain and streamed, embeddings, and the list of models. Decides nothing: what happens to a request is the
//! simulation's. Writes HTTP/1.1 by hand, because connections must break at every byte.

mod answer;
mod http;
mod serve;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use motet_core::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Counts, Rules, Simulation, Stage};

/// A running server; it stops, and every connection with it, when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    simulation: Mutex<Simulation>,
    start: Instant,
    connections: AtomicUsize,
    answering: AtomicUsize,
    stop: CancellationToken,
}

impl Server {
    /// Starts a server on a port of loopback; 0 chooses a free one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Connection` when the port is taken.
    pub async fn start(rules: Rules, port: u16) -> Result<Self> {
        let taken = |error: std::io::Error| {
            Error::new(
                ErrorKind::Connection,
                format!("port {port} of loopback cannot be listened at: {error}"),
            )
            .with_hint("choose another port, or 0 for a free one")
            .with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            simulation: Mutex::new(Simulation::new(rules)),
            start: Instant::now(),
            connections: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            stop: stop.clone(),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _stop: stop.drop_guard() })
    }

    /// Gives the base URL for providers, ending in `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Gives what became of the requests of every key so far; `none` stands for those without one.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        self.shared.simulation().all_counts().clone()
    }

    /// Gives the number of connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Gives the number of requests that are being answered.
    #[must_use]
    pub fn answering(&self) -> usize {
        self.shared.answering.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn simulation(&self) -> std::sync::MutexGuard<'_, Simulation> {
        self.simulation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the next request is refused before it can be sent, and counts it if it is.
    fn refuses(&self) -> bool {
        let mut simulation = self.simulation();
        let refused =
            simulation.next_fault().is_some_and(|fault| fault.stage == Stage::BeforeConnect && !fault.hangs);
        if refused {
            simulation.arrive(self.start.elapsed(), NO_KEY, 0);
        }
        refused
    }
}

/// Stands for the key of requests that have none, or that were never read.
const NO_KEY: &str = "none";

/// Counts one for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let stop = shared.stop.clone();
                    tokio::select! {
                        () = connection(stream, &shared) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            // Too many files are open; some of them close soon.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// Answers one request after the other until the client goes away or the connection breaks.
async fn connection(stream: TcpStream, shared: &Shared) {
    let _open = Counted::new(&shared.connections);
    // Without it small pieces wait for each other.
    let _ = stream.set_nodelay(true);
    let mut connection = http::Connection::new(stream);
    if shared.refuses() {
        connection.reset();
        return;
    }
    while let Ok(Some(request)) = connection.read().await {
        let _answering = Counted::new(&shared.answering);
        // A client that went away needs no answer.
        if serve::serve(&mut connection, &request, shared).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
