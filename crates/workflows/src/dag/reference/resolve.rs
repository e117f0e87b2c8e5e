//! Replaces references by the values of a scope. A reference that leads nowhere is an error, never text that stays.

use std::borrow::Cow;

use motet_core::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::{Reference, Root, Segment, Step, Template, list_of, nearest};

/// Where the values of references come from.
pub trait Scope {
    /// Gives how the task of this id or name ended, if the references may see it.
    fn task(&self, name: &str) -> Option<TaskView<'_>>;

    /// Gives the ids of the tasks that can be seen, for hints.
    fn task_names(&self) -> Vec<&str>;

    /// Gives the values given to the run.
    fn inputs(&self) -> &Map<String, Value>;

    /// Gives an environment variable that the workflow lists and that is set.
    fn env(&self, name: &str) -> Option<&str>;

    /// Gives the item of `for_each`, if the task has one.
    fn item(&self) -> Option<&Value>;

    /// Gives the place of the item, from 0.
    fn index(&self) -> Option<&Value>;
}

/// How a task ended, as references see it.
#[derive(Debug, Clone, Copy)]
pub struct TaskView<'a> {
    /// `done`, `failed`, or `skipped`.
    pub status: &'a str,
    /// What it gave; null when it failed or was skipped.
    pub result: &'a Value,
    /// Why it failed, as JSON.
    pub error: Option<&'a Value>,
}

/// Replaces every reference in a value by what it refers to; keys of objects stay as they are.
///
/// # Errors
/// `InvalidRequest` when a reference is malformed or leads nowhere; the message says how far it leads, the hint what is
/// there.
pub fn substitute(value: &Value, scope: &dyn Scope) -> Result<Value> {
    match value {
        Value::String(text) if text.contains("${") => fill(text, scope),
        Value::Array(items) => items.iter().map(|item| substitute(item, scope)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| Ok((name.clone(), substitute(field, scope)?)));
            Ok(Value::Object(fields.collect::<Result<_>>()?))
        }
        other => Ok(other.clone()),
    }
}

fn fill(text: &str, scope: &dyn Scope) -> Result<Value> {
    let template = Template::parse(text).map_err(|malformed| {
        Error::new(ErrorKind::InvalidRequest, malformed.message).with_hint("write `$${` for a plain `${`")
    })?;
    match template {
        Template::Whole(reference) => resolve(&reference, scope).map(Cow::into_owned),
        Template::Mixed(segments) => {
            let mut filled = String::with_capacity(text.len());
            for segment in &segments {
                match segment {
                    Segment::Text(text) => filled.push_str(text),
                    Segment::Reference(reference) => {
                        let value: Cow<'_, Value> = resolve(reference, scope)?;
                        render(&value, &mut filled);
                    }
                }
            }
            Ok(Value::String(filled))
        }
    }
}

fn render(value: &Value, text: &mut String) {
    match value {
        Value::Null => {}
        Value::String(inner) => text.push_str(inner),
        other => text.push_str(&other.to_string()),
    }
}

fn resolve<'a>(reference: &Reference, scope: &'a dyn Scope) -> Result<Cow<'a, Value>> {
    let path = reference.path();
    let value = |value: Option<&'a Value>, subject: &str| {
        let value = value.ok_or_else(|| outside(reference))?;
        Walk { reference, subject, null_items: false }.go(value, path, "")
    };
    match reference.root() {
        Root::Task(name) => {
            let view = scope.task(name).ok_or_else(|| unknown_task(reference, name, scope))?;
            task(reference, view, name)
        }
        Root::Inputs => inputs(reference, scope.inputs()),
        Root::Env => env(reference, scope).map(Cow::Owned),
        Root::Item => value(scope.item(), "the item"),
        Root::Index => value(scope.index(), "the index"),
    }
}

fn task<'a>(reference: &Reference, view: TaskView<'a>, name: &str) -> Result<Cow<'a, Value>> {
    let subject = format!("the result of task `{name}`");
    let walk =
        |value, path: &[Step]| Walk { reference, subject: &subject, null_items: true }.go(value, path, "");
    match reference.path() {
        [Step::Field(field), rest @ ..] if field == "status" => {
            let status = Value::from(view.status);
            let subject = format!("the status of task `{name}`");
            let walk = Walk { reference, subject: &subject, null_items: false };
            walk.go(&status, rest, "").map(|value| Cow::Owned(value.into_owned()))
        }
        [Step::Field(field), rest @ ..] if field == "error" => match view.error {
            Some(error) => {
                let subject = format!("the error of task `{name}`");
                Walk { reference, subject: &subject, null_items: false }.go(error, rest, "")
            }
            None => Ok(Cow::Owned(Value::Null)),
        },
        _ if view.result.is_null() && view.status != "done" => Ok(Cow::Borrowed(view.result)),
        [Step::Field(field), rest @ ..] if field == "result" && view.result.get("result").is_none() => {
            walk(view.result, rest)
        }
        path => walk(view.result, path),
    }
}

fn inputs<'a>(reference: &Reference, inputs: &'a Map<String, Value>) -> Result<Cow<'a, Value>> {
    match reference.path() {
        [] => Ok(Cow::Owned(Value::Object(inputs.clone()))),
        [Step::Field(name), rest @ ..] => {
            let value = inputs.get(name).ok_or_else(|| {
                let known = inputs.keys().map(String::as_str);
                lost(reference, &format!("there is no input `{name}`")).with_hint(advice(
                    name,
                    known,
                    "the inputs are",
                ))
            })?;
            let subject = format!("the input `{name}`");
            Walk { reference, subject: &subject, null_items: false }.go(value, rest, "")
        }
        _ => Err(lost(reference, "inputs have names").with_hint("write `${inputs.name}`")),
    }
}

fn env(reference: &Reference, scope: &dyn Scope) -> Result<Value> {
    let [Step::Field(name)] = reference.path() else {
        return Err(lost(reference, "it names no variable").with_hint("write `${env.NAME}`"));
    };
    scope.env(name).map(Value::from).ok_or_else(|| {
        lost(reference, &format!("the environment variable `{name}` is not set"))
            .with_hint(format!("set `{name}`, and list it under `env` in the workflow"))
    })
}

/// Follows a path through one value.
#[derive(Clone, Copy)]
struct Walk<'r> {
    reference: &'r Reference,
    /// Where the path starts, in words.
    subject: &'r str,
    /// Whether a null in the list that the path starts with is an item that failed or was skipped, so that anything
    /// below it is null.
    null_items: bool,
}

impl Walk<'_> {
    fn go<'v>(self, value: &'v Value, path: &[Step], walked: &str) -> Result<Cow<'v, Value>> {
        let [step, rest @ ..] = path else { return Ok(Cow::Borrowed(value)) };
        let next = match (step, value) {
            (Step::Each, Value::Array(items)) => {
                let item =
                    |(index, item)| self.item(item, rest, &format!("{walked}[{index}]")).map(Cow::into_owned);
                return items.iter().enumerate().map(item).collect::<Result<Value>>().map(Cow::Owned);
            }
            (Step::Index(index), Value::Array(items)) => items.get(*index),
            (Step::Field(name), Value::Array(items)) => {
                name.parse::<usize>().ok().and_then(|index| items.get(index))
            }
            (Step::Field(name), Value::Object(fields)) => fields.get(name),
            _ => None,
        };
        let next = next.ok_or_else(|| self.lost(value, step, walked))?;
        let walked = format!("{walked}{step}");
        if value.is_array() { self.item(next, rest, &walked) } else { self.below().go(next, rest, &walked) }
    }

    fn item<'v>(self, item: &'v Value, rest: &[Step], walked: &str) -> Result<Cow<'v, Value>> {
        if self.null_items && item.is_null() {
            return Ok(Cow::Borrowed(item));
        }
        self.below().go(item, rest, walked)
    }

    fn below(self) -> Self {
        Self { null_items: false, ..self }
    }

    /// Says how far the path leads, and what is there.
    fn lost(self, value: &Value, step: &Step, walked: &str) -> Error {
        let at = match walked.strip_prefix('.').unwrap_or(walked) {
            "" => self.subject.to_owned(),
            walked => format!("`{walked}` in {}", self.subject),
        };
        match (value, step) {
            (Value::Object(fields), Step::Field(name)) => {
                let known = fields.keys().map(String::as_str);
                lost(self.reference, &format!("{at} has no field `{name}`"))
                    .with_hint(advice(name, known, "it has"))
            }
            (Value::Object(fields), _) => {
                lost(self.reference, &format!("{at} is an object, so `{step}` does not fit"))
                    .with_hint(format!("it has {}", list_of(fields.keys().map(String::as_str))))
            }
            (Value::Array(items), Step::Field(name)) if name.parse::<usize>().is_err() => {
                let message = format!("{at} is a list of {}, so it has no field `{name}`", items.len());
                lost(self.reference, &message).with_hint(format!(
                    "write `[0]` for the first item, or `[*].{name}` for the field of every item"
                ))
            }
            (Value::Array(items), _) => {
                let step = step.to_string();
                let message = format!("{at} is a list of {}, so there is no `{step}`", items.len());
                lost(self.reference, &message).with_hint("items are counted from 0")
            }
            (other, _) => lost(self.reference, &format!("{at} is {}, so `{step}` does not fit", kind(other))),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn lost(reference: &Reference, why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("`{reference}` leads nowhere: {why}"))
}

fn advice<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, list: &str) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.clone().next().is_none() => "there are none".to_owned(),
        None => format!("{list} {}", list_of(known)),
    }
}

fn unknown_task(reference: &Reference, name: &str, scope: &dyn Scope) -> Error {
    let known = scope.task_names();
    lost(reference, &format!("there is no task `{name}` that this task depends on")).with_hint(advice(
        name,
        known.into_iter(),
        "it can see",
    ))
}

fn outside(reference: &Reference) -> Error {
    lost(reference, "only a task with `for_each` has items")
        .with_hint("add `for_each`, or refer to something else")
}
