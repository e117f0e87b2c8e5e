//! Servers of tools through agents, the runtime, and the command: real ones from PyPI and npm, and a scripted one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use motet::agents::{Agent, Outcome, run};
use motet::core::mcp::ServerConfig;
use motet::core::tool::{Effect, ToolContext, ToolOutput};
use motet::providers::mcp::McpServer;
use motet::{ErrorKind, Part, Result, RunContext, Tool};
use motet_providers::scripted::{Answer, ScriptedModel};
use motet_tests::command::{Place, workspace};
use motet_tests::mcp::{HttpServer, from_npm, from_pypi, scripted};
use serde_json::{Value, json};

fn config(command: &str, args: &[&str]) -> ServerConfig {
    serde_json::from_value(json!({"command": command, "args": args, "trusted": true})).unwrap()
}

async fn call(server: &McpServer, tool: &str, arguments: Value) -> Result<ToolOutput> {
    let tools = server.tools().await?;
    let tool = tools.iter().find(|one| one.spec().name == tool).expect("there is such a tool");
    let run = RunContext::new();
    tool.call(arguments, &ToolContext { run: &run, call_id: "c", idempotency_key: "k" }).await
}

fn text(output: &ToolOutput) -> String {
    output.content.iter().filter_map(Part::as_text).collect()
}

fn effect(tools: &[Arc<dyn Tool>], name: &str) -> Effect {
    tools.iter().find(|tool| tool.spec().name == name).expect("there is such a tool").effect()
}

#[tokio::test]
async fn a_clock_from_pypi_answers_an_agent() {
    let Some(program) = from_pypi("mcp-server-time") else { return };
    let server = McpServer::connect("clock", config(&program, &["--local-timezone", "UTC"])).await.unwrap();
    let tools = server.tools().await.unwrap();
    assert_eq!(effect(&tools, "clock_convert_time"), Effect::Pure);
    let wrong = json!({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Nowhere/X"});
    let output = call(&server, "clock_convert_time", wrong).await.unwrap();
    assert!(output.is_error && text(&output).contains("Invalid timezone"), "{output:?}");

    let arguments = json!({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"});
    let model = Arc::new(ScriptedModel::answers([
        Answer::tool_call("clock_convert_time", &arguments),
        Answer::text("It is nine in the evening."),
    ]));
    let agent = Agent::builder("a", "scripted:test".parse().unwrap()).tools(tools).build().unwrap();
    let result =
        run(&RunContext::new(), &agent, model, "When it is noon in Greenwich, what is it in Tokyo?").await;
    assert_eq!(result.outcome, Outcome::Completed);
    assert!(result.tool_history[0].result.contains("T21:00:00+09:00"), "{:?}", result.tool_history);
}

fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let done = Command::new("git").args(identity).args(arguments).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[tokio::test]
async fn a_repository_is_read_and_changed_through_git_from_pypi() {
    let Some(program) = from_pypi("mcp-server-git") else { return };
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    std::fs::write(folder.path().join("a.txt"), "one\n").unwrap();
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "Write the first line"]);
    let place = folder.path().display().to_string();
    let server = McpServer::connect("g", config(&program, &["--repository", &place])).await.unwrap();
    let tools = server.tools().await.unwrap();
    assert_eq!(
        (effect(&tools, "g_git_log"), effect(&tools, "g_git_add")),
        (Effect::Pure, Effect::Idempotent)
    );
    assert_eq!(effect(&tools, "g_git_commit"), Effect::AtMostOnce);
    let log = call(&server, "g_git_log", json!({"repo_path": place})).await.unwrap();
    assert!(text(&log).contains("Write the first line"), "{log:?}");
    std::fs::write(folder.path().join("a.txt"), "one\ntwo\n").unwrap();
    let difference = call(&server, "g_git_diff_unstaged", json!({"repo_path": place})).await.unwrap();
    assert!(text(&difference).contains("+two"), "{difference:?}");
    let elsewhere = call(&server, "g_git_log", json!({"repo_path": "/"})).await.unwrap();
    assert!(elsewhere.is_error, "{elsewhere:?}");
}

/// The example as it stands, but for `uvx`, in whose place the server is started that is installed.
#[test]
fn the_example_of_an_agent_answers_a_question_about_a_real_repository() {
    let Some(program) = from_pypi("mcp-server-git") else { return };
    let place = Place::new().unwrap();
    for name in ["agent-git.yaml", "agent-git.json"] {
        let text = std::fs::read(workspace().join("examples").join(name)).unwrap();
        place.write(&format!("examples/{name}"), text).unwrap();
    }
    git(place.path(), &["init", "--quiet"]);
    git(place.path(), &["add", "."]);
    git(place.path(), &["commit", "--quiet", "--message", "Write the first line"]);
    let shim = place.write("bin/uvx", format!("#!/bin/sh\nexec '{program}'\n")).unwrap();
    std::fs::set_permissions(&shim, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let arguments = ["agent", "run", "examples/agent-git.yaml", "What was changed last?", "--run-id", "r"];
    let mut command = place.command(&arguments).unwrap();
    let done = command.env("PATH", format!("{}/bin:{path}", place.path().display())).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("Write the first line"), "{done:?}");
    let log = place.run(&["log", "show", "r"]).unwrap();
    assert!(log.stdout.contains("git_log") && log.stdout.contains("git_status"), "{log:?}");
}

#[tokio::test]
async fn files_from_npm_stay_within_their_directory() {
    let Some(program) = from_npm("mcp-server-filesystem") else { return };
    let folder = tempfile::tempdir().unwrap();
    let allowed = folder.path().canonicalize().unwrap();
    let path = allowed.join("letter.txt").display().to_string();
    let mut config = config(&program, &[&allowed.display().to_string()]);
    config.prefix = Some(String::new());
    config.only = vec!["write_file".into(), "read_text_file".into()];
    let server = McpServer::connect("files", config).await.unwrap();
    let names: Vec<_> = server.tools().await.unwrap().iter().map(|tool| tool.spec().name.clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let written = call(&server, "write_file", json!({"path": path, "content": "Dear Ada"})).await.unwrap();
    assert!(!written.is_error, "{written:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear Ada");
    assert_eq!(text(&call(&server, "read_text_file", json!({"path": path})).await.unwrap()), "Dear Ada");
    let outside = call(&server, "read_text_file", json!({"path": "/etc/hostname"})).await.unwrap();
    assert!(outside.is_error && text(&outside).contains("denied"), "{outside:?}");
}

/// What the server that has everything must give over every transport.
async fn check_everything(server: &McpServer) {
    let echo = call(server, "all_echo", json!({"message": "hello"})).await.unwrap();
    assert_eq!(text(&echo), "Echo: hello");
    let sum = call(server, "all_get-sum", json!({"a": 2, "b": 3})).await.unwrap();
    assert_eq!(text(&sum), "The sum of 2 and 3 is 5.");
    let image = call(server, "all_get-tiny-image", json!({})).await.unwrap();
    let kinds: Vec<_> = image.content.iter().filter(|part| matches!(part, Part::Image(_))).collect();
    assert_eq!(kinds.len(), 1, "{image:?}");
    let structured =
        call(server, "all_get-structured-content", json!({"location": "New York"})).await.unwrap();
    assert!(text(&structured).contains("\"temperature\":33"), "{structured:?}");
    let links = call(server, "all_get-resource-links", json!({"count": 2})).await.unwrap();
    assert!(text(&links).contains("[resource demo://resource/dynamic/"), "{links:?}");
    let slow = json!({"duration": 0.1, "steps": 2});
    assert!(!call(server, "all_trigger-long-running-operation", slow).await.unwrap().is_error);
    // What the server checks itself it refuses by an error or an error result.
    match call(server, "all_get-sum", json!({"a": "two"})).await {
        Ok(refused) => assert!(refused.is_error, "{refused:?}"),
        Err(refused) => assert_eq!(refused.kind(), ErrorKind::InvalidRequest),
    }
    assert!(server.warnings().await.unwrap().is_empty());
    check_resources_and_prompts(server).await;
}

async fn check_resources_and_prompts(server: &McpServer) {
    let resources = server.resources().await.unwrap();
    assert!(!resources.is_empty());
    assert!(!server.read_resource(&resources[0].uri).await.unwrap().is_empty());
    let templates = server.resource_templates().await.unwrap();
    assert!(templates.iter().any(|one| one.uri_template == "demo://resource/dynamic/text/{resourceId}"));
    let read = server.read_resource("demo://resource/dynamic/text/1").await.unwrap();
    assert!(
        read.iter().any(|part| part.as_text().is_some_and(|text| text.contains("Resource 1"))),
        "{read:?}"
    );
    assert!(server.read_resource("demo://no/such").await.is_err());
    let prompts = server.prompts().await.unwrap();
    let prompt = prompts.iter().find(|prompt| prompt.name == "args-prompt").unwrap();
    assert!(prompt.arguments.iter().any(|argument| argument.name == "city" && argument.required));
    let messages = server.get_prompt("args-prompt", &json!({"city": "Kyoto"})).await.unwrap();
    assert!(messages[0].visible_text().contains("Kyoto"), "{messages:?}");
}

#[tokio::test]
async fn everything_from_npm_is_understood_over_standard_input_and_output() {
    let Some(program) = from_npm("mcp-server-everything") else { return };
    let server = McpServer::connect("all", config(&program, &["stdio"])).await.unwrap();
    check_everything(&server).await;
    let environment = call(&server, "all_get-env", json!({})).await.unwrap();
    assert!(
        !text(&environment).contains("CARGO_MANIFEST_DIR"),
        "nothing is inherited but what programs need"
    );
    server.close().await;
}

#[tokio::test]
async fn everything_from_npm_is_understood_over_http_and_reached_again_after_a_crash() {
    let Some(mut process) = HttpServer::start().unwrap() else { return };
    let config: ServerConfig =
        serde_json::from_value(json!({"url": process.url(), "timeout": "20s"})).unwrap();
    let server = McpServer::connect("all", config).await.unwrap();
    check_everything(&server).await;
    process.kill().unwrap();
    // Nothing could be sent, or nobody knows whether it arrived; in no case is it an answer.
    match call(&server, "all_echo", json!({"message": "lost"})).await {
        Ok(lost) => assert!(lost.is_error && text(&lost).contains("unknown"), "{lost:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Connection),
    }
    process.start_again().unwrap();
    let mut last = None;
    for _ in 0..5 {
        match call(&server, "all_echo", json!({"message": "back"})).await {
            Ok(output) if !output.is_error => {
                assert_eq!(text(&output), "Echo: back");
                server.close().await;
                return;
            }
            other => last = Some(other),
        }
    }
    panic!("the server is not reached again: {last:?}");
}

#[tokio::test]
async fn an_address_where_nobody_listens_or_something_else_does_is_told() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at =
        |url: String| serde_json::from_value::<ServerConfig>(json!({"url": url, "timeout": "10s"})).unwrap();
    let error = McpServer::connect("s", at(format!("http://{nobody}/mcp"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.message().starts_with("no handshake with the server `s`: it cannot be reached"), "{error}");
    for url in ["not an address", "ftp://host/mcp"] {
        assert_eq!(
            McpServer::connect("s", at(url.into())).await.unwrap_err().kind(),
            ErrorKind::Configuration
        );
    }
}

/// A place whose file names the scripted server, one that is switched off, and one that cannot start.
fn place() -> Place {
    let place = Place::new().unwrap();
    let file = json!({"mcpServers": {
        "s": {
            "command": "python3", "args": [scripted(), "plain"],
            "env": {"TOKEN": "${MCP_TOKEN}"}, "alwaysAllow": ["echo"],
        },
        "off": {"command": "python3", "args": [scripted(), "plain"], "disabled": true},
        "gone": {"command": "no-such-program-here"},
    }});
    place.write(".mcp.json", file.to_string()).unwrap();
    place.write(".env", "MCP_TOKEN=hunter2-hunter2\n").unwrap();
    place
}

#[test]
fn the_command_lists_servers_with_their_states() {
    let place = place();
    let done = place.run(&["mcp", "list"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let words: Vec<Vec<&str>> = done.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["s", "connected", "stdio", "11", "0", "0", "0"]);
    assert_eq!(words[2], ["off", "disabled", "stdio", "-", "-", "-", "-"]);
    assert_eq!(words[3], ["gone", "failed", "stdio", "-", "-", "-", "-"]);
    assert!(done.stderr.contains("no-such-program-here") && done.stderr.contains("hint"), "{}", done.stderr);

    let listed = place.run(&["--output", "json", "mcp", "list", "--server", "s"]).unwrap().json().unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["implementation"]["name"], "scripted");
    assert_eq!(listed[0]["tools"][0]["name"], "s_echo");
    let failed = place.run(&["mcp", "list", "--server", "gone"]).unwrap();
    assert_eq!(failed.code, Some(1));
    let unknown = place.run(&["mcp", "list", "--server", "nobody"]).unwrap();
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("the servers are `s`, `off`, `gone`"), "{}", unknown.stderr);
    let named = place.run(&["mcp", "list", "--server", "s"]).unwrap();
    assert!(named.stdout.contains("s_echo") && named.stdout.contains("Does echo."), "{}", named.stdout);
}

#[test]
fn the_command_lists_and_calls_tools() {
    let place = place();
    let done = place.run(&["tool", "list"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("warning: the program `no-such-program-here`"), "{}", done.stderr);
    let row = done.stdout.lines().find(|line| line.starts_with("s_echo")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["s_echo", "s", "at_most_once", "Does", "echo."]);

    let echo = place.run(&["tool", "call", "s_echo", "text=5 apples", "--server", "s"]).unwrap();
    assert_eq!((echo.code, echo.stdout.as_str()), (Some(0), "5 apples\n"));
    let number = place.run(&["tool", "call", "s_echo", "text=5", "--server", "s"]).unwrap();
    assert_eq!((number.code, number.stdout.as_str()), (Some(0), "5\n"), "the schema wants text");
    for (pairs, problem) in
        [(vec!["text"], "`text` is no argument"), (vec!["text=a", "text=b"], "given twice")]
    {
        let done = place.run(&[&["tool", "call", "s_echo", "--server", "s"], &pairs[..]].concat()).unwrap();
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(done.stderr.contains(problem) && done.stderr.contains("hint"), "{done:?}");
    }
    let json = place.run(&["tool", "call", "s_echo", "--arguments", r#"{"text": "hi"}"#, "--output", "json"]);
    let json = json.unwrap().json().unwrap();
    assert_eq!(
        json,
        json!({"tool": "s_echo", "is_error": false, "content": [{"type": "text", "text": "hi"}]})
    );
    let failed = place.run(&["tool", "call", "s_fail", "--server", "s"]).unwrap();
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), "it went wrong\n"));
    let died = place.run(&["tool", "call", "s_die", "--server", "s"]).unwrap();
    assert_eq!(died.code, Some(1));
    assert!(died.stdout.contains("about to die of ****"), "{}", died.stdout);
    assert!(!format!("{died:?}").contains("hunter2"), "{died:?}");
    let wrong =
        place.run(&["tool", "call", "s_echo", "--arguments", r#"{"text": 5}"#, "--server", "s"]).unwrap();
    assert_eq!(wrong.code, Some(3));
    assert!(wrong.stderr.contains("do not match its schema"), "{}", wrong.stderr);
    let unknown = place.run(&["tool", "call", "s_ecko", "--server", "s"]).unwrap();
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("the nearest name is `s_echo`"), "{}", unknown.stderr);
}

#[test]
fn a_file_of_an_agent_may_name_a_server_that_the_settings_know() {
    let place = place();
    let script = json!({"answers": [
        {"when": {"turn": 0}, "tool_calls": [{"name": "s_echo", "arguments": {"text": "5 apples"}}]},
        {"when": {"turn": 1}, "tool_result": "s_echo"},
    ]});
    place.write("lab.json", script.to_string()).unwrap();
    place.write("a.yaml", "model: scripted:lab.json\ntools: [{mcp: s, only: [echo]}]\n").unwrap();
    let done = place.run(&["agent", "run", "a.yaml", "How many?", "--run-id", "r"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "5 apples\n"), "{done:?}");
    assert_eq!(place.run(&["log", "export", "r", "--to", "r.jsonl"]).unwrap().code, Some(0));
    let kept = place.read("r.jsonl").unwrap();
    assert!(kept.contains("s_echo") && !kept.contains("s_fail"), "only what is asked for is offered");
    assert!(!kept.contains("hunter2"), "what reaches the server is not stored");
    place.write("a.yaml", "model: scripted:lab.json\ntools: [{mcp: nowhere}]\n").unwrap();
    let unknown = place.run(&["agent", "check", "a.yaml"]).unwrap();
    assert!(unknown.code != Some(0) && format!("{unknown:?}").contains("there is no server `nowhere`"));
}

#[test]
fn the_chat_offers_the_tools_of_servers_where_it_is_asked_to() {
    let place = place();
    place.write("tools.txt", "/tools\n").unwrap();
    let told = |more: &[&str]| {
        let mut command =
            place.command(&[&["chat", "--model", "offline:extract"][..], more].concat()).unwrap();
        command.stdin(std::fs::File::open(place.path().join("tools.txt")).unwrap());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let text = [done.stdout, done.stderr].concat();
        String::from_utf8(text).unwrap()
    };
    let with = told(&["--tools"]);
    assert!(
        with.contains("s_echo") && with.contains("warning: the program `no-such-program-here`"),
        "{with}"
    );
    assert!(!told(&[]).contains("s_echo"));
}

#[test]
fn the_file_of_servers_is_chosen_by_setting_and_flag() {
    let place = Place::new().unwrap();
    assert_eq!(place.run(&["--output", "json", "mcp", "list"]).unwrap().json().unwrap(), json!([]));
    for (file, name) in [("by-setting.json", "one"), ("sub/by-flag.json", "two")] {
        let servers = json!({"mcpServers": {name: {"command": "python3", "args": [scripted(), "pages"]}}});
        place.write(file, servers.to_string()).unwrap();
    }
    place.write("motet.toml", "[mcp]\nfile = \"by-setting.json\"\n").unwrap();
    let name = |arguments: &[&str]| {
        let listed = place.run(arguments).unwrap().json().unwrap();
        listed[0]["name"].as_str().map(str::to_owned)
    };
    assert_eq!(name(&["--output", "json", "mcp", "list"]).as_deref(), Some("one"));
    let flag = ["--output", "json", "mcp", "list", "--config", "sub/by-flag.json"];
    assert_eq!(name(&flag).as_deref(), Some("two"));
    let missing = place.run(&["tool", "list", "--config", "none.json"]).unwrap();
    assert_eq!(missing.code, Some(3));
    assert!(missing.stderr.contains("none.json"), "{}", missing.stderr);
    let tools = place.run(&["--output", "json", "tool", "list"]).unwrap().json().unwrap();
    assert_eq!(tools[4]["name"], "one_t4");
}
