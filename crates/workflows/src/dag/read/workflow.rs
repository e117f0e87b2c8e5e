//! Reads the top of a workflow: its keys, and everything below them.

use motet_core::ModelId;
use motet_core::workflow::WorkflowSpec;
use serde_json::{Map, Value};

use super::describe::found;
use super::fields::{Fields, count, misfit, name, string, strings};
use super::graph::{self, Names};
use super::references::{Found, Site, collect};
use super::report::Report;
use super::task::{self, Draft, metadata};
use super::{MAX_TASKS, Rules, batch, limits, policy};
use crate::dag::reference::references;
use crate::dag::yaml::{Content, Node, Place};

pub(super) const KEYS: [&str; 16] = [
    "name",
    "description",
    "model",
    "inputs",
    "env",
    "tasks",
    "outputs",
    "max_parallel_tasks",
    "timeout",
    "queue",
    "limits",
    "providers",
    "metadata",
    "id",
    "version",
    "tags",
];

/// The name of a workflow that gives none.
const UNNAMED: &str = "unnamed workflow";

/// Reads a workflow; the specification is complete if nothing was reported.
pub(super) fn read(root: &Node, rules: &Rules<'_>, report: &mut Report<'_>) -> Option<WorkflowSpec> {
    let fields = top(root, report)?;
    let known: Vec<&str> = KEYS.into_iter().chain(batch::WORKFLOW_KEYS).collect();
    fields.refuse_others(&known, report, |key| {
        task::KEYS.contains(&key).then(|| format!("`{key}` is a key of a task: move it there"))
    });
    let inputs = inputs(fields, report);
    let env = env(fields, report);
    let drafts = drafts(fields, rules, report);
    let (outputs, mut references) = outputs(fields, report);
    if drafts.is_empty() {
        // Without tasks every reference to one would be reported.
        references.clear();
    }
    let mut most = limits::limits(fields, report);
    let named = drafts.iter().map(|draft| (&draft.spec, draft.limit_place));
    limits::check(&mut most, named, rules, report);
    let tasks = graph::check(drafts, &references, &Names { inputs: &inputs, env: &env }, report);
    let parallel = fields.get("max_parallel_tasks");
    Some(WorkflowSpec {
        name: fields.get("name").and_then(|field| name(field, report)).unwrap_or(UNNAMED).to_owned(),
        description: fields
            .get("description")
            .and_then(|field| string(field, report))
            .unwrap_or_default()
            .to_owned(),
        model: model(fields, report),
        inputs,
        env,
        tasks,
        outputs,
        max_parallel_tasks: parallel.and_then(|field| count(field, 1..=100_000, report)),
        timeout: fields.get("timeout").and_then(|field| policy::timeout(field, report)),
        queue: fields.get("queue").and_then(|field| limits::queue(field, report)),
        limits: most,
        providers: limits::providers(fields, rules, report),
        metadata: metadata(fields, &["id", "version", "tags"], report),
    })
}

fn top<'n>(root: &'n Node, report: &mut Report<'_>) -> Option<Fields<'n>> {
    let hint = "a workflow begins with `name:` and `tasks:`";
    match &root.content {
        Content::Map(fields) => Some(Fields { all: fields, place: root.place }),
        Content::Null => {
            report.hint(root.place, "the workflow is empty", hint);
            None
        }
        Content::List(_) => {
            report.hint(
                root.place,
                "a workflow must be a mapping, but is a list",
                "put the list under `tasks:`",
            );
            None
        }
        _ => {
            report.hint(root.place, format!("a workflow must be a mapping, but is {}", found(root)), hint);
            None
        }
    }
}

fn model(fields: Fields<'_>, report: &mut Report<'_>) -> Option<ModelId> {
    let field = fields.get("model")?;
    match name(field, report)?.parse() {
        Ok(model) => Some(model),
        Err(error) => {
            let error: motet_core::Error = error;
            report.add_with(field.node.place, error.message(), error.hint().map(str::to_owned));
            None
        }
    }
}

/// Reads the inputs with their defaults, which are values as they stand.
fn inputs(fields: Fields<'_>, report: &mut Report<'_>) -> Map<String, Value> {
    let Some(field) = fields.get("inputs") else { return Map::new() };
    let Content::Map(inputs) = &field.node.content else {
        misfit(field, "a mapping of names and defaults", report);
        return Map::new();
    };
    for input in inputs {
        if let Some(reference) = references(&input.node.to_json()).first() {
            let message =
                format!("the default of `{}` holds `{reference}`, but defaults are not filled in", input.key);
            report.hint(
                input.node.place,
                message,
                format!("write it where `${{inputs.{}}}` is used", input.key),
            );
        }
    }
    inputs.iter().map(|input| (input.key.clone(), input.node.to_json())).collect()
}

fn env(fields: Fields<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, place) in fields.get("env").map(|field| strings(field, report)).unwrap_or_default() {
        if name.contains(|character: char| character == '=' || character == '$' || character.is_whitespace())
        {
            let hint = "list only names, such as `- API_URL`; values come from the environment";
            report.hint(place, format!("`{name}` is not the name of an environment variable"), hint);
        } else if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn outputs(fields: Fields<'_>, report: &mut Report<'_>) -> (Map<String, Value>, Vec<Found>) {
    let mut references = Vec::new();
    let Some(field) = fields.get("outputs") else { return (Map::new(), references) };
    let Value::Object(outputs) = field.node.to_json() else {
        misfit(field, "a mapping of names and values", report);
        return (Map::new(), references);
    };
    collect(&field.node, Site::Output, &mut references, report);
    (outputs, references)
}

fn drafts(fields: Fields<'_>, rules: &Rules<'_>, report: &mut Report<'_>) -> Vec<Draft> {
    if ["type", "batch", "template"].iter().any(|key| fields.get(key).is_some()) {
        let task = batch::workflow_task(fields, rules, report);
        return task.and_then(|node| task::read(&node, rules, report)).into_iter().collect();
    }
    if let Some(protocol) = fields.get("protocol") {
        report.hint(
            protocol.place,
            "`protocol` belongs to a batch workflow",
            "leave it out; it follows from the methods",
        );
    }
    let Some(tasks) = fields.written("tasks") else {
        report.hint(fields.place, "the workflow has no `tasks`", "add `tasks:` with at least one task");
        return Vec::new();
    };
    match &tasks.node.content {
        Content::List(nodes) if nodes.len() > MAX_TASKS => {
            let message = format!("the workflow has {} tasks, but may have {MAX_TASKS}", nodes.len());
            report.hint(tasks.place, message, "use `for_each` for work on many items");
            Vec::new()
        }
        Content::List(nodes) if !nodes.is_empty() => {
            nodes.iter().filter_map(|node| task::read(node, rules, report)).collect()
        }
        Content::List(_) | Content::Null => {
            no_tasks(tasks.place, report);
            Vec::new()
        }
        _ => {
            misfit(tasks, "a list of tasks", report);
            Vec::new()
        }
    }
}

fn no_tasks(place: Place, report: &mut Report<'_>) {
    report.hint(
        place,
        "the workflow has no task",
        "add one, such as `- {id: ask, method: llm/chat, params: {prompt: Hello}}`",
    );
}
