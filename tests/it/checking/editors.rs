//! The schema that editors check workflow files by: it takes every sound file, and refuses what a schema can know.

use motet::Runtime;
use motet_tests::command::{Place, workspace};
use serde_json::Value;

/// A validator of the few keywords that the schema uses; anything else in it fails the test.
fn faults(value: &Value, schema: &Value, root: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            faults.push(format!("{path}: nothing may stand here"));
        }
        return;
    };
    let holds = |schema: &Value| {
        let mut inner = Vec::new();
        self::faults(value, schema, root, path, &mut inner);
        inner.is_empty()
    };
    for (keyword, wanted) in fields {
        let fine = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" | "examples" | "then" => true,
            "$ref" => {
                let target =
                    root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).expect("a target");
                self::faults(value, target, root, path, faults);
                true
            }
            "type" => {
                let kinds = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                kinds.iter().any(|kind| is(value, kind.as_str().unwrap()))
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "pattern" => value
                .as_str()
                .is_none_or(|text| regex::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text)),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap())
            }
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap())
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
            "minProperties" => {
                value.as_object().is_none_or(|all| all.len() as u64 >= wanted.as_u64().unwrap())
            }
            "required" => value.as_object().is_none_or(|all| {
                wanted.as_array().unwrap().iter().all(|name| all.contains_key(name.as_str().unwrap()))
            }),
            "anyOf" => wanted.as_array().unwrap().iter().any(holds),
            "allOf" => {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|one| self::faults(value, one, root, path, faults));
                true
            }
            "if" => {
                if holds(wanted) {
                    self::faults(value, &fields["then"], root, path, faults);
                }
                true
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    self::faults(item, wanted, root, &format!("{path}[{at}]"), faults);
                }
                true
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        self::faults(inner, schema, root, &format!("{path}.{name}"), faults);
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if fields.get("properties").is_none_or(|known| known.get(name).is_none()) {
                        self::faults(inner, wanted, root, &format!("{path}.{name}"), faults);
                    }
                }
                true
            }
            other => panic!("the validator does not know `{other}`"),
        };
        if !fine {
            faults.push(format!("{path}: {keyword} {wanted}"));
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}

/// Reads YAML as editors do.
fn value(text: &str) -> Value {
    motet_workflows::dag::yaml::parse_bytes(text.as_bytes()).unwrap().root.to_json()
}

fn refused(text: &str, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    faults(&value(text), schema, schema, "", &mut found);
    found
}

#[tokio::test]
async fn the_schema_takes_every_example_and_every_whole_workflow_of_the_guide() {
    let schema = Runtime::with_defaults().unwrap().workflow_schema();
    let mut seen = 0;
    for directory in ["examples", "examples/gleitzeit"] {
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
    assert!(seen >= 15, "{seen}");
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
