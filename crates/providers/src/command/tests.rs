//! Programs as tools, by the few that every Unix has.
#![cfg(unix)]

use motet_core::Part;
use motet_core::RunContext;
use serde_json::json;

use super::*;

fn tool(command: Value) -> CommandTool {
    let base = std::env::temp_dir();
    let environment: Environment = Arc::new(|name| match name {
        "SECRET" => Some("s3cret".to_owned()),
        other => std::env::var(other).ok(),
    });
    CommandTool::new(serde_json::from_value(command).unwrap(), &base, &base, environment).unwrap()
}

fn wrong(command: Value) -> String {
    let spec: CommandSpec = serde_json::from_value(command).unwrap();
    spec.check().unwrap_err().to_string()
}

fn parameters(names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({"type": "object", "properties": properties})
}

async fn called(tool: &CommandTool, arguments: Value) -> (String, bool) {
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "1", idempotency_key: "run/tool/0/0" };
    let output = tool.call(arguments, &context).await.unwrap();
    (output.content.iter().filter_map(Part::as_text).collect(), output.is_error)
}

#[tokio::test]
async fn placeholders_are_whole_arguments_that_no_shell_sees() {
    let show = tool(json!({
        "name": "show", "parameters": parameters(&["a", "b", "c", "d"]),
        "run": ["printf", "[%s]", "${a}", "${b}", "${c}", "${d}", "fixed; echo $HOME"],
    }));
    let (text, is_error) =
        called(&show, json!({"a": "x y; rm -rf $(pwd) `id`", "b": ["1", 2], "d": {"k": true}})).await;
    assert_eq!(text, r#"[x y; rm -rf $(pwd) `id`][1][2][{"k":true}][fixed; echo $HOME]"#);
    assert!(!is_error);
}

#[tokio::test]
async fn arguments_are_read_as_json_where_asked_and_nothing_is_otherwise() {
    let echo = tool(json!({"name": "echo", "run": ["cat"], "stdin": "json"}));
    assert_eq!(called(&echo, json!({"n": [1]})).await, (r#"{"n":[1]}"#.to_owned(), false));
    let silent = tool(json!({"name": "echo", "run": ["cat"]}));
    assert_eq!(called(&silent, json!({"n": [1]})).await, (String::new(), false));
}

#[tokio::test]
async fn the_environment_is_small_and_knows_the_call() {
    let env =
        tool(json!({"name": "env", "run": ["env"], "env": {"TOKEN": "Bearer ${SECRET}", "PLAIN": "1"}}));
    let (text, _) = called(&env, json!({})).await;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"TOKEN=Bearer s3cret") && lines.contains(&"PLAIN=1"), "{text}");
    assert!(lines.contains(&"MOTET_IDEMPOTENCY_KEY=run/tool/0/0"), "{text}");
    assert!(!text.contains("CARGO_"), "{text}");
    let unset = tool(json!({"name": "env", "run": ["env"], "env": {"TOKEN": "${NOT_THERE}"}}));
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "1", idempotency_key: "k" };
    assert_eq!(
        unset.call(json!({}), &context).await.unwrap_err().message(),
        "the variable `NOT_THERE` is not set"
    );
}

#[tokio::test]
async fn a_failing_program_tells_the_model_why() {
    let fail = tool(json!({"name": "fail", "run": ["sh", "-c", "echo out; echo why >&2; exit 3"]}));
    let (text, is_error) = called(&fail, json!({})).await;
    assert_eq!((text.as_str(), is_error), ("out\nwhy\n\nthe program ended with exit status: 3", true));
    let missing = tool(json!({"name": "none", "run": ["./not-there"]}));
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "1", idempotency_key: "k" };
    let error = missing.call(json!({}), &context).await.unwrap_err();
    assert!(error.message().contains("cannot be started"), "{error}");
}

#[tokio::test]
async fn output_beyond_the_limit_is_cut_with_a_notice() {
    let much = tool(json!({"name": "much", "run": ["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"]}));
    let (text, _) = called(&much, json!({})).await;
    assert!(
        text.len() < MAX_OUTPUT_BYTES + 200 && text.ends_with("of 3000000 bytes kept]\n"),
        "{}",
        text.len()
    );
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_running() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!("echo $$ >> {0}; sh -c 'echo $$ >> {0}; exec sleep 600' & wait", pids.display());
    let slow = tool(json!({"name": "slow", "run": ["sh", "-c", script]}));
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "1", idempotency_key: "k" };
    let started = async {
        while std::fs::read_to_string(&pids).map_or(0, |text| text.lines().count()) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        output = slow.call(json!({}), &context) => panic!("{output:?}"),
        () = started => {}
    }
    all_ended(&pids);
}

#[tokio::test]
async fn a_program_that_ends_leaves_nothing_of_its_group_running() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!("sleep 600 >/dev/null 2>&1 & echo $! > {}; echo done", pids.display());
    let detaching = tool(json!({"name": "detaching", "run": ["sh", "-c", script]}));
    assert_eq!(called(&detaching, json!({})).await, ("done\n".to_owned(), false));
    all_ended(&pids);
}

/// Waits until the processes whose numbers a file holds have ended.
fn all_ended(pids: &Path) {
    for pid in std::fs::read_to_string(pids).unwrap().lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        // A killed process that nobody has waited for yet is a zombie, which does nothing any more.
        let is_alive = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ") && rustix::process::test_kill_process(pid).is_ok()
        };
        let begun = std::time::Instant::now();
        while is_alive() {
            assert!(begun.elapsed() < Duration::from_secs(10), "process {pid:?} is left");
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_no_program_can_do_is_refused() {
    for (command, message) in [
        (json!({"name": "a", "run": []}), "`run` names no program"),
        (
            json!({"name": "a", "run": ["${x}"], "parameters": parameters(&["x"])}),
            "would be the model's choice",
        ),
        (json!({"name": "a", "run": ["ls", "${x}"]}), "names none of the tool's `parameters`"),
        (
            json!({"name": "a", "run": ["ls", "--at=${x}"], "parameters": parameters(&["x"])}),
            "among other text",
        ),
        (json!({"name": "a", "run": ["ls"], "effect": "reconcile"}), "is not `reconcile`"),
    ] {
        let found = wrong(command);
        assert!(found.contains(message), "{found}");
    }
}
