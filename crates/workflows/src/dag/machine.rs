//! One attempt at one task, as a pure decision: skip it, spread it over items, call its method, or join its items.
//!
//! What the graph does when an attempt ends is decided by `motet_core::schedule`; nothing here waits or touches a file.

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{Parameter, ParameterKind};
use motet_core::store::{NewTask, Outcome, Task, TaskLimit};
use motet_core::workflow::{ForEach, TaskSpec};
use serde_json::{Map, Value, json};

use super::reference::{Root, Scope, references, substitute};
use super::source;

/// How many items a `for_each` may have.
pub const MAX_ITEMS: usize = 100_000;

/// What the worker does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Find the files that match these patterns, and go on with [`spread`].
    ListFiles(Vec<String>),
    /// Spread the task over these items by [`spread`].
    Spread(Vec<Value>),
    /// Call the task's method with these parameters.
    Call(Map<String, Value>),
    /// Collect the results of the task's items; their list is its result.
    Join,
    /// Report this.
    Complete(Outcome),
}

/// Decides how an attempt begins; `parameters` is the table of the task's method.
///
/// # Errors
/// `InvalidRequest` when a reference leads nowhere or `for_each` gives no list; the task has failed then.
pub fn begin(spec: &TaskSpec, task: &Task, scope: &dyn Scope, parameters: &[Parameter]) -> Result<Action> {
    if task.joining && task.awaits.is_none() {
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
        Some(_) if is_item => call(spec, scope, parameters),
        None => call(spec, scope, parameters),
        Some(ForEach::Items(items)) => match substitute(items, scope)? {
            Value::Array(items) => Ok(Action::Spread(items)),
            other => Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`for_each` needs a list, but got {}", kind(&other)),
            )
            .with_hint("refer to a task's field that holds a list")),
        },
        Some(ForEach::Files(written)) => {
            let mut patterns = Vec::new();
            for pattern in written {
                match substitute(&json!(pattern), scope)? {
                    Value::Array(several) => patterns.extend(several.into_iter().map(pattern_text)),
                    one => patterns.push(pattern_text(one)),
                }
            }
            patterns.into_iter().collect::<Result<_>>().map(Action::ListFiles)
        }
    }
}

fn pattern_text(value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("a file pattern must be a text, but is {}", kind(&other)),
        )
        .with_hint("give a pattern such as `documents/*.md`, or a list of patterns")),
    }
}

/// Spreads a task over its items.
///
/// # Errors
/// `LimitReached` when there are more than [`MAX_ITEMS`].
pub fn spread(
    spec: &TaskSpec,
    task: &Task,
    limit: Option<&TaskLimit>,
    items: impl IntoIterator<Item = Value, IntoIter: ExactSizeIterator>,
) -> Result<Outcome> {
    let items = items.into_iter();
    if items.len() > MAX_ITEMS {
        let message = format!("`for_each` has {} items; at most {MAX_ITEMS} are allowed", items.len());
        return Err(
            Error::new(ErrorKind::LimitReached, message).with_hint("split the work over several runs")
        );
    }
    let like = NewTask {
        queue: task.queue.clone(),
        priority: task.priority,
        on_failure: spec.on_failure,
        retry: spec.retry.clone(),
        limit: limit.cloned(),
        ..NewTask::named(&spec.id)
    };
    let items = items.map(|item| item.to_string()).collect();
    Ok(Outcome::Spread { like: Box::new(like), items })
}

fn call(spec: &TaskSpec, scope: &dyn Scope, parameters: &[Parameter]) -> Result<Action> {
    filled(spec, scope, parameters).map(Action::Call)
}

/// Gives what a task's method is called with; `parameters` is the method's table.
///
/// # Errors
/// `InvalidRequest` when a reference leads nowhere.
pub fn filled(spec: &TaskSpec, scope: &dyn Scope, parameters: &[Parameter]) -> Result<Map<String, Value>> {
    let (mut params, mut variables) = (Map::new(), Map::new());
    for (name, value) in &spec.params {
        let kind = parameters.iter().find(|known| known.name == name).map(|known| known.kind);
        let filled = match (kind, value) {
            (Some(ParameterKind::Source), Value::String(code)) => {
                Value::String(source::bind(code, scope, &mut variables)?)
            }
            // Its references are its own: they are replaced when it runs itself.
            (Some(ParameterKind::Definition), written) => written.clone(),
            (_, other) => substitute(other, scope)?,
        };
        params.insert(name.clone(), filled);
    }
    if !variables.is_empty() {
        match params.entry("context").or_insert_with(|| json!({})) {
            Value::Object(context) => context.extend(variables),
            other => {
                let message = format!("`context` must be an object, but is {}", kind(other));
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            }
        }
    }
    Ok(params)
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
