//! Files of agents: YAML or JSON in, [`AgentSpec`] out, with every problem and its place.
//!
//! Opens no file, connects to nothing, and starts nothing.

mod place;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use motet_agents::PromptTemplate;
use motet_core::mcp::ServerConfig;
use motet_providers::command::CommandSpec;
use serde::Deserialize as _;
use serde_json::Value;

pub use spec::{AgentEntry, AgentSpec, Approvals, BudgetSpec, CondenseSpec, LimitsSpec, ToolEntry};

use self::place::{At, Misfit};
use crate::dag::read::Problems;
use crate::dag::read::report::Report;
use crate::dag::read::value;
use crate::dag::reference::nearest;
use crate::dag::yaml::{self, Content, Field, Node, Place};

/// What a line of the list of tools begins with.
const KINDS: [&str; 3] = ["mcp", "agent", "command"];

/// How many things that do not fit are looked for; a file with more is wrong as a whole.
const MAX_MISFITS: usize = 100;

/// Reads a file of an agent: YAML 1.2 or JSON in UTF-8, at most [`yaml::MAX_BYTES`] long.
///
/// # Errors
/// Everything that is wrong with it, by place.
pub fn read(bytes: &[u8]) -> Result<AgentSpec, Problems> {
    let document = yaml::parse_bytes(bytes).map_err(|fault| Report::of_text(vec![fault]).problems())?;
    finish(document.root, Report::of_text(document.faults))
}

/// Reads an agent that is a value already, such as a Python dictionary; problems tell paths instead of lines.
///
/// # Errors
/// Everything that is wrong with it, in the order of the value.
pub fn read_value(value: &Value) -> Result<AgentSpec, Problems> {
    let (root, paths, faults) = value::tree(value);
    finish(root, Report::of_value(paths, faults))
}

fn finish(mut root: Node, mut report: Report<'_>) -> Result<AgentSpec, Problems> {
    let tools = take_tools(&mut root, &mut report);
    let spec = all_of(&mut root, &mut report, |node| AgentSpec::deserialize(At::root(node)));
    if let Some(mut spec) = spec {
        spec.tools = tools;
        check(&spec, &root, &mut report);
        if report.is_empty() {
            return Ok(spec);
        }
    }
    Err(report.problems())
}

/// Takes the list of tools out of the tree, as each of its lines is of a form of its own.
fn take_tools(root: &mut Node, report: &mut Report<'_>) -> Vec<ToolEntry> {
    let Content::Map(fields) = &mut root.content else { return Vec::new() };
    let Some(place) = fields.iter().position(|field| field.key == "tools") else { return Vec::new() };
    if !matches!(fields.get(place).map(|field| &field.node.content), Some(Content::List(_))) {
        return Vec::new();
    }
    match fields.remove(place).node.content {
        Content::List(items) => items.into_iter().filter_map(|item| tool(item, report)).collect(),
        _ => Vec::new(),
    }
}

/// Reads a line of the list of tools out of a value.
fn tool_of_value(value: &Value) -> Result<ToolEntry, Problems> {
    let (node, paths, faults) = value::tree(value);
    let mut report = Report::of_value(paths, faults);
    match tool(node, &mut report) {
        Some(entry) if report.is_empty() => Ok(entry),
        _ => Err(report.problems()),
    }
}

fn tool(mut node: Node, report: &mut Report<'_>) -> Option<ToolEntry> {
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
        let hint = near.map_or("begin it with `mcp`, `command`, or `agent`".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        let message = "a tool names no server at `mcp`, no program at `command`, and no agent at `agent`";
        report.hint(place, message, hint);
        return None;
    };
    let mut field = fields.remove(kind);
    if field.key == "mcp" {
        let Content::String(name) = field.node.content else {
            report.add(field.node.place, "`mcp` must be the name of a server");
            return None;
        };
        let server = all_of(&mut node, report, |node| ServerConfig::deserialize(At::root(node)))?;
        // With neither, it is the server of this name that the settings know.
        if server.command.is_some() && server.url.is_some() {
            let message =
                format!("the server `{name}` needs either a program at `command` or an address at `url`");
            report.add(place, message);
        }
        return Some(ToolEntry::Mcp { name, server: Box::new(server) });
    }
    if field.key == "agent" {
        return agent(field.node, fields, report).map(ToolEntry::Agent);
    }
    for other in fields {
        report.hint(
            other.place,
            format!("unknown key `{}`", other.key),
            "everything about a program stands in `command`",
        );
    }
    let place = field.node.place;
    let command =
        all_of(&mut field.node, report, |node| CommandSpec::deserialize(At { node, key: Some("command") }))?;
    if let Err(error) = command.check() {
        report.add_with(place, error.message(), error.hint().map(str::to_owned));
    }
    Some(ToolEntry::Command(Box::new(command)))
}

/// Reads the agent that a line of the list of tools names: its file, or all of it as it is stored.
fn agent(mut node: Node, others: &[Field], report: &mut Report<'_>) -> Option<AgentEntry> {
    let is_stored = matches!(node.content, Content::Map(_));
    let known = |field: &&Field| !(is_stored && field.key == "base");
    for other in others.iter().filter(known) {
        report.hint(
            other.place,
            format!("unknown key `{}`", other.key),
            "everything about an agent stands in its file",
        );
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

/// Reads a type out of a tree. What does not fit is reported and taken out, until nothing else is found; `None` when
/// anything did not fit.
fn all_of<T>(
    node: &mut Node,
    report: &mut Report<'_>,
    read: impl Fn(&Node) -> Result<T, Misfit>,
) -> Option<T> {
    let mut maimed: HashSet<Place> = HashSet::new();
    for round in 0..MAX_MISFITS {
        let misfit = match read(node) {
            Ok(value) => return (round == 0).then_some(value),
            Err(misfit) => misfit,
        };
        let place = misfit.place.unwrap_or(node.place);
        // Something is missing there because it did not fit and was taken out.
        if !(misfit.is_missing && maimed.contains(&place)) {
            report.add_with(place, misfit.message, misfit.hint);
        }
        if !take_out(node, place, misfit.of_key, &mut maimed) {
            return None;
        }
    }
    None
}

/// Takes the key or value at a place out of a tree; false when it is the tree itself.
fn take_out(node: &mut Node, place: Place, of_key: bool, maimed: &mut HashSet<Place>) -> bool {
    let own = node.place;
    let found = match &mut node.content {
        Content::Map(fields) => {
            let at = fields
                .iter()
                .position(|field| if of_key { field.place == place } else { field.node.place == place });
            match at {
                // A key may stand where the mapping below another key begins, so that deeper ones are looked at too.
                Some(at) => {
                    fields.remove(at);
                    true
                }
                None => {
                    return fields.iter_mut().any(|field| take_out(&mut field.node, place, of_key, maimed));
                }
            }
        }
        Content::List(items) => match items.iter().position(|item| !of_key && item.place == place) {
            Some(at) => {
                items.remove(at);
                true
            }
            None => return items.iter_mut().any(|item| take_out(item, place, of_key, maimed)),
        },
        _ => false,
    };
    if found {
        maimed.insert(own);
    }
    found
}

/// Finds what is wrong beyond the form.
fn check(spec: &AgentSpec, root: &Node, report: &mut Report<'_>) {
    let place = |key: &str| match &root.content {
        Content::Map(fields) => {
            fields.iter().find(|field| field.key == key).map_or(root.place, |field| field.place)
        }
        _ => root.place,
    };
    if spec.instructions.is_some() && spec.instructions_file.is_some() {
        let message = "`instructions` and `instructions_file` mean the same, so only one may be given";
        report.add(place("instructions_file"), message);
    }
    match &spec.instructions_template {
        Some(_) if spec.instructions.is_some() || spec.instructions_file.is_some() => {
            let message =
                "`instructions_template` stands in the place of instructions, so only one may be given";
            report.add(place("instructions_template"), message);
        }
        Some(template) => {
            if let Err(error) = PromptTemplate::new(template.as_str()) {
                let hint = error.hint().map(str::to_owned);
                report.add_with(place("instructions_template"), error.to_string(), hint);
            }
        }
        None if !spec.variables.is_empty() => {
            report.add(place("variables"), "`variables` need an `instructions_template` that uses them");
        }
        None => {}
    }
    if !matches!(spec.output, None | Some(Value::Object(_) | Value::String(_))) {
        report.add(place("output"), "`output` must be a JSON schema or the name of a file with one");
    }
    let mut names = HashSet::new();
    for tool in &spec.tools {
        let name = match tool {
            ToolEntry::Mcp { name, .. } => name,
            ToolEntry::Command(command) => &command.name,
            ToolEntry::Agent(_) => continue,
        };
        if !names.insert(name) {
            report.add(place("tools"), format!("two tools have the name `{name}`"));
        }
    }
}
