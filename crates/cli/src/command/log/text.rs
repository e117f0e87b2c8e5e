//! Messages and values of a log as indented lines for people.

use motet::core::message::MediaSource;
use motet::{Message, Part};
use serde_json::Value;

/// How far the lines stand in.
const INDENT: &str = "        ";

/// Shows a message: who speaks, and each of its parts on lines of their own.
pub(super) fn message(mark: &str, message: &Message) -> String {
    let role = serde_json::to_value(message.role).ok();
    let role = role.as_ref().and_then(Value::as_str).unwrap_or("message");
    message.parts.iter().map(|content| lines(mark, role, &part(content))).collect()
}

/// Shows any value: a text as it is, everything else as JSON.
pub(super) fn value(mark: &str, value: &Value) -> String {
    match value {
        Value::String(text) => lines(mark, "value", text),
        other => lines(mark, "value", &other.to_string()),
    }
}

fn part(part: &Part) -> String {
    match part {
        Part::Text { text, .. } => text.clone(),
        Part::Refusal { text } => format!("(refusal) {text}"),
        Part::Reasoning(reasoning) => format!("(reasoning) {}", reasoning.text),
        Part::ToolCall(call) => format!("(call {}) {}({})", call.id, call.name, call.arguments),
        Part::ToolResult(result) => {
            let outcome = if result.is_error { "error" } else { "result" };
            format!("({outcome} {}) {}: {}", result.id, result.name, result.text())
        }
        Part::Image(media) | Part::Document(media) => match &media.source {
            MediaSource::Url(url) => format!("(file) {url}"),
            MediaSource::Base64(bytes) => {
                let kind = media.media_type.as_deref().unwrap_or("file");
                format!("({kind}, {} bytes)", bytes.len() / 4 * 3)
            }
        },
        _ => "(a block of the provider's own)".to_owned(),
    }
}

fn lines(mark: &str, name: &str, text: &str) -> String {
    let mut shown = String::new();
    for (place, line) in text.lines().enumerate() {
        // What would steer a terminal is not let through.
        let line = line.replace(|letter: char| letter.is_control() && letter != '\t', "\u{fffd}");
        let lead = if place == 0 { format!("{mark} {name}: ") } else { format!("{mark}   ") };
        shown.push_str(INDENT);
        shown.push_str(format!("{lead}{line}").trim_end());
        shown.push('\n');
    }
    shown
}
