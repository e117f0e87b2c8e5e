//! Just enough HTTP/1.1 for a server: requests with a length, answers whole or in chunks, connections that stay open.
//!
//! Knows nothing of what is asked.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest head of a request, in bytes.
const MOST_HEAD: usize = 64 << 10;

/// Largest body of a request, in bytes.
const MOST_BODY: usize = 64 << 20;

/// One request as it came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without a query.
    pub(super) path: String,
    /// The key of the `authorization` header.
    pub(super) key: Option<String>,
    /// Body as JSON, null where it is none.
    pub(super) body: Value,
}

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads the next request; `None` when the client closed.
    pub(super) async fn read(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > MOST_HEAD {
                return Err(bad("the head is too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(|_| bad("the head is no text"))?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim())
        };
        let length: usize = match header("content-length").map(str::parse) {
            None => 0,
            Some(Ok(length)) if length <= MOST_BODY => length,
            Some(_) => return Err(bad("the body is too long")),
        };
        let key = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let key = key.map(|key| key.trim().to_owned());
        let (method, path) = (method.to_owned(), target.split('?').next().unwrap_or_default().to_owned());
        let body = serde_json::from_slice(&self.body(length).await?).unwrap_or_default();
        Ok(Some(Request { method, path, key, body }))
    }

    async fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits, unless the client goes away.
    pub(super) async fn pause(&mut self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::time::timeout(time, self.gone()).await.unwrap_or(Ok(()))
    }

    /// Waits until the client goes away; never ends well.
    pub(super) async fn gone(&mut self) -> io::Result<()> {
        loop {
            // A client that sends the next request already is still there.
            if self.buffer.len() > MOST_BODY || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }

    /// Breaks the connection off, so that the client's system reports a reset.
    pub(super) fn reset(&self) {
        // Where it cannot be reset it is closed.
        let _ = self.stream.set_zero_linger();
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes the head of an answer; without a length the body comes in chunks.
pub(super) fn head(status: u16, headers: &[(String, String)], kind: &str, length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\ncontent-type: {kind}\r\n", reason(status));
    match length {
        Some(length) => head.push_str(&format!("content-length: {length}\r\n")),
        None => head.push_str("transfer-encoding: chunked\r\n"),
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Writes a piece of a body that comes in chunks.
pub(super) fn chunk(piece: &str) -> Vec<u8> {
    format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes()
}

/// Ends a body that comes in chunks.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Answered",
    }
}
