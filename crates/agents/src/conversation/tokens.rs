//! How many tokens a request has: by the provider's count where somebody gives a counter, else by a stated estimate.

mod image;

use async_trait::async_trait;
use motet_core::message::{Media, MediaSource, ToolResult};
use motet_core::request::Output;
use motet_core::{ChatRequest, Message, Part, Result, RunContext};
use serde_json::Value;

/// Counts the tokens of requests before they are sent.
#[async_trait]
pub trait TokenCounter: Send + Sync {
    /// Counts the tokens of input that a request has.
    ///
    /// # Errors
    /// `Unsupported` where the model's provider does not count, and whatever kept the count from coming; then an
    /// estimate is used.
    async fn count(&self, context: &RunContext, request: &ChatRequest) -> Result<u64>;
}

/// Counts by [`estimate`]: at once, without a network, and not exactly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimate;

#[async_trait]
impl TokenCounter for Estimate {
    async fn count(&self, _: &RunContext, request: &ChatRequest) -> Result<u64> {
        Ok(estimate(request))
    }
}

/// Tokens that role and separators of a message take, as OpenAI's cookbook counts them for chat models (3 and a role).
const PER_MESSAGE: u64 = 4;
/// Tokens of a document of which only the address is known: about one page of text and its image.
const PER_UNKNOWN_DOCUMENT: u64 = 3_000;
/// Characters of a document's base64 text for one token, as most of a document is not text.
const DOCUMENT_CHARS_PER_TOKEN: u64 = 16;

/// Estimates the tokens of a request: messages, tools, and the schema of the answer.
///
/// Text counts by the class of each character, in quarters of a token: letters and spaces of ASCII 1, as OpenAI states
/// four characters of English to a token; digits and signs of ASCII, and letters of other alphabets, 2; Chinese,
/// Japanese, and Korean 4; emoji 8. That is the upper half of what OpenAI published for its `o200k` and `cl100k`
/// vocabularies, so that the estimate is seldom too low. Images count by Anthropic's rule, width times height by 750.
#[must_use]
pub fn estimate(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(message).sum();
    let tools = request
        .tools
        .iter()
        .map(|tool| PER_MESSAGE + text(&tool.name) + text(&tool.description) + json(&tool.parameters));
    let schema = match &request.output {
        Output::JsonSchema(output) => json(&output.schema),
        _ => 0,
    };
    messages + tools.sum::<u64>() + schema
}

/// Estimates the tokens of one message; see [`estimate`].
#[must_use]
pub fn message(message: &Message) -> u64 {
    PER_MESSAGE + message.parts.iter().map(part).sum::<u64>()
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text: content, .. } | Part::Refusal { text: content } => text(content),
        Part::Image(image) => image::tokens(image),
        Part::Document(document) => document_tokens(document),
        Part::ToolCall(call) => PER_MESSAGE + text(&call.name) + text(&call.arguments),
        Part::ToolResult(ToolResult { content, .. }) => {
            PER_MESSAGE + content.iter().map(self::part).sum::<u64>()
        }
        Part::Reasoning(reasoning) => text(&reasoning.text),
        Part::Native { opaque } => json(&opaque.payload),
        _ => 0,
    }
}

fn document_tokens(document: &Media) -> u64 {
    match &document.source {
        MediaSource::Base64(data) => (data.len() as u64).div_ceil(DOCUMENT_CHARS_PER_TOKEN),
        MediaSource::Url(_) => PER_UNKNOWN_DOCUMENT,
    }
}

fn json(value: &Value) -> u64 {
    text(&value.to_string())
}

/// Estimates the tokens of a text.
#[must_use]
pub fn text(text: &str) -> u64 {
    text.chars().map(quarters).sum::<u64>().div_ceil(4)
}

/// Gives the quarters of a token that a character counts.
fn quarters(character: char) -> u64 {
    match u32::from(character) {
        _ if character.is_ascii_alphabetic() || character.is_ascii_whitespace() => 1,
        0..0x2e80 => 2,
        0x2e80..0xd7b0 | 0xf900..0xfb00 | 0xff00..0xfff0 | 0x20000..0x32000 => 4,
        0x1f000..0x20000 => 8,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use motet_core::request::ToolSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_count_by_the_class_of_their_characters() {
        for (content, tokens) in [
            ("", 0),
            ("word", 1),
            ("words", 2),
            ("1234", 2),
            ("слово", 3),
            ("你好", 2),
            ("한글", 2),
            ("🚂", 2),
        ] {
            assert_eq!(text(content), tokens, "{content}");
        }
        let english =
            "The quick brown fox jumps over the lazy dog, and then it sleeps until noon. ".repeat(10);
        let by_four = english.chars().count() as u64 / 4;
        assert!((by_four..by_four * 11 / 10).contains(&text(&english)), "{}", text(&english));
    }

    #[test]
    fn tools_schemas_and_results_count() {
        let mut request = ChatRequest::new("scripted:x".parse().unwrap(), vec![Message::user("word")]);
        assert_eq!(estimate(&request), PER_MESSAGE + 1);
        request.tools.push(ToolSpec::new("read", "Reads it", json!({"type": "object"})));
        let with_tool = estimate(&request);
        assert!(with_tool > 2 * PER_MESSAGE + 4, "{with_tool}");
        let result = ToolResult {
            id: "c".into(),
            name: "read".into(),
            content: vec![Part::text("x".repeat(400))],
            is_error: false,
        };
        request.messages.push(Message::tool(vec![result]));
        assert_eq!(estimate(&request), with_tool + 2 * PER_MESSAGE + 100);
    }
}
