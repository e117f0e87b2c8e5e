//! Files of agents: YAML or JSON in, [`AgentSpec`] out, with every problem and its place.
//!
//! Opens no file, connects to nothing, and starts nothing.

mod lines;
mod place;
mod place_of;
mod selection;
mod spec;
#[cfg(test)]
mod tests;
mod tool_line;

use std::collections::HashSet;

use motet_agents::PromptTemplate;
use serde::Deserialize as _;
use serde_json::Value;

pub use selection::{Known, Offered, OfferedSpec, RouterSpec};
pub use spec::{AgentSpec, Approvals, BudgetSpec, CondenseSpec, LimitsSpec};
pub use tool_line::{AgentEntry, CodeLimits, CodeSpec, ToolEntry, ToolLine};

use self::place::{At, Misfit};
use self::place_of::Places;
use crate::dag::read::Problems;
use crate::dag::read::report::Report;
use crate::dag::read::value;
use crate::dag::yaml::{self, Content, Node, Place};

/// How many things that do not fit are looked for; a file with more is wrong as a whole.
const MAX_MISFITS: usize = 100;

/// Reads a file of an agent: YAML 1.2 or JSON in UTF-8, at most [`yaml::MAX_BYTES`] long.
///
/// # Errors
/// Everything that is wrong with it, by place.
pub fn read(bytes: &[u8]) -> Result<AgentSpec, Problems> {
    read_text(bytes, true)
}

/// Reads a file of an agent as [`read`] does, to which a program adds tools, so that names in it may stand for those.
///
/// # Errors
/// As [`read`].
pub fn read_to_extend(bytes: &[u8]) -> Result<AgentSpec, Problems> {
    read_text(bytes, false)
}

fn read_text(bytes: &[u8], is_whole: bool) -> Result<AgentSpec, Problems> {
    let document = yaml::parse_bytes(bytes).map_err(|fault| Report::of_text(vec![fault]).problems())?;
    finish(document.root, Report::of_text(document.faults), is_whole)
}

/// Reads an agent that is a value already, such as a Python dictionary; problems tell paths instead of lines.
///
/// # Errors
/// Everything that is wrong with it, in the order of the value.
pub fn read_value(value: &Value) -> Result<AgentSpec, Problems> {
    let (root, paths, faults) = value::tree(value);
    finish(root, Report::of_value(paths, faults), true)
}

/// Reads an agent as [`read_value`] does, to which a program adds tools, so that names in it may stand for those.
///
/// # Errors
/// As [`read_value`].
pub fn read_value_to_extend(value: &Value) -> Result<AgentSpec, Problems> {
    let (root, paths, faults) = value::tree(value);
    finish(root, Report::of_value(paths, faults), false)
}

fn finish(mut root: Node, mut report: Report<'_>, is_whole: bool) -> Result<AgentSpec, Problems> {
    let lines = lines::take(&mut root, &mut report);
    let spec = all_of(&mut root, &mut report, |node| AgentSpec::deserialize(At::root(node)));
    if let Some(mut spec) = spec {
        spec.tools = lines.tools;
        let places = Places::new(&root, lines.of_code);
        check(&spec, &places, &mut report);
        // Lines that did not fit are missing among the tools, which would look like wrong names.
        if report.is_empty() {
            selection::check(&spec, &places, &mut report, is_whole);
        }
        if report.is_empty() {
            return Ok(spec);
        }
    }
    Err(report.problems())
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
fn check(spec: &AgentSpec, places: &Places<'_>, report: &mut Report<'_>) {
    let place = |key: &str| places.key(key);
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
        let name = match &tool.tool {
            ToolEntry::Mcp { name, .. } => name.as_str(),
            ToolEntry::Command(command) => command.name.as_str(),
            ToolEntry::Code(code) => code.name(),
            ToolEntry::Agent(_) => continue,
        };
        if !names.insert(name) {
            report.add(place("tools"), format!("two tools have the name `{name}`"));
        }
    }
}
