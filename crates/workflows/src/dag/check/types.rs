//! Follows references through the schemas of results, and compares what they give with what parameters take.

use motet_core::method::ParameterKind;
use serde_json::{Map, Value, json};

use super::places::{Site, Use, View};
use super::{Found, Surroundings, rules};
use crate::dag::reference::{Step, list_of, nearest};

/// Checks the references of all tasks and outputs.
pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    for used in &view.outputs {
        follow(view, used, around, found);
    }
    for task in &view.tasks {
        let table = around.parameters(&task.spec.method);
        for used in &task.uses {
            let Some(schema) = follow(view, used, around, found) else { continue };
            match &used.site {
                Site::Parameter(name) => {
                    if let Some(parameter) = table.iter().find(|parameter| parameter.name == *name) {
                        expect(used, &schema, taken(parameter.kind), &format!("`{name}`"), found);
                    }
                }
                Site::Items => expect(used, &schema, Some(&["array"]), "`for_each`", found),
                _ => {}
            }
        }
    }
}

/// Gives the schema of what a reference to a task leads to; `None` where nothing is known or it leads nowhere.
fn follow(view: &View<'_>, used: &Use, around: &dyn Surroundings, found: &mut Found) -> Option<Value> {
    let (_, task) = view.task_of(&used.reference)?;
    let path = match used.reference.path() {
        [Step::Field(field), rest @ ..] if field == "status" => {
            return walk(
                &json!({"type": "string"}),
                rest,
                &format!("the status of `{}`", task.spec.id),
                used,
                found,
            );
        }
        [Step::Field(field), ..] if field == "error" => return None,
        path => path,
    };
    let result = around.result_schema(&task.spec.method, &task.spec.params);
    let schema = match task.spec.for_each {
        Some(_) => json!({"type": "array", "items": result}),
        None => result,
    };
    let path = match path {
        [Step::Field(field), rest @ ..] if field == "result" && lacks(&schema, "result") => rest,
        path => path,
    };
    walk(&schema, path, &format!("the result of `{}`", task.spec.id), used, found)
}

/// Tells whether a value surely has no such field, so that `${task.result}` means the whole.
fn lacks(schema: &Value, name: &str) -> bool {
    schema.get("properties").is_some_and(|fields| fields.get(name).is_none())
        && schema.get("additionalProperties") == Some(&Value::Bool(false))
        || types(schema).is_some_and(|types| !types.contains(&"object"))
}

/// Follows a path; `subject` names where it starts.
fn walk(schema: &Value, path: &[Step], subject: &str, used: &Use, found: &mut Found) -> Option<Value> {
    let [step, rest @ ..] = path else { return Some(schema.clone()) };
    let known = types(schema);
    let may_be = |name: &str| known.as_ref().is_none_or(|types| types.contains(&name));
    let next = match step {
        Step::Field(name) if may_be("object") && !(known.is_none() && schema.get("properties").is_none()) => {
            field(schema, name, subject, used, found)?
        }
        Step::Field(name) if may_be("array") && name.parse::<usize>().is_ok() => items(schema),
        Step::Field(name) if known.as_deref() == Some(&["array"]) => {
            let message = format!(
                "`{}` leads nowhere: {subject} is a list, so it has no field `{name}`",
                used.reference
            );
            let hint = format!("write `[0]` for the first item, or `[*].{name}` for the field of every item");
            found.add(&rules::RESULT_FIELD, used.place, message, hint);
            return None;
        }
        Step::Index(_) | Step::Each if may_be("array") => items(schema),
        _ if known.is_none() => return None,
        step => {
            let is = known.map(|types| said(&types)).unwrap_or_default();
            let message =
                format!("`{}` leads nowhere: {subject} is {is}, so `{step}` does not fit", used.reference);
            found.add_with(&rules::RESULT_FIELD, used.place, message, fields_of(schema));
            return None;
        }
    };
    let inner = walk(&next, rest, &format!("{step} of {subject}").replacen('.', "", 1), used, found)?;
    Some(if matches!(step, Step::Each) { json!({"type": "array", "items": inner}) } else { inner })
}

/// Gives the schema of a field; reports one that cannot be there.
fn field(schema: &Value, name: &str, subject: &str, used: &Use, found: &mut Found) -> Option<Value> {
    let empty = Map::new();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if let Some(known) = fields.get(name) {
        return Some(known.clone());
    }
    let hint = match nearest(name, fields.keys().map(String::as_str)) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => fields_of(schema),
    };
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => {
            let message = format!("`{}` leads nowhere: {subject} has no field `{name}`", used.reference);
            found.add_with(&rules::RESULT_FIELD, used.place, message, hint);
        }
        Some(others @ Value::Object(_)) => return Some(others.clone()),
        _ if fields.is_empty() => {}
        _ => {
            let message =
                format!("the schema of {subject} names no field `{name}`, which `{}` needs", used.reference);
            found.add_with(&rules::UNDECLARED_FIELD, used.place, message, hint);
        }
    }
    None
}

fn fields_of(schema: &Value) -> Option<String> {
    let fields = schema.get("properties")?.as_object()?;
    Some(if fields.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", list_of(fields.keys().map(String::as_str)))
    })
}

fn items(schema: &Value) -> Value {
    schema.get("items").filter(|items| items.is_object()).cloned().unwrap_or(Value::Bool(true))
}

/// Gives the JSON types that a value may have beside null; `None` where nothing is known.
fn types(schema: &Value) -> Option<Vec<&str>> {
    let types: Vec<&str> = match schema.get("type")? {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let types: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
    (!types.is_empty()).then_some(types)
}

/// Gives the JSON types that a parameter takes; `None` for all.
fn taken(kind: ParameterKind) -> Option<&'static [&'static str]> {
    Some(match kind {
        ParameterKind::String | ParameterKind::Model => &["string"],
        ParameterKind::Integer => &["integer"],
        ParameterKind::Number => &["number", "integer"],
        ParameterKind::Boolean => &["boolean"],
        ParameterKind::Array => &["array"],
        ParameterKind::Object => &["object"],
        // In source a reference stands for a variable, which holds anything.
        _ => return None,
    })
}

fn expect(used: &Use, schema: &Value, taken: Option<&[&str]>, what: &str, found: &mut Found) {
    let (Some(taken), Some(given)) = (taken, types(schema)) else { return };
    // A number may turn out whole.
    let fits =
        given.iter().any(|name| taken.contains(name) || (*name == "number" && taken.contains(&"integer")));
    if fits {
        return;
    }
    let message = format!("{what} takes {}, but `{}` is {}", said(taken), used.reference, said(&given));
    let hint = match (taken, given.as_slice()) {
        (["string"], ["object" | "array"]) => {
            Some("refer to a field of it, or write text around it to have it as JSON".to_owned())
        }
        (["string"], _) => Some("write text around the reference to make it a text".to_owned()),
        (["array"], ["string"]) => {
            Some("give the answer a `schema`, and refer to a list in `json`".to_owned())
        }
        _ => fields_of(schema),
    };
    found.add_with(&rules::TYPE_MISMATCH, used.place, message, hint);
}

fn said(types: &[&str]) -> String {
    let words: Vec<&str> = types
        .iter()
        .map(|name| match *name {
            "string" => "a text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "an object",
            other => other,
        })
        .collect();
    words.join(" or ")
}
