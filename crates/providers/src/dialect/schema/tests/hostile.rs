//! Schemas made to be expensive: each ends, and what is written stays small.

use serde_json::{Map, Value, json};

use super::super::{SchemaRules, compile};
use super::RULES;

/// Bytes that nothing compiled of these may exceed.
const LARGEST: usize = 2_000_000;

fn root(properties: Value, definitions: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": ["a"], "$defs": definitions})
}

/// Definitions that each refer twice to the next by `how`.
fn fan(how: impl Fn(Value, Value) -> Value) -> Value {
    let reference = |level: usize| json!({"$ref": format!("#/$defs/{level}")});
    let mut levels = Map::new();
    for level in 0..40 {
        levels.insert(level.to_string(), how(reference(level + 1), reference(level + 1)));
    }
    levels.insert(
        "40".into(),
        json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
    );
    root(json!({"a": reference(0)}), Value::Object(levels))
}

fn nested(levels: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..levels).fold(json!({"type": "string"}), |inner, _| wrap(inner))
}

#[test]
fn fans_and_circles_end() {
    let pair = |a: Value, b: Value| json!({"type": "object", "properties": {"l": a, "r": b}, "required": ["l", "r"]});
    let all_of = |a: Value, b: Value| json!({"allOf": [a, b]});
    let any_of = |a: Value, b: Value| json!({"anyOf": [a, b]});
    let beside = |a: Value, b: Value| json!({"$ref": a["$ref"], "properties": {"y": b}});
    let long = "x".repeat(100_000);
    let text = json!({"type": "string", "description": long});
    let wide = |count: usize| {
        let many: Map<String, Value> =
            (0..count).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/s"}))).collect();
        root(json!({"a": {"type": "object", "properties": many}}), json!({"s": text}))
    };
    let a = json!({"a": {"$ref": "#/$defs/a"}});
    let itself = |how: Value| root(a.clone(), json!({"a": how}));
    let numbers: Value = (0..100_000).collect();
    for schema in [
        fan(pair),
        fan(all_of),
        fan(any_of),
        fan(beside),
        wide(5_000),
        itself(json!({"$ref": "#/$defs/a"})),
        itself(json!({"allOf": [{"$ref": "#/$defs/a"}, {"minLength": 1}]})),
        itself(json!({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]})),
        itself(json!({"type": "array", "items": {"$ref": "#/$defs/a"}})),
        itself(json!({"$ref": "#/$defs/a", "minLength": 1})),
        root(json!({"a": {"enum": numbers}}), json!({})),
        root(json!({"a": {"allOf": [{"enum": numbers}, {"enum": numbers}]}}), json!({})),
        root(json!({"a": {"type": "string", "description": "y".repeat(10_000_000)}}), json!({})),
        root(json!({"a": nested(150, |inner| json!({"allOf": [inner]}))}), json!({})),
        root(json!({"a": nested(14, |inner| json!({"anyOf": [inner, inner]}))}), json!({})),
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!(null),
        json!([1]),
    ] {
        for rules in RULES {
            let compiled = compile(&schema, rules);
            let size = compiled.schema.to_string().len();
            assert!(!compiled.strict || size < LARGEST, "{}: {size}", rules.name);
            assert!(compiled.strict || *compiled.schema == schema);
        }
    }
}

#[test]
fn what_leads_in_circles_without_an_end_is_never_strict() {
    for how in [
        json!({"$ref": "#/$defs/a"}),
        json!({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}),
        json!({"allOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]}),
    ] {
        let schema = root(json!({"a": {"$ref": "#/$defs/a"}}), json!({"a": how}));
        for rules in RULES {
            assert!(!compile(&schema, rules).strict, "{}: {how}", rules.name);
        }
    }
}

#[test]
fn a_hundred_thousand_levels_end_at_the_first_hundred() {
    let below = |name: &str| {
        let name = name.to_owned();
        move |inner: Value| Value::Object(Map::from_iter([(name.clone(), inner)]))
    };
    let listed = |name: &str| {
        let below = below(name);
        move |inner: Value| below(Value::Array(vec![inner]))
    };
    let object = |inner: Value| below("properties")(below("a")(inner));
    let wraps: [&dyn Fn(Value) -> Value; 6] =
        [&object, &below("items"), &below("const"), &below("not"), &listed("allOf"), &listed("anyOf")];
    for wrap in wraps {
        let mut schema = nested(100_000, wrap);
        for rules in RULES {
            let compiled = compile(&schema, rules);
            assert!(!compiled.strict, "{}", rules.name);
        }
        assert!(compile(&schema, &SchemaRules::ANY).strict);
        // The usual way of dropping it would need as deep a stack.
        while let Some(inner) = take_inner(&mut schema) {
            schema = inner;
        }
    }
}

fn take_inner(value: &mut Value) -> Option<Value> {
    match value {
        Value::Array(items) => items.pop(),
        Value::Object(fields) => {
            let name = fields.iter().find(|(_, value)| value.is_object() || value.is_array())?.0.clone();
            fields.remove(&name)
        }
        _ => None,
    }
}
