//! Keywords that bound plain values: written where they are enforced, otherwise told in words and noted as lost.

use serde_json::{Map, Value};

use super::compiler::{Compiler, Node, Step};
use super::rules::{Patterns, SchemaRules};
use super::types::Types;

/// Longest bound that is repeated in words, in bytes.
const WORDS_LIMIT: usize = 200;

const NUMERIC: Types = Types::NUMBER.or(Types::INTEGER);
const BOUNDS: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
/// Formats of numbers, which say no more than a machine's word does.
const NUMERIC_FORMATS: &[&str] = &["int32", "int64", "float", "double"];

/// A keyword, the types that it bounds, and the bound in words.
struct Assertion(&'static str, Types, &'static str);

const ASSERTIONS: &[Assertion] = &[
    Assertion("minLength", Types::STRING, "at least {} characters"),
    Assertion("maxLength", Types::STRING, "at most {} characters"),
    Assertion("pattern", Types::STRING, "matches the regular expression {}"),
    Assertion("format", NUMERIC.or(Types::STRING), "in the format {}"),
    Assertion("minimum", NUMERIC, "at least {}"),
    Assertion("maximum", NUMERIC, "at most {}"),
    Assertion("exclusiveMinimum", NUMERIC, "more than {}"),
    Assertion("exclusiveMaximum", NUMERIC, "less than {}"),
    Assertion("multipleOf", NUMERIC, "a multiple of {}"),
    Assertion("minItems", Types::ARRAY, "at least {} items"),
    Assertion("maxItems", Types::ARRAY, "at most {} items"),
    Assertion("uniqueItems", Types::ARRAY, "no item twice"),
    Assertion("contains", Types::ARRAY, ""),
    Assertion("minContains", Types::ARRAY, ""),
    Assertion("maxContains", Types::ARRAY, ""),
    Assertion("unevaluatedItems", Types::ARRAY, ""),
    Assertion("minProperties", Types::OBJECT, "at least {} properties"),
    Assertion("maxProperties", Types::OBJECT, "at most {} properties"),
    Assertion("propertyNames", Types::OBJECT, ""),
    Assertion("dependentRequired", Types::OBJECT, ""),
    Assertion("dependentSchemas", Types::OBJECT, ""),
    Assertion("dependencies", Types::OBJECT, ""),
    Assertion("not", Types::ALL, ""),
    Assertion("if", Types::ALL, ""),
];

/// Keywords that only describe; they never make two schemas differ.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "id",
    "propertyOrdering",
    "readOnly",
    "title",
    "writeOnly",
];

/// Keywords that say what a value consists of.
const STRUCTURE: &[&str] = &[
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "else",
    "enum",
    "items",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "then",
    "type",
    "unevaluatedProperties",
];

/// Gives the types that a keyword bounds; `None` where it bounds no plain value.
pub(super) fn types_of(name: &str) -> Option<Types> {
    ASSERTIONS.iter().find(|known| known.0 == name).map(|known| known.1)
}

/// Tells whether a keyword says something about what is valid.
pub(super) fn asserts(name: &str) -> bool {
    STRUCTURE.contains(&name) || types_of(name).is_some()
}

/// Tells whether a keyword is known to say nothing about what is valid.
pub(super) fn is_annotation(name: &str) -> bool {
    ANNOTATIONS.contains(&name) || !asserts(name)
}

/// What becomes of a keyword.
enum Fate {
    Written(Value),
    /// Written as far as it can be.
    Weakened(Value),
    Lost,
    /// It says nothing.
    Void,
}

impl Compiler<'_> {
    /// Writes the bounds of a node, and adds those that are not enforced to `hints`.
    pub(super) fn bounds(
        &mut self,
        node: &Node<'_>,
        out: &mut Map<String, Value>,
        hints: &mut Vec<String>,
    ) -> Step<()> {
        let numeric = numeric_bounds(node.fields, node.types, self.rules);
        for Assertion(name, types, words) in ASSERTIONS {
            let fields = if BOUNDS.contains(name) { &numeric } else { node.fields };
            let Some(value) = fields.get(*name).filter(|_| types.meets(node.types)) else { continue };
            match fate(name, value, node.types, self.rules) {
                Fate::Void => {}
                Fate::Written(value) => {
                    out.insert((*name).to_owned(), value);
                }
                fate => {
                    if let Fate::Weakened(value) = fate {
                        out.insert((*name).to_owned(), value);
                    }
                    self.lose(name, &node.place)?;
                    hints.extend(in_words(words, value));
                }
            }
        }
        Ok(())
    }
}

fn fate(name: &str, value: &Value, types: Types, rules: &SchemaRules) -> Fate {
    let taken = rules.constraints.contains(&name);
    match (name, value) {
        ("minLength" | "minProperties" | "minItems", Value::Number(least)) if least.as_f64() == Some(0.0) => {
            Fate::Void
        }
        ("uniqueItems", Value::Bool(false)) => Fate::Void,
        ("minItems", Value::Number(least)) if taken && least.as_u64().is_none_or(|n| n > rules.min_items) => {
            Fate::Weakened(rules.min_items.into())
        }
        ("format", Value::String(format)) => fate_of_format(format, types, rules),
        ("pattern", Value::String(pattern)) if is_taken(pattern, rules.patterns) => {
            Fate::Written(value.clone())
        }
        (_, Value::Number(_)) if taken => Fate::Written(value.clone()),
        _ => Fate::Lost,
    }
}

fn fate_of_format(format: &str, types: Types, rules: &SchemaRules) -> Fate {
    let of_numbers = NUMERIC_FORMATS.contains(&format);
    let of_texts = types.meets(Types::STRING);
    match rules.formats.contains(&format) {
        true if of_numbers != of_texts => Fate::Written(format.into()),
        false if of_texts && !of_numbers => Fate::Lost,
        _ => Fate::Void,
    }
}

/// Tells whether a regular expression is accepted.
fn is_taken(pattern: &str, rule: Patterns) -> bool {
    let looks = ["(?=", "(?!", "(?<", "(?P", "\\b", "\\B", "\\k"];
    let goes_back = pattern
        .as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [b'\\', digit] if digit.is_ascii_digit() && *digit != b'0'));
    let plain = !goes_back && !looks.iter().any(|look| pattern.contains(look));
    match rule {
        Patterns::Never => false,
        Patterns::Plain => plain,
        Patterns::Anchored => plain && pattern.starts_with('^') && pattern.ends_with('$'),
        Patterns::Unanchored => plain && !pattern.contains(['^', '$']),
    }
}

/// Says a bound in words.
pub(super) fn in_words(words: &str, value: &Value) -> Option<String> {
    let shown = match value {
        Value::String(text) => format!("`{text}`"),
        Value::Object(_) => return None,
        other => other.to_string(),
    };
    (!words.is_empty() && shown.len() <= WORDS_LIMIT).then(|| words.replace("{}", &shown))
}

/// Gives the bounds of numbers: exclusive ones as numbers, which they were not in draft 4, and as inclusive ones where
/// that says the same.
fn numeric_bounds(fields: &Map<String, Value>, types: Types, rules: &SchemaRules) -> Map<String, Value> {
    let mut bounds = Map::new();
    for (exclusive, inclusive, step) in
        [("exclusiveMinimum", "minimum", 1.0), ("exclusiveMaximum", "maximum", -1.0)]
    {
        let (strict, loose) = match (fields.get(exclusive), fields.get(inclusive)) {
            (Some(Value::Bool(true)), bound) => (bound, None),
            (Some(Value::Bool(false)), bound) => (None, bound),
            bounds => bounds,
        };
        let taken = |name| rules.constraints.contains(&name);
        let convertible = types_are_whole(types) && !taken(exclusive) && taken(inclusive);
        let number = strict.and_then(Value::as_f64).filter(|bound| convertible && bound.abs() < 9e15);
        let Some(bound) = number else {
            bounds.extend(strict.map(|bound| (exclusive.to_owned(), bound.clone())));
            bounds.extend(loose.map(|bound| (inclusive.to_owned(), bound.clone())));
            continue;
        };
        let nearest = if step > 0.0 { bound.floor() } else { bound.ceil() } + step;
        let known = loose.and_then(Value::as_f64);
        let tighter = known.filter(|known| (known - nearest) * step > 0.0).unwrap_or(nearest);
        bounds.insert(inclusive.to_owned(), Value::from(tighter as i64));
    }
    bounds
}

fn types_are_whole(types: Types) -> bool {
    types.without(Types::INTEGER).without(Types::NULL).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_are_taken_by_what_they_use() {
        for (pattern, [plain, anchored, unanchored]) in [
            ("[a-z]+", [true, false, true]),
            ("^[a-z]+$", [true, true, false]),
            ("(?=a)b", [false; 3]),
            ("(?<!a)b", [false; 3]),
            (r"^(a)\1$", [false; 3]),
            (r"\bword\b", [false; 3]),
            (r"^\0\d$", [true, true, false]),
        ] {
            let taken = [Patterns::Plain, Patterns::Anchored, Patterns::Unanchored]
                .map(|rule| is_taken(pattern, rule));
            assert_eq!(taken, [plain, anchored, unanchored], "{pattern}");
            assert!(!is_taken(pattern, Patterns::Never));
        }
    }

    #[test]
    fn exclusive_bounds_of_whole_numbers_become_inclusive() {
        let bounds = |types: Types, rules: &SchemaRules, fields: Value| {
            Value::Object(numeric_bounds(fields.as_object().unwrap(), types, rules))
        };
        let gemini = &SchemaRules::GEMINI_OPENAPI;
        let integer = Types::INTEGER.or(Types::NULL);
        for (types, rules, fields, expected) in [
            (integer, gemini, json!({"exclusiveMinimum": 0}), json!({"minimum": 1})),
            (integer, gemini, json!({"exclusiveMaximum": 2.5}), json!({"maximum": 2})),
            (integer, gemini, json!({"exclusiveMinimum": 0, "minimum": 5}), json!({"minimum": 5})),
            (integer, gemini, json!({"exclusiveMaximum": true, "maximum": 5}), json!({"maximum": 4})),
            (Types::NUMBER, gemini, json!({"exclusiveMinimum": 0}), json!({"exclusiveMinimum": 0})),
            (
                integer,
                &SchemaRules::OPENAI_STRICT,
                json!({"exclusiveMinimum": false, "minimum": 5}),
                json!({"minimum": 5}),
            ),
        ] {
            assert_eq!(bounds(types, rules, fields.clone()), expected, "{fields}");
        }
    }
}
