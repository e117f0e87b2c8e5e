//! Tests of schema filling: what is found, what is left out, and that nothing invalid ever comes out.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOTE: &str = "# Harbour works\n\n**Date:** 2026-03-14\n**Status:** closed\n**Author:** Ada Quill\n\n\
    The works cost €9,500 and took 12 days. Bo Ferris, the lead engineer, wrote to works@x.example on 3 April 2026. \
    It must not happen again.\n\n## Decisions\n\n- The crane stays.\n- The road is closed until 2026-05-01.\n\n\
    ## Actions\n\n| Who | What | By |\n|---|---|---|\n| Ada Quill | Paint the crane | 2026-04-10 |\n\
    | Bo Ferris | Close the road | 1 May 2026 |\n";

fn filled(schema: &Value) -> Result<Value> {
    fill(schema, &Material::read(NOTE), "Who is the engineer?")
}

/// Fills a schema of one required property.
#[track_caller]
fn check(name: &str, part: Value, expected: Value) {
    let schema = json!({"type": "object", "properties": {name: part}, "required": [name]});
    assert_eq!(filled(&schema).unwrap().get(name), Some(&expected), "{name}");
}

#[test]
fn names_of_properties_decide_what_is_found() {
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    check("people", texts(), json!(["Ada Quill", "Bo Ferris"]));
    check("dates", texts(), json!(["2026-03-14", "2026-04-03", "2026-05-01", "2026-04-10"]));
    check("emails", texts(), json!(["works@x.example"]));
    check("decisions", texts(), json!(["The crane stays.", "The road is closed until 2026-05-01."]));
    check("title", text(), json!("Harbour works"));
    check("author", text(), json!("Ada Quill"));
    check(
        "engineer",
        text(),
        json!("Bo Ferris, the lead engineer, wrote to works@x.example on 3 April 2026."),
    );
    check("status", json!({"enum": ["open", "closed"]}), json!("closed"));
    check("language", text(), json!("English"));
    check("language_code", text(), json!("en"));
    check("cost", json!({"type": "number"}), json!(9500));
    check("cost", text(), json!("€9,500"));
    check("days", json!({"type": "integer", "description": "how many days it took"}), json!(12));
    check("people_count", json!({"type": "integer"}), json!(2));
    check("year", json!({"type": "integer"}), json!(2026));
    check("has_email", json!({"type": "boolean"}), json!(true));
    check("is_flooded", json!({"type": "boolean"}), json!(false));
    check("happened_again", json!({"type": "boolean"}), json!(false));
    check("answer", text(), json!("Bo Ferris, the lead engineer, wrote to works@x.example on 3 April 2026."));
    check("date", json!({"type": "string", "format": "date-time"}), json!("2026-03-14T00:00:00Z"));
}

#[test]
fn objects_of_a_list_are_about_one_thing_each() {
    let people = json!({"type": "array", "items": {"type": "object", "properties": {
        "name": {"type": "string"}, "role": {"type": "string"}, "mentions": {"type": "integer"}}}});
    check(
        "people",
        people,
        json!([{"name": "Ada Quill", "mentions": 2}, {"name": "Bo Ferris", "role": "lead engineer", "mentions": 2}]),
    );
    let actions = json!({"type": "array", "items": {"type": "object", "properties": {
        "owner": {"type": "string"}, "task": {"type": "string"}, "due": {"type": "string", "format": "date"}},
        "required": ["owner", "task", "due"]}});
    check(
        "actions",
        actions,
        json!([
            {"owner": "Ada Quill", "task": "Paint the crane", "due": "2026-04-10"},
            {"owner": "Bo Ferris", "task": "Close the road", "due": "2026-05-01"},
        ]),
    );
    let events = json!({"type": "array", "maxItems": 1, "items": {"type": "object", "properties": {
        "date": {"type": "string"}, "event": {"type": "string"}}}});
    let event = "Bo Ferris, the lead engineer, wrote to works@x.example on 3 April 2026.";
    check("events", events, json!([{"date": "2026-04-03", "event": event}]));
}

#[test]
fn what_the_text_does_not_say_is_left_out_null_or_empty() {
    let schema = json!({"type": "object", "properties": {
        "phone_url": {"type": "string"},
        "website": {"type": ["string", "null"]},
        "score": {"type": "integer", "minimum": 3, "maximum": 9},
        "link": {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}},
        "required": ["website", "score", "link"]});
    assert_eq!(filled(&schema).unwrap(), json!({"website": null, "score": 3, "link": null}));
}

#[test]
fn ages_and_places_are_read() {
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}, "email": {"type": "string"}},
        "required": ["name", "age", "city", "email"]});
    let text = "John Smith is 42 years old and lives in Boston, MA. His address is john@x.example.";
    let value = fill(&schema, &Material::read(text), "").unwrap();
    assert_eq!(value, json!({"name": "John Smith", "age": 42, "city": "Boston", "email": "john@x.example"}));
}

#[test]
fn lengths_and_patterns_are_kept() {
    check("summary", json!({"type": "string", "maxLength": 30}), json!("Bo Ferris, the lead engineer…"));
    check("code", json!({"type": "string", "pattern": "^[a-z]+-[a-z]+$"}), json!("harbour-works"));
    check("sum", json!({"type": "string", "pattern": "^€"}), json!("€9,500"));
    check("topics", json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}), json!(["crane"]));
}

#[test]
fn what_cannot_be_drawn_from_the_text_is_an_error_and_never_an_invention() {
    let required = |part: Value| json!({"type": "object", "properties": {"x": part}, "required": ["x"]});
    for part in [
        json!({"type": "string", "format": "uri"}),
        json!({"type": "string", "format": "uuid"}),
        json!({"type": "string", "pattern": "^[0-9]{12}$"}),
        json!({"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 3}),
        json!({"type": "integer", "minimum": 3, "exclusiveMaximum": 4, "multipleOf": 7}),
        json!(false),
        json!({"allOf": [{"const": 1}, {"const": 2}]}),
    ] {
        let error = filled(&required(part.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOutput, "{part} {error}");
        assert!(error.hint().is_some());
    }
    for part in [
        json!({"type": "array", "contains": {"type": "integer"}}),
        json!({"$ref": "https://x.example/schema"}),
        json!({"type": "string", "pattern": "(?=a)"}),
        json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
    ] {
        assert_eq!(filled(&required(part.clone())).unwrap_err().kind(), ErrorKind::Unsupported, "{part}");
    }
}

#[test]
fn a_schema_that_contains_itself_comes_to_an_end() {
    let tree = json!({"$defs": {"node": {"type": "object", "properties": {
            "title": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["title"]}},
        "$ref": "#/$defs/node"});
    let value = filled(&tree).unwrap();
    assert_eq!(value.get("title"), Some(&json!("Harbour works")));
    let endless = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
    assert_eq!(filled(&endless).unwrap_err().kind(), ErrorKind::InvalidOutput);
    let circle = json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    assert_eq!(filled(&circle).unwrap_err().kind(), ErrorKind::Unsupported);
}

const NAMES: &[&str] = &[
    "people",
    "dates",
    "summary",
    "title",
    "topics",
    "x",
    "score",
    "isOpen",
    "due_date",
    "actions",
    "owner",
    "cost",
    "language",
    "emails",
    "count",
    "key_points",
    "status",
    "answer",
    "name",
    "url",
    "events",
    "année",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES).prop_map(str::to_owned)
}

fn text_schema() -> impl Strategy<Value = Value> {
    let form = prop::sample::select(vec![
        json!({}),
        json!({"format": "date"}),
        json!({"format": "date-time"}),
        json!({"format": "email"}),
        json!({"pattern": "^[A-Za-z ]+$"}),
        json!({"pattern": "[0-9]{4}"}),
        json!({"description": "the main topics"}),
        json!({"enum": ["open", "closed", "très long"]}),
        json!({"const": "fixed"}),
    ]);
    (form, prop::option::of(0_u32..40), prop::option::of(0_u32..60)).prop_map(|(form, least, more)| {
        let mut schema = form;
        schema["type"] = json!("string");
        if let Some(least) = least {
            schema["minLength"] = json!(least);
        }
        if let Some(more) = more {
            schema["maxLength"] = json!(least.unwrap_or(0) + more);
        }
        schema
    })
}

fn number_schema() -> impl Strategy<Value = Value> {
    let step =
        prop::sample::select(vec![None, Some(json!(1)), Some(json!(5)), Some(json!(0.25)), Some(json!(0.1))]);
    (any::<bool>(), prop::option::of(-50_i32..50), prop::option::of(0_i32..60), step, any::<bool>()).prop_map(
        |(whole, least, more, step, exclusive)| {
            let mut schema = json!({"type": if whole { "integer" } else { "number" }});
            if let Some(least) = least {
                schema[if exclusive { "exclusiveMinimum" } else { "minimum" }] = json!(least);
            }
            if let Some(more) = more {
                schema["maximum"] = json!(least.unwrap_or(0) + more);
            }
            if let Some(step) = step {
                schema["multipleOf"] = step;
            }
            schema
        },
    )
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text_schema(),
        2 => number_schema(),
        1 => Just(json!({"type": "boolean"})),
        1 => Just(json!({"type": ["string", "null"]})),
        1 => Just(json!({"$ref": "#/$defs/shared"})),
        1 => Just(json!({})),
        1 => Just(json!(true)),
        1 => Just(json!({"enum": [1, "two", null, [3]]})),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let object = (prop::collection::vec((name(), inner.clone(), any::<bool>()), 0..5), 0_u8..3).prop_map(
            |(parts, rest)| {
                let mut schema = json!({"type": "object", "properties": {}, "required": []});
                for (name, part, required) in parts {
                    schema["properties"][name.as_str()] = part;
                    if required {
                        schema["required"].as_array_mut().unwrap().push(json!(name));
                    }
                }
                let mut seen = std::collections::HashSet::new();
                schema["required"].as_array_mut().unwrap().retain(|name| seen.insert(name.to_string()));
                match rest {
                    0 => schema["additionalProperties"] = json!(false),
                    1 => schema["required"].as_array_mut().unwrap().push(json!("undeclared")),
                    _ => {}
                }
                schema
            },
        );
        let array = (inner.clone(), 0_u32..4, prop::option::of(0_u32..4), any::<bool>()).prop_map(
            |(items, least, more, unique)| {
                let mut schema =
                    json!({"type": "array", "items": items, "minItems": least, "uniqueItems": unique});
                if let Some(more) = more {
                    schema["maxItems"] = json!(least + more);
                }
                schema
            },
        );
        let tuple = (inner.clone(), inner.clone()).prop_map(
            |(one, two)| json!({"type": "array", "prefixItems": [one, two], "items": false, "minItems": 1}),
        );
        let choice = (inner.clone(), inner.clone(), prop::sample::select(vec!["anyOf", "oneOf"]))
            .prop_map(|(one, two, keyword)| json!({keyword: [one, two, {"type": "null"}]}));
        let all = (inner.clone(), inner).prop_map(|(one, two)| json!({"allOf": [one, two]}));
        prop_oneof![4 => object, 3 => array, 1 => tuple, 2 => choice, 1 => all]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_filled_always_validates(schema in any_schema(), on_nothing in any::<bool>()) {
        let mut schema = if schema.is_object() { schema } else { json!({"allOf": [schema]}) };
        schema["$defs"] = json!({"shared": {"type": "object", "properties": {"name": {"type": "string"}}}});
        let material = Material::read(if on_nothing { "-" } else { NOTE });
        match fill(&schema, &material, "Who is it?") {
            Ok(value) => {
                let validator = jsonschema::validator_for(&schema).unwrap();
                prop_assert!(validator.is_valid(&value), "{schema} gives {value}");
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidOutput, "{}", schema),
        }
    }

    /// Where nothing bounds the values, there is always an answer.
    #[test]
    fn a_schema_without_bounds_is_always_filled(names in prop::collection::vec((name(), 0_u8..5), 1..8), on_nothing in any::<bool>()) {
        let mut schema = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
        for (name, kind) in names {
            let part = match kind {
                0 => json!({"type": "string"}),
                1 => json!({"type": "integer"}),
                2 => json!({"type": "array", "items": {"type": "string"}}),
                3 => json!({"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}),
                _ => json!({"type": "boolean"}),
            };
            if schema["properties"].get(&name).is_none() {
                schema["required"].as_array_mut().unwrap().push(json!(name));
            }
            schema["properties"][name.as_str()] = part;
        }
        let value = fill(&schema, &Material::read(if on_nothing { "-" } else { NOTE }), "Who is it?").unwrap();
        prop_assert!(jsonschema::is_valid(&schema, &value), "{schema} gives {value}");
    }
}
