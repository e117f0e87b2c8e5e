//! Nulls that go and nulls that stay, and schemas that lead nowhere.

use serde_json::json;

use super::*;

#[test]
fn nulls_go_only_where_they_stand_for_absence() {
    let text = || json!({"type": "string"});
    let person = json!({
        "type": "object",
        "properties": {"name": text(), "nick": text(), "born": {"type": ["integer", "null"]}},
        "required": ["name"],
    });
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {"label": text(), "next": {"$ref": "#/$defs/node"}, "any": {}},
            "required": ["label"],
        }},
    });
    let shape = |kind: &str, null_size: bool| {
        let size = if null_size { json!({"type": ["number", "null"]}) } else { json!({"type": "number"}) };
        let required = if null_size { json!(["kind", "size"]) } else { json!(["kind"]) };
        json!({"type": "object", "properties": {"kind": {"const": kind}, "size": size}, "required": required})
    };
    let either = json!({"anyOf": [shape("a", false), shape("b", true)]});
    for (schema, value, expected) in [
        (&person, json!({"name": "A", "nick": null, "born": null}), json!({"name": "A", "born": null})),
        (&person, json!({"name": null, "other": null}), json!({"name": null, "other": null})),
        (
            &tree,
            json!({"label": "a", "any": null, "next": {"label": "b", "next": null}}),
            json!({"label": "a", "any": null, "next": {"label": "b"}}),
        ),
        (&either, json!({"kind": "a", "size": null}), json!({"kind": "a"})),
        (&either, json!({"kind": "b", "size": null}), json!({"kind": "b", "size": null})),
        (
            &json!({"type": "array", "items": person, "prefixItems": [true]}),
            json!([{"nick": null}, {"name": "A", "nick": null}]),
            json!([{"nick": null}, {"name": "A"}]),
        ),
        (
            &json!({"type": "object", "additionalProperties": person}),
            json!({"x": {"name": "A", "nick": null}, "y": {"nick": null}}),
            json!({"x": {"name": "A"}, "y": {}}),
        ),
        (
            &json!({"allOf": [{"properties": {"a": {"enum": [1, null]}, "b": {"enum": [1]}, "c": {"const": 1}}}]}),
            json!({"a": null, "b": null, "c": null}),
            json!({"a": null}),
        ),
    ] {
        assert_eq!(without_nulls(value.clone(), schema), expected, "{value} by {schema}");
    }
}

#[test]
fn references_lead_within_the_schema_or_nowhere() {
    let root = json!({"$defs": {"a b": {"x": 1}, "c~d": 2, "%": 3}});
    for (reference, expected) in [
        ("#", Some(&root)),
        ("#/$defs/a%20b/x", Some(&json!(1))),
        ("#/%24defs/c~0d", Some(&json!(2))),
        ("#/$defs/%25", Some(&json!(3))),
        ("#/$defs/%2", None),
        ("#anchor", None),
        ("other.json#/$defs", None),
    ] {
        assert_eq!(resolve(&root, reference), expected, "{reference}");
    }
}

#[test]
fn circles_and_fans_end() {
    let circle =
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
    let double = |target: &str| json!({"$ref": format!("#/$defs/{target}")});
    let mut levels = Map::new();
    for level in 0..60 {
        let next = (level + 1).to_string();
        levels.insert(level.to_string(), json!({"anyOf": [double(&next), double(&next)]}));
    }
    levels.insert(
        "60".into(),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["z"]}),
    );
    let fan = json!({"$ref": "#/$defs/0", "$defs": levels});
    let nest = |inner: &Value| json!({"type": "object", "properties": {"a": inner}});
    for schema in [circle, fan.clone(), nest(&fan)] {
        let value = json!({"a": null});
        assert_eq!(without_nulls(value.clone(), &schema), value);
    }
}
