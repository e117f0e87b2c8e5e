//! Mermaid flowcharts, as Markdown pages show them.

use std::fmt::Write as _;

use super::{Drawing, colours};

pub(super) fn draw(drawing: &Drawing) -> String {
    let mut text = format!("%% {}\nflowchart TD\n", comment(&drawing.title));
    for (at, node) in drawing.nodes.iter().enumerate() {
        let label = format!("{}<br/><small>{}</small>", escaped(&node.name), escaped(&node.detail));
        let (open, close) = match (node.is_many, node.is_conditional) {
            (true, _) => ("[[", "]]"),
            (_, true) => ("{{", "}}"),
            _ => ("[", "]"),
        };
        let class = node.state.map(|state| format!(":::{}", state.as_str())).unwrap_or_default();
        let _ = writeln!(text, "    n{at}{open}\"{label}\"{close}{class}");
    }
    for edge in &drawing.edges {
        let arrow = if edge.whatever { "-.->" } else { "-->" };
        let _ = writeln!(text, "    n{} {arrow} n{}", edge.from, edge.to);
    }
    for state in drawing.states() {
        let (fill, line) = colours(Some(state));
        let _ = writeln!(text, "    classDef {} fill:{fill},stroke:{line},color:#1f2328", state.as_str());
    }
    text
}

/// Writes everything that is not a letter, a digit, or harmless as an entity of Mermaid's own.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' | '-' | '_' | '/' | '.' | ',' | '×' | '…' => escaped.push(character),
            other if other.is_alphanumeric() => escaped.push(other),
            other => {
                let _ = write!(escaped, "#{};", u32::from(other));
            }
        }
    }
    escaped
}

/// A comment must not look like a directive, which begins with a brace.
fn comment(text: &str) -> String {
    text.replace(['{', '}', '%'], " ")
}
