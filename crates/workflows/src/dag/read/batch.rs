//! Rewrites the batch forms into `for_each`: `type: batch` with a template, and `batch_mode` among a task's parameters.
//!
//! The rewritten tree keeps the places of what was written, and everything else is checked as if it had been written so.

use motet_core::method::Parameter;

use super::Rules;
use super::describe::found;
use super::fields::{Fields, boolean, misfit, name};
use super::report::Report;
use super::task::KEYS;
use crate::dag::yaml::{Content, Field, Node, Place};

/// Keys of a workflow that make it a batch.
pub(super) const WORKFLOW_KEYS: [&str; 4] = ["type", "batch", "template", "protocol"];

/// Parameters that say what a batch runs over.
const SOURCES: [&str; 3] = ["directory", "files", "image_paths"];

const DEFAULT_METHOD: &str = "llm/chat";

/// The id of a batch workflow's one task.
const TASK: &str = "process";

/// Gives the one task of a batch workflow; `None` when it is no batch, or none that can be read.
pub(super) fn workflow_task(fields: Fields<'_>, rules: &Rules<'_>, report: &mut Report<'_>) -> Option<Node> {
    if let Some(kind) = fields.get("type") {
        match &kind.node.content {
            Content::String(text) if text == "batch" => {}
            _ => misfit(kind, "`batch` or left out", report),
        }
    }
    if let Some(tasks) = fields.get("tasks") {
        report.hint(
            tasks.place,
            "a batch workflow has no `tasks`",
            "remove `type`, `batch`, and `template`, or `tasks`",
        );
    }
    let pattern = pattern(fields, report);
    let Some(template) = fields.get("template") else {
        report.hint(
            fields.place,
            "a batch workflow needs `template`",
            "write what to do with each file, such as `messages`",
        );
        return None;
    };
    let template = Fields::of(&template.node, "`template`", report)?;
    let mut task = vec![text_field("id", TASK, template.place)];
    task.extend(fields.get("protocol").cloned());
    let method = match template.get("method") {
        Some(method) => method.clone(),
        None => text_field("method", DEFAULT_METHOD, template.place),
    };
    let table = table(&method, fields.get("protocol"), rules);
    let mut params = Vec::new();
    for field in template.all.iter().filter(|field| field.key != "method" && field.key != "id") {
        let is_parameter = table.iter().any(|parameter| parameter.name == field.key);
        match &field.node.content {
            Content::Map(inner) if field.key == "params" || field.key == "parameters" => {
                params.extend(inner.iter().cloned())
            }
            _ if KEYS.contains(&field.key.as_str()) && !is_parameter => task.push(field.clone()),
            _ => params.push(field.clone()),
        }
    }
    let pattern = pattern?;
    let place = pattern.place;
    set_file(&mut params, file_key(table), "${item.path}", place, report);
    task.push(method);
    task.push(map_field("for_each", vec![Field { key: "files".to_owned(), place, node: pattern }], place));
    task.push(map_field("params", params, template.place));
    Some(Node { content: Content::Map(task), place: template.place })
}

/// Gives the pattern of the files of a batch workflow.
fn pattern(fields: Fields<'_>, report: &mut Report<'_>) -> Option<Node> {
    let Some(batch) = fields.get("batch") else {
        report.hint(
            fields.place,
            "a batch workflow needs `batch`",
            "write `batch: {directory: …, pattern: \"*.txt\"}`",
        );
        return None;
    };
    let batch = Fields::of(&batch.node, "`batch`", report)?;
    batch.refuse_others(&["directory", "pattern"], report, |_| None);
    let Some(directory) = batch.get("directory") else {
        report.add(batch.place, "`batch` needs `directory`");
        return None;
    };
    joined(directory, batch.get("pattern"), report)
}

/// Rewrites a task with `batch_mode: true`; gives `None` when there is nothing to rewrite.
pub(super) fn task(task: Fields<'_>, rules: &Rules<'_>, report: &mut Report<'_>) -> Option<Node> {
    let written = task.get("params").or_else(|| task.get("parameters"))?;
    let Content::Map(fields) = &written.node.content else { return None };
    let params = Fields { all: fields, place: written.node.place };
    let mode = params.written("batch_mode")?;
    let without = |keys: &[&str]| -> Vec<Field> {
        fields.iter().filter(|field| !keys.contains(&field.key.as_str())).cloned().collect()
    };
    let rewritten = |params: Vec<Field>, for_each: Option<Field>| {
        let key = |field: &&Field| field.key != written.key;
        let mut all: Vec<Field> = task.all.iter().filter(key).cloned().collect();
        all.push(Field {
            node: Node { content: Content::Map(params), ..written.node.clone() },
            ..written.clone()
        });
        all.extend(for_each);
        Some(Node { content: Content::Map(all), place: task.place })
    };
    if mode.node.content == Content::Null || !boolean(mode, report).unwrap_or(true) {
        return rewritten(without(&["batch_mode"]), None);
    }
    let sugar: Vec<&str> = SOURCES.into_iter().chain(["batch_mode", "file_pattern"]).collect();
    let mut left = without(&sugar);
    let sources: Vec<&Field> = SOURCES.iter().filter_map(|key| params.get(key)).collect();
    let place = mode.place;
    match (sources.as_slice(), task.get("for_each")) {
        (_, Some(for_each)) => report.add(for_each.place, "a task has `for_each` or `batch_mode`, not both"),
        ([source], None) => {
            if let Some(pattern) = params.get("file_pattern").filter(|_| source.key != "directory") {
                report.add(pattern.place, "`file_pattern` needs `directory`");
            }
            let method = task.get("method");
            let table = method.map_or(&[][..], |method| table(method, task.get("protocol"), rules));
            let key = if source.key == "image_paths" { "image_path" } else { file_key(table) };
            if let Some((inner, item)) = items(source, params.get("file_pattern"), report) {
                set_file(&mut left, key, item, source.place, report);
                return rewritten(left, Some(map_field("for_each", vec![inner], source.place)));
            }
        }
        ([], None) => report.hint(
            place,
            "`batch_mode` has nothing to run over",
            "add `directory`, `files`, or `image_paths`",
        ),
        ([first, second, ..], None) => {
            let message = format!("`batch_mode` runs over `{}` or `{}`, not both", first.key, second.key);
            report.add(second.place, message);
        }
    }
    rewritten(left, None)
}

/// Gives the inside of `for_each`, and the reference to the path of an item.
fn items(source: &Field, pattern: Option<&Field>, report: &mut Report<'_>) -> Option<(Field, &'static str)> {
    if source.key == "directory" {
        let node = joined(source, pattern, report)?;
        return Some((Field { key: "files".to_owned(), place: source.place, node }, "${item.path}"));
    }
    let field = |node| Field { key: "items".to_owned(), place: source.place, node };
    match &source.node.content {
        // Named files are items, not patterns: they keep their order, and one that is missing is an error.
        Content::List(files) => {
            let item = |file: &Node| Node {
                content: Content::Map(vec![Field {
                    key: "path".to_owned(),
                    place: file.place,
                    node: file.clone(),
                }]),
                place: file.place,
            };
            for file in files.iter().filter(|file| !matches!(file.content, Content::String(_))) {
                report
                    .add(file.place, format!("`{}` must hold paths, but holds {}", source.key, found(file)));
            }
            let list = Content::List(files.iter().map(item).collect());
            Some((field(Node { content: list, place: source.node.place }), "${item.path}"))
        }
        Content::String(_) => Some((field(source.node.clone()), "${item}")),
        _ => {
            misfit(source, "a list of paths", report);
            None
        }
    }
}

/// Joins a directory, whose name is taken literally, and a pattern.
fn joined(directory: &Field, pattern: Option<&Field>, report: &mut Report<'_>) -> Option<Node> {
    let pattern = match pattern {
        Some(field) => name(field, report)?,
        None => "*",
    };
    let text = name(directory, report)?;
    let text = if text.contains("${") { text.to_owned() } else { literal(text) };
    let joined = match text.trim_end_matches('/') {
        "" => format!("/{pattern}"),
        directory => format!("{directory}/{pattern}"),
    };
    Some(Node { content: Content::String(joined), place: directory.node.place })
}

/// Writes a path so that a pattern matches it and nothing else.
fn literal(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '*' | '?' | '[' | '{' => escaped.extend(['[', character, ']']),
            other => escaped.push(other),
        }
    }
    escaped
}

fn table<'r>(method: &Field, protocol: Option<&Field>, rules: &Rules<'r>) -> &'r [Parameter] {
    let text = |field: &Field| match &field.node.content {
        Content::String(text) => Some(text.clone()),
        _ => None,
    };
    let protocol = protocol.and_then(text);
    text(method).and_then(|name| rules.method(&name, protocol.as_deref())).map_or(&[], |(_, table)| table)
}

/// Gives the parameter in which a method takes the path of a file.
fn file_key(table: &[Parameter]) -> &'static str {
    let takes = |name: &&str| table.iter().any(|parameter| parameter.name == *name);
    ["file_path", "image_path", "context"].into_iter().find(takes).unwrap_or("file_path")
}

/// Adds the path of the file to the parameters; a method that takes none gets it in its `context`.
fn set_file(params: &mut Vec<Field>, key: &str, item: &str, place: Place, report: &mut Report<'_>) {
    if key == "context" {
        let file = text_field("file_path", item, place);
        match params.iter_mut().find(|field| field.key == key) {
            None => params.push(map_field("context", vec![file], place)),
            Some(Field { node: Node { content: Content::Map(fields), .. }, .. }) => fields.push(file),
            Some(field) => misfit(field, "a mapping, to which the batch adds `file_path`", report),
        }
        return;
    }
    if let Some(field) = params.iter().find(|field| field.key == key) {
        report.hint(field.place, format!("the batch gives `{key}` itself"), format!("remove `{key}`"));
        return;
    }
    params.push(text_field(key, item, place));
}

fn text_field(key: &str, text: &str, place: Place) -> Field {
    Field { key: key.to_owned(), place, node: Node { content: Content::String(text.to_owned()), place } }
}

fn map_field(key: &str, fields: Vec<Field>, place: Place) -> Field {
    Field { key: key.to_owned(), place, node: Node { content: Content::Map(fields), place } }
}
