//! Against a scripted server that does what real ones should not.

use motet_core::RunContext;
use motet_core::tool::Effect;

use super::*;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mcp/tests/server.py");

fn config(mode: &str) -> ServerConfig {
    let mut config: ServerConfig =
        serde_json::from_value(json!({"command": "python3", "args": [SERVER, mode]})).unwrap();
    config.timeout = Duration::from_secs(20);
    config
}

async fn connect(mode: &str) -> McpServer {
    McpServer::connect("s", config(mode)).await.unwrap()
}

async fn call(server: &McpServer, tool: &str, arguments: Value) -> Result<ToolOutput> {
    call_in(&RunContext::new(), server, tool, arguments).await
}

async fn call_in(run: &RunContext, server: &McpServer, tool: &str, arguments: Value) -> Result<ToolOutput> {
    let tools = server.tools().await?;
    let name = format!("s_{tool}");
    let tool = tools.iter().find(|tool| tool.spec().name == name).unwrap();
    tool.call(arguments, &ToolContext { run, call_id: "c", idempotency_key: "k" }).await
}

fn text(output: &ToolOutput) -> String {
    output.content.iter().filter_map(Part::as_text).collect()
}

fn names(tools: &[Arc<dyn Tool>]) -> Vec<String> {
    tools.iter().map(|tool| tool.spec().name.clone()).collect()
}

#[cfg(unix)]
fn is_alive(process: i32) -> bool {
    // A zombie that nobody waits for any more runs no longer.
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[cfg(unix)]
async fn process_of(server: &McpServer) -> i32 {
    text(&call(server, "process", json!({})).await.unwrap()).parse().unwrap()
}

#[cfg(unix)]
fn kill(process: i32) {
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}

/// Waits for what another process does, looking again and again.
#[cfg(unix)]
async fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn tools_are_listed_and_called() {
    let server = connect("plain").await;
    let tools = server.tools().await.unwrap();
    assert_eq!(names(&tools)[..3], ["s_echo", "s_fail", "s_refuse"]);
    assert_eq!(tools[0].spec().description, "Does echo.");
    assert_eq!(tools[0].effect(), Effect::AtMostOnce, "the server is not trusted");
    assert_eq!(server.implementation().await, Some(("scripted".into(), "1".into())));
    let output = call(&server, "echo", json!({"text": "hello"})).await.unwrap();
    assert_eq!(output, ToolOutput::text("hello"));
    assert!(server.resources().await.unwrap().is_empty() && server.prompts().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_error_result_and_an_error_of_the_protocol_differ() {
    let server = connect("plain").await;
    assert_eq!(call(&server, "fail", json!({})).await.unwrap(), ToolOutput::error("it went wrong"));
    let error = call(&server, "refuse", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.to_string(), "the server `s` refused `refuse`: no such tool (code: -32602)");
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_and_a_circle_of_pages_ends() {
    let pages = connect("pages").await.tools().await.unwrap();
    assert_eq!(names(&pages), ["s_t0", "s_t1", "s_t2", "s_t3", "s_t4"]);
    let circle = connect("circle").await;
    assert_eq!(names(&circle.tools().await.unwrap()), ["s_t"]);
    assert_eq!(circle.warnings().await.unwrap(), ["the server `s` lists the tool `t` twice"]);
}

#[tokio::test]
async fn a_hostile_schema_leaves_out_its_tool_and_no_other() {
    let server = connect("hostile").await;
    let tools = server.tools().await.unwrap();
    assert_eq!(tools.len(), 11, "{:?}", names(&tools));
    let warnings = server.warnings().await.unwrap();
    for (name, why) in [
        ("s_circle", "in a circle"),
        ("s_outside", "outside of it"),
        ("s_huge", "more than 131072"),
        ("s_text", "is not an object"),
        ("s_deep", "nests deeper than 100 levels"),
    ] {
        let told = warnings.iter().find(|told| told.contains(&format!("`{name}`")));
        assert!(told.is_some_and(|told| told.contains(why)), "{name}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 6);
    assert_eq!(text(&call(&server, "echo", json!({"text": "still"})).await.unwrap()), "still");
}

#[tokio::test]
async fn the_list_is_read_again_when_the_server_says_so() {
    let server = connect("plain").await;
    assert!(!names(&server.tools().await.unwrap()).contains(&"s_grown0".to_owned()));
    let listings = |heard: String| heard.matches("tools/list").count();
    for _ in 0..3 {
        server.tools().await.unwrap();
    }
    assert_eq!(listings(text(&call(&server, "heard", json!({})).await.unwrap())), 1);
    call(&server, "grow", json!({})).await.unwrap();
    assert!(names(&server.tools().await.unwrap()).contains(&"s_grown0".to_owned()));
}

/// Asks the server again and again until it has heard something so often.
async fn until_heard(server: &McpServer, what: &str, times: usize) {
    let begun = std::time::Instant::now();
    loop {
        let heard = text(&call(server, "heard", json!({})).await.unwrap());
        if heard.matches(what).count() == times {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "`{what}` was not heard {times} times: {heard}");
    }
}

#[tokio::test]
async fn a_slow_call_ends_in_time_and_the_server_is_told() {
    let server = connect("plain").await;
    let slow = tokio::spawn({
        let server = server.clone();
        async move { call(&server, "slow", json!({})).await }
    });
    until_heard(&server, "tools/call slow", 1).await;
    // From here on nothing happens but the passing of time.
    tokio::time::pause();
    let error = slow.await.unwrap().unwrap_err();
    tokio::time::resume();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().starts_with("the server `s` gave no answer to `slow` within 20s"), "{error}");
    until_heard(&server, "notifications/cancelled", 1).await;
}

#[tokio::test]
async fn a_cancelled_or_abandoned_call_is_told_to_the_server() {
    let server = connect("plain").await;
    let run = RunContext::new();
    let slow = |run: RunContext| {
        let server = server.clone();
        tokio::spawn(async move { call_in(&run, &server, "slow", json!({})).await })
    };
    let cancelled = slow(run.clone());
    until_heard(&server, "tools/call slow", 1).await;
    run.cancellation().cancel();
    assert_eq!(cancelled.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    until_heard(&server, "notifications/cancelled", 1).await;
    let abandoned = slow(RunContext::new());
    until_heard(&server, "tools/call slow", 2).await;
    abandoned.abort();
    until_heard(&server, "notifications/cancelled", 2).await;
    // A run that was cancelled before waits for nothing.
    assert_eq!(slow(run).await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[cfg(unix)]
#[tokio::test]
async fn a_call_under_way_when_the_server_dies_is_not_sent_again_and_the_next_one_reconnects() {
    let mut config = config("plain");
    config.env.insert("TOKEN".into(), "hunter2-hunter2".into());
    let server = McpServer::connect("s", config).await.unwrap();
    let first = process_of(&server).await;
    let output = call(&server, "die", json!({})).await.unwrap();
    assert!(output.is_error);
    assert_eq!(
        text(&output),
        "the server `s` was lost while it ran `die`; whether the call took effect is unknown: it ended with exit \
         code 3; its standard error ends with: about to die of ****"
    );
    let second = process_of(&server).await;
    assert_ne!(first, second);
    assert_eq!(text(&call(&server, "echo", json!({"text": "back"})).await.unwrap()), "back");
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_was_killed_between_calls_is_started_again() {
    let server = connect("plain").await;
    let tools = server.tools().await.unwrap();
    let first = process_of(&server).await;
    kill(first);
    until(|| !is_alive(first)).await;
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "c", idempotency_key: "k" };
    let mut output = tools[0].call(json!({"text": "again"}), &context).await.unwrap();
    // Its death may still go unnoticed at the first call, which then is not sent again.
    if output.is_error {
        assert!(text(&output).contains("whether the call took effect is unknown"), "{output:?}");
        output = tools[0].call(json!({"text": "again"}), &context).await.unwrap();
    }
    assert_eq!(text(&output), "again");
}

#[cfg(unix)]
#[tokio::test]
async fn the_process_ends_with_the_last_clone_and_by_leave_taking() {
    let server = connect("plain").await;
    let process = process_of(&server).await;
    let tool = server.tools().await.unwrap().remove(0);
    drop(server);
    assert!(is_alive(process), "a tool keeps its server");
    drop(tool);
    until(|| !is_alive(process)).await;

    let server = connect("plain").await;
    let process = process_of(&server).await;
    server.close().await;
    assert!(!is_alive(process));
    assert_ne!(process_of(&server).await, process, "asking again starts it again");
}

#[tokio::test]
async fn a_process_sees_only_what_it_is_given() {
    let mut config = config("plain");
    config.env.insert("GIVEN".into(), "Bearer ${MOTET_TEST_TOKEN}".into());
    let variables = |name: &str| (name == "MOTET_TEST_TOKEN").then(|| "t0ken".to_owned());
    let server = McpServer::connect_with("s", config.clone(), &variables).await.unwrap();
    let seen = text(&call(&server, "environment", json!({})).await.unwrap());
    let seen: std::collections::BTreeMap<String, String> = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["GIVEN"], "Bearer t0ken");
    assert!(seen.contains_key("PATH"));
    // Whoever runs the tests sets these; no server needs them.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        assert!(std::env::var_os(name).is_some() && !seen.contains_key(name), "{name}");
    }
    let error = McpServer::connect_with("s", config, &|_| None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`GIVEN` of the server `s` needs the variable `MOTET_TEST_TOKEN`, which is not set"
    );
}

#[tokio::test]
async fn requests_of_a_server_are_answered() {
    let server = connect("plain").await;
    let answers = text(&call(&server, "ask", json!({})).await.unwrap());
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(
        answers,
        json!({"q0": -32601, "q1": -32601, "q2": {"action": "decline"}, "q3": {}, "q4": -32601})
    );
}

#[tokio::test]
async fn garbage_on_standard_output_is_passed_over_and_told_where_it_matters() {
    let server = connect("garbage").await;
    assert_eq!(text(&call(&server, "echo", json!({"text": "fine"})).await.unwrap()), "fine");
    let output = call(&server, "die", json!({})).await.unwrap();
    assert!(text(&output).contains("what is not the protocol: `Welcome to the server!`"), "{output:?}");
}

#[tokio::test]
async fn a_large_result_is_cut_and_one_that_is_too_large_ends_the_connection() {
    let server = connect("plain").await;
    let output = call(&server, "large", json!({"text": "10000000"})).await.unwrap();
    assert!(text(&output).ends_with("bytes more were cut off]"));
    assert!(text(&output).len() < 9_000_000);
    let output = call(&server, "large", json!({"text": "20000000"})).await.unwrap();
    assert!(text(&output).contains("it sent a message of more than 16 MiB"), "{}", text(&output));
    assert_eq!(text(&call(&server, "echo", json!({"text": "back"})).await.unwrap()), "back");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let missing = ServerConfig { command: Some("no-such-program-here".into()), ..config("plain") };
    let error = McpServer::connect("s", missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(
        error.message().starts_with("the program `no-such-program-here` of the server `s` cannot be started")
    );
    assert_eq!(error.hint(), Some("install it, or give its whole path as `command`"));

    let lost = ServerConfig { directory: Some("/no/such/directory".into()), ..config("plain") };
    let error = McpServer::connect("s", lost).await.unwrap_err();
    assert_eq!(error.hint(), Some("there is no directory `/no/such/directory`"));

    let error = McpServer::connect("s", config("broken")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(
        error.to_string(),
        "no handshake with the server `s`: it ended with exit code 4; its standard error ends with: no configuration found"
    );

    let error = McpServer::connect("s", ServerConfig { command: None, ..config("plain") }).await.unwrap_err();
    assert_eq!(error.to_string(), "the server `s` needs either a program or an address");
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_in_time() {
    for mode in ["mute", "tease"] {
        let patience = ServerConfig { timeout: Duration::from_millis(300), ..config(mode) };
        let error = McpServer::connect("s", patience).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.to_string(), "the server `s` did not shake hands within 300ms");
    }
    let error = McpServer::connect("s", config("endless")).await.unwrap_err();
    assert!(error.to_string().contains("it sent a message of more than 16 MiB"), "{error}");
}

#[tokio::test]
async fn attempts_in_a_row_wait_longer_and_longer() {
    let server = connect("plain").await;
    let mut slot = server.0.slot.lock().await;
    slot.connection = None;
    slot.attempts = 3;
    slot.not_before = Some(Instant::now() + Duration::from_millis(200));
    drop(slot);
    let begun = Instant::now();
    server.connection().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let slot = server.0.slot.lock().await;
    assert_eq!(slot.attempts, 4);
    assert!(
        slot.not_before.unwrap() > Instant::now() + Duration::from_millis(300),
        "the next one waits 800 ms"
    );
}

#[tokio::test]
async fn a_refusal_that_repeats_a_long_header_is_shown_without_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let token = "s".repeat(900);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let body = format!("no such token: {token}");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1 << 16];
        let _ = stream.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let config = json!({"url": url, "headers": {"x-token": token}});
    let error = McpServer::connect("s", serde_json::from_value(config).unwrap()).await.unwrap_err();
    serving.await.unwrap();
    assert!(error.to_string().contains("no such token: ****"), "{error}");
}
