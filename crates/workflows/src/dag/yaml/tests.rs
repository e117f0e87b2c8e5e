//! Trees, faults, bounds, and agreement with JSON.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Document {
    parse_bytes(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

/// Reads a text that has no fault.
fn value(text: &str) -> Value {
    let document = read(text);
    assert_eq!(document.faults, [], "{text}");
    document.root.to_json()
}

/// Gives every fault as `line:column message`.
fn faults(bytes: &[u8]) -> Vec<String> {
    let faults = match parse_bytes(bytes) {
        Ok(document) => document.faults,
        Err(fault) => vec![fault],
    };
    faults.into_iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect()
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    for (text, expected) in [
        ("", json!(null)),
        ("# only a comment\n", json!(null)),
        ("no", json!("no")),
        ("on", json!("on")),
        ("Yes", json!("Yes")),
        ("~", json!(null)),
        ("null", json!(null)),
        ("True", json!(true)),
        ("tRue", json!("tRue")),
        ("42", json!(42)),
        ("-7", json!(-7)),
        ("+7", json!(7)),
        ("007", json!(7)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("0b11", json!("0b11")),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("2.", json!(2.0)),
        ("-1e3", json!(-1000.0)),
        ("1_000", json!("1_000")),
        ("1:30", json!("1:30")),
        ("0.0.4", json!("0.0.4")),
        ("2024-01-02", json!("2024-01-02")),
        ("-", json!([null])),
        ("- .", json!(["."])),
        ("e5", json!("e5")),
        ("\"42\"", json!("42")),
        ("'no'", json!("no")),
        ("|\n  42\n", json!("42\n")),
        ("!!str 42", json!("42")),
        ("! 42", json!("42")),
        ("!!int \"42\"", json!(42)),
        ("!!float 42", json!(42.0)),
        ("!!map {a: !!seq [1]}", json!({"a": [1]})),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn what_leaves_the_rest_readable_is_told_with_its_place() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", "3:1 the key `a` stands twice"),
        ("a: {b: 1, 'b': 2}", "1:11 the key `b` stands twice"),
        ("é: 18446744073709551616", "1:4 the number `18446744073709551616` is beyond 64 bits"),
        ("a: 0xFFFFFFFFFFFFFFFFF", "1:4 the number `0xFFFFFFFFFFFFFFFFF` is beyond 64 bits"),
        ("a: -.inf", "1:4 the number `-.inf` is not finite"),
        ("a: .nan", "1:4 the number `.nan` is not finite"),
        ("a: 1e999", "1:4 the number `1e999` is not finite"),
        ("a: !env HOME", "1:4 the tag `!env` is not known"),
        ("a: !!set {b}", "1:4 the tag `tag:yaml.org,2002:!set` is not known"),
        ("a: !!int x", "1:4 its tag says a whole number, but it is `x`"),
        ("1: x", "1:1 a key must be a text, but this is `1`"),
        ("true: x", "1:1 a key must be a text, but this is `true`"),
        ("? [a]\n: b", "1:3 a key must be a text, but this is a list"),
        ("<<: 1", "1:5 `<<` takes a mapping or a list of mappings"),
        ("a: 1\n---\nb: 2\n", "2:1 a second document begins here, but a file holds one"),
    ] {
        assert_eq!(faults(text.as_bytes()), [expected], "{text}");
    }
    assert_eq!(read("a: 1\na: 2").faults[0].hint.as_deref(), Some("it stands at 1:1 already; remove one"));
}

#[test]
fn what_is_no_yaml_is_told_in_plain_words() {
    for (text, expected) in [
        ("a: b: c", "1:5 a `:` is not allowed here"),
        ("a:\n\t- b\n", "2:2 a tab is not allowed here"),
        ("a: @x", "1:4 a text cannot start with `@`"),
        ("a: \"x\n", "1:4 the text that begins here has no closing quote"),
        ("a: *b", "1:4 the alias has no anchor before it"),
        ("&a [*a]", "1:5 the alias refers to a value that it is part of"),
        (
            "a:\n  b: 1\n c: 2\n",
            "3:2 not valid YAML: while parsing a block mapping, did not find expected key",
        ),
        ("[1, 2", "2:1 not valid YAML: while parsing a flow sequence, expected ',' or ']'"),
    ] {
        assert_eq!(faults(text.as_bytes()), [expected], "{text}");
    }
}

#[test]
fn an_unquoted_reference_inside_brackets_gets_its_own_advice() {
    for text in ["a: {b: ${x.y}}", "a: [${x.y}]"] {
        let fault = parse_bytes(text.as_bytes()).unwrap_err();
        assert!(fault.hint.unwrap().contains("in quotes"), "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_with_line_and_column() {
    for (bytes, expected) in [
        (&b"name: x\n  caf\xe9: 1\n"[..], "2:6 the byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfab\xff", "1:3 the byte 0xff is not UTF-8"),
        ("é\r\né\rüb".as_bytes(), ""),
        (b"a\r\nb\rc\xff", "3:2 the byte 0xff is not UTF-8"),
        (b"\xff\xfea\0", "1:1 the file is UTF-16, not UTF-8"),
        (b"\xfe\xff\0a", "1:1 the file is UTF-16, not UTF-8"),
        (b"a\0b\0", "1:2 the control character U+0000 is not allowed"),
        (b"a: \"\x1b[0m\"", "1:5 the control character U+001B is not allowed"),
    ] {
        assert_eq!(faults(bytes).join(", "), expected, "{bytes:?}");
    }
    assert_eq!(value("\u{feff}a: 1"), json!({"a": 1}));
}

#[test]
fn a_text_of_fifty_mebibytes_is_refused_before_it_is_looked_at() {
    let bytes = vec![0xff; 50 << 20];
    assert_eq!(faults(&bytes), ["1:1 the file has 50 MiB, but at most 8 MiB are read"]);
    let comment = vec![b'#'; MAX_BYTES];
    assert_eq!(faults(&comment), Vec::<String>::new());
}

#[test]
fn places_count_lines_and_characters_from_one() {
    let document = read("# c\nä: \"x\"\nb:\r\n  - {é: 1, c: [2]}\n");
    let Content::Map(fields) = &document.root.content else { panic!("{document:?}") };
    let places = |field: &Field| (field.place.to_string(), field.node.place.to_string());
    assert_eq!(places(&fields[0]), ("2:1".into(), "2:4".into()));
    assert_eq!(places(&fields[1]), ("3:1".into(), "4:3".into()));
    let Content::List(items) = &fields[1].node.content else { panic!("{document:?}") };
    let Content::Map(inner) = &items[0].content else { panic!("{document:?}") };
    assert_eq!(items[0].place.to_string(), "4:5");
    assert_eq!(places(&inner[1]), ("4:12".into(), "4:15".into()));
}

#[test]
fn aliases_and_merged_keys_are_copies() {
    let text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {z: 4, <<: [{x: 5}, *b]}\nthree: *b\n";
    let expected = json!({
        "base": {"x": 1, "y": 2},
        "one": {"y": 3, "x": 1},
        "two": {"z": 4, "x": 5, "y": 2},
        "three": {"x": 1, "y": 2},
    });
    assert_eq!(value(text), expected);
    assert_eq!(value("{\"<<\": 1}"), json!({"<<": 1}));
}

#[test]
fn aliases_that_multiply_are_refused_within_bounds() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let repeated = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{repeated}]\n"));
    }
    assert_eq!(faults(bomb.as_bytes()), ["7:15 there are more than 2000000 values"]);
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(100));
    assert!(faults(long.as_bytes())[0].ends_with("the texts have more than 16 MiB"));
    let mut tall = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        tall.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(faults(tall.as_bytes()), ["64:12 lists and mappings are nested more than 64 deep"]);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(faults(nested(MAX_DEPTH).as_bytes()), Vec::<String>::new());
    for (text, place) in [
        (nested(MAX_DEPTH + 1), "1:65"),
        ("[".repeat(1_000_000), "1:256"),
        ("- ".repeat(1_000_000), "1:129"),
        ((0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(), "65:65"),
    ] {
        let expected = format!("{place} lists and mappings are nested more than 64 deep");
        assert_eq!(faults(text.as_bytes()), [expected]);
    }
}

#[test]
fn json_escapes_beyond_the_first_plane_are_read_and_places_stay_those_of_the_file() {
    let text = r#"{"a": "\ud83d\ude00 \\ud83d!", "b": 1, "b": 2}"#;
    let document = read(text);
    assert_eq!(document.root.to_json()["a"], json!("\u{1f600} \\ud83d!"));
    assert_eq!(document.faults[0].place, Place { line: 1, column: text.rfind("\"b\"").unwrap() + 1 });
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Writes every character beyond ASCII as escapes, as Python does.
fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    let escape = |character: char| match character {
        ' '..='~' => character.to_string(),
        other => other.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(escape).collect()
}

proptest! {
    #[test]
    fn every_json_text_reads_as_json_says(json in any_json()) {
        let json = json!([json]);
        prop_assert_eq!(&value(&ascii(&json.to_string())), &json);
        let pretty = serde_json::to_string_pretty(&json).unwrap();
        prop_assert_eq!(&value(&pretty), &json);
        prop_assert_eq!(&value(&pretty.replace("\n  ", "\n\t")), &json);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse_bytes(&bytes));
    }

    #[test]
    fn no_mixture_of_indicators_makes_it_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "- ", "? ", ": ", "[", "]", "{", "}", "&a ", "*a", "|", ">", "'", "\"", "#", "!", "!!str ", "%YAML 1.2\n",
            "---", "...", "\n", "\n  ", "\t", " ", ",", "a", "1", "<<", "\r", "é", "@", "\\u", "\\ud83d\\ude00", "0x",
        ]), 0..40),
    ) {
        drop(parse_bytes(pieces.concat().as_bytes()));
    }
}
