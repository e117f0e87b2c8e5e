//! What is written is what the tree would be written as.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::*;

/// Writes the tree, whose fields are sorted.
fn of_tree(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                of_tree(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push(b'{');
            for (name, field) in sorted {
                serde_json::to_writer(&mut *out, name).unwrap();
                out.push(b':');
                of_tree(field, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        scalar => serde_json::to_writer(&mut *out, scalar).unwrap(),
    }
}

#[track_caller]
fn same(value: &impl Serialize) {
    let mut expected = Vec::new();
    of_tree(&serde_json::to_value(value).unwrap(), &mut expected);
    let found = written(value).unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), String::from_utf8(expected).unwrap());
}

#[derive(Serialize)]
struct Everything {
    zeta: Option<u8>,
    alpha: (i64, f32, char),
    #[serde(flatten)]
    rest: Map<String, Value>,
    variants: Vec<Variant>,
    unit: (),
    marker: Marker,
    wrapped: Wrapped,
    pair: Pair,
    numbered: BTreeMap<u16, bool>,
    flagged: BTreeMap<bool, f64>,
    raw: Box<RawValue>,
}

#[derive(Serialize)]
struct Marker;

#[derive(Serialize)]
struct Wrapped(&'static str);

#[derive(Serialize)]
struct Pair(u8, u8);

#[derive(Serialize)]
enum Variant {
    Unit,
    New(i8),
    Tuple(u8, u8),
    Struct { b: u8, a: Vec<u8> },
}

#[test]
fn every_kind_of_value_is_written_as_its_tree_would_be() {
    let mut rest = Map::new();
    // Wins over the field of the same name, which stands before it.
    rest.insert("alpha".to_owned(), json!([{"b": 1, "a": null}]));
    rest.insert("mu".to_owned(), json!("ä\n\"\u{1}"));
    same(&Everything {
        zeta: None,
        alpha: (-7, 0.1, 'ß'),
        rest,
        variants: vec![
            Variant::Unit,
            Variant::New(-1),
            Variant::Tuple(1, 2),
            Variant::Struct { b: 1, a: vec![2, 3] },
        ],
        unit: (),
        marker: Marker,
        wrapped: Wrapped("w"),
        pair: Pair(3, 4),
        numbered: BTreeMap::from([(10, true), (9, false)]),
        flagged: BTreeMap::from([(true, f64::NAN), (false, 1e300)]),
        raw: RawValue::from_string(r#"{"b": 1.50, "a": [1, {"d": 2, "c": 3}]}"#.to_owned()).unwrap(),
    });
    same(&[f32::MAX, f32::MIN_POSITIVE, -0.0, 1.0]);
    same(&(u64::MAX, i64::MIN, f64::INFINITY));
}

#[test]
fn what_is_no_json_is_refused() {
    assert!(written(&BTreeMap::from([(vec![1], 1)])).is_err());
    assert!(written(&BTreeMap::from([((), 1)])).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            // Names whose order differs once they are written with escapes.
            proptest::collection::vec(("[ab\"\\\\\u{1}\u{7f}!é-]{0,3}", inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_tree_is_written_as_it_is(value in any_json()) {
        same(&value);
    }
}
