//! A tiny HTTP server on loopback that answers from a function: what tests use as a provider.
//!
//! Speaks just enough HTTP/1.1: one request a connection, bodies with a length, answers that may break off.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::Value;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path with query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Body as JSON, null where it is none.
    pub body: Value,
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Media type.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
    /// Closes the connection after this many bytes of the body, although more were announced.
    pub cut_after: Option<usize>,
}

impl Reply {
    /// Answers with a JSON value.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("x-request-id".to_owned(), "req_test".to_owned())];
        Self { status, headers, content_type: "application/json", body: body.to_string(), cut_after: None }
    }

    /// Answers with a text of any kind.
    #[must_use]
    pub fn text(status: u16, content_type: &'static str, body: &str) -> Self {
        Self { status, headers: Vec::new(), content_type, body: body.to_owned(), cut_after: None }
    }

    /// Answers with a stream of server-sent events.
    #[must_use]
    pub fn events(chunks: &[Value]) -> Self {
        let mut body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        body.push_str("data: [DONE]\n\n");
        Self { content_type: "text/event-stream", body, ..Self::json(200, &Value::Null) }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Breaks off after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }
}

/// A running server; it stops when dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that answers by a function of the request and its number, the first being 0.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let address = listener.local_addr()?;
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stopped, answer) = (Arc::clone(&requests), Arc::clone(&stop), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Ok(request) = read(&connection) else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // A client that went away needs no answer.
                    let _ = write(connection, &answer(&request, number));
                });
            }
        });
        Ok(Self { address, requests, stop, thread: Some(thread) })
    }

    /// Gives the base URL for providers, ending in `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Gives the address as it stands in errors, `127.0.0.1:` and a port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Gives every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener so that it sees the flag.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(connection: &TcpStream) -> anyhow::Result<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).context("no path")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Request { path, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}

fn write(mut connection: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\ncontent-type: {}\r\n", reply.status, reply.content_type);
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n", reply.body.len()));
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(head.as_bytes())?;
    connection.write_all(b"\r\n")?;
    let whole = reply.body.as_bytes();
    let sent = reply.cut_after.and_then(|bytes| whole.get(..bytes)).unwrap_or(whole);
    connection.write_all(sent)?;
    connection.flush()
}
