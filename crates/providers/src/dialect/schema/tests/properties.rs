//! Laws that hold for any schema: no panic, obedience, and no wider than told.

use std::cell::Cell;
use std::collections::BTreeSet;

use motet_core::schema::{resolve, without_nulls};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::super::{Objects, SchemaRules, compile};
use super::{RULES, obeys};

/// Values that are tried for each compiled schema.
const TRIES: u64 = 12;

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..4_u32, 0..4_u32).prop_map(|(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})),
        2 => prop_oneof![Just("date"), Just("uri"), Just("int32")].prop_map(|format| json!({"type": "string", "format": format})),
        1 => Just(json!({"type": "string", "pattern": "^[ab]*$", "description": "Letters."})),
        3 => (-3..3_i64, 0..5_i64).prop_map(|(least, more)| json!({"type": "integer", "exclusiveMinimum": least, "maximum": least + more + 1})),
        1 => Just(json!({"type": "number", "multipleOf": 0.5})),
        1 => Just(json!({"type": "boolean"})),
        1 => Just(json!({"type": "null"})),
        2 => Just(json!({"enum": ["a", "b"]})),
        1 => Just(json!({"enum": ["a", 1, null]})),
        1 => Just(json!({"type": ["string", "null"], "enum": ["a", null, 4]})),
        2 => prop_oneof![Just(json!("a")), Just(json!(1)), Just(json!(null)), Just(json!({}))].prop_map(|value| json!({"const": value})),
        2 => Just(json!({"type": ["string", "integer", "null"], "minLength": 1})),
        1 => Just(json!({})),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!({"type": "object"})),
        1 => Just(json!({"type": "array"})),
        3 => prop_oneof![Just("#/$defs/a"), Just("#/$defs/b"), Just("#"), Just("#/missing")].prop_map(|target| json!({"$ref": target})),
        1 => Just(json!({"$ref": "#/$defs/a", "description": "It.", "minLength": 1})),
    ]
}

fn object(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let more = prop_oneof![
        4 => Just(None),
        3 => Just(Some(json!(false))),
        1 => Just(Some(json!(true))),
        1 => inner.clone().prop_map(Some),
    ];
    let extra = prop_oneof![
        6 => Just(None),
        1 => Just(Some(("minProperties", json!(1)))),
        1 => Just(Some(("dependentRequired", json!({"a": ["b"]})))),
        1 => Just(Some(("not", json!({"required": ["c"]})))),
        1 => Just(Some(("if", json!({"required": ["a"]})))),
    ];
    let properties = prop::collection::vec((0..4_usize, inner, any::<bool>()), 0..4);
    (properties, more, extra).prop_map(|(properties, more, extra)| {
        let mut fields = Map::from_iter([("type".to_owned(), json!("object"))]);
        let (mut all, mut required) = (Map::new(), BTreeSet::new());
        for (name, schema, is_required) in properties {
            let name = ["a", "b", "c", "kind"][name];
            all.insert(name.to_owned(), schema);
            required.extend(is_required.then_some(name));
        }
        fields.insert("properties".into(), all.into());
        fields.insert("required".into(), required.into_iter().collect());
        fields.extend(more.map(|more| ("additionalProperties".to_owned(), more)));
        fields.extend(extra.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(fields)
    })
}

fn schema() -> impl Strategy<Value = Value> {
    let node = leaf().prop_recursive(4, 24, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            4 => object(inner.clone()),
            2 => (inner.clone(), 0..3_u32).prop_map(|(items, least)| json!({"type": "array", "items": items, "minItems": least, "maxItems": 3})),
            1 => several.clone().prop_map(|items| json!({"type": "array", "prefixItems": items, "minItems": 1})),
            1 => (several.clone(), inner.clone()).prop_map(|(items, rest)| json!({"prefixItems": items, "items": rest})),
            2 => several.clone().prop_map(|branches| json!({"anyOf": branches, "description": "Any."})),
            2 => several.clone().prop_map(|branches| json!({"oneOf": branches})),
            2 => several.prop_map(|parts| json!({"allOf": parts})),
        ]
    });
    let root = prop_oneof![6 => object(node.clone()), 1 => node.clone()];
    (root, node.clone(), node).prop_map(|(mut root, a, b)| {
        if let Some(fields) = root.as_object_mut() {
            fields.insert("$defs".into(), json!({"a": a, "b": b}));
        }
        root
    })
}

/// Says in plain JSON schema what the rules' own words mean.
fn plain(schema: &Value, rules: &SchemaRules) -> Value {
    match schema {
        Value::Array(all) => all.iter().map(|one| plain(one, rules)).collect(),
        Value::Object(fields) => {
            let mut out: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), plain(value, rules))).collect();
            if rules.objects == Objects::Unwritten && fields.get("type") == Some(&json!("object")) {
                out.insert("additionalProperties".into(), false.into());
            }
            match out.shift_remove("nullable") {
                Some(_) => json!({"anyOf": [out, {"type": "null"}]}),
                None => Value::Object(out),
            }
        }
        other => other.clone(),
    }
}

/// Draws values from a schema, mostly valid ones.
struct Drawing<'a> {
    root: &'a Value,
    seed: u64,
}

impl Drawing<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % limit.max(1)
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(fields) = schema.as_object().filter(|_| depth < 8) else { return Value::Null };
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            return self.value(resolve(self.root, reference).unwrap(), depth + 1);
        }
        if let Some(constant) = fields.get("const") {
            return constant.clone();
        }
        for list in ["enum", "anyOf"] {
            if let Some(choices) = fields.get(list).and_then(Value::as_array) {
                let chosen = &choices[self.below(choices.len())];
                return if list == "enum" { chosen.clone() } else { self.value(chosen, depth + 1) };
            }
        }
        let kind = match fields.get("type") {
            Some(Value::Array(kinds)) => kinds[self.below(kinds.len())].clone(),
            Some(kind) => kind.clone(),
            None => json!(["string", "object", "null"][self.below(3)]),
        };
        let number = |name: &str| fields.get(name).and_then(Value::as_i64);
        match kind.as_str() {
            Some("string") => "ab".repeat(self.below(3)).into(),
            Some("integer") => {
                let least = number("minimum").or(number("exclusiveMinimum").map(|n| n + 1)).unwrap_or(-4);
                (least + self.below(4) as i64).into()
            }
            Some("number") => (self.below(9) as f64 / 2.0 - 2.0).into(),
            Some("boolean") => (self.below(2) == 0).into(),
            Some("array") => self.list(fields, depth),
            Some("object") => self.object(fields, depth),
            _ => Value::Null,
        }
    }

    fn list(&mut self, fields: &Map<String, Value>, depth: usize) -> Value {
        let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or_default() as usize;
        let tuple = fields.get("prefixItems").and_then(Value::as_array);
        let length = least + self.below(3);
        let item = |place: usize| tuple.and_then(|all| all.get(place)).or(fields.get("items"));
        (0..length).map(|place| item(place).map_or(json!("x"), |item| self.value(item, depth + 1))).collect()
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Value {
        let required = fields.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut out = Map::new();
        for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.contains(&json!(name)) || self.below(2) == 0 {
                out.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        Value::Object(out)
    }
}

/// Tells whether every way in which a value breaks a schema was told as lost.
fn is_told(value: &Value, validator: &jsonschema::Validator, lost: &[String]) -> bool {
    let words: BTreeSet<&str> = lost.iter().filter_map(|lost| lost.split(' ').next()).collect();
    validator.iter_errors(value).all(|error| {
        let path = error.evaluation_path().as_str().to_owned();
        let hidden = path.ends_with("anyOf") || path.ends_with("oneOf");
        path.split('/').any(|word| words.contains(word) || (word == "then" && words.contains("if")))
            || (hidden && !words.is_empty())
    })
}

#[test]
fn whatever_is_compiled_obeys_and_allows_no_more_than_is_told() {
    let (strict, tried) = (Cell::new(0_usize), Cell::new(0_usize));
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(schema(), any::<u64>()), |(schema, seed)| {
        let original = jsonschema::validator_for(&schema).ok();
        for rules in RULES {
            let compiled = compile(&schema, rules);
            if !compiled.strict {
                prop_assert_eq!(&*compiled.schema, &schema);
                continue;
            }
            strict.set(strict.get() + 1);
            prop_assert_eq!(
                obeys::fault(&compiled.schema, rules),
                None,
                "{}: {}",
                rules.name,
                compiled.schema
            );
            let spoken = plain(&compiled.schema, rules);
            let judge = jsonschema::validator_for(&spoken).unwrap();
            let Some(original) = &original else { continue };
            let mut drawing = Drawing { root: &compiled.schema, seed };
            for _ in 0..TRIES {
                let value = drawing.value(&compiled.schema, 0);
                if !judge.is_valid(&value) {
                    continue;
                }
                tried.set(tried.get() + 1);
                let read = without_nulls(value.clone(), &schema);
                prop_assert!(
                    is_told(&read, original, &compiled.lost),
                    "{}: {value} read as {read} by {} for {}, lost {:?}",
                    rules.name,
                    schema,
                    compiled.schema,
                    compiled.lost
                );
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(
        strict.get() > 300 && tried.get() > 1_000,
        "{} strict, {} values tried",
        strict.get(),
        tried.get()
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "[\\[\\]{}:,\"a-z0-9$#/]{0,60}", name in "\\$?[a-zA-Z]{1,20}", value in schema()) {
        let parsed = serde_json::from_str(&text).unwrap_or(Value::Null);
        for schema in [parsed.clone(), json!({"type": "object", "properties": {"a": {name: parsed}, "b": value}})] {
            for rules in RULES {
                let _ = compile(&schema, rules);
            }
        }
    }
}
