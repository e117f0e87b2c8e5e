//! Checks what a task is called with against the method's table of parameters.

use motet_core::method::{Parameter, ParameterKind};

use super::describe::found;
use super::fields::Fields;
use super::references::{Becomes, becomes};
use super::report::Report;
use super::task::KEYS;
use crate::dag::yaml::{Content, Field, Place};

/// Checks the parameters of one task; `place` is where missing ones are reported.
pub(super) fn check(
    method: (&str, &[Parameter]),
    params: Option<Fields<'_>>,
    place: Place,
    report: &mut Report<'_>,
) {
    let (name, table) = method;
    for field in params.map_or(&[][..], |params| params.all) {
        match table.iter().find(|parameter| parameter.name == field.key) {
            Some(parameter) => kind(field, parameter.kind, report),
            None if table.iter().any(|parameter| parameter.name == Parameter::ANY_NAME) => {}
            None => unknown(name, table, field, report),
        }
    }
    for parameter in table.iter().filter(|parameter| parameter.required) {
        if params.is_none_or(|params| params.get(parameter.name).is_none()) {
            let message = format!("`{name}` needs the parameter `{}`", parameter.name);
            report.hint(place, message, format!("it takes {}: {}", parameter.kind.as_str(), parameter.doc));
        }
    }
}

fn kind(field: &Field, kind: ParameterKind, report: &mut Report<'_>) {
    let fits = match &field.node.content {
        Content::String(text) => match becomes(text) {
            Becomes::Anything => kind != ParameterKind::Definition,
            Becomes::Itself if kind == ParameterKind::Model => kind.accepts(&field.node.to_json()),
            Becomes::Text { .. } | Becomes::Itself => kind.is_text() || kind == ParameterKind::Any,
        },
        Content::List(_) => matches!(kind, ParameterKind::Array | ParameterKind::Any),
        Content::Map(_) => {
            matches!(kind, ParameterKind::Object | ParameterKind::Definition | ParameterKind::Any)
        }
        Content::Null | Content::Bool(_) | Content::Number(_) => kind.accepts(&field.node.to_json()),
    };
    if !fits {
        let message =
            format!("the parameter `{}` must be {}, but is {}", field.key, kind.as_str(), found(&field.node));
        report.add_with(field.node.place, message, remedy(field, kind));
    }
}

fn remedy(field: &Field, kind: ParameterKind) -> Option<String> {
    match &field.node.content {
        Content::String(_) if kind == ParameterKind::Definition => {
            Some("what runs is never made of values: write it here, and hand values over by the parameter beside it".to_owned())
        }
        Content::String(text) if matches!(becomes(text), Becomes::Text { .. }) => {
            Some("a text around a reference makes it a text; write the reference alone".to_owned())
        }
        Content::String(text) if kind == ParameterKind::Array => {
            Some(format!("write it as a list: `[{text}]`"))
        }
        Content::String(_)
            if matches!(kind, ParameterKind::Number | ParameterKind::Integer | ParameterKind::Boolean) =>
        {
            Some("write it without quotes".to_owned())
        }
        Content::String(_) if kind == ParameterKind::Model => {
            Some("name the provider too, for example `ollama:llama3.2` or `offline:extract`".to_owned())
        }
        Content::Bool(_) | Content::Number(_) if kind == ParameterKind::String => {
            Some(format!("put it in quotes: `\"{}\"`", field.node.to_json()))
        }
        _ => None,
    }
}

fn unknown(method: &str, table: &[Parameter], field: &Field, report: &mut Report<'_>) {
    let names = table.iter().map(|parameter| parameter.name);
    let hint = match report.nearest(&field.key, names.clone()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if KEYS.contains(&field.key.as_str()) => {
            Some(format!("`{}` is a key of the task: move it out of `params`", field.key))
        }
        None if ["directory", "file_pattern", "image_paths"].contains(&field.key.as_str()) => {
            Some("add `batch_mode: true` to run the task for each file".to_owned())
        }
        None => report.advice(&field.key, names),
    };
    report.add_with(field.place, format!("`{method}` has no parameter `{}`", field.key), hint);
}
