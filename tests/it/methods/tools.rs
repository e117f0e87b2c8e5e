//! Tools of servers: by the name of their server and by the older spelling, from a real server and a scripted one.

use motet_tests::command::Place;
use motet_tests::mcp::{from_pypi, scripted};
use serde_json::json;

use super::{outputs, ran, task};

/// What a workflow says of the scripted server, which does what this mode says.
fn with_server(mode: &str, rest: &str) -> String {
    let server = scripted().display().to_string();
    format!("providers: {{s: {{type: mcp, command: python3, args: ['{server}', {mode}]}}}}\n{rest}")
}

#[test]
fn a_tool_answers_by_its_servers_name_and_by_the_older_spelling() {
    let tasks = "tasks:\n\
        - {id: say, method: mcp/s.echo, params: {text: hello}}\n\
        - {id: again, method: mcp/s.echo, params: {arguments: {text: '[1, 2]'}}}\n\
        - {id: old, method: tool.process, protocol: mcp/v1}\n\
        - {id: both, method: mcp/tool.process}\n\
        outputs: {say: '${say.response}', list: '${again.result}', old: '${old.result}', both: '${both.result}'}\n";
    let found = outputs(&Place::new().unwrap(), &with_server("plain", tasks));
    assert_eq!((&found["say"], &found["list"]), (&json!("hello"), &json!([1, 2])));
    assert!(found["old"].is_u64(), "{found}");
    assert_eq!(found["old"], found["both"], "the server was started twice");
}

#[test]
fn an_error_of_a_tool_fails_its_task_and_what_fits_no_tool_is_told() {
    for (method, kind, told) in [
        ("mcp/s.fail", "tool_failed", "it went wrong"),
        ("mcp/s.nothing", "not_found", "nothing"),
        ("mcp/tool.nothing", "not_found", "no server has a tool `nothing`"),
    ] {
        let (done, report) = ran(
            &Place::new().unwrap(),
            &with_server("plain", &format!("tasks: [{{id: a, method: {method}}}]")),
        );
        let error = &task(&report, "a")["error"];
        assert_eq!((done.code, &report["state"], &error["kind"]), (Some(1), &json!("failed"), &json!(kind)));
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
}

#[test]
fn a_server_that_dies_fails_the_call_and_comes_back_for_the_next() {
    let tasks = "tasks:\n\
        - {id: before, method: mcp/s.process}\n\
        - {id: fatal, method: mcp/s.die, dependencies: [before], on_failure: continue}\n\
        - {id: after, method: mcp/s.process, dependencies: [fatal], retry: 3}\n\
        outputs: {before: '${before.result}', fatal: '${fatal.status}', after: '${after.result}'}\n";
    let found = outputs(&Place::new().unwrap(), &with_server("plain", tasks));
    assert_eq!(found["fatal"], "failed");
    assert!(found["before"].is_u64() && found["after"].is_u64(), "{found}");
    assert_ne!(found["before"], found["after"]);
}

#[test]
fn a_server_that_is_missing_is_told_before_the_run_and_one_that_does_not_start_by_its_own_words() {
    let place = Place::new().unwrap();
    let (missing, _) = ran(&place, "tasks: [{id: a, method: mcp/nowhere.echo}]");
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.stdout.contains("there is no server `nowhere` for `mcp/nowhere.echo`"), "{missing:?}");
    let (done, report) = ran(&place, &with_server("broken", "tasks: [{id: a, method: mcp/s.echo}]"));
    assert_eq!(done.code, Some(1), "{done:?}");
    let error = task(&report, "a")["error"].to_string();
    assert!(error.contains("no configuration found"), "{error}");
    let command =
        "providers: {s: {type: mcp, command: no-such-program}}\ntasks: [{id: a, method: mcp/s.echo}]";
    let (done, report) = ran(&place, command);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(task(&report, "a")["error"].to_string().contains("no-such-program"), "{report}");
}

#[test]
fn a_real_server_of_the_settings_answers_a_task() {
    let Some(program) = from_pypi("mcp-server-time") else { return };
    let place = Place::new().unwrap();
    let servers = json!({"mcpServers": {"clock": {"command": program, "args": ["--local-timezone", "UTC"]}}});
    place.write(".mcp.json", servers.to_string()).unwrap();
    let params = "{source_timezone: UTC, time: '12:00', target_timezone: Asia/Tokyo}";
    let found = outputs(
        &place,
        &format!(
            "tasks:\n- {{id: a, method: mcp/clock.convert_time, params: {params}}}\n\
             - {{id: b, method: tool.convert_time, protocol: mcp/v1, params: {params}}}\n\
             outputs: {{a: '${{a.result.target.datetime}}', b: '${{b.result.target.datetime}}'}}\n"
        ),
    );
    assert!(found["a"].as_str().unwrap().ends_with("T21:00:00+09:00"), "{found}");
    assert_eq!(found["a"], found["b"]);
}

/// What servers were started, each by the file that it leaves.
fn started(place: &Place) -> Vec<&'static str> {
    ["one", "two"].into_iter().filter(|name| place.path().join(format!("{name}.started")).exists()).collect()
}

#[test]
fn a_tool_that_is_called_by_hand_starts_the_server_that_its_name_says() {
    let place = Place::new().unwrap();
    let server = scripted().display().to_string();
    let named = |name: &str, prefix: Option<&str>| {
        let script = format!("touch {name}.started; exec python3 '{server}' plain");
        json!({"command": "sh", "args": ["-c", script], "prefix": prefix})
    };
    let write = |two: Option<&str>| {
        let servers = json!({"mcpServers": {"one": named("one", None), "two": named("two", two)}});
        place.write(".mcp.json", servers.to_string()).unwrap();
    };
    write(None);
    let done = place.run(&["tool", "call", "one_echo", "text=hello"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "hello\n"), "{done:?}");
    assert_eq!(started(&place), ["one"]);
    // A name that looks like one of the first server's, and belongs to the second.
    write(Some("one_b_"));
    std::fs::remove_file(place.path().join("one.started")).unwrap();
    let done = place.run(&["tool", "call", "one_b_echo", "text=hello"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "hello\n"), "{done:?}");
    assert_eq!(started(&place), ["two"]);
    write(Some(""));
    let done = place.run(&["tool", "call", "echo", "text=hello"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "hello\n"), "{done:?}");
    let done = place.run(&["tool", "call", "one_nothing"]).unwrap();
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stderr.contains("one_nothing"), "{done:?}");
}
