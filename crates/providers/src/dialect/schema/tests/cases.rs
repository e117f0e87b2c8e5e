//! Schemas as people and generators write them, and what becomes of them.

use motet_core::request::JsonSchemaOutput;
use serde_json::{Value, json};

use super::super::{SchemaRules, compile, of_output};
use super::{obstacle, strict};

const OPENAI: &SchemaRules = &SchemaRules::OPENAI_STRICT;

fn object(properties: Value, required: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn one(schema: Value) -> Value {
    object(json!({"a": schema}), json!(["a"]))
}

/// What becomes of a required property `a`.
fn property(schema: Value, rules: &SchemaRules) -> (Value, Vec<String>) {
    let (mut written, lost) = strict(&one(schema), rules);
    (written["properties"]["a"].take(), lost)
}

#[test]
fn schemas_that_meet_the_rules_stay_as_they_are() {
    for schema in [
        object(json!({}), json!([])),
        object(
            json!({"name": {"type": ["string", "null"]}, "tags": {"type": "array", "items": {"type": "string"}}}),
            json!(["name", "tags"]),
        ),
        object(json!({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}), json!(["next"])),
        one(json!({"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "description": "How many."})),
        one(json!({"type": "string", "const": "x"})),
        one(json!({"type": "string", "format": "date-time", "pattern": "^2"})),
    ] {
        assert_eq!(strict(&schema, OPENAI), (schema, vec![]));
    }
}

#[test]
fn what_no_strict_mode_enforces_is_named() {
    for (schema, expected) in [
        (json!(true), "its root is no object"),
        (json!({"type": "array", "items": {"type": "string"}}), "its root is no object"),
        (json!({"anyOf": [{"type": "object"}]}), "its root is `anyOf`"),
        (json!({"type": "object"}), "the object at the root may hold properties of any name"),
        (
            one(json!({"type": "object", "additionalProperties": {}})),
            "the object at /properties/a may hold properties of any name",
        ),
        (
            one(json!({"type": "object", "additionalProperties": true, "properties": {}})),
            "the object at /properties/a may hold properties of any name",
        ),
        (
            one(json!({"type": "object", "patternProperties": {"^x": {"type": "string"}}, "properties": {}})),
            "the object at /properties/a may hold properties of any name",
        ),
        (one(json!({"type": "array"})), "the list at /properties/a has no `items`"),
        (one(json!({"description": "anything"})), "/properties/a has no type"),
        (one(json!(true)), "/properties/a has no type"),
        (one(json!(false)), "nothing is valid at /properties/a"),
        (
            one(json!({"$ref": "#/x", "description": "y"})),
            "a `$ref` at /properties/a leads outside or nowhere",
        ),
        (
            one(json!({"$ref": "https://example.com/x.json"})),
            "a `$ref` at /properties/a leads outside or nowhere",
        ),
        (one(json!({"$id": "x", "type": "string"})), "a part of it has an `$id`, at /properties/a"),
        (one(json!({"$dynamicRef": "#x"})), "it uses `$dynamicRef`"),
        (one(json!({"type": "nonsense"})), "the `type` at /properties/a is none"),
        (one(json!(5)), "what stands at /properties/a is no schema"),
        (one(json!({"enum": [{"x": 1}]})), "/properties/a lists values that are objects or lists"),
        (one(json!({"type": "string", "enum": [1]})), "no value listed at /properties/a has its type"),
        (
            one(json!({"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "b"}]})),
            "what must be valid together at /properties/a differs in `pattern`",
        ),
        (
            json!({"type": "object", "properties": {}, "required": ["z"]}),
            "the object at the root requires `z`, which it does not describe",
        ),
    ] {
        assert_eq!(obstacle(&schema, OPENAI), expected, "{schema}");
    }
    let mut deep = json!({"type": "string"});
    for _ in 0..11 {
        deep = one(deep);
    }
    assert_eq!(obstacle(&deep, OPENAI), "it has more than 10 levels of nesting");
    let many: Value = (0..1001).map(|n| n.to_string()).collect();
    assert_eq!(obstacle(&one(json!({"enum": many})), OPENAI), "/properties/a lists more than 1000 values");
    let optional: serde_json::Map<String, Value> =
        (0..25).map(|n| (n.to_string(), json!({"type": "string"}))).collect();
    let wide = json!({"type": "object", "properties": optional});
    assert_eq!(obstacle(&wide, &SchemaRules::ANTHROPIC), "it has more than 24 optional properties");
}

#[test]
fn optional_properties_become_nullable_where_all_must_be_required() {
    let nullable = |schema: Value| {
        let (mut written, _) = strict(&json!({"type": "object", "properties": {"a": schema}}), OPENAI);
        assert_eq!(written["required"], json!(["a"]));
        written["properties"]["a"].take()
    };
    for (schema, expected) in [
        (json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (json!({"type": ["integer", "null"]}), json!({"type": ["integer", "null"]})),
        (json!({"enum": ["x"]}), json!({"type": ["string", "null"], "enum": ["x", null]})),
        (json!({"const": 1}), json!({"type": ["integer", "null"], "enum": [1, null]})),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "default": null, "title": "A"}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ),
        (json!({"$ref": "#"}), json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]})),
    ] {
        assert_eq!(nullable(schema.clone()), expected, "{schema}");
    }
    let (written, _) =
        strict(&json!({"type": "object", "properties": {"a": {"type": "string"}}}), &SchemaRules::ANTHROPIC);
    assert_eq!(
        written,
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false})
    );
}

#[test]
fn bounds_that_are_not_enforced_move_into_the_description() {
    let schema = json!({"type": "string", "minLength": 3, "format": "uri", "pattern": "(?=a)", "description": "Where. "});
    let (written, lost) = property(schema, OPENAI);
    let words = "Where.\nConstraints: at least 3 characters; matches the regular expression `(?=a)`; in the format `uri`.";
    assert_eq!(written, json!({"type": "string", "description": words}));
    assert_eq!(lost, ["minLength at /properties/a", "pattern at /properties/a", "format at /properties/a"]);
    for (schema, rules, expected, lost) in [
        (
            json!({"type": "integer", "minimum": 1}),
            &SchemaRules::ANTHROPIC,
            json!({"type": "integer", "description": "Constraints: at least 1."}),
            1,
        ),
        (
            json!({"type": "integer", "minimum": 1, "format": "uint32"}),
            OPENAI,
            json!({"type": "integer", "minimum": 1}),
            0,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
            &SchemaRules::BEDROCK,
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Constraints: at least 2 items."}),
            1,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true}),
            &SchemaRules::ANTHROPIC,
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Constraints: no item twice."}),
            1,
        ),
        (json!({"type": "string", "minLength": 0, "maximum": 3}), OPENAI, json!({"type": "string"}), 0),
        (json!({"type": "string", "not": {"const": "x"}}), OPENAI, json!({"type": "string"}), 1),
        (
            json!({"type": "integer", "exclusiveMinimum": 0}),
            &SchemaRules::GEMINI_OPENAPI,
            json!({"type": "integer", "minimum": 1}),
            0,
        ),
        (
            json!({"enum": [1, 2]}),
            &SchemaRules::GEMINI_OPENAPI,
            json!({"type": "integer", "description": "Constraints: one of [1,2]."}),
            1,
        ),
        (
            json!({"type": "string", "pattern": "^a$"}),
            &SchemaRules::OLLAMA,
            json!({"type": "string", "pattern": "^a$"}),
            0,
        ),
    ] {
        let (written, all_lost) = property(schema.clone(), rules);
        assert_eq!((written, all_lost.len()), (expected, lost), "{} {schema}", rules.name);
    }
}

#[test]
fn unions_are_written_as_each_can() {
    let cat = || json!({"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"], "additionalProperties": false});
    let dog = || json!({"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"], "additionalProperties": false});
    let typed = |kind: &str| {
        let mut schema = cat();
        schema["properties"]["kind"] = json!({"type": "string", "const": kind});
        schema
    };
    let (written, lost) = property(json!({"oneOf": [cat(), dog()]}), OPENAI);
    assert_eq!((written, lost.len()), (json!({"anyOf": [typed("cat"), typed("dog")]}), 0));
    let overlapping = json!({"oneOf": [{"type": "number"}, {"type": "integer"}], "description": "Some."});
    let (written, lost) = property(overlapping, OPENAI);
    assert_eq!(written, json!({"anyOf": [{"type": "number"}, {"type": "integer"}], "description": "Some."}));
    assert_eq!(lost, ["oneOf at /properties/a"]);

    let gemini = &SchemaRules::GEMINI_OPENAPI;
    let optional = json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Perhaps."});
    assert_eq!(
        property(optional.clone(), gemini).0,
        json!({"type": "string", "nullable": true, "description": "Perhaps."})
    );
    let several =
        json!({"type": ["string", "integer", "null"], "minLength": 2, "minimum": 1, "description": "Many."});
    let string = json!({"type": "string", "minLength": 2, "description": "Many.", "nullable": true});
    let integer = json!({"type": "integer", "minimum": 1, "description": "Many."});
    assert_eq!(property(several, gemini).0, json!({"anyOf": [string, integer]}));
    assert_eq!(property(json!({"const": "x"}), gemini).0, json!({"type": "string", "enum": ["x"]}));
    assert_eq!(
        obstacle(&one(optional.clone()), &SchemaRules::COHERE),
        "one of several may stand at /properties/a"
    );
    let left_out =
        json!({"type": "object", "properties": {"a": optional, "b": {"type": "integer"}}, "required": ["b"]});
    let (written, _) = strict(&left_out, &SchemaRules::COHERE);
    assert_eq!(written["properties"]["a"], json!({"type": "string", "description": "Perhaps."}));

    let either = json!({"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]});
    let (written, lost) = strict(&either, OPENAI);
    assert_eq!(
        (written["properties"].as_object().unwrap().len(), lost),
        (2, vec!["anyOf at the root".to_owned()])
    );
    let (written, lost) = property(either, OPENAI);
    let known = |branch: usize| written["anyOf"][branch]["properties"].clone();
    assert_eq!(known(0), json!({"x": {"type": "string"}, "y": {"type": ["string", "null"]}}));
    assert_eq!((known(1)["x"].clone(), lost.len()), (json!({"type": ["string", "null"]}), 0));
}

#[test]
fn references_are_kept_moved_or_replaced() {
    let node = json!({"type": "object", "properties": {"label": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/definitions/Node"}, {"type": "null"}]}}, "required": ["label", "next"]});
    let recursive = json!({"$ref": "#/definitions/Node", "definitions": {"Node": node}, "$schema": "x"});
    let (written, lost) = strict(&recursive, OPENAI);
    assert!(lost.is_empty());
    assert_eq!(written["type"], "object");
    assert_eq!(written["properties"]["next"]["anyOf"][0], json!({"$ref": "#/$defs/Node"}));
    assert_eq!(written["$defs"]["Node"]["properties"]["next"], written["properties"]["next"]);
    assert_eq!(obstacle(&recursive, &SchemaRules::ANTHROPIC), "it is recursive");
    assert_eq!(obstacle(&recursive, &SchemaRules::GEMINI_JSON), "it is recursive");
    assert!(obstacle(&recursive, &SchemaRules::GEMINI_OPENAPI).ends_with("leads in a circle"));
    let mut optional = recursive;
    optional["definitions"]["Node"]["required"] = json!(["label"]);
    strict(&optional, &SchemaRules::GEMINI_JSON);

    let twice = json!({
        "type": "object", "required": ["a", "b", "c"],
        "properties": {
            "a": {"$ref": "#/$defs/Size", "description": "How wide."},
            "b": {"allOf": [{"$ref": "#/$defs/Size"}], "description": "How tall."},
            "c": {"$ref": "#/properties/a"},
        },
        "$defs": {"Size": {"type": "integer", "description": "In millimetres.", "minimum": 0}},
    });
    let (written, _) = strict(&twice, OPENAI);
    let size = json!({"type": "integer", "description": "In millimetres.", "minimum": 0});
    assert_eq!(
        written["properties"]["a"],
        json!({"anyOf": [{"$ref": "#/$defs/Size"}], "description": "How wide."})
    );
    assert_eq!(
        written["properties"]["b"],
        json!({"type": "integer", "minimum": 0, "description": "How tall."})
    );
    assert_eq!(written["properties"]["c"], json!({"$ref": "#/$defs/Size"}));
    assert_eq!(written["$defs"], json!({"Size": size}));
    let (written, _) = strict(&twice, &SchemaRules::GEMINI_OPENAPI);
    assert_eq!(
        written["properties"]["a"],
        json!({"type": "integer", "minimum": 0, "description": "How wide.\nIn millimetres."})
    );
    assert!(written.get("$defs").is_none());
}

#[test]
fn objects_and_lists_are_said_as_each_wants_it() {
    let map = one(json!({"type": "object", "additionalProperties": {"type": "integer"}}));
    for rules in [&SchemaRules::GEMINI_JSON, &SchemaRules::OLLAMA] {
        let (written, _) = strict(&map, rules);
        assert_eq!(
            written["properties"]["a"],
            json!({"type": "object", "additionalProperties": {"type": "integer"}})
        );
    }
    let two = json!({"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "required": ["y"]});
    let (written, _) = strict(&two, &SchemaRules::GEMINI_OPENAPI);
    assert_eq!(
        written,
        json!({
            "type": "object", "propertyOrdering": ["x", "y"], "required": ["y"],
            "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
        })
    );
    let pair = |last: Value| json!({"type": "array", "prefixItems": [{"type": "number"}, last], "minItems": 2, "maxItems": 2});
    let (written, lost) = property(pair(json!({"type": "number"})), OPENAI);
    assert_eq!(
        (written, lost.len()),
        (json!({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}), 0)
    );
    let (written, lost) = property(pair(json!({"type": "string"})), OPENAI);
    assert_eq!(written["items"], json!({"anyOf": [{"type": "number"}, {"type": "string"}]}));
    assert_eq!(lost, ["prefixItems at /properties/a"]);
    let old = json!({"items": [{"type": "number"}], "additionalItems": false});
    let (written, lost) = property(old, &SchemaRules::OLLAMA);
    assert_eq!(
        (written, lost.len()),
        (json!({"type": "array", "maxItems": 1, "prefixItems": [{"type": "number"}]}), 0)
    );
}

#[test]
fn an_answer_is_enforced_only_when_that_is_asked_for_and_told_when_not() {
    let output = |schema: Value, strict: bool| JsonSchemaOutput { name: "out".into(), schema, strict };
    let free = json!({"type": "object"});
    let bounded = one(json!({"type": "string", "minLength": 1}));
    for (schema, asked, rules, strict, told) in [
        (
            &free,
            true,
            OPENAI,
            false,
            Some(
                "schema `out` cannot be enforced by the provider because the object at the root may hold properties of any name; the answer is only checked",
            ),
        ),
        (&free, false, OPENAI, false, None),
        (&bounded, false, OPENAI, false, None),
        (
            &bounded,
            true,
            OPENAI,
            true,
            Some(
                "schema `out` is not enforced by the provider in all parts (minLength at /properties/a); the answer is checked",
            ),
        ),
        (&bounded, false, &SchemaRules::ANTHROPIC, true, None),
        (&bounded, true, &SchemaRules::ANY, true, None),
    ] {
        let mut warnings = Vec::new();
        let output = output(schema.clone(), asked);
        let compiled = of_output(&output, rules, &mut warnings);
        assert_eq!((compiled.strict, warnings.first().map(String::as_str)), (strict, told), "{schema}");
        assert_eq!(*compiled.schema == *schema, !strict || rules.anything);
    }
    let many: serde_json::Map<String, Value> =
        (0..20).map(|n| (n.to_string(), json!({"type": "string", "minLength": 1}))).collect();
    let many = json!({"type": "object", "properties": many});
    assert!(
        compile(&many, OPENAI).warning("out").unwrap().contains("minLength at /properties/7, and 12 more)")
    );
}
