//! Beginnings of JSON texts, and texts that are none.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Option<Value> {
    let mut partial = PartialJson::default();
    partial.push(text);
    partial.value()
}

#[test]
fn what_is_known_of_a_text_is_given_and_no_more() {
    for (text, expected) in [
        ("", None),
        ("  ", None),
        ("{", Some(json!({}))),
        ("{\"a", Some(json!({}))),
        ("{\"a\"", Some(json!({}))),
        ("{\"a\":", Some(json!({}))),
        ("{\"a\": \"", Some(json!({"a": ""}))),
        ("{\"a\": \"x\\", Some(json!({"a": "x"}))),
        ("{\"a\": \"x\\u00e", Some(json!({"a": "x"}))),
        ("{\"a\": \"x\\u00e9", Some(json!({"a": "xé"}))),
        ("{\"a\": \"\\ud83d\\ude", Some(json!({"a": ""}))),
        ("{\"a\": \"\\ud83d\\ude00", Some(json!({"a": "😀"}))),
        ("{\"a\": 12", Some(json!({}))),
        ("{\"a\": 12,", Some(json!({"a": 12}))),
        ("{\"a\": tru", Some(json!({}))),
        ("{\"a\": true}", Some(json!({"a": true}))),
        ("[1, [2, {\"b\": [\"c", Some(json!([1, [2, {"b": ["c"]}]]))),
        ("[1.5e3]", Some(json!([1500.0]))),
        ("\"to be", Some(json!("to be"))),
        ("[] and more", Some(json!([]))),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn json_in_a_code_fence_is_read_while_it_arrives() {
    let text = "Here you are:\n```json\n{\"a\": [1, 2]}\n```\nBye.";
    let mut partial = PartialJson::default();
    let mut seen = Vec::new();
    for c in text.chars() {
        if partial.push(c.encode_utf8(&mut [0; 4])) {
            seen.extend(partial.value());
        }
    }
    let expected = [json!({}), json!({"a": []}), json!({"a": [1]}), json!({"a": [1, 2]})];
    seen.dedup();
    assert_eq!(seen, expected);
    assert!(partial.is_whole());
    assert_eq!(read("```\n[1]\n```"), Some(json!([1])));
    assert_eq!(read("```{\"a\":1}```"), Some(json!({"a": 1})));
}

#[test]
fn what_stands_alone_is_known_at_the_end() {
    for text in ["42", "-1.5", "true", "null", " 7 "] {
        assert_eq!(read(text), None);
        let mut partial = PartialJson::default();
        partial.push(text);
        assert_eq!(partial.finish(), serde_json::from_str(text).ok(), "{text}");
    }
    let mut words = PartialJson::default();
    words.push("I cannot say.");
    assert_eq!(words.finish(), None);
}

#[test]
fn what_came_before_a_mistake_stays() {
    for (text, expected) in [
        ("{\"a\": 1, b: 2}", json!({"a": 1})),
        ("{\"a\": 1,}", json!({"a": 1})),
        ("{\"a\": [1, 2}", json!({"a": [1, 2]})),
        ("{\"a\": \"x\ny\"}", json!({"a": "x"})),
        ("{\"a\": \"x\\q\"}", json!({"a": "x"})),
        ("{\"a\": \"x\\ud83d!\"}", json!({"a": "x"})),
        ("[1, 2 3]", json!([1, 2])),
        ("[1, 0x2, 3]", json!([1])),
        ("[1][2]", json!([1])),
    ] {
        assert_eq!(read(text), Some(expected), "{text}");
    }
}

#[test]
fn texts_that_are_nested_too_deep_break_nothing() {
    let deep = "[".repeat(200_000);
    let mut partial = PartialJson::default();
    partial.push(&deep);
    let mut value = partial.value().unwrap();
    let mut depth = 1;
    while let Some(inner) = value.get_mut(0).map(Value::take) {
        (value, depth) = (inner, depth + 1);
    }
    assert_eq!(depth, 127, "as deep as a whole text may be");
    let allowed = format!("{}{}", "[".repeat(127), "]".repeat(127));
    assert_eq!(read(&allowed), serde_json::from_str(&allowed).ok());
}

/// Tells whether a value may stand for another one of which less is known.
fn begins(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| begins(part, whole))
        }
        (Value::Object(part), Value::Object(whole)) => {
            let known = part.iter().zip(whole);
            part.len() <= whole.len()
                && known.into_iter().all(|((key, part), (same, whole))| key == same && begins(part, whole))
        }
        _ => part == whole,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        "[\\\\\"/\u{8}\n😀{}\\[\\]`,: ]{0,8}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Writes every character of texts that is not ASCII as escapes.
fn escaped(text: &str) -> String {
    let mut units = [0; 2];
    let escape = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
    };
    text.chars().map(escape).collect()
}

proptest! {
    #[test]
    fn every_beginning_of_a_text_gives_a_beginning_of_its_value(whole in any_json(), fenced: bool) {
        let plain = serde_json::to_string(&whole).unwrap();
        let pretty = serde_json::to_string_pretty(&whole).unwrap();
        for text in [escaped(&plain), plain, pretty] {
            let text = if fenced { format!("So:\n```json\n{text}\n```") } else { text };
            let mut partial = PartialJson::default();
            let mut last = None;
            for c in text.chars() {
                let changed = partial.push(c.encode_utf8(&mut [0; 4]));
                let value = partial.value();
                prop_assert!(value.as_ref().is_none_or(|value| begins(value, &whole)), "{value:?} of {text}");
                prop_assert_eq!(changed, value != last, "it tells of changes, and only of them: {:?}", value);
                last = value;
            }
            let whole: Value = serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
            prop_assert_eq!(partial.finish(), Some(whole));
        }
    }

    #[test]
    fn pieces_make_no_difference_and_nothing_makes_it_panic(text in "[\\[\\]{}\",:\\\\u0-9a-e`\n .😀-]{0,60}", cut in 0..60usize) {
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        let mut partial = PartialJson::default();
        partial.push(&text[..cut]);
        partial.push(&text[cut..]);
        prop_assert_eq!(partial.value(), read(&text));
        if let Ok(whole) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(partial.finish(), Some(whole));
        }
    }
}
