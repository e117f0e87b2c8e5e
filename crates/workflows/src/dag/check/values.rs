//! Checks written values that a table of kinds cannot: what goes together, words of a few, schemas, and queues.

use std::collections::HashMap;

use motet_core::request::ReasoningEffort;
use motet_core::store::DEFAULT_QUEUE;
use serde_json::Value;

use super::flow::{literal, takes};
use super::places::{TaskView, View, field};
use super::{Found, Surroundings, rules};
use crate::dag::reference::{list_of, nearest};
use crate::dag::yaml::{Content, Node};

/// Roles that a written message may have.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// Words that a JSON schema may use for a type.
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    for task in &view.tasks {
        let takes = |name: &str| takes(task, name, around);
        match task.spec.method.as_str() {
            "python/execute" => one_of(task, &["code", "file"], true, found),
            "llm/chat" | "llm/vision" => {
                one_of(
                    task,
                    &["messages", "prompt", "file_path", "files", "image_path", "image_paths"],
                    false,
                    found,
                );
            }
            _ => {}
        }
        if takes("reasoning_effort") {
            effort(task, found);
        }
        if takes("messages") {
            messages(task, found);
        }
        if let Some(node) = task.param("schema").filter(|_| takes("schema")) {
            schema(node, found);
        }
    }
    queues(view, found);
}

/// Reports a task that gives none of several parameters, or more than the one that is allowed.
fn one_of(task: &TaskView<'_>, names: &[&str], only_one: bool, found: &mut Found) {
    let given: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| task.spec.params.get(*name).is_some_and(|value| !value.is_null()))
        .collect();
    match given.as_slice() {
        [] => {
            let message = format!("`{}` has nothing to work on", task.spec.id);
            let hint =
                format!("`{}` needs one of {}", task.spec.method, list_of(names.iter().take(4).copied()));
            found.add(&rules::PARAMETERS, task.key_place("method"), message, hint);
        }
        [first, second, ..] if only_one => {
            let message = format!("`{}` has both `{first}` and `{second}`", task.spec.id);
            found.add(&rules::PARAMETERS, task.param_place(second), message, "keep one of them");
        }
        _ => {}
    }
}

fn effort(task: &TaskView<'_>, found: &mut Found) {
    let written = task.spec.params.get("reasoning_effort").and_then(literal);
    let Some(written) =
        written.filter(|word| serde_json::from_value::<ReasoningEffort>(Value::from(*word)).is_err())
    else {
        return;
    };
    let message = format!("`{written}` is no `reasoning_effort`");
    let hint = "write `none`, `minimal`, `low`, `medium`, `high`, or `xhigh`";
    found.add(&rules::PARAMETERS, task.param_place("reasoning_effort"), message, hint);
}

/// Reports messages without role or content, and roles that there are not.
fn messages(task: &TaskView<'_>, found: &mut Found) {
    let Some(Content::List(messages)) = task.param("messages").map(|node| &node.content) else { return };
    for message in messages {
        if !matches!(message.content, Content::Map(_)) {
            if !matches!(&message.content, Content::String(text) if text.contains("${")) {
                found.add(
                    &rules::PARAMETERS,
                    message.place,
                    "a message must be a mapping",
                    "write `{role: user, content: …}`",
                );
            }
            continue;
        }
        for key in ["role", "content"].into_iter().filter(|key| field(message, key).is_none()) {
            found.add(
                &rules::PARAMETERS,
                message.place,
                format!("the message has no `{key}`"),
                "write `{role: user, content: …}`",
            );
        }
        let Some(role) = field(message, "role") else { continue };
        match &role.node.content {
            Content::String(word) if word.contains("${") || ROLES.contains(&word.as_str()) => {}
            Content::String(word) => {
                let near = nearest(word, ROLES).map_or_else(
                    || format!("roles are {}", list_of(ROLES)),
                    |near| format!("did you mean `{near}`?"),
                );
                found.add(&rules::PARAMETERS, role.node.place, format!("there is no role `{word}`"), near);
            }
            _ => found.add(
                &rules::PARAMETERS,
                role.node.place,
                "`role` must be a word",
                format!("roles are {}", list_of(ROLES)),
            ),
        }
    }
}

/// Reports what cannot be a JSON schema: types that there are not, properties and items of the wrong kind, required
/// properties that are not named.
fn schema(node: &Node, found: &mut Found) {
    let Content::Map(fields) = &node.content else { return };
    kinds(node, found);
    required(node, found);
    for inner in fields {
        match (inner.key.as_str(), &inner.node.content) {
            ("properties" | "$defs", Content::Map(properties)) => {
                properties.iter().for_each(|property| schema(&property.node, found));
            }
            ("properties" | "$defs", _) => {
                let message = format!("`{}` of a schema must be a mapping", inner.key);
                found.add(&rules::PARAMETERS, inner.node.place, message, "write names and their schemas");
            }
            ("items" | "additionalProperties", Content::Map(_)) => schema(&inner.node, found),
            ("anyOf" | "oneOf" | "allOf", Content::List(several)) => {
                several.iter().for_each(|one| schema(one, found))
            }
            _ => {}
        }
    }
}

/// Reports types that there are not.
fn kinds(node: &Node, found: &mut Found) {
    if let Some(kind) = field(node, "type") {
        let words = match &kind.node.content {
            Content::List(words) => words.as_slice(),
            _ => std::slice::from_ref(&kind.node),
        };
        for word in words {
            match &word.content {
                Content::String(name) if TYPES.contains(&name.as_str()) || name.contains("${") => {}
                Content::String(name) => {
                    let near = nearest(name, TYPES).map(|near| format!("did you mean `{near}`?"));
                    let hint = near.unwrap_or_else(|| format!("types are {}", list_of(TYPES)));
                    found.add(
                        &rules::PARAMETERS,
                        word.place,
                        format!("JSON schema has no type `{name}`"),
                        hint,
                    );
                }
                _ => found.add(
                    &rules::PARAMETERS,
                    word.place,
                    "the `type` of a schema must be a word",
                    format!("types are {}", list_of(TYPES)),
                ),
            }
        }
    }
}

/// Reports required properties that the schema does not name.
fn required(node: &Node, found: &mut Found) {
    if let (Some(required), Some(properties)) = (field(node, "required"), field(node, "properties")) {
        let Content::List(names) = &required.node.content else {
            found.add(
                &rules::PARAMETERS,
                required.node.place,
                "`required` must be a list of names",
                "write `required: [name]`",
            );
            return;
        };
        for name in names {
            if let Content::String(text) = &name.content
                && !matches!(&properties.node.content, Content::Map(known) if known.iter().any(|known| known.key == *text))
            {
                let message = format!("the schema requires `{text}`, which its `properties` do not name");
                found.add(
                    &rules::PARAMETERS,
                    name.place,
                    message,
                    "add it to `properties`, or remove it from `required`",
                );
            }
        }
    }
}

/// Reports a queue that only one task names and that is spelt almost as another.
fn queues(view: &View<'_>, found: &mut Found) {
    let mut named: HashMap<&str, usize> = HashMap::new();
    for queue in view.tasks.iter().filter_map(|task| task.spec.queue.as_deref()) {
        *named.entry(queue).or_default() += 1;
    }
    for task in &view.tasks {
        let Some(name) = task.spec.queue.as_deref().filter(|name| named.get(name) == Some(&1)) else {
            continue;
        };
        let mut others: Vec<&str> = named.keys().copied().filter(|other| *other != name).collect();
        others.sort_unstable();
        let others = others.into_iter().chain(view.spec.queue.as_deref()).chain([DEFAULT_QUEUE]);
        if let Some(near) = nearest(name, others.filter(|other| *other != name)) {
            let message = format!("only this task names the queue `{name}`");
            found.add(&rules::QUEUE, task.key_place("queue"), message, format!("did you mean `{near}`?"));
        }
    }
}
