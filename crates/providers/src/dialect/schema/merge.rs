//! Merges two schemas that must both be valid into one, where one can say it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::assertions;
use super::types::Types;

/// Merges a schema into another; the error says what cannot be said by one, such as ``differs in `pattern` ``.
pub(super) fn both(
    mut base: Map<String, Value>,
    part: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    check_openness(&base, part)?;
    check_openness(part, &base)?;
    let tuples = |one: &Map<String, Value>, two: &Map<String, Value>| {
        one.contains_key("prefixItems") && two.contains_key("items")
    };
    if tuples(&base, part) || tuples(part, &base) {
        return Err("differs in `items`".to_owned());
    }
    for (name, value) in part {
        if name == "$defs" || name == "definitions" {
            continue;
        }
        match base.get_mut(name) {
            None => {
                base.insert(name.clone(), value.clone());
            }
            Some(known) if known == value => {}
            Some(known) => {
                if !merge(name, known, value) {
                    return Err(format!("differs in `{name}`"));
                }
            }
        }
    }
    Ok(base)
}

/// Further properties are told apart from the properties beside them, so both schemas must mean the same by them.
fn check_openness(one: &Map<String, Value>, two: &Map<String, Value>) -> Result<(), String> {
    let free = |more: &Value| *more == Value::Bool(true);
    for name in ["additionalProperties", "unevaluatedProperties"] {
        if one.get(name).is_none_or(free)
            || (name == "unevaluatedProperties" && one.contains_key("properties"))
        {
            continue;
        }
        let own = one.get("properties").and_then(Value::as_object);
        let others = two.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        if others.into_iter().any(|name| own.is_none_or(|own| !own.contains_key(name))) {
            return Err("closes an object that has more properties".to_owned());
        }
        if two.contains_key("patternProperties") || one.contains_key("patternProperties") {
            return Err("differs in `patternProperties`".to_owned());
        }
    }
    Ok(())
}

/// Merges two values of a keyword; false where one value cannot say both.
fn merge(name: &str, known: &mut Value, value: &Value) -> bool {
    match (name, known, value) {
        (
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties",
            Value::Number(one),
            Value::Number(two),
        ) => {
            if two.as_f64() > one.as_f64() {
                one.clone_from(two);
            }
            true
        }
        (
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties",
            Value::Number(one),
            Value::Number(two),
        ) => {
            if two.as_f64() < one.as_f64() {
                one.clone_from(two);
            }
            true
        }
        ("uniqueItems", Value::Bool(one), Value::Bool(two)) => {
            *one |= two;
            true
        }
        ("required", Value::Array(one), Value::Array(two)) => {
            let known: BTreeSet<String> = one.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let more = two.iter().filter(|name| name.as_str().is_some_and(|name| !known.contains(name)));
            one.extend(more.cloned());
            true
        }
        ("enum", Value::Array(one), Value::Array(two)) => {
            let known: BTreeSet<String> = two.iter().map(Value::to_string).collect();
            one.retain(|value| known.contains(&value.to_string()));
            true
        }
        ("type", known, value) => merge_types(known, value),
        ("items" | "additionalProperties", known, value) => {
            *known = all_of(known.take(), value);
            true
        }
        ("properties", Value::Object(one), Value::Object(two)) => {
            for (name, schema) in two {
                match one.get_mut(name) {
                    Some(known) if known == schema => {}
                    Some(known) => *known = all_of(known.take(), schema),
                    None => {
                        one.insert(name.clone(), schema.clone());
                    }
                }
            }
            true
        }
        (name, _, _) => assertions::is_annotation(name),
    }
}

fn all_of(one: Value, two: &Value) -> Value {
    match (&one, two) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), _) => two.clone(),
        (_, Value::Bool(true)) => one,
        _ => json!({"allOf": [one, two]}),
    }
}

fn merge_types(known: &mut Value, value: &Value) -> bool {
    let types = |value: &Value| {
        let fields = Map::from_iter([("type".to_owned(), value.clone())]);
        Types::declared(&fields).and_then(Result::ok)
    };
    let common = types(known).zip(types(value)).map(|(one, two)| one.both(two));
    match common.filter(|common| !common.is_empty()) {
        Some(common) => {
            *known = common.written();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_schema_can_say_is_merged() {
        for (one, two, expected) in [
            (
                json!({"type": "number", "title": "A"}),
                json!({"type": ["integer", "null"], "title": "B"}),
                json!({"type": "integer", "title": "A"}),
            ),
            (
                json!({"minLength": 1, "maximum": 9}),
                json!({"minLength": 3, "maximum": 5.5}),
                json!({"minLength": 3, "maximum": 5.5}),
            ),
            (json!({"enum": ["a", "b"]}), json!({"enum": ["b", "c"]}), json!({"enum": ["b"]})),
            (
                json!({"properties": {"a": {"type": "string"}, "b": true}, "required": ["a"]}),
                json!({"properties": {"a": {"minLength": 1}, "b": {}, "c": {}}, "required": ["c", "a"]}),
                json!({
                    "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}, "b": {}, "c": {}},
                    "required": ["a", "c"],
                }),
            ),
            (
                json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false}),
                json!({"properties": {"a": {}}, "required": ["a"]}),
                json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false, "required": ["a"]}),
            ),
            (json!({"pattern": "a"}), json!({"pattern": "b"}), json!("differs in `pattern`")),
            (json!({"type": "string"}), json!({"type": "object"}), json!("differs in `type`")),
            (json!({"anyOf": [{}]}), json!({"anyOf": [true]}), json!("differs in `anyOf`")),
            (json!({"prefixItems": [{}]}), json!({"items": {}}), json!("differs in `items`")),
            (
                json!({"properties": {"a": {}}, "additionalProperties": false}),
                json!({"properties": {"b": {}}}),
                json!("closes an object that has more properties"),
            ),
        ] {
            let merged = both(one.as_object().unwrap().clone(), two.as_object().unwrap());
            assert_eq!(merged.map_or_else(Value::String, Value::Object), expected, "{one} and {two}");
        }
    }
}
