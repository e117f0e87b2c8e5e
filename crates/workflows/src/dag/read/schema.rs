//! The JSON schema of workflow files, for editors: made of the tables by which files are read.
//!
//! It knows less than the reader: names and references across tasks, and what parameters mean together, are beyond it.

use std::collections::BTreeSet;

use motet_core::method::{Method, ParameterKind};
use serde_json::{Map, Value, json};

use super::{batch, policy, task, workflow};

/// The pattern of a text that is one reference, or holds one.
const REFERENCE: &str = r"\$\{";

/// Gives the schema of workflow files that call these methods.
pub fn schema<'m>(methods: impl Iterator<Item = &'m dyn Method>) -> Value {
    let methods: Vec<&dyn Method> = methods.collect();
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let params: Vec<Value> = methods.iter().map(|method| of_method(*method)).collect();
    let keys = workflow::KEYS.into_iter().chain(batch::WORKFLOW_KEYS);
    let properties: Map<String, Value> =
        keys.map(|key| (key.to_owned(), of_workflow_key(key).unwrap_or(Value::Bool(true)))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Motet workflow",
        "description": "Tasks, what each one calls, and what it needs from the others.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "anyOf": [{"required": ["tasks"]}, {"required": ["batch", "template"]}],
        "$defs": {
            "task": of_task(&names, params),
            "retry": retry(),
            "time": {
                "description": "Seconds, or a number and a unit: ms, s, m, h, d.",
                "anyOf": [
                    {"type": "number", "minimum": 0},
                    {"type": "string", "pattern": r"^\s*[0-9.]+\s*(ms|s|m|h|d)\s*$"},
                    {"type": "null"},
                ],
            },
            "model": {"type": ["string", "null"], "pattern": "^[^:]+:.+|\\$\\{", "examples": ["offline:extract"]},
            "names": {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}},
            "text": {"type": ["string", "null"]},
        },
    })
}

/// Gives the schema of a key of a workflow; `None` for one that this file does not know.
fn of_workflow_key(key: &str) -> Option<Value> {
    Some(match key {
        "name" | "description" | "protocol" | "queue" => json!({"$ref": "#/$defs/text"}),
        "model" => json!({"$ref": "#/$defs/model"}),
        "inputs" | "metadata" | "outputs" | "providers" => json!({"type": ["object", "null"]}),
        "env" => json!({"$ref": "#/$defs/names"}),
        "tasks" => json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/task"}}),
        "max_parallel_tasks" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": 100_000}),
        "id" | "version" | "tags" => Value::Bool(true),
        "timeout" => json!({"$ref": "#/$defs/time"}),
        "limits" => {
            json!({"type": ["object", "null"], "additionalProperties": {"type": "integer", "minimum": 1}})
        }
        "type" => json!({"enum": ["batch", null]}),
        "batch" => json!({
            "type": "object",
            "properties": {"directory": {"type": "string"}, "pattern": {"$ref": "#/$defs/text"}},
            "required": ["directory"],
            "additionalProperties": false,
        }),
        "template" => json!({"type": "object"}),
        _ => return None,
    })
}

/// Gives the schema of a key of a task; `None` for one that this file does not know.
fn of_task_key(key: &str, methods: &[&str]) -> Option<Value> {
    Some(match key {
        "id" => {
            json!({"type": ["string", "null"], "maxLength": task::LONGEST_NAME, "pattern": r#"^[^.\[\]{}$"]*$"#})
        }
        "name" => json!({"type": ["string", "null"], "maxLength": task::LONGEST_NAME}),
        "description" | "protocol" | "queue" | "limit" => json!({"$ref": "#/$defs/text"}),
        // A protocol may complete a shorter name, and other programs may answer methods of any other family.
        "method" => {
            let own = format!("^({})/", families(methods).join("|"));
            json!({"type": "string", "minLength": 1, "anyOf": [{"enum": methods}, {"not": {"pattern": own}}]})
        }
        "params" | "parameters" => json!({"type": ["object", "null"]}),
        "dependencies" | "depends_on" => json!({"$ref": "#/$defs/names"}),
        "when" => {
            json!({"anyOf": [{"type": ["boolean", "number"]}, {"type": "string", "pattern": REFERENCE}]})
        }
        "for_each" => json!({"anyOf": [
            {"type": "array"},
            {"type": "string", "pattern": REFERENCE},
            {
                "type": "object",
                "properties": {
                    "files": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"type": "null"}]},
                    "items": {"anyOf": [{"type": "array"}, {"type": "string", "pattern": REFERENCE}, {"type": "null"}]},
                },
                "additionalProperties": false,
                "minProperties": 1,
            },
        ]}),
        "retry" => json!({"$ref": "#/$defs/retry"}),
        "timeout" | "delay" => json!({"$ref": "#/$defs/time"}),
        "not_before" => json!({"type": ["string", "integer", "null"]}),
        "priority" => {
            json!({"anyOf": [words(&["low", "normal", "high", "urgent"]), {"enum": [1, 2, 3, null]}]})
        }
        "on_failure" => json!({"anyOf": [words(&["fail", "continue", "skip_dependents"]), {"type": "null"}]}),
        "cache" => {
            let modes: Vec<&str> =
                motet_core::settings::CacheMode::ALL.iter().map(|mode| mode.as_str()).collect();
            json!({"anyOf": [words(&modes), {"type": ["boolean", "null"]}]})
        }
        "tags" => Value::Bool(true),
        "metadata" => json!({"type": ["object", "null"]}),
        _ => return None,
    })
}

/// Gives the families of which every method is known by name; those of servers and of other programs are not.
fn families<'m>(methods: &[&'m str]) -> Vec<&'m str> {
    let families: BTreeSet<&str> = methods.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    families.into_iter().filter(|family| *family != "mcp").collect()
}

/// Gives the schema of one of a few words, in any case.
fn words(words: &[&str]) -> Value {
    let any_case = |word: &&str| -> String {
        word.chars()
            .map(|c| {
                if c.is_ascii_lowercase() {
                    format!("[{c}{}]", c.to_ascii_uppercase())
                } else {
                    c.to_string()
                }
            })
            .collect()
    };
    let pattern: Vec<String> = words.iter().map(any_case).collect();
    json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": format!(r"^\s*({})\s*$", pattern.join("|"))}]})
}

fn retry() -> Value {
    let mut properties: Map<String, Value> = Map::new();
    for key in policy::RETRY_KEYS {
        let schema = match key {
            "max_attempts" => {
                json!({"type": ["integer", "null"], "minimum": 1, "maximum": policy::MOST_ATTEMPTS})
            }
            "backoff" => json!({"anyOf": [words(&["fixed", "linear", "exponential"]), {"type": "null"}]}),
            "jitter" => json!({"type": ["boolean", "null"]}),
            "on" => json!({"anyOf": [{"$ref": "#/$defs/names"}, {"type": "string"}]}),
            _ => json!({"$ref": "#/$defs/time"}),
        };
        properties.insert(key.to_owned(), schema);
    }
    json!({"anyOf": [
        {"type": "integer", "minimum": 1, "maximum": policy::MOST_ATTEMPTS},
        {"type": "object", "properties": properties, "additionalProperties": false},
        {"type": "null"},
    ]})
}

fn of_task(names: &[&str], methods: Vec<Value>) -> Value {
    let properties: Map<String, Value> = task::KEYS
        .into_iter()
        .map(|key| (key.to_owned(), of_task_key(key, names).unwrap_or(Value::Bool(true))))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["method"],
        "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
        "allOf": methods,
    })
}

/// Says what the parameters of a task must be if it calls this method.
fn of_method(method: &dyn Method) -> Value {
    let mut properties: Map<String, Value> = Map::new();
    for parameter in method.parameters() {
        let mut schema = of_kind(parameter.kind);
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".to_owned(), Value::from(parameter.doc));
        }
        properties.insert(parameter.name.to_owned(), schema);
    }
    // The older batch form has keys of its own, and gives the parameter that names the file.
    for key in ["batch_mode", "directory", "file_pattern", "files", "image_paths"] {
        properties.entry(key).or_insert_with(|| json!({"description": "of the batch form"}));
    }
    let required: Vec<&str> = method
        .parameters()
        .iter()
        .filter(|parameter| parameter.required)
        .map(|parameter| parameter.name)
        .collect();
    let given = json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false, "required": required});
    let properties = json!({"params": given, "parameters": given});
    let then = if required.is_empty() {
        json!({"properties": properties})
    } else {
        json!({"properties": properties, "anyOf": [{"required": ["params"]}, {"required": ["parameters"]}]})
    };
    json!({
        "if": {"properties": {"method": {"const": method.name()}}, "required": ["method"]},
        "then": then,
    })
}

/// Gives the schema of a parameter; a text with a reference may become anything, so that is let through.
fn of_kind(kind: ParameterKind) -> Value {
    let or_reference =
        |own: &str| json!({"anyOf": [{"type": [own, "null"]}, {"type": "string", "pattern": REFERENCE}]});
    match kind {
        ParameterKind::String | ParameterKind::Source => json!({"type": ["string", "null"]}),
        ParameterKind::Model => json!({"anyOf": [{"$ref": "#/$defs/model"}]}),
        ParameterKind::Integer => or_reference("integer"),
        ParameterKind::Number => or_reference("number"),
        ParameterKind::Boolean => or_reference("boolean"),
        ParameterKind::Array => or_reference("array"),
        ParameterKind::Object => or_reference("object"),
        ParameterKind::Definition => json!({"type": ["object", "null"]}),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_read_has_a_schema_of_its_own() {
        for key in workflow::KEYS.into_iter().chain(batch::WORKFLOW_KEYS) {
            assert!(of_workflow_key(key).is_some(), "the workflow key `{key}`");
        }
        for key in task::KEYS {
            assert!(of_task_key(key, &[]).is_some(), "the task key `{key}`");
        }
    }
}
