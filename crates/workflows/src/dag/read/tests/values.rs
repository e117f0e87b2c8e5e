//! Workflows that are values: the same problems, with paths.

use motet_core::error::Error;
use serde_json::{Value, json};

use super::{read, read_value, rules};

fn problems(value: &Value) -> Vec<String> {
    read_value(value, &rules()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_value_reads_like_the_text_that_says_the_same() {
    let value = json!({"name": "w", "tasks": [{"id": "a", "method": "llm/chat", "params": {"prompt": "x"}}]});
    assert_eq!(read_value(&value, &rules()).unwrap(), read(value.to_string().as_bytes(), &rules()).unwrap());
}

#[test]
fn problems_of_a_value_tell_paths_in_its_order() {
    let value = json!({
        "tasks": [
            {"id": "a", "method": "llm/chat", "params": {"model": 3, "messages": [{"role": "user", "content": "${b.x"}]}},
            {"id": "a", "method": "llm/chta", "my key": 1},
            4,
        ],
        "outputs": {"x.y": ["${nobody}"]},
    });
    assert_eq!(
        problems(&value),
        [
            "tasks[0].params.model: the parameter `model` must be a string, but is the number `3`",
            "tasks[0].params.messages[0].content: the reference `${b.x` is not closed by `}`",
            "tasks[1].id: the id `a` stands twice",
            "tasks[1].method: there is no method `llm/chta`",
            "tasks[1][\"my key\"]: unknown key `my key`",
            "tasks[2]: a task must be a mapping, but is the number `4`",
            "outputs[\"x.y\"][0]: `${nobody}` refers to `nobody`, but there is no such task",
        ]
    );
    let problems = read_value(&value, &rules()).unwrap_err();
    let twice = problems.iter().nth(2).unwrap();
    assert_eq!((twice.line, twice.column, twice.path.as_deref()), (0, 0, Some("tasks[1].id")));
    assert_eq!(twice.hint.as_deref(), Some("the first is at `tasks[0].id`"));
}

#[test]
fn the_whole_value_is_called_workflow() {
    assert_eq!(problems(&json!({})), ["workflow: the workflow has no `tasks`"]);
    assert_eq!(problems(&json!("x")), ["workflow: a workflow must be a mapping, but is the string `x`"]);
    let error = Error::from(read_value(&json!({}), &rules()).unwrap_err());
    assert_eq!(error.message(), "the workflow is not valid: workflow: the workflow has no `tasks`");
}

#[test]
fn values_that_are_nested_too_deeply_are_refused() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let value =
        json!({"tasks": [{"id": "a", "method": "file/write", "params": {"path": "x", "content": deep}}]});
    let found = problems(&value);
    assert!(found[0].ends_with("[0][0]: lists and objects are nested more than 64 deep"), "{found:?}");
    assert_eq!(found.len(), 1);
}
