//! The schema that editors check workflow files by: it takes every sound file, and refuses what a schema can know.

use motet::Runtime;
use motet_tests::command::{Place, workspace};
use serde_json::Value;

/// Reads YAML as editors do.
fn value(text: &str) -> Value {
    motet_workflows::dag::yaml::parse_bytes(text.as_bytes()).unwrap().root.to_json()
}

fn refused(text: &str, schema: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(&value(text)).map(|error| error.to_string()).collect()
}

#[tokio::test]
async fn the_schema_takes_every_example_and_every_whole_workflow_of_the_guide() {
    let schema = Runtime::with_defaults().unwrap().workflow_schema();
    let mut seen = 0;
    for directory in ["examples", "examples/gleitzeit", "examples/methods"] {
        for entry in std::fs::read_dir(workspace().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let is_file =
                ["yaml", "json"].iter().any(|end| path.extension().is_some_and(|found| found == *end));
            if !is_file || !["tasks", "template"].iter().any(|key| value(&text).get(key).is_some()) {
                continue;
            }
            // An example whose method does not exist yet stands in a list of its own test.
            if text.contains("llm/vision") && !schema.to_string().contains("llm/vision") {
                continue;
            }
            assert_eq!(refused(&text, &schema), Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 17, "{seen}");
    let guide = std::fs::read_to_string(workspace().join("docs/guide/workflow-file.md")).unwrap();
    for block in guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        if block.starts_with("name:") {
            assert_eq!(refused(block, &schema), Vec::<String>::new(), "{block}");
        }
    }
}

#[tokio::test]
async fn the_schema_refuses_what_a_schema_can_know() {
    let schema = Runtime::with_defaults().unwrap().workflow_schema();
    let task = |keys: &str| format!("tasks: [{{id: a, method: llm/chat, params: {{prompt: x}}, {keys}}}]");
    assert_eq!(refused(&task("retry: 2"), &schema), Vec::<String>::new());
    for text in [
        "name: x".to_owned(),
        "- a".to_owned(),
        "tasks: []".to_owned(),
        "tasks: [{id: a}]".to_owned(),
        "tasks: [{method: llm/chat}]".to_owned(),
        "tasks: [{id: a, method: llm/chatt}]".to_owned(),
        "tasks: [{id: a, method: workflow/rn}]".to_owned(),
        "tasks: [{id: a, method: workflow/run, params: {workflow: '${b.wf}'}}]".to_owned(),
        "tasks: [{id: a, method: file/write, params: {path: x}}]".to_owned(),
        "tasks: [{id: a, method: file/write}]".to_owned(),
        "tasks: [{id: a, method: llm/chat, params: {promt: x}}]".to_owned(),
        "tasks: [{id: a, method: llm/chat, params: {temperature: hot}}]".to_owned(),
        "tasks: [{id: a.b, method: llm/chat, params: {}}]".to_owned(),
        format!("nme: x\n{}", task("")),
        format!("max_parallel_tasks: 0\n{}", task("")),
        format!("model: gpt-4o\n{}", task("")),
        format!("env: [1]\n{}", task("")),
        task("retries: 3"),
        task("retry: {attempts: 3}"),
        task("retry: {backoff: exponentail}"),
        task("retry: 0"),
        task("timeout: soon"),
        task("priority: 9"),
        task("on_failure: ignore"),
        task("when: always"),
        task("for_each: docs/*.txt"),
        task("for_each: {file: x}"),
        task("dependencies: b"),
        task("cache: maybe"),
    ] {
        assert!(!refused(&text, &schema).is_empty(), "{text}");
    }
}

#[test]
fn the_command_prints_the_schema_and_the_committed_file_is_the_same() {
    let printed = Place::new().unwrap().run(&["schema", "workflow"]).unwrap().json().unwrap();
    let committed = std::fs::read_to_string(workspace().join("docs/reference/workflow.schema.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&committed).unwrap(), printed);
    assert_eq!(printed["title"], "Motet workflow");
}
