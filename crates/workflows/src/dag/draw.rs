//! Draws a workflow's graph as Mermaid, DOT, or SVG, with the states of a run where there is one.
//!
//! Names are data: whatever they hold, they cannot become a part of the picture's own language.

mod dot;
mod layout;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use motet_core::store::TaskState;
use motet_core::workflow::{ForEach, OnFailure, WorkflowSpec};

/// How many characters of a name are drawn.
const LONGEST: usize = 48;

/// A graph that is ready to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// The workflow's name.
    title: String,
    nodes: Vec<Task>,
    /// Pairs of places among the nodes: what is needed, and what waits for it.
    edges: Vec<Edge>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Task {
    name: String,
    /// The method, and what is special about the task.
    detail: String,
    state: Option<TaskState>,
    is_many: bool,
    is_conditional: bool,
}

/// One dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    /// Whether the task waits for the end of the other, however it ends.
    whatever: bool,
}

impl Drawing {
    /// Lays out what is drawn of a workflow; `states` are those of a run's tasks by id.
    #[must_use]
    pub fn new(spec: &WorkflowSpec, states: &BTreeMap<String, TaskState>) -> Self {
        let numbers: HashMap<&str, usize> =
            spec.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
        let mut edges = Vec::new();
        for (to, task) in spec.tasks.iter().enumerate() {
            for from in task.dependencies.iter().filter_map(|id| numbers.get(id.as_str()).copied()) {
                let whatever =
                    spec.tasks.get(from).is_some_and(|task| task.on_failure == OnFailure::Continue);
                edges.push(Edge { from, to, whatever });
            }
        }
        let nodes = spec.tasks.iter().map(|task| {
            let many = match &task.for_each {
                None => String::new(),
                Some(ForEach::Items(items)) => match items.as_array() {
                    Some(items) => format!(" × {}", items.len()),
                    None => " × n".to_owned(),
                },
                Some(ForEach::Files(_)) => " × files".to_owned(),
            };
            let condition = if task.when.is_some() { ", perhaps" } else { "" };
            Task {
                name: shown(&task.id),
                detail: format!("{}{many}{condition}", shown(&task.method)),
                state: states.get(&task.id).copied(),
                is_many: task.for_each.is_some(),
                is_conditional: task.when.is_some(),
            }
        });
        Self { title: shown(&spec.name), nodes: nodes.collect(), edges }
    }

    /// Draws it as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Draws it in the language of Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::draw(self)
    }

    /// Draws it as a picture of its own.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// Gives the states that are drawn, each once, in their order.
    fn states(&self) -> Vec<TaskState> {
        let drawn = |state: &&TaskState| self.nodes.iter().any(|node| node.state == Some(**state));
        TaskState::ALL.iter().filter(drawn).copied().collect()
    }
}

/// Gives a name on one line without what would steer a terminal or a text's direction, shortened.
fn shown(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let plain: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    if plain.chars().count() <= LONGEST {
        return plain;
    }
    plain.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Gives the colours of a state: of the area, and of the line around it.
fn colours(state: Option<TaskState>) -> (&'static str, &'static str) {
    match state {
        None => ("#f6f8fa", "#57606a"),
        Some(TaskState::Done) => ("#dafbe1", "#1a7f37"),
        Some(TaskState::Failed) => ("#ffebe9", "#cf222e"),
        Some(TaskState::Dead) => ("#ffcecb", "#82071e"),
        Some(TaskState::Running) => ("#ddf4ff", "#0969da"),
        Some(TaskState::Waiting) => ("#fbefff", "#8250df"),
        Some(TaskState::Ready) => ("#fff8c5", "#9a6700"),
        Some(TaskState::Skipped) => ("#eaeef2", "#8c959f"),
        Some(TaskState::Cancelled) => ("#fff1e5", "#bc4c00"),
        Some(_) => ("#ffffff", "#8c959f"),
    }
}
