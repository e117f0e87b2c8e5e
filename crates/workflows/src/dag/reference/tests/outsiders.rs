//! What outsiders write, such as a model's answer, stays data wherever it goes: one row for each way in which it could
//! become more, and properties over any text.

use std::path::Path;

use motet_core::method::FileScope;
use motet_providers::files;

use super::*;
use crate::dag::source;

/// A scope in which a model answered `answer`, and another task holds a secret.
fn answered(answer: &Value) -> Plain {
    let done = |name: &str, result: Value| (name.to_owned(), ("done".to_owned(), result, None));
    let tasks = [
        done("ask", json!({"content": answer, "response": answer})),
        done("vault", json!({"key": "the-secret"})),
        done("vault.key", json!({"x": 1})),
    ];
    Plain { tasks: tasks.into_iter().collect(), ..scope() }
}

#[test]
fn every_row_of_the_table_of_references_holds() {
    // The reference, and what it gives: a value, or the start of why it leads nowhere.
    let rows: [(&str, Result<Value, &str>); 27] = [
        // The whole text is one reference: the native value, whatever it is.
        ("${t.int}", Ok(json!(42))),
        ("${t.float}", Ok(json!(1.5))),
        ("${t.yes}", Ok(json!(true))),
        ("${t.list}", Ok(json!([1, 2, {"k": "v"}]))),
        ("${t.object}", Ok(json!({"p": {"q": 1}}))),
        ("${t.empty}", Ok(json!(""))),
        ("${t.zero}", Ok(json!(0))),
        ("${t.null}", Ok(Value::Null)),
        // Within a text: JSON, never the notation of a programming language.
        ("is ${t.yes}", Ok(json!("is true"))),
        ("is ${t.null}.", Ok(json!("is ."))),
        ("is ${t.list}", Ok(json!(r#"is [1,2,{"k":"v"}]"#))),
        ("${t.int} and ${t.int}", Ok(json!("42 and 42"))),
        // Nested, indexed, and dotted paths.
        ("${t.object.p.q}", Ok(json!(1))),
        ("${t.list[0]}", Ok(json!(1))),
        ("${t.list.2.k}", Ok(json!("v"))),
        // The whole result, also where it is a scalar, and `result` as another name of it.
        ("${t}", Ok(table_values())),
        ("${scalar}", Ok(json!(42))),
        ("${scalar.result}", Ok(json!(42))),
        ("${t.result.int}", Ok(json!(42))),
        // How the task ended.
        ("${t.status}", Ok(json!("done"))),
        ("${t.error}", Ok(Value::Null)),
        // A reference that leads nowhere is an error, never text that stays.
        ("${t.missing}", Err("`${t.missing}` leads nowhere")),
        ("${nobody.x}", Err("`${nobody.x}` leads nowhere")),
        ("${env.UNLISTED}", Err("`${env.UNLISTED}` leads nowhere")),
        // Values have fields, no attributes.
        ("${t.text.upper}", Err("`${t.text.upper}` leads nowhere")),
        ("${t.__class__}", Err("`${t.__class__}` leads nowhere")),
        ("$${t.int}", Ok(json!("${t.int}"))),
    ];
    let done = |name: &str, result: Value| (name.to_owned(), ("done".to_owned(), result, None));
    let tasks = [done("t", table_values()), done("scalar", json!(42))];
    let scope = Plain { tasks: tasks.into_iter().collect(), ..scope() };
    for (text, expected) in rows {
        match (substitute(&json!(text), &scope), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(error), Err(start)) => assert!(error.message().starts_with(start), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

fn table_values() -> Value {
    json!({
        "int": 42, "float": 1.5, "yes": true, "list": [1, 2, {"k": "v"}], "object": {"p": {"q": 1}},
        "empty": "", "zero": 0, "null": null, "text": "abc",
    })
}

#[test]
fn an_answer_cannot_pull_the_result_of_another_task() {
    for answer in
        ["${vault.key}", "${ask.content}", "$${vault.key}", "${", "}${vault.key}${", "${vault[\"key\"]}"]
    {
        let scope = answered(&json!(answer));
        let filled =
            substitute(&json!({"a": "${ask.content}", "b": "${ask.content} ${ask.response}"}), &scope)
                .unwrap();
        assert_eq!(filled, json!({"a": answer, "b": format!("{answer} {answer}")}));
        // The other task is there for those who name it.
        assert_eq!(
            substitute(&json!("${ask.content}${vault.key}"), &scope).unwrap(),
            json!(format!("{answer}the-secret"))
        );
    }
}

#[test]
fn an_answer_cannot_name_the_key_that_is_followed() {
    // A reference inside a reference is malformed, so no value decides where a path leads.
    for text in ["${vault.${ask.content}}", "${vault[${ask.content}]}", "${${ask.content}.key}"] {
        assert_eq!(
            substitute(&json!(text), &answered(&json!("key"))).unwrap_err().kind(),
            ErrorKind::InvalidRequest,
            "{text}"
        );
    }
}

#[test]
fn keys_are_not_filled_in() {
    let filled = substitute(&json!({"${ask.content}": "${ask.content}"}), &answered(&json!("x"))).unwrap();
    assert_eq!(filled, json!({"${ask.content}": "x"}));
}

/// Gives the pieces of Python source outside of strings and comments, and the strings.
fn bound(code: &str, answer: &Value) -> (String, Map<String, Value>) {
    let mut variables = Map::new();
    let code = source::bind(code, &answered(answer), &mut variables).unwrap();
    (code, variables)
}

/// The ways in which code may use an answer.
const CODES: [&str; 6] = [
    "x = ${ask.content}",
    "x = \"${ask.content}\"",
    "x = 'a ${ask.content} b ${ask.response}'",
    "x = \"\"\"${ask.content}\"\"\"",
    "x = f\"{1} ${ask.content}\"",
    "print('''${ask.content}''') # done",
];

fn outside(directory: &Path) -> FileScope {
    FileScope { base: directory.to_owned(), allowed: Vec::new() }
}

#[test]
fn an_answer_that_is_a_path_stays_within_the_directory() {
    let around = tempfile_directory();
    let inside = around.join("inside");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(around.join("secret.txt"), "secret").unwrap();
    let absolute = around.join("secret.txt").to_string_lossy().into_owned();
    for answer in ["../secret.txt", "./../secret.txt", "x/../../secret.txt", &absolute, "inside\0", "", ".."]
    {
        let path = substitute(&json!("${ask.content}"), &answered(&json!(answer))).unwrap();
        let path = path.as_str().unwrap();
        assert!(files::resolve(&outside(&inside), path).is_err(), "{answer} was read");
        assert!(
            files::resolve_for_write(&outside(&inside), path).is_err() || answer == "inside\0",
            "{answer} was written"
        );
        assert!(files::glob(&outside(&inside), &[path]).is_err(), "{answer} was listed");
    }
    std::fs::remove_dir_all(&around).unwrap();
}

fn tempfile_directory() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("motet-outsiders-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

proptest! {
    /// Whatever a model answers, the source is the same: the answer is the value of a variable, and nothing of it is
    /// code.
    #[test]
    fn no_answer_changes_the_source(answer in any_text()) {
        for code in CODES {
            let (plain, _) = bound(code, &json!("plain"));
            let (hostile, variables) = bound(code, &json!(answer));
            prop_assert_eq!(&hostile, &plain);
            prop_assert!(variables.values().all(|value| value == &json!(answer)));
        }
    }

    /// A value that is no text keeps its type in code, and is JSON within a string of the code.
    #[test]
    fn values_of_any_type_reach_code_as_data(value in any_value()) {
        let (code, variables) = bound(CODES[0], &value);
        prop_assert_eq!(code.as_str(), "x = _reference_0");
        prop_assert_eq!(&variables["_reference_0"], &value);
        let (code, variables) = bound(CODES[1], &value);
        prop_assert_eq!(code.as_str(), "x = (\"\" + _reference_0 + \"\")");
        prop_assert!(variables["_reference_0"].is_string());
    }

    /// No answer pulls what another task holds, whatever references it spells.
    #[test]
    fn no_answer_pulls_a_secret(answer in any_text().prop_map(|text| text.replace("the-secret", "")), around in any_text()) {
        let template = format!("{} ${{ask.content}}", escape(&around));
        let filled = substitute(&json!(template), &answered(&json!(answer))).unwrap();
        prop_assert_eq!(filled, json!(format!("{around} {answer}")));
    }

    /// What is filled in keeps its type however deep it stands, beside values that hold no reference.
    #[test]
    fn types_are_kept_at_any_depth(value in any_value(), beside in any_value()) {
        let scope = Plain { item: Some(json!({"v": value})), ..scope() };
        let plain = |value: &Value| Value::String(escape(&value.to_string()));
        let filled = substitute(&json!([{"a": {"b": "${item.v}"}, "c": plain(&beside)}]), &scope).unwrap();
        prop_assert_eq!(filled, json!([{"a": {"b": value}, "c": beside.to_string()}]));
    }
}
