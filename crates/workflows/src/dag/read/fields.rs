//! Reads the keys of mappings into plain types; what does not fit is reported and counts as left out.

use serde_json::{Map, Value};

use super::describe::found;
use super::report::Report;
use crate::dag::yaml::{Content, Field, Node, Place};

/// A mapping and where it starts.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) all: &'n [Field],
    pub(super) place: Place,
}

impl<'n> Fields<'n> {
    /// Takes a node as a mapping; `what` names it in the message if it is none.
    pub(super) fn of(node: &'n Node, what: &str, report: &mut Report<'_>) -> Option<Self> {
        match &node.content {
            Content::Map(fields) => Some(Self { all: fields, place: node.place }),
            _ => {
                report.add(node.place, format!("{what} must be a mapping, but is {}", found(node)));
                None
            }
        }
    }

    /// Gives the field of a key, even if it holds nothing.
    pub(super) fn written(self, key: &str) -> Option<&'n Field> {
        self.all.iter().find(|field| field.key == key)
    }

    /// Gives the field of a key unless it holds nothing, which is as good as left out.
    pub(super) fn get(self, key: &str) -> Option<&'n Field> {
        self.written(key).filter(|field| field.node.content != Content::Null)
    }

    /// Gives the field of a key that has an older name too; both together are reported.
    pub(super) fn either(self, key: &str, old: &str, report: &mut Report<'_>) -> Option<&'n Field> {
        match (self.get(key), self.get(old)) {
            (Some(field), Some(other)) => {
                let message = format!("`{key}` and `{old}` mean the same, so only one may be given");
                report.hint(other.place, message, format!("move everything to `{key}`"));
                Some(field)
            }
            (field, other) => field.or(other),
        }
    }

    /// Reports keys that nothing reads; `elsewhere` may know where such a key belongs.
    pub(super) fn refuse_others(
        self,
        known: &[&str],
        report: &mut Report<'_>,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) {
        for field in self.all.iter().filter(|field| !known.contains(&field.key.as_str())) {
            let hint = match report.nearest(&field.key, known.iter().copied()) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None => elsewhere(&field.key).or_else(|| report.advice(&field.key, known.iter().copied())),
            };
            report.add_with(field.place, format!("unknown key `{}`", field.key), hint);
        }
    }
}

/// Reports that a value is something else than expected.
pub(super) fn misfit(field: &Field, expected: &str, report: &mut Report<'_>) {
    let message = format!("`{}` must be {expected}, but is {}", field.key, found(&field.node));
    let scalar = matches!(field.node.content, Content::Bool(_) | Content::Number(_));
    let hint = (scalar && expected == "a string")
        .then(|| format!("put it in quotes: `\"{}\"`", field.node.to_json()));
    report.add_with(field.node.place, message, hint);
}

pub(super) fn string<'n>(field: &'n Field, report: &mut Report<'_>) -> Option<&'n str> {
    match &field.node.content {
        Content::String(text) => Some(text),
        _ => {
            misfit(field, "a string", report);
            None
        }
    }
}

/// Reads a string that must hold something.
pub(super) fn name<'n>(field: &'n Field, report: &mut Report<'_>) -> Option<&'n str> {
    let text = string(field, report)?;
    if text.trim().is_empty() {
        report.add(field.node.place, format!("`{}` is empty", field.key));
        return None;
    }
    Some(text)
}

/// Reads a whole number within bounds.
pub(super) fn count(
    field: &Field,
    bounds: std::ops::RangeInclusive<u32>,
    report: &mut Report<'_>,
) -> Option<u32> {
    let number = match &field.node.content {
        Content::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    let fitting = number.filter(|number| bounds.contains(number));
    if fitting.is_none() {
        misfit(field, &format!("a whole number from {} to {}", bounds.start(), bounds.end()), report);
    }
    fitting
}

pub(super) fn boolean(field: &Field, report: &mut Report<'_>) -> Option<bool> {
    match field.node.content {
        Content::Bool(truth) => Some(truth),
        _ => {
            misfit(field, "`true` or `false`", report);
            None
        }
    }
}

/// Reads a list of strings, each with its place.
pub(super) fn strings<'n>(field: &'n Field, report: &mut Report<'_>) -> Vec<(&'n str, Place)> {
    let Content::List(items) = &field.node.content else {
        let hint = match &field.node.content {
            Content::String(text) => Some(format!("write it as a list: `[{text}]`")),
            _ => None,
        };
        let message = format!("`{}` must be a list of strings, but is {}", field.key, found(&field.node));
        report.add_with(field.node.place, message, hint);
        return Vec::new();
    };
    let mut strings = Vec::with_capacity(items.len());
    for item in items {
        match &item.content {
            Content::String(text) if !text.trim().is_empty() => strings.push((text.as_str(), item.place)),
            _ => {
                let message = format!("`{}` must hold names, but holds {}", field.key, found(item));
                report.add(item.place, message);
            }
        }
    }
    strings
}

/// Reads a mapping as JSON.
pub(super) fn object(field: &Field, report: &mut Report<'_>) -> Map<String, Value> {
    match field.node.to_json() {
        Value::Object(fields) => fields,
        _ => {
            misfit(field, "a mapping", report);
            Map::new()
        }
    }
}
