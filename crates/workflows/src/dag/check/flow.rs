//! Checks what flows where: tasks that never run, lists that a model makes, outsiders' words in risky places, recursion.

use motet_core::workflow::ForEach;
use serde_json::Value;

use super::places::{Site, TaskView, View, field};
use super::{Found, Surroundings, rules};
use crate::dag::reference::{Root, Step};
use crate::dag::yaml::{self, Content, Node};

/// Parameters that say what is touched, called, or started.
const RISKY: [&str; 14] = [
    "args",
    "base_url",
    "command",
    "directory",
    "endpoint",
    "file",
    "file_path",
    "file_pattern",
    "files",
    "image_path",
    "image_paths",
    "interpreter",
    "path",
    "url",
];

/// Methods whose results come from outside, beside those that ask a model.
const OUTSIDE: [&str; 2] = ["http/", "mcp/"];

/// The method that runs another workflow, and the parameter that names its file.
pub(super) const RUN: &str = "workflow/run";
const RUN_FILE: &str = "file";

/// How often all conditions are looked at; one pass is enough where tasks stand after those that they refer to.
const MAX_PASSES: usize = 100;

/// How many workflow files are followed in a row.
const MAX_FOLLOWED: usize = 64;

pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    never(view, found);
    let asks: Vec<bool> = view.tasks.iter().map(|task| asks_model(task, around)).collect();
    for task in &view.tasks {
        unbounded(view, task, &asks, around, found);
        risky(view, task, &asks, found);
        recursion(task, around, found);
        unfilled(view, task, found);
    }
}

/// Tells whether a task asks a model.
pub(super) fn asks_model(task: &TaskView<'_>, around: &dyn Surroundings) -> bool {
    takes(task, "model", around)
}

/// Tells whether the table of a task's method names a parameter; others of the same name mean something of their own.
pub(super) fn takes(task: &TaskView<'_>, name: &str, around: &dyn Surroundings) -> bool {
    around.parameters(&task.spec.method).iter().any(|parameter| parameter.name == name)
}

/// Reports tasks whose condition is false for ever, and what refers to them.
fn never(view: &View<'_>, found: &mut Found) {
    let mut never: Vec<bool> = view.tasks.iter().map(|task| is_false(task.spec.when.as_ref())).collect();
    for _ in 0..MAX_PASSES {
        let before = never.iter().filter(|never| **never).count();
        for at in 0..view.tasks.len() {
            let Some(task) = view.tasks.get(at) else { continue };
            // Its result and its error are null, and so is a condition that is one of them.
            let follows = task.uses.iter().any(|used| {
                used.site == Site::When
                    && !is_status(used.reference.path())
                    && view.task_of(&used.reference).is_some_and(|(other, _)| never.get(other) == Some(&true))
            });
            if follows && let Some(mark) = never.get_mut(at) {
                *mark = true;
            }
        }
        if never.iter().filter(|never| **never).count() == before {
            break;
        }
    }
    for (task, never) in view.tasks.iter().zip(&never) {
        if *never {
            let message = format!("`{}` never runs: its condition is always false", task.spec.id);
            found.add(
                &rules::NEVER_RUNS,
                task.key_place("when"),
                message,
                "remove the task, or change `when`",
            );
        }
    }
    for used in view.uses() {
        let of_never = view.task_of(&used.reference).filter(|(at, _)| never.get(*at) == Some(&true));
        if let Some((_, task)) =
            of_never.filter(|_| !is_status(used.reference.path()) && used.site != Site::When)
        {
            let message = format!("`{}` is always null: `{}` never runs", used.reference, task.spec.id);
            found.add(&rules::REFERS_TO_NEVER, used.place, message, "refer to a task that runs");
        }
    }
}

fn is_status(path: &[Step]) -> bool {
    matches!(path, [Step::Field(field), ..] if field == "status")
}

fn is_false(when: Option<&Value>) -> bool {
    match when {
        Some(Value::Bool(truth)) => !truth,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// Reports lists of items whose length a model decides and no schema bounds.
fn unbounded(
    view: &View<'_>,
    task: &TaskView<'_>,
    asks: &[bool],
    around: &dyn Surroundings,
    found: &mut Found,
) {
    if !matches!(task.spec.for_each, Some(ForEach::Items(_))) {
        return;
    }
    for used in task.uses.iter().filter(|used| used.site == Site::Items) {
        let Some((at, other)) = view.task_of(&used.reference) else { continue };
        if asks.get(at) != Some(&true) || other.spec.for_each.is_some() {
            continue;
        }
        let schema = around.result_schema(&other.spec.method, &other.spec.params);
        if !is_bounded(&schema, used.reference.path()) {
            let message = format!(
                "a model decides how often `{}` runs: nothing bounds the list `{}`",
                task.spec.id, used.reference
            );
            let hint = "set `maxItems` for this list in the `schema` of the answer";
            found.add(&rules::UNBOUNDED, used.place, message, hint);
        }
    }
}

fn is_bounded(schema: &Value, path: &[Step]) -> bool {
    let mut at = Some(schema);
    for step in path {
        at = match step {
            Step::Field(name) => at.and_then(|schema| schema.get("properties")?.get(name)),
            _ => at.and_then(|schema| schema.get("items")),
        };
    }
    at.is_some_and(|schema| schema.get("maxItems").is_some())
}

/// Reports what outsiders wrote where it decides about a path, an address, or a command.
fn risky(view: &View<'_>, task: &TaskView<'_>, asks: &[bool], found: &mut Found) {
    let is_outsider = |at: usize| {
        let outside = view
            .tasks
            .get(at)
            .is_some_and(|task| OUTSIDE.iter().any(|family| task.spec.method.starts_with(family)));
        outside || asks.get(at) == Some(&true)
    };
    let items_from = task.uses.iter().find_map(|used| {
        let (at, other) = view.task_of(&used.reference).filter(|_| used.site == Site::Items)?;
        is_outsider(at).then_some(other)
    });
    for used in &task.uses {
        let (parameter, key) = match &used.site {
            Site::Parameter(name) => (name, name),
            Site::Within { parameter, key } => (parameter, key),
            _ => continue,
        };
        let is_risky =
            RISKY.contains(&parameter.as_str()) || (parameter == "batch" && RISKY.contains(&key.as_str()));
        // The content of a message or of a context is data, whatever its keys are called.
        if !is_risky {
            continue;
        }
        let source = match used.reference.root() {
            Root::Task(_) => {
                view.task_of(&used.reference).filter(|(at, _)| is_outsider(*at)).map(|(_, task)| task)
            }
            Root::Item => items_from,
            _ => None,
        };
        let fixed = matches!(used.reference.path(), [Step::Field(field), ..] if ["status", "model", "provider", "files"].contains(&field.as_str()));
        if let Some(source) = source.filter(|_| !fixed) {
            let message = format!(
                "the answer of `{}` decides `{key}` of `{}`, and whoever can steer the answer chooses it",
                source.spec.id, task.spec.id
            );
            let hint = "choose among known values in a step between, or have a person approve it; paths stay within the workflow's directory in any case";
            found.add(&rules::RISKY, used.place, message, hint);
        }
    }
}

/// Reports references to tasks of this workflow in what a task runs, where nothing is filled in.
fn unfilled(view: &View<'_>, task: &TaskView<'_>, found: &mut Found) {
    let below = task.spec.params.get("workflow").and_then(|workflow| workflow.get("tasks")?.as_array());
    for used in &task.inner {
        let (Root::Task(name), Site::Within { parameter, .. }) = (used.reference.root(), &used.site) else {
            continue;
        };
        let is_own = below.is_some_and(|tasks| {
            tasks
                .iter()
                .any(|task| ["id", "name"].iter().any(|key| task.get(key) == Some(&Value::from(name))))
        });
        if view.task_of(&used.reference).is_some() && !is_own {
            let message = format!(
                "`{}` is not filled in here: `{parameter}` has references of its own",
                used.reference
            );
            let hint = match task.spec.method.as_str() {
                RUN => "declare an input there, and hand the value over by `inputs`",
                _ => "hand the value over by `input` or `variables`",
            };
            found.add(&rules::UNFILLED, used.place, message, hint);
        }
    }
}

/// Reports a workflow that runs itself, whatever happens: a condition may end it, and files that cannot be read are
/// another check's business.
fn recursion(task: &TaskView<'_>, around: &dyn Surroundings, found: &mut Found) {
    if task.spec.method != RUN || task.spec.when.is_some() {
        return;
    }
    let Some(file) = task.spec.params.get(RUN_FILE).and_then(literal) else { return };
    let mut path = vec![normal(file)];
    if let Some(circle) = circle(&mut path, around) {
        let message = format!("the workflow runs itself without end: {}", circle.join(" → "));
        found.add(
            &rules::RECURSION,
            task.param_place(RUN_FILE),
            message,
            "run another file, or repeat work by `for_each`",
        );
    }
}

/// Follows the files that a file runs; gives those of a circle.
fn circle(path: &mut Vec<String>, around: &dyn Surroundings) -> Option<Vec<String>> {
    if path.len() > MAX_FOLLOWED {
        return Some(path.clone());
    }
    let file = path.last()?.clone();
    for next in files_run_by(&around.text(&file)?, &file) {
        if let Some(at) = path.iter().position(|known| *known == next) {
            return Some(path.get(at..)?.iter().cloned().chain([next]).collect());
        }
        path.push(next);
        if let Some(circle) = circle(path, around) {
            return Some(circle);
        }
        path.pop();
    }
    None
}

/// Gives the files that the tasks of a workflow run, from the directory where the first file lies.
fn files_run_by(text: &str, file: &str) -> Vec<String> {
    let Ok(document) = yaml::parse_bytes(text.as_bytes()) else { return Vec::new() };
    let Some(Content::List(tasks)) = field(&document.root, "tasks").map(|field| &field.node.content) else {
        return Vec::new();
    };
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let text = |node: &Node| match &node.content {
        Content::String(text) if !text.contains("${") => Some(text.clone()),
        _ => None,
    };
    let run = |task: &Node| {
        field(task, "method")
            .filter(|method| matches!(&method.node.content, Content::String(name) if name == RUN))?;
        if field(task, "when").is_some() {
            return None;
        }
        let params = ["params", "parameters"].into_iter().find_map(|key| field(task, key))?;
        let written = text(&field(&params.node, RUN_FILE)?.node)?;
        Some(normal(&format!("{directory}/{written}")))
    };
    tasks.iter().filter_map(run).collect()
}

/// Writes a path without `.` and `..`, so that one file has one name.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Gives a text that holds no reference.
pub(super) fn literal(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.contains("${"))
}
