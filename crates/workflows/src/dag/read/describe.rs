//! Says in words what stands in a file, for messages about what should stand there.

use crate::dag::yaml::{Content, Node};

/// How much of a text a message shows.
const SHOWN: usize = 40;

/// Says what a node is, such as "the string `x`".
pub(crate) fn found(node: &Node) -> String {
    match &node.content {
        Content::Null => "nothing".to_owned(),
        Content::Bool(truth) => format!("`{truth}`"),
        Content::Number(number) => format!("the number `{number}`"),
        Content::String(text) => format!("the string `{}`", shown(text)),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
    }
}

/// Gives the start of a text on one line.
pub(crate) fn shown(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let start: String = line.chars().take(SHOWN).collect();
    if start.len() < text.trim().len() { format!("{start}…") } else { start }
}
