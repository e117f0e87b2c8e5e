//! Speaks with a server through its standard input and output, one line of JSON for each message.
//!
//! Knows no process: whoever started it also ends it.

use std::io;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::Mutex;

use super::message::{self, MESSAGE_LIMIT};
use super::told::Told;

/// The two pipes.
pub(super) struct Stdio<R, W> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// `None` once it is closed.
    writer: Arc<Mutex<Option<W>>>,
    told: Arc<Told>,
}

impl<R: AsyncRead, W> Stdio<R, W> {
    pub(super) fn new(reader: R, writer: W, told: Arc<Told>) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            writer: Arc::new(Mutex::new(Some(writer))),
            told,
        }
    }
}

impl<R: AsyncRead + Unpin + Send, W: Send> Stdio<R, W> {
    /// Reads on until a line is whole; false at the end. What was read stays where it is when this is dropped.
    async fn fill(&mut self) -> io::Result<bool> {
        loop {
            let piece = self.reader.fill_buf().await?;
            if piece.is_empty() {
                return Ok(false);
            }
            let end = memchr::memchr(b'\n', piece);
            let taken = end.map_or(piece.len(), |end| end + 1);
            if self.line.len() + taken > MESSAGE_LIMIT {
                self.told.give_up(format!("it sent a message of more than {} MiB", MESSAGE_LIMIT >> 20));
                return Ok(false);
            }
            self.line.extend_from_slice(piece.get(..taken).unwrap_or_default());
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R, W> Transport<RoleClient> for Stdio<R, W>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writer = Arc::clone(&self.writer);
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            match &mut *writer.lock().await {
                Some(writer) => {
                    writer.write_all(&line).await?;
                    writer.flush().await
                }
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.told.give_up(format!("its standard output cannot be read: {error}"));
                    return None;
                }
            }
            let message = message::read(&self.line);
            if message.is_none() && !self.line.trim_ascii().is_empty() {
                self.told.strayed(&self.line);
            }
            self.line.clear();
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.writer.lock().await.take();
        Ok(())
    }
}
