//! The least that a client can do by hand: reqwest, serde_json, and a type for what is sent and read.
//!
//! Knows nothing of Motet.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Workload;
use super::ours::{INPUT, PROMPT, SYSTEM, TOOL_PROMPT, add_parameters};
use super::{PIECES, TOOL_ROUNDS, VECTORS};

/// The bare loop.
pub(super) struct Bare {
    client: reqwest::Client,
    base: String,
    inputs: Vec<String>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize, Deserialize, Default)]
struct Message {
    role: String,
    content: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Call {
    id: String,
    r#type: String,
    function: Function,
}

#[derive(Serialize, Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Addends {
    a: i64,
    b: i64,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u32,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Piece>,
}

#[derive(Deserialize)]
struct Piece {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Serialize)]
struct Embed<'a> {
    model: &'a str,
    input: &'a [String],
}

#[derive(Deserialize)]
struct Embedded {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    embedding: Vec<f32>,
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: Some(content.to_owned()), ..Message::default() }
}

impl Bare {
    pub(super) fn new(address: SocketAddr) -> Result<Self> {
        // The bare client needs one for the whole process; Motet's own clients carry theirs.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().tcp_nodelay(true).no_proxy().build()?;
        let inputs = vec![INPUT.to_owned(); VECTORS];
        Ok(Self { client, base: format!("http://{address}/v1"), inputs })
    }

    pub(super) async fn call(&self, workload: Workload) -> Result<()> {
        match workload {
            Workload::Plain => self.plain().await,
            Workload::Stream => self.stream().await,
            Workload::Tools => self.tools().await,
            Workload::Embed => self.embed().await,
        }
    }

    async fn send(&self, path: &str, body: Vec<u8>) -> Result<reqwest::Response> {
        let request = self.client.post(format!("{}/{path}", self.base)).bearer_auth("k");
        let request = request.header("content-type", "application/json").body(body);
        Ok(request.send().await?.error_for_status()?)
    }

    async fn ask(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        stream: bool,
    ) -> Result<reqwest::Response> {
        let body = serde_json::to_vec(&Request { model: "mock", messages, tools, stream })?;
        self.send("chat/completions", body).await
    }

    async fn answer(&self, messages: &[Message], tools: Option<&Value>) -> Result<Message> {
        let body = self.ask(messages, tools, false).await?.bytes().await?;
        let mut answer: Answer = serde_json::from_slice(&body)?;
        let choice = answer.choices.pop().context("no choice")?;
        anyhow::ensure!(
            answer.usage.total_tokens > 0 && !answer.id.is_empty() && choice.finish_reason.is_some()
        );
        Ok(choice.message)
    }

    async fn plain(&self) -> Result<()> {
        let answer = self.answer(&[message("system", SYSTEM), message("user", PROMPT)], None).await?;
        anyhow::ensure!(!answer.content.context("no text")?.is_empty());
        Ok(())
    }

    async fn stream(&self) -> Result<()> {
        let messages = [message("system", SYSTEM), message("user", PROMPT)];
        let mut body = self.ask(&messages, None, true).await?.bytes_stream();
        let (mut text, mut buffer, mut pieces) = (String::new(), Vec::new(), 0);
        while let Some(piece) = body.next().await {
            buffer.extend_from_slice(&piece?);
            let mut from = 0;
            while let Some(end) = memchr::memchr(b'\n', &buffer[from..]) {
                let line = &buffer[from..from + end];
                from += end + 1;
                let Some(data) = line.strip_prefix(b"data: ").filter(|data| data != b"[DONE]") else {
                    continue;
                };
                let chunk: Chunk = serde_json::from_slice(data)?;
                if let Some(more) = chunk.choices.first().and_then(|piece| piece.delta.content.as_deref()) {
                    text.push_str(more);
                    pieces += 1;
                }
            }
            buffer.drain(..from);
        }
        anyhow::ensure!(!text.is_empty() && pieces >= PIECES);
        Ok(())
    }

    async fn tools(&self) -> Result<()> {
        let function = serde_json::json!({"name": "add", "description": "Adds two whole numbers.", "parameters": add_parameters()});
        let tools = serde_json::json!([{"type": "function", "function": function}]);
        let mut messages = vec![message("system", SYSTEM), message("user", TOOL_PROMPT)];
        let mut rounds = 0;
        loop {
            let answer = self.answer(&messages, Some(&tools)).await?;
            if answer.tool_calls.is_empty() {
                anyhow::ensure!(rounds == TOOL_ROUNDS && answer.content.is_some_and(|text| !text.is_empty()));
                return Ok(());
            }
            let mut results = Vec::new();
            for call in &answer.tool_calls {
                let Addends { a, b } = serde_json::from_str(&call.function.arguments)?;
                let tool_call_id = Some(call.id.clone());
                results.push(Message { tool_call_id, ..message("tool", &(a + b).to_string()) });
            }
            rounds += 1;
            messages.push(answer);
            messages.extend(results);
        }
    }

    async fn embed(&self) -> Result<()> {
        let body = serde_json::to_vec(&Embed { model: "mock", input: &self.inputs })?;
        let body = self.send("embeddings", body).await?.bytes().await?;
        let answer: Embedded = serde_json::from_slice(&body)?;
        anyhow::ensure!(
            answer.data.len() == VECTORS && answer.data.iter().all(|one| !one.embedding.is_empty())
        );
        Ok(())
    }
}
