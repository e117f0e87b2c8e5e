//! The language of Graphviz.

use std::fmt::Write as _;

use super::{Drawing, colours};

pub(super) fn draw(drawing: &Drawing) -> String {
    let mut text = format!(
        "digraph workflow {{\n    label={};\n    labelloc=t;\n    rankdir=TB;\n    node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n",
        quoted(&drawing.title)
    );
    for (at, node) in drawing.nodes.iter().enumerate() {
        let (fill, line) = colours(node.state);
        let shape = match (node.is_many, node.is_conditional) {
            (true, _) => ", shape=box3d",
            (_, true) => ", shape=hexagon",
            _ => "",
        };
        let label = quoted(&format!("{}\n{}", node.name, node.detail));
        let state =
            node.state.map(|state| format!(", tooltip={}", quoted(state.as_str()))).unwrap_or_default();
        let _ = writeln!(
            text,
            "    n{at} [label={label}, fillcolor=\"{fill}\", color=\"{line}\"{shape}{state}];"
        );
    }
    for edge in &drawing.edges {
        let style = if edge.whatever { " [style=dashed]" } else { "" };
        let _ = writeln!(text, "    n{} -> n{}{style};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

/// Writes a text in quotes, in which only quotes and backslashes mean something.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
