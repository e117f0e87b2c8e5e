//! How the built-in models hand over an answer: token estimates, and the events of a plain or streamed delivery.
//!
//! Knows nothing of how an answer was found.

use motet_core::accumulate::unfold;
use motet_core::{ChatRequest, ChatResponse, Delivery, Part, StreamEvent};
use unicode_segmentation::UnicodeSegmentation as _;

/// Characters that are counted as one token, rounded up; a rule of thumb and no tokenizer.
const CHARACTERS_PER_TOKEN: u64 = 4;

/// Estimates the tokens of a number of characters: a quarter of it, rounded up.
pub(crate) fn tokens_of(characters: u64) -> u64 {
    characters.div_ceil(CHARACTERS_PER_TOKEN)
}

/// Estimates the tokens of a request: texts, tool calls and results, tool specifications, and the output schema.
pub(crate) fn request_tokens(request: &ChatRequest) -> u64 {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let tools = request
        .tools
        .iter()
        .map(|tool| count(&tool.name) + count(&tool.description) + count(&tool.parameters.to_string()));
    let schema = match &request.output {
        motet_core::request::Output::JsonSchema(output) => count(&output.schema.to_string()),
        _ => 0,
    };
    tokens_of(parts.map(characters).sum::<u64>() + tools.sum::<u64>() + schema)
}

/// Estimates the tokens of an answer's parts.
pub(crate) fn answer_tokens(parts: &[Part]) -> u64 {
    tokens_of(parts.iter().map(characters).sum())
}

/// Gives the events of an answer: whole pieces for a plain delivery, words for a streamed one.
pub(crate) fn deliver(response: &ChatResponse, delivery: Delivery) -> Vec<StreamEvent> {
    let events = unfold(response);
    match delivery {
        Delivery::Plain => events,
        Delivery::Streamed => events.into_iter().flat_map(in_pieces).collect(),
    }
}

fn characters(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => count(text),
        Part::Reasoning(reasoning) => count(&reasoning.text),
        Part::ToolCall(call) => count(&call.name) + count(&call.arguments),
        Part::ToolResult(result) => result.content.iter().map(characters).sum(),
        _ => 0,
    }
}

fn count(text: &str) -> u64 {
    text.chars().count() as u64
}

fn in_pieces(event: StreamEvent) -> Vec<StreamEvent> {
    match event {
        StreamEvent::TextDelta { part, text } => {
            words(&text).into_iter().map(|text| StreamEvent::TextDelta { part, text }).collect()
        }
        StreamEvent::ReasoningDelta { part, text } => {
            words(&text).into_iter().map(|text| StreamEvent::ReasoningDelta { part, text }).collect()
        }
        StreamEvent::ToolCallDelta { part, arguments } => halves(&arguments)
            .into_iter()
            .map(|arguments| StreamEvent::ToolCallDelta { part, arguments })
            .collect(),
        other => vec![other],
    }
}

/// Cuts a text before each word, so that spaces and punctuation travel with the word before them.
fn words(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split_word_bounds() {
        let is_word = piece.chars().next().is_some_and(char::is_alphanumeric);
        match pieces.last_mut() {
            Some(last) if !is_word => last.push_str(piece),
            _ => pieces.push(piece.to_owned()),
        }
    }
    if pieces.is_empty() {
        pieces.push(String::new());
    }
    pieces
}

fn halves(text: &str) -> Vec<String> {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    match text.split_at_checked(middle) {
        Some((first, second)) if !first.is_empty() => vec![first.to_owned(), second.to_owned()],
        _ => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_every_character_and_carry_what_follows_them() {
        for (text, expected) in [
            ("Good morning, Ada.\nBye", vec!["Good ", "morning, ", "Ada.\n", "Bye"]),
            ("", vec![""]),
            (
                "  \u{1F469}\u{1F3FD}\u{200D}\u{1F4BB} ok",
                vec!["  \u{1F469}\u{1F3FD}\u{200D}\u{1F4BB} ", "ok"],
            ),
        ] {
            assert_eq!(words(text), expected);
        }
    }

    #[test]
    fn arguments_travel_in_two_pieces_where_there_are_two() {
        assert_eq!(halves("{\"a\":1}"), ["{\"a", "\":1}"]);
        assert_eq!(halves("7"), ["7"]);
        assert_eq!(halves(""), [""]);
    }

    #[test]
    fn tokens_are_a_quarter_of_the_characters_rounded_up() {
        assert_eq!([0, 1, 4, 5].map(tokens_of), [0, 1, 1, 2]);
    }
}
