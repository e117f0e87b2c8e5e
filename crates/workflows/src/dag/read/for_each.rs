//! Reads what a task runs for, `for_each`, and whether it runs at all, `when`.

use motet_core::workflow::ForEach;
use serde_json::Value;

use super::describe::found as described;
use super::fields::{Fields, misfit};
use super::references::{Becomes, becomes};
use super::report::Report;
use crate::dag::machine::MAX_ITEMS;
use crate::dag::yaml::{Content, Field, Node};

const SOURCES: [&str; 2] = ["files", "items"];

const EXPECTED: &str = "a list, a reference to a list, `files: …`, or `items: …`";

pub(super) fn for_each(field: &Field, report: &mut Report<'_>) -> Option<ForEach> {
    match &field.node.content {
        Content::Map(_) => {
            let fields = Fields::of(&field.node, "`for_each`", report)?;
            fields.refuse_others(&SOURCES, report, |_| None);
            match (fields.get("files"), fields.get("items")) {
                (Some(_), Some(items)) => {
                    report.add(items.place, "`for_each` takes `files` or `items`, not both");
                    None
                }
                (Some(files), None) => patterns(files, report).map(ForEach::Files),
                (None, Some(given)) => items(given, report).map(ForEach::Items),
                // An unknown key was meant to be one of them, and is reported already.
                (None, None) if fields.all.iter().any(|field| !SOURCES.contains(&field.key.as_str())) => None,
                (None, None) => {
                    report.add(field.node.place, "`for_each` needs `files` or `items`");
                    None
                }
            }
        }
        _ => items(field, report).map(ForEach::Items),
    }
}

fn items(field: &Field, report: &mut Report<'_>) -> Option<Value> {
    match &field.node.content {
        Content::List(items) if items.len() > MAX_ITEMS => {
            let message = format!("`{}` has {} items, but may have {MAX_ITEMS}", field.key, items.len());
            report.add(field.node.place, message);
            None
        }
        Content::List(_) => Some(field.node.to_json()),
        Content::String(text) if becomes(text) == Becomes::Anything => Some(field.node.to_json()),
        Content::String(text) => {
            let expected = if field.key == "items" { "a list or one reference to a list" } else { EXPECTED };
            let message = format!("`{}` must be {expected}, but is {}", field.key, described(&field.node));
            report.hint(
                field.node.place,
                message,
                format!("for files write `for_each: {{files: \"{text}\"}}`"),
            );
            None
        }
        _ => {
            misfit(field, EXPECTED, report);
            None
        }
    }
}

fn patterns(field: &Field, report: &mut Report<'_>) -> Option<Vec<String>> {
    let nodes = match &field.node.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&field.node),
    };
    if nodes.is_empty() {
        report.add(field.node.place, "`files` names no file");
        return None;
    }
    let mut patterns = Vec::with_capacity(nodes.len());
    for node in nodes {
        match &node.content {
            Content::String(text) if !text.trim().is_empty() => patterns.push(text.clone()),
            _ => report.hint(
                node.place,
                format!("`files` must be a pattern or a list of patterns, but is {}", described(node)),
                "write a pattern such as `notes/*.md`",
            ),
        }
    }
    (patterns.len() == nodes.len()).then_some(patterns)
}

/// Reads a condition. There is no language of expressions, so what could only ever be true is refused.
pub(super) fn when(field: &Field, report: &mut Report<'_>) -> Option<Value> {
    let hint =
        "write one reference, such as `${check.result.ok}`; a text is true unless it is empty or `false`";
    let always = |node: &Node, report: &mut Report<'_>| {
        let message = format!("`when` is always true: it is {}", described(node));
        report.hint(node.place, message, hint);
        None
    };
    match &field.node.content {
        Content::Null => {
            report.hint(field.place, "`when` has no value", hint);
            None
        }
        Content::String(text) => match becomes(text) {
            Becomes::Itself | Becomes::Text { has_text: true } => always(&field.node, report),
            Becomes::Anything | Becomes::Text { has_text: false } => Some(field.node.to_json()),
        },
        Content::List(_) | Content::Map(_) => always(&field.node, report),
        Content::Bool(_) | Content::Number(_) => Some(field.node.to_json()),
    }
}
