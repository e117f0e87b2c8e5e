//! How many tokens a call will use at most, guessed before it is made.
//!
//! Knows no tokenizer: limits need a guess that is cheap and seldom too low, and what was used corrects it afterwards.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use motet_core::message::{Media, MediaSource, Part, ToolResult};
use motet_core::request::Output;
use motet_core::{ChatRequest, Message};

use crate::layers::Ask;

/// Bytes of text that make about one token of English; other languages need fewer bytes of more tokens, or the reverse.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that roles and separators of one message take.
const PER_MESSAGE: u64 = 4;
/// Tokens of an image; providers count some hundred to some thousand by its size.
const PER_IMAGE: u64 = 1_000;
/// Tokens of a document of which only the address is known.
const PER_UNKNOWN_DOCUMENT: u64 = 3_000;
/// Bytes of a document's base64 text for one token: most of a document is not text.
const DOCUMENT_BYTES_PER_TOKEN: u64 = 16;

/// Output that is expected of a model before its first answer.
const FIRST_OUTPUT: u64 = 1_000;
/// Bounds of the output that is expected later.
const OUTPUT: (u64, u64) = (64, 16_384);

/// Gives how many tokens of input a call has, about.
pub(super) fn input(ask: &Ask<'_>) -> u64 {
    match ask {
        Ask::Chat { request, .. } => chat(request),
        Ask::Embed(request) => request.inputs.iter().map(|text| text_tokens(text)).sum(),
        Ask::Rerank(request) => {
            let query = text_tokens(&request.query);
            request.documents.iter().map(|document| query + text_tokens(document)).sum()
        }
    }
}

fn chat(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(message).sum();
    let tools: u64 = request
        .tools
        .iter()
        .map(|tool| text_tokens(&tool.name) + text_tokens(&tool.description) + json_tokens(&tool.parameters))
        .sum();
    let schema = match &request.output {
        Output::JsonSchema(output) => json_tokens(&output.schema),
        _ => 0,
    };
    messages + tools + schema
}

fn message(message: &Message) -> u64 {
    PER_MESSAGE + message.parts.iter().map(part).sum::<u64>()
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => text_tokens(text),
        Part::Image(_) => PER_IMAGE,
        Part::Document(document) => document_tokens(document),
        Part::ToolCall(call) => text_tokens(&call.name) + text_tokens(&call.arguments),
        Part::ToolResult(ToolResult { content, .. }) => content.iter().map(self::part).sum(),
        Part::Reasoning(reasoning) => text_tokens(&reasoning.text),
        Part::Native { opaque } => json_tokens(&opaque.payload),
        _ => 0,
    }
}

fn document_tokens(document: &Media) -> u64 {
    match &document.source {
        MediaSource::Base64(data) => (data.len() as u64).div_ceil(DOCUMENT_BYTES_PER_TOKEN),
        MediaSource::Url(_) => PER_UNKNOWN_DOCUMENT,
    }
}

fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

/// Counts the bytes of a value as JSON without writing them anywhere.
fn json_tokens(value: &serde_json::Value) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Nothing keeps a value from being counted.
    let _ = serde_json::to_writer(&mut count, value);
    count.0.div_ceil(BYTES_PER_TOKEN)
}

/// What a model's answers were like so far: a moving average, and how far they stray from it.
#[derive(Debug)]
pub(super) struct Outputs {
    average: AtomicU64,
}

impl Default for Outputs {
    fn default() -> Self {
        Self { average: AtomicU64::new(FIRST_OUTPUT) }
    }
}

impl Outputs {
    /// Gives how many tokens of output a call will have at most, about.
    pub(super) fn expected(&self, ask: &Ask<'_>) -> u64 {
        match ask {
            Ask::Chat { request, .. } => request
                .max_tokens
                .map_or_else(|| self.average.load(Ordering::Relaxed).clamp(OUTPUT.0, OUTPUT.1), u64::from),
            Ask::Embed(_) | Ask::Rerank(_) => 0,
        }
    }

    /// Counts an answer in; the last eight or so make up most of the average.
    pub(super) fn note(&self, output: u64) {
        let moved = |average: u64| Some(average - average / 8 + output.min(OUTPUT.1).div_ceil(8));
        // The function always gives a number.
        let _ = self.average.try_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }
}

#[cfg(test)]
mod tests {
    use crate::layers::Lent;

    use motet_core::Delivery;
    use motet_core::embedding::EmbedRequest;
    use motet_core::request::ToolSpec;
    use serde_json::json;

    use super::*;

    fn of(request: ChatRequest) -> Ask<'static> {
        Ask::Chat { request: Lent::owned(request), delivery: Delivery::Plain }
    }

    #[test]
    fn everything_that_is_sent_counts() {
        let plain = ChatRequest::new("a:b".parse().unwrap(), vec![Message::user("12345")]);
        assert_eq!(input(&of(plain.clone())), PER_MESSAGE + 2, "five bytes are two tokens");
        let mut more = plain.clone();
        more.tools = vec![ToolSpec::new("name", "what it does", json!({"type": "object"}))];
        assert_eq!(input(&of(more)), PER_MESSAGE + 2 + 1 + 3 + 5);
        let mut image = plain;
        let source = MediaSource::Base64("A".repeat(99_999));
        let media = Media { media_type: None, source, name: None };
        image.messages[0].parts.push(Part::Image(media.clone()));
        assert_eq!(input(&of(image.clone())), PER_MESSAGE + 2 + PER_IMAGE, "bytes of images are no text");
        image.messages[0].parts = vec![Part::Document(media)];
        assert_eq!(input(&of(image)), PER_MESSAGE + 6_250);
        let texts = EmbedRequest::new("a:b".parse().unwrap(), vec!["1234".into(), "12345".into()]);
        assert_eq!(input(&Ask::Embed(Lent::owned(texts))), 3);
    }

    #[test]
    fn output_is_what_is_asked_for_or_what_the_model_usually_writes() {
        let outputs = Outputs::default();
        let mut request = ChatRequest::new("a:b".parse().unwrap(), vec![]);
        assert_eq!(outputs.expected(&of(request.clone())), FIRST_OUTPUT);
        for _ in 0..60 {
            outputs.note(200);
        }
        let usual = outputs.expected(&of(request.clone()));
        assert!((200..=208).contains(&usual), "{usual}");
        for _ in 0..99 {
            outputs.note(0);
        }
        assert_eq!(outputs.expected(&of(request.clone())), OUTPUT.0, "never nothing");
        for _ in 0..99 {
            outputs.note(u64::MAX);
        }
        assert_eq!(outputs.expected(&of(request.clone())), OUTPUT.1, "never without bound");
        request.max_tokens = Some(77);
        assert_eq!(outputs.expected(&of(request)), 77);
    }
}
