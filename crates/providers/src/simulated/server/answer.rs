//! What the server says, in the words of OpenAI's API.
//!
//! Values only; sends nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::ErrorKind;
use motet_core::limits::{Allowance, RateLimits};
use serde_json::{Value, json};

/// Length of vectors where a request names none.
const DIMENSIONS: usize = 16;

/// Longest vectors that are made.
const MOST_DIMENSIONS: u64 = 8_192;

/// When everything here was made, in seconds since 1970: the server reads no clock for it.
const CREATED: u64 = 1_700_000_000;

/// A chat's answer before it is written.
pub(super) struct Chat<'a> {
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) words: usize,
    /// Words that the request allows are fewer than there would be.
    pub(super) is_cut: bool,
    pub(super) input: u64,
}

impl<'a> Chat<'a> {
    pub(super) fn new(number: u64, body: &'a Value, words: usize) -> Self {
        let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| body.get(*name)?.as_u64());
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self {
            id: format!("chatcmpl-{number}"),
            model: model_of(body),
            words: words.min(most),
            is_cut: most < words,
            input: input_of(body),
        }
    }

    fn finish(&self) -> &'static str {
        if self.is_cut { "length" } else { "stop" }
    }

    fn usage(&self) -> Value {
        let (input, output) = (self.input, self.words as u64);
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
    }

    /// Gives the whole answer.
    pub(super) fn whole(&self) -> Value {
        let text: String = (0..self.words).map(|number| format!("word{number} ")).collect();
        json!({
            "id": self.id, "object": "chat.completion", "created": CREATED, "model": self.model,
            "choices": [{
                "index": 0, "finish_reason": self.finish(),
                "message": {"role": "assistant", "content": text, "refusal": null},
            }],
            "usage": self.usage(),
        })
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": CREATED, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    }

    /// Gives the first chunk, which shows nothing.
    pub(super) fn opening(&self) -> Value {
        self.chunk(&json!({"role": "assistant", "content": ""}), None)
    }

    /// Gives the chunk of one word.
    pub(super) fn word(&self, number: usize) -> Value {
        self.chunk(&json!({"content": format!("word{number} ")}), None)
    }

    /// Gives the chunks after the last word.
    pub(super) fn closing(&self, body: &Value) -> Vec<Value> {
        let mut chunks = vec![self.chunk(&json!({}), Some(self.finish()))];
        if body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)) {
            let mut last = self.chunk(&json!({}), None);
            if let Some(fields) = last.as_object_mut() {
                fields.insert("choices".to_owned(), json!([]));
                fields.insert("usage".to_owned(), self.usage());
            }
            chunks.push(last);
        }
        chunks
    }
}

fn model_of(body: &Value) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or("demo")
}

/// Counts tokens as the simulation does: four bytes of text are one.
pub(super) fn input_of(body: &Value) -> u64 {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let bytes: usize = messages.map(|message| text_bytes(message.get("content"))).sum();
    bytes.div_ceil(4) as u64
}

fn text_bytes(content: Option<&Value>) -> usize {
    match content {
        Some(Value::String(text)) => text.len(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).map(str::len).sum()
        }
        _ => 0,
    }
}

/// Gives the texts of an embedding request; `None` where there are none.
pub(super) fn texts(body: &Value) -> Option<Vec<&str>> {
    let texts: Option<Vec<&str>> = match body.get("input")? {
        Value::String(text) => Some(vec![text.as_str()]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    texts.filter(|texts| !texts.is_empty())
}

/// Counts the tokens of texts.
pub(super) fn tokens_of(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len().div_ceil(4) as u64).sum()
}

/// Gives a vector of length 1 for each text, always the same for the same text.
pub(super) fn embeddings(body: &Value, texts: &[&str]) -> Value {
    let wanted = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS as u64);
    let dimensions = usize::try_from(wanted.clamp(1, MOST_DIMENSIONS)).unwrap_or(DIMENSIONS);
    let as_base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data = texts.iter().enumerate().map(|(index, text)| {
        let numbers = vector(text, dimensions);
        let embedding = if as_base64 {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        } else {
            json!(numbers)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let tokens = tokens_of(texts);
    json!({
        "object": "list", "model": model_of(body), "data": data.collect::<Vec<_>>(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut bytes = vec![0; dimensions * 2];
    blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    let numbers: Vec<f32> = pairs.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) + 0.5).collect();
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    numbers.into_iter().map(|number| number / length).collect()
}

/// Gives the list of models.
pub(super) fn models() -> Value {
    let model = |name| json!({"id": name, "object": "model", "created": CREATED, "owned_by": "motet"});
    let models = ["demo", "demo-embed"].map(model);
    json!({"object": "list", "data": models})
}

/// Gives the status and the words of a refusal.
pub(super) fn refusal(kind: ErrorKind, status: Option<u16>) -> (u16, Value) {
    let (usual, r#type, code) = match kind {
        ErrorKind::RateLimit => (429, "requests", "rate_limit_exceeded"),
        ErrorKind::QuotaExceeded => (429, "insufficient_quota", "insufficient_quota"),
        ErrorKind::Authentication => (401, "invalid_request_error", "invalid_api_key"),
        ErrorKind::Permission => (403, "invalid_request_error", "permission_denied"),
        ErrorKind::NotFound => (404, "invalid_request_error", "model_not_found"),
        ErrorKind::TokenLimit => (400, "invalid_request_error", "context_length_exceeded"),
        ErrorKind::ContentFilter => (400, "invalid_request_error", "content_policy_violation"),
        ErrorKind::Timeout => (504, "server_error", "timeout"),
        ErrorKind::Overloaded => (503, "server_error", "service_unavailable"),
        ErrorKind::InvalidRequest => (400, "invalid_request_error", "invalid_value"),
        _ => (500, "server_error", "server_error"),
    };
    let message = format!("a simulated fault: `{kind}`");
    (
        status.unwrap_or(usual),
        json!({"error": {"message": message, "type": r#type, "code": code, "param": null}}),
    )
}

/// Gives the headers that every answer has.
pub(super) fn headers(number: u64, limits: &RateLimits) -> Vec<(String, String)> {
    let mut headers = vec![("x-request-id".to_owned(), format!("req_demo_{number}"))];
    for (name, allowance) in [("requests", limits.requests), ("tokens", limits.tokens)] {
        let Some(Allowance { limit, remaining, reset, .. }) = allowance else { continue };
        let values = [
            ("limit", limit.map(|limit| limit.to_string())),
            ("remaining", remaining.map(|remaining| remaining.to_string())),
            ("reset", reset.map(|reset| format!("{}ms", reset.as_nanos().div_ceil(1_000_000)))),
        ];
        for (what, value) in values {
            headers.extend(value.map(|value| (format!("x-ratelimit-{what}-{name}"), value)));
        }
    }
    headers
}

/// Gives the headers that ask to come again later.
pub(super) fn retry_after(after: Duration) -> [(String, String); 2] {
    let millis = after.as_nanos().div_ceil(1_000_000);
    [
        ("retry-after".to_owned(), millis.div_ceil(1_000).to_string()),
        ("retry-after-ms".to_owned(), millis.to_string()),
    ]
}
