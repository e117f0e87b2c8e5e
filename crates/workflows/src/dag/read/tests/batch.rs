//! The batch forms, and the `for_each` that they become.

use motet_core::workflow::{ForEach, TaskSpec};
use serde_json::{Value, json};

use super::{problems, spec};

/// Reads one task with `batch_mode`, and gives what it runs for and its parameters.
fn task(method: &str, params: &str) -> (Option<ForEach>, Value) {
    let text = format!(
        "inputs: {{dir: docs, list: [a]}}\ntasks:\n- name: t\n  method: {method}\n  params: {{{params}}}\n"
    );
    let task: TaskSpec = spec(&text).tasks.remove(0);
    (task.for_each, Value::Object(task.params))
}

fn files(pattern: &str) -> Option<ForEach> {
    Some(ForEach::Files(vec![pattern.to_owned()]))
}

fn items(items: Value) -> Option<ForEach> {
    Some(ForEach::Items(items))
}

#[test]
fn batch_mode_runs_a_task_for_each_file() {
    let item = json!({"prompt": "x", "file_path": "${item.path}"});
    for (params, for_each, expected) in [
        ("directory: docs, file_pattern: '*.txt'", files("docs/*.txt"), item.clone()),
        ("directory: docs/", files("docs/*"), item.clone()),
        ("directory: 'a[1]*'", files("a[[]1][*]/*"), item.clone()),
        ("directory: \"${inputs.dir}\", file_pattern: '*.md'", files("${inputs.dir}/*.md"), item.clone()),
        ("files: [b.txt, a.txt]", items(json!([{"path": "b.txt"}, {"path": "a.txt"}])), item),
        (
            "files: \"${inputs.list}\"",
            items(json!("${inputs.list}")),
            json!({"prompt": "x", "file_path": "${item}"}),
        ),
    ] {
        let written = task("llm/chat", &format!("batch_mode: true, prompt: x, {params}"));
        assert_eq!(written, (for_each, expected), "{params}");
    }
}

#[test]
fn images_and_scripts_get_their_file_where_they_take_it() {
    assert_eq!(
        task("llm/vision", "batch_mode: true, image_paths: [a.png]"),
        (items(json!([{"path": "a.png"}])), json!({"image_path": "${item.path}"}))
    );
    assert_eq!(
        task("llm/vision", "batch_mode: true, directory: img"),
        (files("img/*"), json!({"image_path": "${item.path}"}))
    );
    assert_eq!(
        task("python/execute", "batch_mode: true, directory: d, file: a.py, context: {x: 1}"),
        (files("d/*"), json!({"file": "a.py", "context": {"x": 1, "file_path": "${item.path}"}}))
    );
}

#[test]
fn without_batch_mode_files_are_a_parameter_like_any_other() {
    let expected = (None, json!({"files": ["a", "b"]}));
    assert_eq!(task("llm/chat", "files: [a, b], batch_mode: false"), expected);
    assert_eq!(task("llm/chat", "files: [a, b]"), expected);
}

#[test]
fn a_batch_workflow_is_one_task_for_each_file() {
    let spec = spec(
        r#"
name: Demo
type: batch
protocol: llm/v1
batch: {directory: docs, pattern: "*.txt"}
template:
  priority: high
  retry: 2
  model: ollama:llama3
  messages: [{role: user, content: Summarise}]
"#,
    );
    let expected = json!([{
        "id": "process",
        "method": "llm/chat",
        "params": {
            "model": "ollama:llama3",
            "messages": [{"role": "user", "content": "Summarise"}],
            "file_path": "${item.path}",
        },
        "for_each": {"files": ["docs/*.txt"]},
        "retry": {"max_attempts": 2, "backoff": "exponential", "base_delay": 1000, "max_delay": 60000, "jitter": true},
        "priority": "high",
    }]);
    assert_eq!(serde_json::to_value(spec.tasks).unwrap(), expected);
}

#[test]
fn the_template_of_a_script_keeps_the_methods_own_timeout() {
    let spec = spec(
        "batch: {directory: d}\ntemplate: {method: python/execute, file: a.py, timeout: 5, name: Count}\n",
    );
    let expected = json!([{
        "id": "process",
        "name": "Count",
        "method": "python/execute",
        "params": {"file": "a.py", "timeout": 5, "context": {"file_path": "${item.path}"}},
        "for_each": {"files": ["d/*"]},
    }]);
    assert_eq!(serde_json::to_value(spec.tasks).unwrap(), expected);
}

#[test]
fn batch_workflows_that_mean_nothing_are_refused() {
    for (text, expected) in [
        (
            "type: stream\nbatch: {directory: d}\ntemplate: {prompt: x}",
            "1:7: `type` must be `batch` or left out, but is the string `stream` | -",
        ),
        (
            "type: batch\ntemplate: {prompt: x}",
            "1:1: a batch workflow needs `batch` | write `batch: {directory: …, pattern: \"*.txt\"}`",
        ),
        (
            "type: batch\nbatch: {directory: d}",
            "1:1: a batch workflow needs `template` | write what to do with each file, such as `messages`",
        ),
        ("batch: {pattern: x}\ntemplate: {prompt: x}", "1:8: `batch` needs `directory` | -"),
        (
            "batch: {directory: d, glob: x}\ntemplate: {prompt: x}",
            "1:23: unknown key `glob` | known are `directory`, `pattern`",
        ),
        (
            "batch: {directory: d}\ntemplate: {promt: x}",
            "2:12: `llm/chat` has no parameter `promt` | did you mean `prompt`?",
        ),
        (
            "batch: {directory: d}\ntemplate: {file_path: x}",
            "2:12: the batch gives `file_path` itself | remove `file_path`",
        ),
        (
            "batch: {directory: d}\ntemplate: {prompt: x}\ntasks: []",
            "3:1: a batch workflow has no `tasks` | remove `type`, `batch`, and `template`, or `tasks`",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn batch_modes_that_mean_nothing_are_refused() {
    for (text, expected) in [
        (
            "tasks: [{id: t, method: llm/chat, params: {batch_mode: true}}]",
            "1:44: `batch_mode` has nothing to run over | add `directory`, `files`, or `image_paths`",
        ),
        (
            "tasks: [{id: t, method: llm/chat, params: {batch_mode: true, directory: d, files: [a]}}]",
            "1:76: `batch_mode` runs over `directory` or `files`, not both | -",
        ),
        (
            "tasks: [{id: t, method: llm/chat, for_each: [1], params: {batch_mode: true, directory: d}}]",
            "1:35: a task has `for_each` or `batch_mode`, not both | -",
        ),
        (
            "tasks: [{id: t, method: llm/chat, params: {batch_mode: true, files: [a], file_pattern: x}}]",
            "1:74: `file_pattern` needs `directory` | -",
        ),
        (
            "tasks: [{id: t, method: llm/chat, params: {batch_mode: true, files: [1]}}]",
            "1:70: `files` must hold paths, but holds the number `1` | -",
        ),
        (
            "tasks: [{id: t, method: llm/chat, params: {batch_mode: 1, directory: d}}]",
            "1:56: `batch_mode` must be `true` or `false`, but is the number `1` | -",
        ),
        (
            "tasks: [{id: t, method: llm/chat, params: {directory: d}}]",
            "1:44: `llm/chat` has no parameter `directory` | add `batch_mode: true` to run the task for each file",
        ),
        (
            "protocol: llm/v1\ntasks: [{id: t, method: llm/chat}]",
            "1:1: `protocol` belongs to a batch workflow | leave it out; it follows from the methods",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}
