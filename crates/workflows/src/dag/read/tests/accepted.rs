//! Every key in every form, and the specification that it becomes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::method::{Method, MethodCall, MethodOutcome};
use motet_core::settings::CacheMode;
use motet_core::tool::Effect;
use motet_core::workflow::{Backoff, ForEach, OnFailure, Priority, RetryPolicy, TaskSpec};
use motet_core::{Result, RunContext};
use serde_json::{Value, json};

use super::{Parameter, Rules, WRITE, WorkflowSpec, read, spec};

/// Reads a workflow of one task with these keys.
fn task(keys: &str) -> TaskSpec {
    spec(&format!("tasks:\n- id: t\n  method: llm/chat\n  {keys}\n")).tasks.remove(0)
}

const EVERY_KEY: &str = r#"
id: w-1
version: 0.0.4
tags: {team: a}
name: Research
description: Finds and writes
model: ollama:llama3
inputs: {topic: null, depth: 2}
env: [SITE, SITE]
max_parallel_tasks: 4
metadata: {owner: me, version: kept}
tasks:
  - id: find
    name: Find facts
    description: Looks things up
    tags: [slow]
    protocol: llm/v1
    method: llm/chat
    params: {prompt: "About ${inputs.topic} on ${env.SITE}", max_tokens: "${inputs.depth}"}
    when: ${inputs.topic}
    retry: {max_attempts: 4, backoff: linear, base_delay: 500ms, max_delay: 1m, jitter: false}
    timeout: 1.5
    priority: URGENT
    on_failure: continue
    cache: refresh
    metadata: {a: 1}
  - id: write
    method: file/write
    parameters: {path: out.md, content: "${Find facts.content}"}
outputs: {text: "${find.content}", all: ["${write}"]}
"#;

#[test]
fn every_key_ends_in_the_specification() {
    let spec = spec(EVERY_KEY);
    let expected = json!({
        "name": "Research",
        "description": "Finds and writes",
        "model": "ollama:llama3",
        "inputs": {"topic": null, "depth": 2},
        "env": ["SITE"],
        "max_parallel_tasks": 4,
        "metadata": {"owner": "me", "version": "kept", "id": "w-1", "tags": {"team": "a"}},
        "tasks": [
            {
                "id": "find",
                "name": "Find facts",
                "method": "llm/chat",
                "params": {"prompt": "About ${inputs.topic} on ${env.SITE}", "max_tokens": "${inputs.depth}"},
                "when": "${inputs.topic}",
                "retry": {"max_attempts": 4, "backoff": "linear", "base_delay": 500, "max_delay": 60000, "jitter": false},
                "timeout": 1500,
                "priority": "urgent",
                "cache": "refresh",
                "on_failure": "continue",
                "metadata": {"a": 1, "description": "Looks things up", "tags": ["slow"]},
            },
            {
                "id": "write",
                "method": "file/write",
                "params": {"path": "out.md", "content": "${Find facts.content}"},
                "dependencies": ["find"],
            },
        ],
        "outputs": {"text": "${find.content}", "all": ["${write}"]},
    });
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
    assert_eq!(serde_json::from_value::<WorkflowSpec>(expected).unwrap(), spec);
}

#[test]
fn json_is_read_by_the_same_reader() {
    let json = "{\n\t\"name\": \"w\",\n\t\"tasks\": [{\"id\": \"t\", \"method\": \"llm/chat\", \"params\": {\"prompt\": \"\\ud83d\\ude00\"}}]\n}";
    assert_eq!(spec(json).tasks[0].params["prompt"], json!("\u{1f600}"));
}

#[test]
fn dependencies_are_the_written_ones_and_then_those_that_references_imply_each_once() {
    let spec = spec(
        r#"
tasks:
  - {id: last, method: llm/chat, depends_on: [Third one], when: "${d.ok}", for_each: "${e}", params: {prompt: "${b} ${c} ${b[0].x}"}}
  - {id: b, method: llm/chat}
  - {id: c, name: Third one, method: llm/chat}
  - {id: d, method: llm/chat, dependencies: [b, b]}
  - {id: e, method: llm/chat, params: {prompt: "$${d} stays"}}
"#,
    );
    let dependencies: Vec<_> = spec.tasks.iter().map(|task| task.dependencies.join(" ")).collect();
    assert_eq!(dependencies, ["c d e b", "", "", "b", ""]);
}

#[test]
fn a_task_that_has_only_a_name_gets_an_id_of_it() {
    for (name, id) in [("step name", "step name"), (" padded ", "padded"), ("v1.0 [draft]", "v1-0 -draft-")] {
        let spec = spec(&format!("tasks: [{{name: '{name}', method: llm/chat}}]"));
        assert_eq!((spec.tasks[0].id.as_str(), spec.tasks[0].name.as_deref()), (id, Some(name.trim())));
    }
    let spec = spec(
        "tasks:\n- {name: a b, method: llm/chat}\n- {id: c, method: llm/chat, params: {prompt: \"${a b.x}\"}}\n",
    );
    assert_eq!(spec.tasks[1].dependencies, ["a b"]);
}

#[test]
fn times_are_seconds_or_have_a_unit() {
    for (written, millis) in [
        ("30", 30_000),
        ("0.25", 250),
        ("500ms", 500),
        ("2s", 2_000),
        ("1.5 m", 90_000),
        ("1h", 3_600_000),
        ("0.0001", 1),
    ] {
        assert_eq!(
            task(&format!("timeout: {written}")).timeout,
            Some(Duration::from_millis(millis)),
            "{written}"
        );
    }
}

#[test]
fn retry_is_a_count_or_says_how() {
    let policy = |max_attempts| RetryPolicy { max_attempts, ..RetryPolicy::default() };
    for (written, expected) in [
        ("5", policy(5)),
        ("1", policy(1)),
        ("{max_attempts: 2}", policy(2)),
        ("{backoff: Fixed}", RetryPolicy { backoff: Backoff::Fixed, ..policy(3) }),
        (
            "{base_delay: 2m}",
            RetryPolicy {
                base_delay: Duration::from_secs(120),
                max_delay: Duration::from_secs(120),
                ..policy(3)
            },
        ),
        ("~", policy(1)),
    ] {
        assert_eq!(task(&format!("retry: {written}")).retry, expected, "{written}");
    }
}

#[test]
fn priorities_and_policies_are_words_or_the_numbers_one_to_three() {
    for (written, expected) in [
        ("1", Some(Priority::High)),
        ("2", Some(Priority::Normal)),
        ("3", Some(Priority::Low)),
        ("low", Some(Priority::Low)),
        ("Urgent", Some(Priority::Urgent)),
        ("~", None),
    ] {
        assert_eq!(task(&format!("priority: {written}")).priority, expected, "{written}");
    }
    for (written, expected) in [
        ("true", CacheMode::ReadWrite),
        ("false", CacheMode::Off),
        ("off", CacheMode::Off),
        ("read", CacheMode::Read),
        ("Write", CacheMode::Write),
        ("read_write", CacheMode::ReadWrite),
        ("refresh", CacheMode::Refresh),
    ] {
        assert_eq!(task(&format!("cache: {written}")).cache, Some(expected), "{written}");
    }
    assert_eq!(task("cache: ~").cache, None);
    assert_eq!(task("on_failure: skip_dependents").on_failure, OnFailure::SkipDependents);
}

#[test]
fn for_each_takes_lists_references_and_files() {
    let head = "tasks:\n- {id: list, method: llm/chat}\n- id: t\n  method: llm/chat\n  params: {prompt: \"${item} ${index}\"}\n";
    for (written, expected) in [
        ("[1, {a: \"${list.x}\"}]", ForEach::Items(json!([1, {"a": "${list.x}"}]))),
        ("[]", ForEach::Items(json!([]))),
        ("${list.items}", ForEach::Items(json!("${list.items}"))),
        ("{items: [a]}", ForEach::Items(json!(["a"]))),
        ("{items: \"${list}\"}", ForEach::Items(json!("${list}"))),
        ("{files: docs/*.txt}", ForEach::Files(vec!["docs/*.txt".into()])),
        ("{files: [a.txt, \"${list.dir}/*\"]}", ForEach::Files(vec!["a.txt".into(), "${list.dir}/*".into()])),
    ] {
        let spec = spec(&format!("{head}  for_each: {written}\n"));
        assert_eq!(spec.tasks[1].for_each, Some(expected), "{written}");
    }
}

#[test]
fn conditions_are_values_or_references() {
    for (written, expected) in [
        ("${inputs.x}", json!("${inputs.x}")),
        ("\"${inputs.x}${inputs.y}\"", json!("${inputs.x}${inputs.y}")),
        ("false", json!(false)),
        ("0", json!(0)),
    ] {
        let spec = spec(&format!(
            "inputs: {{x: 1, y: 2}}\ntasks:\n- id: t\n  method: llm/chat\n  when: {written}\n"
        ));
        assert_eq!(spec.tasks[0].when, Some(expected), "{written}");
    }
}

#[test]
fn a_protocol_completes_a_method_without_one() {
    for (written, method) in [
        ("protocol: mcp/v1, method: tools.echo", "mcp/tools.echo"),
        ("protocol: llm, method: chat", "llm/chat"),
        ("method: llm/chat", "llm/chat"),
    ] {
        assert_eq!(spec(&format!("tasks: [{{id: t, {written}}}]")).tasks[0].method, method);
    }
}

#[test]
fn null_counts_as_not_given_and_a_reference_fits_any_kind() {
    let spec = spec(
        "inputs: {n: 1}\ntasks: [{id: t, method: llm/chat, description: , timeout: ~, params: {max_tokens: \"${inputs.n}\", schema: ~, prompt: '$${x}'}}]",
    );
    assert_eq!(spec.name, "unnamed workflow");
    assert_eq!(spec.tasks[0].params["schema"], json!(null));
}

#[test]
fn the_workflows_of_the_guide_and_the_examples_are_readable() {
    let guide = include_str!("../../../../../../docs/guide/workflow-file.md");
    let workflows: Vec<&str> = guide
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.starts_with("name:"))
        .collect();
    assert!(workflows.len() >= 5, "{}", workflows.len());
    for workflow in workflows {
        spec(workflow);
    }
    spec(include_str!("../../../../../../examples/brief.yaml"));
}

struct Write;

#[async_trait]
impl Method for Write {
    fn name(&self) -> &'static str {
        "own/write"
    }

    fn doc(&self) -> &'static str {
        "Writes"
    }

    fn parameters(&self) -> &[Parameter] {
        WRITE
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    async fn call(&self, _context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        Ok(Value::Object(call.params).into())
    }
}

#[test]
fn rules_are_made_of_methods() {
    let methods: Vec<Arc<dyn Method>> = vec![Arc::new(Write)];
    let rules = Rules::new(&methods);
    assert!(read(b"tasks: [{id: t, method: own/write, params: {path: a, content: 1}}]", &rules).is_ok());
    let problems = read(b"tasks: [{id: t, method: own/write, params: {path: a}}]", &rules).unwrap_err();
    assert_eq!(problems.to_string(), "1:36: `own/write` needs the parameter `content`");
    assert!(read(b"tasks: [{id: t, method: llm/chat}]", &rules).is_err());
}
