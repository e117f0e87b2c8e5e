//! Where things stand in the file: tasks with the nodes that they were read from, and every reference with its use.

use std::collections::HashMap;

use motet_core::method::ParameterKind;
use motet_core::workflow::{TaskSpec, WorkflowSpec};

use super::Surroundings;
use crate::dag::reference::{Reference, Root, Template};
use crate::dag::yaml::{Content, Field, Node, Place};

/// A workflow beside the tree that it was read from.
pub(super) struct View<'a> {
    pub(super) spec: &'a WorkflowSpec,
    pub(super) root: &'a Node,
    pub(super) tasks: Vec<TaskView<'a>>,
    /// References in the outputs.
    pub(super) outputs: Vec<Use>,
    index: HashMap<&'a str, usize>,
}

/// A task beside its node.
pub(super) struct TaskView<'a> {
    pub(super) spec: &'a TaskSpec,
    pub(super) node: &'a Node,
    /// References in its values.
    pub(super) uses: Vec<Use>,
    /// References in what it runs, which are not the workflow's.
    pub(super) inner: Vec<Use>,
}

/// One reference, and what it is used for.
pub(super) struct Use {
    pub(super) reference: Reference,
    pub(super) place: Place,
    pub(super) site: Site,
}

/// What a reference is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Site {
    /// It is the whole value of this parameter.
    Parameter(String),
    /// It stands within this parameter; `key` is the nearest key around it.
    Within {
        parameter: String,
        key: String,
    },
    When,
    /// It gives the items.
    Items,
    /// It stands within the items or patterns.
    WithinItems,
    Output,
}

impl<'a> View<'a> {
    pub(super) fn new(spec: &'a WorkflowSpec, root: &'a Node, around: &dyn Surroundings) -> Self {
        let nodes = task_nodes(root);
        // A task that is no mapping was reported and has no specification.
        let tasks: Vec<TaskView<'a>> = spec
            .tasks
            .iter()
            .zip(nodes)
            .map(|(spec, node)| {
                let definitions = definitions(spec, around);
                let of_params = TaskView { spec, node, uses: Vec::new(), inner: Vec::new() };
                let inner = uses_within(of_params.params(), &definitions);
                TaskView { uses: uses_of_task(node, &definitions), inner, ..of_params }
            })
            .collect();
        let names = tasks.iter().enumerate().filter_map(|(at, task)| Some((task.spec.name.as_deref()?, at)));
        let mut index: HashMap<&str, usize> = names.collect();
        index.extend(tasks.iter().enumerate().map(|(at, task)| (task.spec.id.as_str(), at)));
        let mut outputs = Vec::new();
        if let Some(field) = field(root, "outputs") {
            collect(&field.node, &mut |reference, place, _, _| {
                outputs.push(Use { reference, place, site: Site::Output });
            });
        }
        Self { spec, root, tasks, outputs, index }
    }

    /// Finds the task that a reference starts from.
    pub(super) fn task_of(&self, reference: &Reference) -> Option<(usize, &TaskView<'a>)> {
        let Root::Task(name) = reference.root() else { return None };
        let at = *self.index.get(name)?;
        Some((at, self.tasks.get(at)?))
    }

    /// Gives every reference of the workflow.
    pub(super) fn uses(&self) -> impl Iterator<Item = &Use> {
        self.tasks.iter().flat_map(|task| &task.uses).chain(&self.outputs)
    }

    /// Gives where the value of a key of the workflow stands.
    pub(super) fn place(&self, key: &str) -> Place {
        field(self.root, key).map_or(self.root.place, |field| field.node.place)
    }
}

impl<'a> TaskView<'a> {
    /// Gives the mapping of its parameters; that of a template holds them beside the keys of the task.
    pub(super) fn params(&self) -> Option<&'a Node> {
        let named = ["params", "parameters"].into_iter().find_map(|key| field(self.node, key));
        named.map(|field| &field.node).filter(|node| matches!(node.content, Content::Map(_)))
    }

    /// Gives the node of a parameter as it was written.
    pub(super) fn param(&self, name: &str) -> Option<&'a Node> {
        let inside = self.params().and_then(|params| field(params, name));
        inside.or_else(|| field(self.node, name)).map(|field| &field.node)
    }

    /// Gives where a parameter stands, or the task.
    pub(super) fn param_place(&self, name: &str) -> Place {
        self.param(name).map_or(self.node.place, |node| node.place)
    }

    /// Gives where the value of a key of the task stands, or the task.
    pub(super) fn key_place(&self, name: &str) -> Place {
        field(self.node, name).map_or(self.node.place, |field| field.node.place)
    }
}

/// Gives the nodes of the tasks in their order: those in the list, or the template of a batch.
fn task_nodes(root: &Node) -> Vec<&Node> {
    if ["type", "batch", "template"].iter().any(|key| field(root, key).is_some()) {
        return field(root, "template").map(|field| &field.node).into_iter().collect();
    }
    match field(root, "tasks").map(|field| &field.node.content) {
        Some(Content::List(nodes)) => {
            nodes.iter().filter(|node| matches!(node.content, Content::Map(_))).collect()
        }
        _ => Vec::new(),
    }
}

/// Gives a field that holds something.
pub(super) fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Field> {
    let Content::Map(fields) = &node.content else { return None };
    fields.iter().find(|field| field.key == key && field.node.content != Content::Null)
}

/// Gives the parameters of a task whose references are not the workflow's, but their own.
fn definitions<'s>(spec: &TaskSpec, around: &'s dyn Surroundings) -> Vec<&'s str> {
    let table = around.parameters(&spec.method).iter();
    table
        .filter(|parameter| parameter.kind == ParameterKind::Definition)
        .map(|parameter| parameter.name)
        .collect()
}

/// Gives the references within these parameters alone.
fn uses_within(params: Option<&Node>, names: &[&str]) -> Vec<Use> {
    let mut uses = Vec::new();
    if let Some(Node { content: Content::Map(params), .. }) = params {
        let params = params.iter().filter(|param| names.contains(&param.key.as_str()));
        params.for_each(|param| uses_of_parameter(param, &mut uses));
    }
    uses
}

fn uses_of_task(node: &Node, definitions: &[&str]) -> Vec<Use> {
    let mut uses = Vec::new();
    let Content::Map(fields) = &node.content else { return uses };
    for field in fields {
        match field.key.as_str() {
            "params" | "parameters" => {
                if let Content::Map(params) = &field.node.content {
                    let params = params.iter().filter(|param| !definitions.contains(&param.key.as_str()));
                    params.for_each(|param| uses_of_parameter(param, &mut uses));
                }
            }
            "when" => collect(&field.node, &mut |reference, place, _, _| {
                uses.push(Use { reference, place, site: Site::When });
            }),
            "for_each" => uses_of_items(&field.node, &mut uses),
            // Those of a batch's template are parameters; other keys hold no references.
            key if definitions.contains(&key) => {}
            _ => uses_of_parameter(field, &mut uses),
        }
    }
    uses
}

fn uses_of_parameter(param: &Field, uses: &mut Vec<Use>) {
    let top = param.node.place;
    let is_text = matches!(param.node.content, Content::String(_));
    collect(&param.node, &mut |reference, place, key, whole| {
        let parameter = param.key.clone();
        let site = if whole && is_text && place == top {
            Site::Parameter(parameter)
        } else {
            Site::Within { key: key.unwrap_or(&param.key).to_owned(), parameter }
        };
        uses.push(Use { reference, place, site });
    });
}

fn uses_of_items(node: &Node, uses: &mut Vec<Use>) {
    let items = field(node, "items").map_or(node, |field| &field.node);
    let is_text = matches!(items.content, Content::String(_));
    collect(items, &mut |reference, place, _, whole| {
        let site = if whole && is_text { Site::Items } else { Site::WithinItems };
        uses.push(Use { reference, place, site });
    });
}

/// Gives every reference below a node: with its place, the nearest key around it, and whether it is the whole text.
fn collect(node: &Node, take: &mut impl FnMut(Reference, Place, Option<&str>, bool)) {
    fn walk(node: &Node, key: Option<&str>, take: &mut impl FnMut(Reference, Place, Option<&str>, bool)) {
        match &node.content {
            Content::String(text) if text.contains("${") => {
                let Ok(template) = Template::parse(text) else { return };
                let whole = matches!(template, Template::Whole(_));
                for reference in template.references() {
                    take(reference.clone(), node.place, key, whole);
                }
            }
            Content::List(items) => items.iter().for_each(|item| walk(item, key, take)),
            Content::Map(fields) => fields.iter().for_each(|field| walk(&field.node, Some(&field.key), take)),
            _ => {}
        }
    }
    walk(node, None, take);
}
