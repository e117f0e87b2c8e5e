//! One attempt at one task, as a pure decision: skip it, spread it over items, call its method, or join its items.
//!
//! What the graph does when an attempt ends is decided by `motet_core::schedule`; nothing here waits or touches a file.

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::{NewTask, Outcome, Task};
use motet_core::workflow::{ForEach, TaskSpec};
use serde_json::{Map, Value, json};

use super::reference::{Root, Scope, references, substitute};

/// How many items a `for_each` may have.
pub const MAX_ITEMS: usize = 100_000;

/// What the worker does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Find the files that match these patterns, and go on with [`spread`].
    ListFiles(Vec<String>),
    /// Call the task's method with these parameters.
    Call(Map<String, Value>),
    /// Collect the results of the task's items; their list is its result.
    Join,
    /// Report this.
    Complete(Outcome),
}

/// Decides how an attempt begins.
///
/// # Errors
/// `InvalidRequest` when a reference leads nowhere or `for_each` gives no list; the task has failed then.
pub fn begin(spec: &TaskSpec, task: &Task, scope: &dyn Scope) -> Result<Action> {
    if task.joining {
        return Ok(Action::Join);
    }
    let is_item = task.parent.is_some();
    if let Some(condition) = &spec.when {
        let decided_by_item = references(condition)
            .iter()
            .any(|reference| matches!(reference.root(), Root::Item | Root::Index));
        let decides_now = spec.for_each.is_none() || is_item == decided_by_item;
        if decides_now && !is_true(&substitute(condition, scope)?) {
            return Ok(Action::Complete(Outcome::Skipped { reason: "its condition is false".to_owned() }));
        }
    }
    match &spec.for_each {
        Some(_) if is_item => call(spec, scope),
        None => call(spec, scope),
        Some(ForEach::Items(items)) => match substitute(items, scope)? {
            Value::Array(items) => spread(spec, task, items).map(Action::Complete),
            other => Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`for_each` needs a list, but got {}", kind(&other)),
            )
            .with_hint("refer to a task's field that holds a list")),
        },
        Some(ForEach::Files(patterns)) => {
            let patterns = patterns.iter().map(|pattern| match substitute(&json!(pattern), scope)? {
                Value::String(text) => Ok(text),
                other => Ok(other.to_string()),
            });
            patterns.collect::<Result<_>>().map(Action::ListFiles)
        }
    }
}

/// Spreads a task over its items.
///
/// # Errors
/// `LimitReached` when there are more than [`MAX_ITEMS`].
pub fn spread(spec: &TaskSpec, task: &Task, items: Vec<Value>) -> Result<Outcome> {
    if items.len() > MAX_ITEMS {
        let message = format!("`for_each` has {} items; at most {MAX_ITEMS} are allowed", items.len());
        return Err(
            Error::new(ErrorKind::LimitReached, message).with_hint("split the work over several runs")
        );
    }
    let children = items.into_iter().enumerate().map(|(index, item)| NewTask {
        name: format!("{}[{index}]", spec.id),
        queue: task.queue.clone(),
        priority: spec.priority,
        dependencies: Vec::new(),
        on_failure: spec.on_failure,
        retry: spec.retry.clone(),
        payload: json!({"item": item, "index": index}),
    });
    Ok(Outcome::Expand { children: children.collect() })
}

fn call(spec: &TaskSpec, scope: &dyn Scope) -> Result<Action> {
    match substitute(&Value::Object(spec.params.clone()), scope)? {
        Value::Object(params) => Ok(Action::Call(params)),
        other => Err(Error::new(ErrorKind::Internal, format!("parameters became {}", kind(&other)))),
    }
}

/// False, null, zero, and the empty text, list, or object are false; everything else is true.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "false",
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
