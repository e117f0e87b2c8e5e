//! Methods of other programs through whole runs: small programs in Python, and files that name what is not there.

use std::path::Path;

use motet_core::settings::{Settings, Sources};
use motet_core::store::RunState;
use motet_workflows::dag::plan::RunSettings;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::RunReport;
use crate::workflow::{Definition, FileError};

/// Answers every call with its process, keeps a diary of its beginning and end, and takes the list of providers away.
const PROGRAM: &str = r#"
import json, os, sys
def write(word):
    with open("diary", "a") as diary:
        print(word, file=diary)
write("begins")
if os.path.exists("remote.json"):
    os.remove("remote.json")
for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": os.getpid()}), flush=True)
write("ends")
"#;

/// A server of one tool, which fails when it is first called.
const SERVER: &str = r#"
import json, os, sys
def result(message):
    if message["method"] == "initialize":
        server = {"name": "s", "version": "1"}
        version = message["params"]["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    if message["method"] == "tools/list":
        return {"tools": [{"name": "try", "description": "Tries.", "inputSchema": {"type": "object"}}]}
    failed = os.path.exists("tried")
    open("tried", "w").close()
    return {"content": [{"type": "text", "text": "done" if failed else "not yet"}], "isError": not failed}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result(message)}), flush=True)
"#;

fn runtime(folder: &Path, settings: &[(&str, &str)]) -> Runtime {
    let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned(), "test".to_owned());
    let overrides = settings.iter().chain(&[("store", "memory:")]).map(set).collect();
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    std::fs::write(folder.join("program.py"), PROGRAM).unwrap();
    std::fs::write(folder.join("server.py"), SERVER).unwrap();
    Runtime::new(loaded, folder.to_owned()).unwrap()
}

async fn started(runtime: &Runtime, folder: &Path, workflow: &Value) -> motet_core::RunId {
    let spec = runtime.read_workflow_value(workflow).unwrap();
    runtime.start(&spec, Map::new(), &RunSettings::in_directory(folder)).await.unwrap()
}

async fn run(runtime: &Runtime, folder: &Path, workflow: &Value) -> RunReport {
    let run = started(runtime, folder, workflow).await;
    runtime.work(&run, None, &CancellationToken::new()).await.unwrap()
}

fn program() -> Value {
    json!({"type": "stdio", "command": "python3", "args": ["-u", "program.py"]})
}

#[tokio::test]
async fn a_provider_is_looked_up_once_and_its_program_is_shared_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), &[("remote.file", "remote.json")]);
    let providers = json!({"providers": {"box": program()}});
    std::fs::write(folder.path().join("remote.json"), providers.to_string()).unwrap();
    let workflow = json!({"name": "many", "max_parallel_tasks": 1, "tasks": [
        {"id": "each", "method": "box/any", "for_each": [1, 2, 3], "params": {"n": "${item}"}},
    ], "outputs": {"pids": "${each}"}});
    let report = run(&runtime, folder.path(), &workflow).await;
    assert_eq!(report.state, RunState::Completed, "{report:?}");
    let diary = || std::fs::read_to_string(folder.path().join("diary")).unwrap();
    assert_eq!(diary(), "begins\n");
    runtime.close_connections().await;
    assert_eq!(diary(), "begins\nends\n");
}

#[tokio::test]
async fn a_tool_that_said_it_failed_is_asked_again_when_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), &[]);
    let server = json!({"type": "mcp", "command": "python3", "args": ["-u", "server.py"]});
    let workflow = json!({"name": "tries", "providers": {"my.server": server}, "tasks": [
        {"id": "try", "method": "mcp/my.server.try"},
    ], "outputs": {"said": "${try.response}"}});
    let id = started(&runtime, folder.path(), &workflow).await;
    let work = || async { runtime.work(&id, None, &CancellationToken::new()).await.unwrap() };
    let first = work().await;
    assert_eq!(first.state, RunState::Failed);
    let message = first.failures().next().unwrap().error.clone().unwrap().message;
    assert!(message.contains("`mcp/my.server.try` failed: not yet"), "{message}");
    runtime.resume(&id, Definition::AsStored).await.unwrap();
    let second = work().await;
    assert_eq!((second.state, &second.outputs["said"]), (RunState::Completed, &json!("done")));
    runtime.close_connections().await;
}

/// Gives what is wrong with a workflow file, by its places.
fn problems(runtime: &Runtime, text: &str) -> Vec<String> {
    let path = runtime.directory().join("workflow.yaml");
    std::fs::write(&path, text).unwrap();
    match runtime.read_workflow(&path) {
        Err(FileError::Problems(problems)) => problems
            .iter()
            .map(|problem| format!("{problem} ({})", problem.hint.clone().unwrap_or_default()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn why_a_method_cannot_be_had_is_told_where_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let own = runtime(folder.path(), &[]);
    let told = problems(&own, "name: a\ntasks:\n- id: a\n  method: mcp/nosuch.tool\n");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("4:11: there is no server `nosuch` for `mcp/nosuch.tool`"), "{told:?}");
    let missing = runtime(folder.path(), &[("remote.file", "nowhere.json")]);
    let told = problems(&missing, "name: a\ntasks:\n- id: a\n  method: words/count\n");
    assert!(told[0].starts_with("4:11: ") && told[0].contains("nowhere.json` cannot be read"), "{told:?}");
    // What is no more than a mistake in writing is told as before.
    let told = problems(&own, "name: a\ntasks:\n- id: a\n  method: llm/chatt\n");
    assert!(told[0].contains("there is no method `llm/chatt` (did you mean `llm/chat`?)"), "{told:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_provider_is_told_once_where_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), &[]);
    let text = "name: a\nproviders:\n  words: {type: http}\ntasks:\n- {id: a, method: words/count}\n- {id: b, method: words/sum}\n";
    let told = problems(&runtime, text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("3:3: the provider `words` cannot be used: it needs `url`"), "{told:?}");
    let taking = json!({"type": "http", "url": "http://localhost:1", "methods": ["llm/chat"]});
    let value = json!({"name": "a", "providers": {"mine": taking}, "tasks": [{"id": "a", "method": "llm/chat", "params": {"prompt": "x"}}]});
    let problems = runtime.read_workflow_value(&value).unwrap_err();
    assert!(problems.to_string().contains("would take the method `llm/chat`"), "{problems}");
}

#[tokio::test]
async fn the_command_that_looks_at_a_provider_is_named_only_where_it_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), &[("remote.file", "remote.json")]);
    let gone = || json!({"type": "http", "url": "http://127.0.0.1:1/"});
    let providers = json!({"providers": {"listed": gone()}});
    std::fs::write(folder.path().join("remote.json"), providers.to_string()).unwrap();
    for (name, own, hint) in [
        ("listed", json!({}), Some("`motet provider health listed` looks at each of them")),
        ("brought", json!({"brought": gone()}), None),
    ] {
        let method = runtime.methods().find(&format!("{name}/x"), own.as_object().unwrap()).unwrap();
        let context = motet_core::RunContext::new();
        let mut last = None;
        for number in 0..50 {
            let call = motet_core::method::MethodCall {
                params: Map::new(),
                files: runtime.file_scope(folder.path()),
                default_model: None,
                idempotency_key: "key".to_owned(),
                task: None,
            };
            let context = context.child(&number.to_string());
            last = Some(method.call(&context, call).await.unwrap_err());
            if last.as_ref().is_some_and(|error| error.message().starts_with("no instance")) {
                break;
            }
        }
        let error = last.unwrap();
        assert!(error.message().starts_with("no instance of"), "{error}");
        assert_eq!(error.hint(), hint);
    }
}
