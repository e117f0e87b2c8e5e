//! Looks at the schemas that a server sends before anything works with them: bounded in size, nesting, and references,
//! and of the form that models are given.
//!
//! A schema that does not fit leaves out its tool, and says why.

use std::collections::BTreeSet;

use motet_core::schema::{pointer_of, resolve};
use serde_json::{Map, Value, json};

/// Largest schema, in bytes of JSON.
const BYTES: usize = 128 << 10;
/// Deepest nesting as it is written.
const DEPTH: usize = 64;
/// References that may follow one another without anything between.
const HOPS: usize = 16;
/// Parts that the schema may have once every reference is followed, each circle once.
const PARTS: usize = 20_000;

/// Gives a schema as models are given it, or says why it cannot be.
pub(super) fn fitted(schema: Value) -> Result<Value, String> {
    let size = schema.to_string().len();
    if size > BYTES {
        return Err(format!("its schema has {size} bytes, more than {BYTES}"));
    }
    if depth(&schema) > DEPTH {
        return Err(format!("its schema nests deeper than {DEPTH} levels"));
    }
    let schema = as_object(schema)?;
    let mut walk = Walk { root: &schema, parts: PARTS, open: BTreeSet::new() };
    walk.follow(&schema, 0)?;
    compiled(schema)
}

/// Makes the root describe an object, as every provider demands, where it can be meant so.
fn as_object(schema: Value) -> Result<Value, String> {
    let mut fields = match schema {
        Value::Object(fields) => fields,
        // Servers without parameters write that anything, or nothing, may be given.
        Value::Null | Value::Bool(true) => Map::new(),
        _ => return Err("its schema is not an object".to_owned()),
    };
    let names_object = |kind: &Value| match kind {
        Value::String(name) => name == "object",
        Value::Array(names) => names.iter().any(|name| name == "object"),
        _ => false,
    };
    match fields.get("type") {
        Some(kind) if !names_object(kind) => {
            return Err(format!("its parameters are of type `{kind}` and not an object"));
        }
        _ => {
            fields.insert("type".to_owned(), "object".into());
        }
    }
    match fields.get("properties") {
        Some(Value::Object(_)) => {}
        Some(Value::Null) | None => {
            fields.insert("properties".to_owned(), json!({}));
        }
        Some(_) => return Err("its `properties` are not an object".to_owned()),
    }
    Ok(Value::Object(fields))
}

/// Compiles the schema, as an agent later does, so that one that is wrong leaves out its tool and not the agent.
fn compiled(mut schema: Value) -> Result<Value, String> {
    let Err(problem) = jsonschema::validator_for(&schema) else { return Ok(schema) };
    // A dialect that nobody knows is no reason to refuse what is right in the usual one.
    let dialect = schema.as_object_mut().and_then(|fields| fields.shift_remove("$schema"));
    match dialect.map(|_| jsonschema::validator_for(&schema)) {
        Some(Ok(_)) => Ok(schema),
        _ => {
            let problem: String = problem.to_string().chars().take(200).collect();
            Err(format!("its schema is not a JSON schema: {problem}"))
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Follows every reference, as whoever puts the parts in their places would.
struct Walk<'a> {
    root: &'a Value,
    parts: usize,
    /// References that are being followed; meeting one again is a circle, which may stand below a property.
    open: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn follow(&mut self, part: &'a Value, hops: usize) -> Result<(), String> {
        self.parts = self.parts.checked_sub(1).ok_or_else(|| {
            format!("its schema has more than {PARTS} parts once its references are followed")
        })?;
        match part {
            Value::Array(items) => items.iter().try_for_each(|item| self.follow(item, 0)),
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    self.refer(reference, hops)?;
                }
                let others =
                    fields.iter().filter(|(name, _)| !matches!(name.as_str(), "$defs" | "definitions"));
                others.map(|(_, value)| value).try_for_each(|value| self.follow(value, 0))
            }
            _ => Ok(()),
        }
    }

    fn refer(&mut self, reference: &str, hops: usize) -> Result<(), String> {
        if !reference.starts_with('#') {
            return Err(format!("its schema refers to `{}` outside of it", shortened(reference)));
        }
        if hops >= HOPS {
            return Err("its schema refers in a circle, or through too many references in a row".to_owned());
        }
        let pointer = pointer_of(reference).unwrap_or_default();
        let Some(target) = resolve(self.root, reference) else {
            return Err(format!("its schema refers to `{}`, which is not in it", shortened(reference)));
        };
        // A direct reference to itself leads nowhere, unlike one from a property of itself.
        let is_only_reference =
            target.as_object().is_some_and(|fields| fields.contains_key("$ref") && fields.len() == 1);
        if is_only_reference {
            return self.follow(target, hops + 1);
        }
        if !self.open.insert(pointer.clone()) {
            return Ok(());
        }
        self.follow(target, hops + 1)?;
        self.open.remove(&pointer);
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_made_objects_where_they_can_be_meant_so() {
        let empty = json!({"type": "object", "properties": {}});
        for schema in [json!({}), json!(true), json!(null), json!({"type": ["null", "object"]})] {
            assert_eq!(fitted(schema), Ok(empty.clone()));
        }
        let union = json!({"anyOf": [{"required": ["a"]}], "properties": {"a": {}}});
        assert_eq!(fitted(union).unwrap()["type"], "object");
        for (schema, why) in [
            (json!({"type": "string"}), "its parameters are of type `\"string\"` and not an object"),
            (json!([1]), "its schema is not an object"),
            (json!({"properties": [1]}), "its `properties` are not an object"),
        ] {
            assert_eq!(fitted(schema).unwrap_err(), why);
        }
    }

    #[test]
    fn a_recursive_type_is_kept_and_a_circle_of_references_is_not() {
        let tree = json!({
            "properties": {"root": {"$ref": "#/$defs/node"}},
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        assert!(fitted(tree).is_ok());
        let circle = json!({
            "properties": {"root": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        });
        assert!(fitted(circle).unwrap_err().contains("in a circle"));
    }

    #[test]
    fn schemas_that_are_too_much_are_refused_with_the_reason() {
        let deep = (0..80).fold(json!({}), |inner, _| json!({"properties": {"a": inner}}));
        assert_eq!(fitted(deep).unwrap_err(), "its schema nests deeper than 64 levels");
        let large = json!({"description": "x".repeat(BYTES)});
        assert!(fitted(large).unwrap_err().contains("more than 131072"));
        let mut definitions = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
            definitions.insert(format!("l{level}"), json!({"properties": {"a": next, "b": next}}));
        }
        definitions.insert("l40".into(), json!({}));
        let doubling = json!({"properties": {"a": {"$ref": "#/$defs/l0"}}, "$defs": definitions});
        assert!(fitted(doubling).unwrap_err().contains("more than 20000 parts"));
        for reference in ["https://example.com/x.json", "other.json#/a"] {
            let outside = json!({"properties": {"a": {"$ref": reference}}});
            assert!(fitted(outside).unwrap_err().contains("outside of it"));
        }
        let dangling = json!({"properties": {"a": {"$ref": "#/$defs/none"}}});
        assert!(fitted(dangling).unwrap_err().contains("which is not in it"));
        assert!(fitted(json!({"required": 1})).unwrap_err().contains("not a JSON schema"));
    }

    #[test]
    fn an_unknown_dialect_is_read_as_the_usual_one() {
        let schema = json!({"$schema": "https://example.com/mine", "properties": {"a": {"type": "string"}}});
        assert_eq!(fitted(schema).unwrap()["properties"]["a"]["type"], "string");
    }
}
