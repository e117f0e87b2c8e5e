//! Whether a JSON schema meets the rules under which the format enforces it.
//!
//! Rules as in OpenAI's guide "Structured model outputs", section "Supported schemas".

use serde_json::{Map, Value};

/// Deepest nesting that is enforced.
const DEPTH_LIMIT: usize = 10;

/// Keywords that are enforced or harmless.
const KEYWORDS: &[&str] = &[
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "definitions",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
];

const FORMATS: &[&str] =
    &["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// Tells what keeps a schema from being enforced; `None` when it can be.
pub(super) fn obstacle(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(root) if root.get("type") != Some(&Value::from("object")) => {
            Some("its root is no object".to_owned())
        }
        Value::Object(root) if root.contains_key("anyOf") => Some("its root is `anyOf`".to_owned()),
        _ => check(schema, 0),
    }
}

fn check(schema: &Value, depth: usize) -> Option<String> {
    let Value::Object(fields) = schema else { return Some("a part of it is no object".to_owned()) };
    if depth > DEPTH_LIMIT {
        return Some(format!("it is nested deeper than {DEPTH_LIMIT} levels"));
    }
    if let Some(unknown) = fields.keys().find(|name| !KEYWORDS.contains(&name.as_str())) {
        return Some(format!("it uses `{unknown}`"));
    }
    if let Some(reference) = fields.get("$ref") {
        let local = reference.as_str().is_some_and(|target| target.starts_with('#'));
        let alone = fields.len() == 1;
        return (!local || !alone).then(|| "a `$ref` leads outside or has neighbours".to_owned());
    }
    check_value_rules(fields).or_else(|| check_object(fields)).or_else(|| check_children(fields, depth))
}

fn check_value_rules(fields: &Map<String, Value>) -> Option<String> {
    if !["type", "anyOf", "enum", "const"].iter().any(|name| fields.contains_key(*name)) {
        return Some("a part of it has no type".to_owned());
    }
    if let Some(format) = fields.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        return Some(format!("it uses the format `{format}`"));
    }
    let pattern = fields.get("pattern").and_then(Value::as_str).unwrap_or_default();
    if ["(?=", "(?!", "(?<"].iter().any(|look| pattern.contains(look)) {
        return Some("a pattern looks around".to_owned());
    }
    if has_type(fields, "array") && !fields.get("items").is_some_and(Value::is_object) {
        return Some("an array has no `items`".to_owned());
    }
    None
}

fn check_object(fields: &Map<String, Value>) -> Option<String> {
    if !has_type(fields, "object") {
        return None;
    }
    let Some(Value::Object(properties)) = fields.get("properties") else {
        return Some("an object has no `properties`".to_owned());
    };
    if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some("an object lacks `additionalProperties: false`".to_owned());
    }
    let required: Vec<&str> = match fields.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let optional = properties.keys().find(|name| !required.contains(&name.as_str()))?;
    Some(format!("property `{optional}` is not required"))
}

fn check_children(fields: &Map<String, Value>, depth: usize) -> Option<String> {
    let named = ["properties", "$defs", "definitions"].into_iter().filter_map(|name| fields.get(name));
    let named = named.filter_map(Value::as_object).flat_map(Map::values);
    let listed = fields.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    named.chain(listed).chain(fields.get("items")).find_map(|child| check(child, depth + 1))
}

fn has_type(fields: &Map<String, Value>, name: &str) -> bool {
    match fields.get("type") {
        Some(Value::String(single)) => single == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(properties: Value, required: Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    #[test]
    fn schemas_that_meet_the_rules_pass() {
        for schema in [
            object(json!({}), json!([])),
            object(
                json!({"name": {"type": ["string", "null"], "title": "Name"}, "tags": {"type": "array", "items": {"type": "string"}}}),
                json!(["name", "tags"]),
            ),
            json!({
                "type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
                "required": ["next"], "additionalProperties": false, "$defs": {"kind": {"enum": ["a"]}}
            }),
        ] {
            assert_eq!(obstacle(&schema), None, "{schema}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let one = |schema: Value| object(json!({"a": schema}), json!(["a"]));
        for (schema, expected) in [
            (json!(true), "a part of it is no object"),
            (json!({"type": "array", "items": {"type": "string"}}), "its root is no object"),
            (json!({"type": "object", "anyOf": []}), "its root is `anyOf`"),
            (json!({"type": "object"}), "an object has no `properties`"),
            (json!({"type": "object", "properties": {}}), "an object lacks `additionalProperties: false`"),
            (object(json!({"a": {"type": "string"}}), json!([])), "property `a` is not required"),
            (one(json!({"type": "string", "minLength": 1})), "it uses `minLength`"),
            (one(json!({"type": "string", "format": "uri"})), "it uses the format `uri`"),
            (one(json!({"type": "string", "pattern": "(?=a)"})), "a pattern looks around"),
            (one(json!({"type": "array"})), "an array has no `items`"),
            (one(json!({"description": "anything"})), "a part of it has no type"),
            (one(json!({"$ref": "#/x", "description": "y"})), "a `$ref` leads outside or has neighbours"),
            (one(json!({"type": "object", "additionalProperties": {}})), "an object has no `properties`"),
        ] {
            assert_eq!(obstacle(&schema).as_deref(), Some(expected), "{schema}");
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..11 {
            deep = one(deep);
        }
        assert_eq!(obstacle(&deep).as_deref(), Some("it is nested deeper than 10 levels"));
    }
}
