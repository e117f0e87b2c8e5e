//! References over a scope of plain values.

mod outsiders;

use std::collections::BTreeMap;

use motet_core::error::ErrorKind;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

/// A scope made of plain values: `tasks` holds `[status, result, error]` by name.
struct Plain {
    tasks: BTreeMap<String, (String, Value, Option<Value>)>,
    inputs: Map<String, Value>,
    item: Option<Value>,
    index: Option<Value>,
}

impl Scope for Plain {
    fn task(&self, name: &str) -> Option<TaskView<'_>> {
        let (status, result, error) = self.tasks.get(name)?;
        Some(TaskView { status, result, error: error.as_ref() })
    }

    fn task_names(&self) -> Vec<&str> {
        self.tasks.keys().map(String::as_str).collect()
    }

    fn inputs(&self) -> &Map<String, Value> {
        &self.inputs
    }

    fn env(&self, name: &str) -> Option<&str> {
        (name == "HOST").then_some("example.org")
    }

    fn item(&self) -> Option<&Value> {
        self.item.as_ref()
    }

    fn index(&self) -> Option<&Value> {
        self.index.as_ref()
    }
}

fn scope() -> Plain {
    let done = |name: &str, result: Value| (name.to_owned(), ("done".to_owned(), result, None));
    let tasks = [
        done(
            "ask",
            json!({"content": "Hi", "n": 4, "ok": true, "none": null, "list": [1, {"k": "v"}], "a.b": {"}": 1}}),
        ),
        done("step one", json!({"response": "spaces"})),
        done("sums", json!([{"content": "A"}, null, {"content": "C", "tags": [{"t": 1}, {"t": 2}]}])),
        done("run", json!({"result": {"x": 1}, "status": "own", "error": "own"})),
        done("plain", json!({"x": 2})),
        done("void", Value::Null),
        ("skipped".to_owned(), ("skipped".to_owned(), Value::Null, None)),
        (
            "failed".to_owned(),
            ("failed".to_owned(), Value::Null, Some(json!({"kind": "timeout", "message": "late"}))),
        ),
    ];
    Plain {
        tasks: tasks.into_iter().collect(),
        inputs: json!({"topic": "bees", "opts": {"deep": [true]}}).as_object().unwrap().clone(),
        item: Some(json!({"path": "a.txt", "size": 3})),
        index: Some(json!(7)),
    }
}

fn filled(text: &str) -> Value {
    substitute(&json!(text), &scope()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_text_that_is_one_reference_keeps_the_type() {
    for (text, expected) in [
        ("${ask.n}", json!(4)),
        ("${ ask . n }", json!(4)),
        ("${ask.ok}", json!(true)),
        ("${ask.none}", json!(null)),
        ("${ask.list}", json!([1, {"k": "v"}])),
        ("${ask.list[1].k}", json!("v")),
        ("${ask.list.1.k}", json!("v")),
        ("${ask.list[ 0 ]}", json!(1)),
        (r#"${ask["a.b"]["}"]}"#, json!(1)),
        ("${ask['a.b']}", json!({"}": 1})),
        ("${ask[\"con\\tent\"]}", json!("Hi")),
        ("${step one.response}", json!("spaces")),
        ("${plain}", json!({"x": 2})),
        ("${inputs.topic}", json!("bees")),
        ("${inputs.opts.deep[0]}", json!(true)),
        ("${inputs}", json!({"topic": "bees", "opts": {"deep": [true]}})),
        ("${env.HOST}", json!("example.org")),
        ("${item.size}", json!(3)),
        ("${item}", json!({"path": "a.txt", "size": 3})),
        ("${index}", json!(7)),
    ] {
        assert_eq!(filled(text), expected, "{text}");
    }
}

#[test]
fn references_inside_a_text_are_written_into_it() {
    for (text, expected) in [
        ("n=${ask.n}, ok=${ask.ok}, ${ask.content}!", "n=4, ok=true, Hi!"),
        ("none: <${ask.none}>", "none: <>"),
        ("${ask.list} ${plain}", r#"[1,{"k":"v"}] {"x":2}"#),
        ("${ask.n}${ask.n}", "44"),
        (" ${ask.n}", " 4"),
        ("cost: $5 and $ {x} and {ask.n} $", "cost: $5 and $ {x} and {ask.n} $"),
        ("$${ask.n}", "${ask.n}"),
        ("$$${ask.n} $$ $${", "$${ask.n} $$ ${"),
    ] {
        assert_eq!(filled(text), json!(expected), "{text}");
    }
}

#[test]
fn a_task_has_its_status_error_and_result_whatever_its_result_holds() {
    for (text, expected) in [
        ("${run.status}", json!("done")),
        ("${run.error}", json!(null)),
        ("${run.error.message}", json!(null)),
        ("${run.result}", json!({"x": 1})),
        ("${run.result.x}", json!(1)),
        ("${plain.result}", json!({"x": 2})),
        ("${plain.result.x}", json!(2)),
        ("${sums.result[0].content}", json!("A")),
        ("${failed.status}", json!("failed")),
        ("${failed.error.message}", json!("late")),
        ("${failed}", json!(null)),
        ("${failed.content.deep[3]}", json!(null)),
        ("${skipped.result.x}", json!(null)),
        ("${skipped[*].x}", json!(null)),
    ] {
        assert_eq!(filled(text), expected, "{text}");
    }
}

#[test]
fn a_star_follows_the_path_in_every_item_and_items_without_result_are_null() {
    for (text, expected) in [
        ("${sums[*].content}", json!(["A", null, "C"])),
        ("${sums[2].tags[*].t}", json!([1, 2])),
        ("${sums[*]}", scope().tasks["sums"].1.clone()),
        ("${sums[1].content}", json!(null)),
        ("${sums.1.content}", json!(null)),
        ("${sums[0].content}", json!("A")),
    ] {
        assert_eq!(filled(text), expected, "{text}");
    }
}

#[test]
fn nested_values_are_filled_and_keys_are_not() {
    let value = json!({"${ask.n}": [1, "${ask.n}", {"deep": "<${ask.n}>"}], "b": null});
    let expected = json!({"${ask.n}": [1, 4, {"deep": "<4>"}], "b": null});
    assert_eq!(substitute(&value, &scope()).unwrap(), expected);
    let found: Vec<String> = references(&value).iter().map(Reference::to_string).collect();
    assert_eq!(found, ["${ask.n}", "${ask.n}"]);
}

#[test]
fn a_reference_that_leads_nowhere_says_how_far_it_leads_and_what_is_there() {
    for (text, message, hint) in [
        ("${ask.contnet}", "the result of task `ask` has no field `contnet`", "did you mean `content`?"),
        (
            "${ask.list[5]}",
            "`list` in the result of task `ask` is a list of 2, so there is no `[5]`",
            "items are counted from 0",
        ),
        (
            "${ask.list.k}",
            "`list` in the result of task `ask` is a list of 2, so it has no field `k`",
            "write `[0]` for the first item, or `[*].k` for the field of every item",
        ),
        ("${ask.list[1].q}", "`list[1]` in the result of task `ask` has no field `q`", "it has `k`"),
        ("${ask.n.x}", "`n` in the result of task `ask` is a number, so `.x` does not fit", ""),
        (
            "${ask[0]}",
            "the result of task `ask` is an object, so `[0]` does not fit",
            "it has `content`, `n`, `ok`, `none`, `list`, `a.b`",
        ),
        ("${ask[\"a.b\"].c}", "`[\"a.b\"]` in the result of task `ask` has no field `c`", "it has `}`"),
        ("${void.x}", "the result of task `void` is null, so `.x` does not fit", ""),
        ("${sums[*].tags}", "`[0]` in the result of task `sums` has no field `tags`", "it has `content`"),
        ("${asks.n}", "there is no task `asks` that this task depends on", "did you mean `ask`?"),
        ("${inputs.topik}", "there is no input `topik`", "did you mean `topic`?"),
        ("${inputs.opts.x}", "the input `opts` has no field `x`", "it has `deep`"),
        ("${inputs[0]}", "inputs have names", "write `${inputs.name}`"),
        (
            "${env.USER}",
            "the environment variable `USER` is not set",
            "set `USER`, and list it under `env` in the workflow",
        ),
        ("${env}", "it names no variable", "write `${env.NAME}`"),
        ("${item.name}", "the item has no field `name`", "it has `path`, `size`"),
        ("${index.x}", "the index is a number, so `.x` does not fit", ""),
        ("${failed.error.x}", "the error of task `failed` has no field `x`", "it has `kind`, `message`"),
        ("${ask.status.x}", "the status of task `ask` is a string, so `.x` does not fit", ""),
    ] {
        let error = substitute(&json!([format!("see {text}")]), &scope()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
        assert_eq!(error.message(), format!("`{text}` leads nowhere: {message}"));
        assert_eq!(error.hint().unwrap_or_default(), hint, "{text}");
    }
    let outside = Plain { item: None, index: None, ..scope() };
    for text in ["${item.x}", "${index}"] {
        let error = substitute(&json!(text), &outside).unwrap_err();
        assert!(error.message().ends_with("only a task with `for_each` has items"), "{error}");
    }
}

#[test]
fn a_malformed_reference_is_told_as_it_is_written() {
    for (text, expected) in [
        ("a ${", "`${` is not closed by `}`"),
        ("${a.b and more\nnext }", "`${a.b and more` has a line break in a name"),
        ("${}", "`${}` names nothing"),
        ("${  }!", "`${  }` names nothing"),
        ("${.a}", "`${.a}` names no task before its path"),
        ("${[0]}", "`${[0]}` names no task before its path"),
        ("${a.}", "`${a.}` has nothing after a `.`"),
        ("${a..b}", "`${a..b}` has nothing after a `.`"),
        ("${a[}", "`${a[}` has `[`; brackets hold an index from 0, `*`, or a key in quotes"),
        ("${a[-1]}", "`${a[-1]}` has `[-1`; brackets hold an index from 0, `*`, or a key in quotes"),
        ("${a[x]}", "`${a[x]}` has `[x`; brackets hold an index from 0, `*`, or a key in quotes"),
        ("${a[1}", "`${a[1}` has a `[` without its `]`"),
        ("${a[\"x}", "`${a[\"x}` has a key whose quote is not closed"),
        ("${a[\"x\"}", "`${a[\"x\"}` has a `[` without its `]`"),
        ("${a[99999999999999999999]}", "`${a[99999999999999999999]}` has an index that is too large"),
        ("${a[0]b}", "`${a[0]b}` has `b` where `.`, `[`, or `}` is expected"),
        ("${a.${b}}", "`${a.${b}` has `$` in a name; write such keys as `[\"…\"]`"),
        ("${a]}", "`${a]}` has `]` in a name; write such keys as `[\"…\"]`"),
        ("${a[0]", "`${a[0]` is not closed by `}`"),
    ] {
        let malformed = Template::parse(text).unwrap_err();
        assert_eq!(malformed.message, format!("the reference {expected}"));
        assert_eq!(substitute(&json!(text), &scope()).unwrap_err().message(), malformed.message);
        assert_eq!(references(&json!(text)), []);
    }
}

#[test]
fn steps_print_as_they_are_read() {
    for text in ["a.b[0][*].c", r#"a["x.y"]["q\"\\"].z"#, "a[\"\"]"] {
        let Ok(Template::Whole(reference)) = Template::parse(&format!("${{{text}}}")) else {
            panic!("{text}")
        };
        let steps: String = reference.path().iter().map(Step::to_string).collect();
        assert_eq!(format!("a{steps}"), text);
        assert_eq!(reference.to_string(), format!("${{{text}}}"));
    }
}

#[test]
fn the_nearest_name_is_a_few_letters_away_or_holds_the_other() {
    for (name, known, expected) in [
        ("contnet", &["context", "content"][..], Some("content")),
        ("attempts", &["backoff", "max_attempts"], Some("max_attempts")),
        ("Prompt", &["prompt"], Some("prompt")),
        ("x", &["y"], None),
        ("naem", &["name"], Some("name")),
        ("zebra", &["prompt", "model"], None),
        ("id", &["width"], None),
    ] {
        assert_eq!(nearest(name, known.iter().copied()), expected, "{name}");
    }
}

/// Texts that are full of what references are made of.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "$", "{", "}", "${", "$${", "${ask.n}", "${item}", ".", "[", "]", "[0]", "\"", "'", "\\", "*", "a",
        " ", "é", "\n", "x.y",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()), any::<String>()]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_never_panics_and_an_escaped_text_stands_for_itself(text in any_text()) {
        drop(Template::parse(&text));
        prop_assert_eq!(substitute(&json!(escape(&text)), &scope()).unwrap(), json!(text));
    }

    #[test]
    fn a_whole_reference_gives_any_value_unchanged(value in any_value()) {
        let scope = Plain { item: Some(json!({"v": value})), ..scope() };
        prop_assert_eq!(substitute(&json!("${item.v}"), &scope).unwrap(), value);
    }

    #[test]
    fn what_was_put_in_is_never_expanded_again(one in any_text(), two in any_text()) {
        let scope = Plain { item: Some(json!({"one": one, "two": two})), ..scope() };
        let filled = substitute(&json!("<${item.one}|${item.two}>"), &scope).unwrap();
        prop_assert_eq!(filled, json!(format!("<{one}|{two}>")));
    }

    #[test]
    fn any_key_can_be_written(key in any_text()) {
        let scope = Plain { item: Some(json!({key.clone(): 1})), ..scope() };
        let text = format!("${{item{}}}", Step::Field(key));
        prop_assert_eq!(substitute(&json!(text), &scope).unwrap(), json!(1));
    }
}
