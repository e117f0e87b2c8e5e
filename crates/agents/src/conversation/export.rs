//! Conversations as files: JSON that can be read back, and Markdown for people.

use std::fmt::Write as _;

use motet_core::conversation::{Conversation, StoredConversation};
use motet_core::{Error, ErrorKind, Part, Result, Role};

/// Writes a conversation as JSON, with the version of its form.
///
/// # Errors
/// `Internal` when it cannot be written.
pub fn to_json(conversation: &Conversation) -> Result<String> {
    let stored = StoredConversation::V1 { conversation: conversation.clone() };
    serde_json::to_string_pretty(&stored).map_err(|error| {
        Error::new(ErrorKind::Internal, "the conversation cannot be written as JSON").with_source(error)
    })
}

/// Reads a conversation of any version that [`to_json`] ever wrote.
///
/// # Errors
/// `InvalidRequest` when the text is no such conversation.
pub fn from_json(text: &str) -> Result<Conversation> {
    let stored: StoredConversation = serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("the conversation cannot be read: {error}"))
    })?;
    Ok(stored.into_conversation())
}

/// Writes a conversation as Markdown. What was said stands in it as it is; calls of tools and their results in fences
/// that are longer than any within.
#[must_use]
pub fn to_markdown(conversation: &Conversation) -> String {
    let head = &conversation.head;
    let title = if head.title.is_empty() { head.id.as_str() } else { &head.title };
    let mut text = format!("# {title}\n");
    if !head.instructions.is_empty() {
        section(&mut text, "Instructions", &head.instructions);
    }
    for message in conversation.messages() {
        let speaker = match message.role {
            Role::System => "Instructions",
            Role::User => "User",
            Role::Assistant => "Assistant",
            Role::Tool => "Tool",
        };
        let body = message.parts.iter().filter_map(written).collect::<Vec<_>>().join("\n\n");
        section(&mut text, speaker, &body);
    }
    let cost = head.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "\n---\n\n{} turns, {} tokens in, {} tokens out, cost {cost}\n",
        head.turns, head.usage.input, head.usage.output
    );
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    let _ = write!(text, "\n## {title}\n\n{}\n", body.trim_end());
}

fn written(part: &Part) -> Option<String> {
    Some(match part {
        Part::Text { text, .. } | Part::Refusal { text } => text.clone(),
        Part::ToolCall(call) => format!("Calls `{}`:\n\n{}", call.name, fenced("json", &call.arguments)),
        Part::ToolResult(result) => {
            let how = if result.is_error { "failed" } else { "answered" };
            format!("`{}` {how}:\n\n{}", result.name, fenced("", &result.text()))
        }
        Part::Image(_) => "*(an image)*".to_owned(),
        Part::Document(document) => {
            format!("*(a document: {})*", document.name.as_deref().unwrap_or("no name"))
        }
        _ => return None,
    })
}

fn fenced(language: &str, text: &str) -> String {
    let mut longest = 0;
    for run in text.split(|letter| letter != '`') {
        longest = longest.max(run.len());
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}
