//! A mock provider on loopback that answers at once: what overhead is measured against.
//!
//! Speaks OpenAI Chat Completions, with calls of one tool, and embeddings over HTTP/1.1 with connections that stay open, from a thread of its own,
//! so that its work is not counted as the client's.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Numbers of an embedding.
pub const DIMENSIONS: usize = 1536;

/// How large the mock's answers are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Pieces of a stream.
    pub pieces: usize,
    /// Vectors of an answer to an embedding request.
    pub vectors: usize,
    /// Tool calls of a conversation before its final answer.
    pub tool_rounds: usize,
}

/// What the mock answers, made once.
struct Answers {
    chat: Vec<u8>,
    stream: Vec<u8>,
    /// What is asked for by the number of results that a conversation has.
    calls: Vec<Vec<u8>>,
    floats: Vec<u8>,
    base64: Vec<u8>,
}

/// Starts a mock; it runs until the process ends.
///
/// # Errors
/// When no port is free.
pub fn start(sizes: &Sizes) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answers = Arc::new(answers(sizes));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || serve(&connection, &answers));
        }
    });
    Ok(address)
}

/// Answers one request after the other until the client goes away.
fn serve(connection: &TcpStream, answers: &Answers) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let embeds = line.contains("/embeddings");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let asks = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
        let results = memchr::memmem::find_iter(&body, b"\"role\":\"tool\"").count();
        let answer = match embeds {
            true if asks(b"base64") => &answers.base64,
            true => &answers.floats,
            false if asks(b"\"stream\":true") => &answers.stream,
            false if asks(b"\"tools\":") => answers.calls.get(results).unwrap_or(&answers.chat),
            false => &answers.chat,
        };
        writer.write_all(answer).ok()?;
    }
}

/// Gives the body of a plain answer.
#[must_use]
pub fn chat() -> String {
    let text = "The harbour lies in the lee of the cape, and boats wait there for the tide. ".repeat(12);
    answer(
        &serde_json::json!({"role": "assistant", "content": text, "refusal": null, "annotations": []}),
        "stop",
    )
}

/// Gives the body of an answer that asks for a sum.
fn call(number: usize) -> String {
    let function = serde_json::json!({"name": "add", "arguments": format!(r#"{{"a":{number},"b":1}}"#)});
    let calls =
        serde_json::json!([{"id": format!("call_{number}"), "type": "function", "function": function}]);
    answer(&serde_json::json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls")
}

fn answer(message: &serde_json::Value, reason: &str) -> String {
    let choice =
        serde_json::json!({"index": 0, "finish_reason": reason, "logprobs": null, "message": message});
    serde_json::json!({
        "id": "chatcmpl-mock", "object": "chat.completion", "created": 1_700_000_000, "model": "mock",
        "choices": [choice],
        "usage": {"prompt_tokens": 110, "completion_tokens": 200, "total_tokens": 310,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}}
    })
    .to_string()
}

fn answers(sizes: &Sizes) -> Answers {
    let numbers: Vec<f32> =
        (0..DIMENSIONS).map(|place| ((place * 37 % 1000) as f32 - 500.0) / 7919.0).collect();
    Answers {
        chat: whole(&chat()),
        stream: chunked(&events(sizes.pieces)),
        calls: (0..sizes.tool_rounds).map(|number| whole(&call(number))).collect(),
        floats: whole(&embeddings(sizes.vectors, &serde_json::json!(numbers))),
        base64: whole(&embeddings(sizes.vectors, &serde_json::json!(encoded(&numbers)))),
    }
}

fn encoded(numbers: &[f32]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn embeddings(vectors: usize, vector: &serde_json::Value) -> String {
    let data: Vec<serde_json::Value> = (0..vectors)
        .map(|index| serde_json::json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    serde_json::json!({"object": "list", "model": "mock", "data": data, "usage": {"prompt_tokens": 64, "total_tokens": 64}})
        .to_string()
}

/// The headers of every answer.
pub const HEADERS: &str = "HTTP/1.1 200 OK\r\nx-request-id: req_mock\r\nopenai-processing-ms: 5\r\nopenai-version: 2020-10-01\r\n\
     x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\n\
     x-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-tokens: 1999000\r\nx-ratelimit-reset-tokens: 12ms\r\n\
     date: Sat, 21 Nov 2026 12:00:00 GMT\r\nserver: mock\r\n";

fn whole(body: &str) -> Vec<u8> {
    format!("{HEADERS}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Gives the events of a streamed answer.
#[must_use]
pub fn events(pieces: usize) -> String {
    let chunk = |delta: &str, finish: &str, usage: &str| {
        format!(
            r#"{{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1700000000,"model":"mock","service_tier":"default","system_fingerprint":"fp_mock","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":{usage},"obfuscation":"abcdefgh"}}"#
        )
    };
    let mut frames = vec![chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null", "null")];
    frames
        .extend((0..pieces).map(|piece| chunk(&format!(r#"{{"content":" word{piece}"}}"#), "null", "null")));
    let usage = r#"{"prompt_tokens":110,"completion_tokens":500,"total_tokens":610}"#;
    frames.extend([chunk("{}", r#""stop""#, usage), "[DONE]".to_owned()]);
    frames.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// Writes events as a server sends them, each as a chunk of its own.
fn chunked(events: &str) -> Vec<u8> {
    let mut out = format!("{HEADERS}content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    for event in events.split_inclusive("\n\n") {
        let _ = write!(out, "{:x}\r\n{event}\r\n", event.len());
    }
    out.push_str("0\r\n\r\n");
    out.into_bytes()
}
