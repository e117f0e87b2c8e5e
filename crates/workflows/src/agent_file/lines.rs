//! Reads the list of an agent's tools, whose lines have forms of their own.
//!
//! Connects to nothing and opens no file.

use motet_core::mcp::ServerConfig;
use motet_providers::command::CommandSpec;
use serde::Deserialize as _;
use serde_json::Value;

use super::all_of;
use super::place::At;
use super::spec::AgentSpec;
use super::tool_line::{AgentEntry, CodeSpec, ToolEntry, ToolLine};
use crate::dag::read::Problems;
use crate::dag::read::report::Report;
use crate::dag::read::value;
use crate::dag::reference::nearest;
use crate::dag::yaml::{Content, Field, Node, Place};

/// What a line of the list of tools begins with.
const KINDS: [&str; 4] = ["mcp", "agent", "command", "code"];

/// What may stand in every line.
const CATEGORY: &str = "category";

/// The list of tools, and where its words stand that name tools which code may call.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) tools: Vec<ToolLine>,
    pub(super) of_code: Vec<Place>,
}

/// Takes the list of tools out of the tree, as each of its lines is of a form of its own.
pub(super) fn take(root: &mut Node, report: &mut Report<'_>) -> Lines {
    let mut lines = Lines::default();
    let Content::Map(fields) = &mut root.content else { return lines };
    let Some(place) = fields.iter().position(|field| field.key == "tools") else { return lines };
    if !matches!(fields.get(place).map(|field| &field.node.content), Some(Content::List(_))) {
        return lines;
    }
    if let Content::List(items) = fields.remove(place).node.content {
        for item in items {
            let line = line(item, &mut lines.of_code, report);
            lines.tools.extend(line);
        }
    }
    lines
}

/// Reads a line of the list of tools out of a value.
pub(super) fn of_value(value: &Value) -> Result<ToolLine, Problems> {
    let (node, paths, faults) = value::tree(value);
    let mut report = Report::of_value(paths, faults);
    match line(node, &mut Vec::new(), &mut report) {
        Some(line) if report.is_empty() => Ok(line),
        _ => Err(report.problems()),
    }
}

fn line(mut node: Node, of_code: &mut Vec<Place>, report: &mut Report<'_>) -> Option<ToolLine> {
    let category = match &mut node.content {
        Content::Map(fields) => category(fields, report),
        _ => String::new(),
    };
    let tool = tool(node, of_code, report)?;
    Some(ToolLine { category, tool })
}

fn category(fields: &mut Vec<Field>, report: &mut Report<'_>) -> String {
    let Some(at) = fields.iter().position(|field| field.key == CATEGORY) else { return String::new() };
    let field = fields.remove(at);
    match field.node.content {
        Content::String(category) => category,
        _ => {
            report.add(field.node.place, "`category` must be a text");
            String::new()
        }
    }
}

fn tool(mut node: Node, of_code: &mut Vec<Place>, report: &mut Report<'_>) -> Option<ToolEntry> {
    let place = node.place;
    let Content::Map(fields) = &mut node.content else {
        report.hint(place, "a tool must be a mapping", "write `- command: {…}` or `- mcp: NAME`");
        return None;
    };
    let Some(kind) = fields.iter().position(|field| KINDS.contains(&field.key.as_str())).and_then(|first| {
        // A server's own program stands at `command` too.
        fields.iter().position(|field| field.key == "mcp").or(Some(first))
    }) else {
        let near = fields.first().and_then(|field| nearest(&field.key, KINDS));
        let hint = near.map_or("begin it with `mcp`, `command`, `agent`, or `code`".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        let message =
            "a tool names no server at `mcp`, no program at `command`, no agent at `agent`, and no `code`";
        report.hint(place, message, hint);
        return None;
    };
    let field = fields.remove(kind);
    match field.key.as_str() {
        "mcp" => server(field, node, report),
        "agent" => agent(field.node, fields, report).map(ToolEntry::Agent),
        "code" => {
            fields.iter().for_each(|other| unknown(other, "everything about code stands in `code`", report));
            code(field, of_code, report)
        }
        _ => {
            let hint = "everything about a program stands in `command`";
            fields.iter().for_each(|other| unknown(other, hint, report));
            command(field, report)
        }
    }
}

fn unknown(field: &Field, hint: &str, report: &mut Report<'_>) {
    let near = nearest(&field.key, [CATEGORY]).map(|near| format!("did you mean `{near}`?"));
    let message = format!("unknown key `{}`", field.key);
    report.hint(field.place, message, near.unwrap_or_else(|| hint.to_owned()));
}

fn server(field: Field, mut others: Node, report: &mut Report<'_>) -> Option<ToolEntry> {
    let Content::String(name) = field.node.content else {
        report.add(field.node.place, "`mcp` must be the name of a server");
        return None;
    };
    let server = all_of(&mut others, report, |node| ServerConfig::deserialize(At::root(node)))?;
    // With neither, it is the server of this name that the settings know.
    if server.command.is_some() && server.url.is_some() {
        let message =
            format!("the server `{name}` needs either a program at `command` or an address at `url`");
        report.add(others.place, message);
    }
    Some(ToolEntry::Mcp { name, server: Box::new(server) })
}

fn command(mut field: Field, report: &mut Report<'_>) -> Option<ToolEntry> {
    let place = field.node.place;
    let command =
        all_of(&mut field.node, report, |node| CommandSpec::deserialize(At { node, key: Some("command") }))?;
    if let Err(error) = command.check() {
        report.add_with(place, error.message(), error.hint().map(str::to_owned));
    }
    Some(ToolEntry::Command(Box::new(command)))
}

fn code(mut field: Field, of_code: &mut Vec<Place>, report: &mut Report<'_>) -> Option<ToolEntry> {
    let place = field.node.place;
    if let Content::Map(fields) = &field.node.content
        && let Some(Content::List(words)) =
            fields.iter().find(|field| field.key == "tools").map(|field| &field.node.content)
    {
        of_code.extend(words.iter().map(|word| word.place));
    }
    let code = all_of(&mut field.node, report, |node| CodeSpec::deserialize(At { node, key: Some("code") }))?;
    if let Some(name) = code.zero() {
        let hint = "give it a value of at least 1, or leave it out for the default";
        report.hint(place, format!("`{name}` is zero"), hint);
    }
    Some(ToolEntry::Code(Box::new(code)))
}

/// Reads the agent that a line of the list of tools names: its file, or all of it as it is stored.
fn agent(mut node: Node, others: &[Field], report: &mut Report<'_>) -> Option<AgentEntry> {
    let is_stored = matches!(node.content, Content::Map(_));
    let known = |field: &&Field| !(is_stored && field.key == "base");
    for other in others.iter().filter(known) {
        unknown(other, "everything about an agent stands in its file", report);
    }
    match &node.content {
        Content::String(path) => Some(AgentEntry::File(path.into())),
        Content::Map(_) => {
            let spec = all_of(&mut node, report, |node| AgentSpec::deserialize(At::root(node)))?;
            let base = others.iter().find_map(|field| match (field.key.as_str(), &field.node.content) {
                ("base", Content::String(base)) => Some(base.into()),
                _ => None,
            });
            Some(AgentEntry::Whole { spec: Box::new(spec), base: base.unwrap_or_default() })
        }
        _ => {
            report.add(node.place, "`agent` must be the name of an agent's file");
            None
        }
    }
}
