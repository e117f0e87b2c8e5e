//! A server on loopback that answers each request with the next reply, byte for byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub(in crate::driver) struct Server {
    pub(in crate::driver) address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    replies: Mutex<std::vec::IntoIter<Reply>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    replied: Notify,
    closed: Notify,
}

/// What is written to a request, and what becomes of the connection then.
pub(in crate::driver) struct Reply {
    text: String,
    after: After,
}

#[derive(PartialEq)]
enum After {
    Keep,
    Close,
    Hang,
}

impl Reply {
    pub(in crate::driver) fn keep(text: String) -> Self {
        Self { text, after: After::Keep }
    }

    pub(in crate::driver) fn close(text: String) -> Self {
        Self { text, after: After::Close }
    }

    /// Writes the text and then nothing, until the client closes.
    pub(in crate::driver) fn hang(text: String) -> Self {
        Self { text, after: After::Hang }
    }
}

impl Server {
    pub(in crate::driver) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State { replies: Mutex::new(replies.into_iter()), ..State::default() });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(connection, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(in crate::driver) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(in crate::driver) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until a reply is written.
    pub(in crate::driver) async fn replied(&self) {
        self.state.replied.notified().await;
    }

    /// Waits until the client closes a connection on which the server hangs.
    pub(in crate::driver) async fn closed(&self) {
        self.state.closed.notified().await;
    }
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    while let Some(request) = read_request(&mut connection).await {
        state.requests.lock().unwrap().push(request);
        let Some(reply) = state.replies.lock().unwrap().next() else { return };
        connection.write_all(reply.text.as_bytes()).await.unwrap();
        state.replied.notify_one();
        match reply.after {
            After::Keep => {}
            After::Close => return,
            After::Hang => {
                let mut rest = [0; 64];
                while connection.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                state.closed.notify_one();
                return;
            }
        }
    }
}

async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            // Whatever else speaks here, such as a TLS client, gets its reply too.
            return (!bytes.is_empty() && !text.contains("HTTP")).then_some(text);
        }
        if bytes.first() == Some(&0x16) {
            return Some(text);
        }
    }
}

pub(in crate::driver) fn json_answer(status: u16, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

pub(in crate::driver) fn stream_head(headers: &str) -> String {
    format!(
        "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n{headers}transfer-encoding: chunked\r\n\r\n"
    )
}

/// Wraps a piece of a body for chunked transfer.
pub(in crate::driver) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Ends a chunked body.
pub(in crate::driver) fn end() -> String {
    "0\r\n\r\n".to_owned()
}
