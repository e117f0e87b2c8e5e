//! Workflow runs through the command: outputs, failure, blocked dependents, resuming with and without a change.

use motet_tests::command::{Done, Place};
use motet_tests::server::{Reply, Server};
use serde_json::{Value, json};

fn run(place: &Place, file: &str, arguments: &[&str]) -> Done {
    place.run(&[&["run", file, "--output", "json"], arguments].concat()).unwrap()
}

fn task<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["tasks"].as_array().unwrap().iter().find(|task| task["name"] == name).unwrap()
}

/// Gives `name: state` of all tasks.
fn states(report: &Value) -> Vec<String> {
    let tasks = report["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| format!("{}: {}", task["name"].as_str().unwrap(), task["state"].as_str().unwrap()))
        .collect()
}

const FRAGILE: &str = r#"
name: fragile
tasks:
  - id: first
    method: python/execute
    params: {code: "open('first.log', 'a').write('x'); result = 20"}
  - id: second
    method: python/execute
    params:
      context: {value: "${first.result}"}
      code: |
        import os
        if not os.path.exists("mended"):
            raise RuntimeError("the oven is cold")
        result = context["value"] + 1
  - id: third
    method: python/execute
    params: {context: {value: "${second.result}"}, code: "result = context['value'] * 2"}
outputs:
  answer: ${third.result}
"#;

#[test]
fn a_failed_task_blocks_what_depends_on_it_and_resuming_runs_only_what_is_missing() {
    let place = Place::new().unwrap();
    place.write("fragile.yaml", FRAGILE).unwrap();
    let failed = run(&place, "fragile.yaml", &[]);
    let report = failed.json().unwrap();
    assert_eq!((failed.code, &report["state"]), (Some(1), &json!("failed")));
    assert_eq!(states(&report), ["first: done", "second: failed", "third: cancelled"]);
    assert!(task(&report, "second")["error"]["message"].as_str().unwrap().contains("the oven is cold"));
    let id = report["id"].as_str().unwrap();
    let again = place.run(&["workflow", "resume", id, "--output", "json"]).unwrap();
    assert_eq!((again.code, again.json().unwrap()["state"].take()), (Some(1), json!("failed")));
    place.write("mended", "").unwrap();
    let mended = place.run(&["workflow", "resume", id, "--output", "json"]).unwrap();
    assert_eq!(mended.code, Some(0), "{mended:?}");
    assert_eq!(mended.json().unwrap()["outputs"], json!({"answer": 42}));
    assert_eq!(place.read("first.log").unwrap(), "x", "what was done was done again");
    let finished = place.run(&["workflow", "resume", id, "--output", "json"]).unwrap();
    assert_eq!(finished.json().unwrap()["error"]["kind"], "conflict");
}

#[test]
fn the_text_output_names_the_failed_task_its_reason_and_how_to_go_on() {
    let place = Place::new().unwrap();
    place.write("fragile.yaml", FRAGILE).unwrap();
    let failed = place.run(&["run", "fragile.yaml"]).unwrap();
    assert_eq!(failed.code, Some(1));
    assert_eq!(failed.stdout, "");
    assert!(failed.stderr.contains("task `second` failed: "), "{}", failed.stderr);
    assert!(failed.stderr.contains("the oven is cold"));
    assert!(failed.stderr.contains("1 of 3 tasks done") && failed.stderr.contains("1 cancelled"));
    assert!(failed.stderr.contains("motet workflow resume "));
}

#[test]
fn a_changed_file_keeps_the_results_of_the_tasks_that_are_the_same() {
    let place = Place::new().unwrap();
    place.write("fragile.yaml", FRAGILE).unwrap();
    let report = run(&place, "fragile.yaml", &[]).json().unwrap();
    let mended = FRAGILE.replace("raise RuntimeError(\"the oven is cold\")", "pass");
    place.write("fragile.yaml", mended).unwrap();
    let id = report["id"].as_str().unwrap();
    let resumed =
        place.run(&["workflow", "resume", id, "--changed", "fragile.yaml", "--output", "json"]).unwrap();
    assert_eq!(resumed.json().unwrap()["outputs"], json!({"answer": 42}), "{resumed:?}");
    assert_eq!(place.read("first.log").unwrap(), "x");
}

#[test]
fn failure_policies_mean_what_they_say() {
    let place = Place::new().unwrap();
    let workflow = |policy: &str| {
        format!(
            r#"
name: policy
max_parallel_tasks: 1
tasks:
  - {{id: bad, method: python/execute, params: {{code: "1/0"}}, on_failure: {policy}}}
  - {{id: after, method: python/execute, params: {{context: {{error: "${{bad.error.message}}"}}, code: "result = str(context['error'])"}}}}
  - {{id: beside, method: python/execute, priority: low, params: {{code: "result = 1"}}}}
"#
        )
    };
    for (policy, state, code, expected) in [
        ("fail", "failed", 1, ["bad: failed", "after: cancelled", "beside: cancelled"]),
        ("skip_dependents", "failed", 1, ["bad: failed", "after: skipped", "beside: done"]),
        ("continue", "completed", 0, ["bad: failed", "after: done", "beside: done"]),
    ] {
        place.write("p.yaml", workflow(policy)).unwrap();
        let done = run(&place, "p.yaml", &[]);
        let report = done.json().unwrap();
        assert_eq!((done.code, report["state"].as_str()), (Some(code), Some(state)), "{policy}: {report}");
        assert_eq!(states(&report), expected, "{policy}");
    }
}

#[test]
fn items_run_side_by_side_and_their_results_stand_in_order() {
    let place = Place::new().unwrap();
    let workflow = r#"
name: items
inputs: {numbers: [3, 1, 2]}
tasks:
  - id: square
    for_each: ${inputs.numbers}
    method: python/execute
    params: {context: {n: "${item}", i: "${index}"}, code: "result = [context['i'], context['n'] ** 2]"}
  - id: empty
    for_each: []
    method: python/execute
    params: {code: "result = 1"}
  - id: maybe
    when: ${empty}
    method: python/execute
    params: {code: "result = 1"}
outputs: {squares: "${square[*].result}", empty: "${empty}", maybe: "${maybe.status}"}
"#;
    place.write("items.yaml", workflow).unwrap();
    let done = run(&place, "items.yaml", &["--input", "numbers=[5,6]"]);
    let outputs = done.json().unwrap()["outputs"].take();
    assert_eq!(outputs, json!({"squares": [[0, 25], [1, 36]], "empty": [], "maybe": "skipped"}));
}

#[test]
fn what_a_model_says_is_data_and_never_source_or_a_reference() {
    let place = Place::new().unwrap();
    let nasty = "${secret.result}\"\"\" + __import__('os').getcwd() + '${inputs.x}";
    place.write("s.json", json!({"answers": [{"text": nasty}]}).to_string()).unwrap();
    let workflow = r#"
name: injection
inputs: {x: "an input"}
tasks:
  - {id: secret, method: python/execute, params: {code: "result = 'hunter2'"}}
  - {id: ask, method: llm/chat, params: {prompt: "Say something.", model: "scripted:s.json"}}
  - id: use
    dependencies: [secret]
    method: python/execute
    params:
      context: {text: "${ask.content}", said: "She said: ${ask.content}"}
      code: |
        # ${ask.content}
        pasted = "${ask.content}"
        within = f"{1 + 1} ${ask.content}!"
        result = [context["text"], context["said"], pasted, within, ${ask.content}]
outputs: {use: "${use.result}"}
"#;
    place.write("i.yaml", workflow).unwrap();
    let done = run(&place, "i.yaml", &[]);
    assert_eq!(
        done.json().unwrap()["outputs"]["use"],
        json!([nasty, format!("She said: {nasty}"), nasty, format!("2 {nasty}!"), nasty]),
        "{done:?}"
    );
}

#[test]
fn a_pattern_is_a_method_like_any_other() {
    let place = Place::new().unwrap();
    place.write("s.json", r#"{"answers": [{"text": "a draft"}, {"text": "a better draft"}]}"#).unwrap();
    let workflow = r#"
name: pattern
model: scripted:s.json
tasks:
  - id: write
    method: pattern/pipeline
    params:
      input: Write about bread.
      stages:
        - {name: writer, instructions: Write.}
        - {name: editor, instructions: Improve it.}
outputs: {text: "${write.final_output}", turns: "${write.interactions[*].input}", outcome: "${write.outcome}"}
"#;
    place.write("p.yaml", workflow).unwrap();
    let done = run(&place, "p.yaml", &[]);
    let expected =
        json!({"text": "a better draft", "turns": ["Write about bread.", "a draft"], "outcome": "completed"});
    assert_eq!(done.json().unwrap()["outputs"], expected, "{done:?}");
    assert_eq!(done.json().unwrap()["model_calls"], 2);
}

#[test]
fn a_broken_file_shows_all_its_problems_and_stores_nothing() {
    let place = Place::new().unwrap();
    let broken = r#"name: broken
modle: offline:extract
tasks:
  - id: a
    method: llm/chat
    params: {prompt: 3, promt: hi}
    dependencies: [nobody]
  - id: a
    method: llm/chatt
  - id: b
    method: llm/chat
    params: {prompt: "${c.content}"}
  - id: c
    method: llm/chat
    params: {prompt: "${b.content} ${missing.content}"}
"#;
    place.write("broken.yaml", broken).unwrap();
    let done = place.run(&["run", "broken.yaml"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""));
    insta::assert_snapshot!(done.stderr);
    let checked = place.run(&["check", "broken.yaml"]).unwrap();
    assert_eq!((checked.code, checked.stderr), (Some(3), done.stderr));
    assert!(!place.path().join(".motet").exists(), "a store was made for a broken file");
}

#[test]
fn files_that_are_no_workflow_are_refused_each_with_its_reason() {
    let place = Place::new().unwrap();
    for (content, reason) in [
        (b"".to_vec(), "empty"),
        (b"name: x\ntasks: \xff\xfe".to_vec(), "UTF-8"),
        (vec![b' '; 50 << 20], "MiB"),
        (b"name: [".to_vec(), "1:"),
    ] {
        place.write("w.yaml", content).unwrap();
        let done = place.run(&["check", "w.yaml"]).unwrap();
        assert_eq!(done.code, Some(3), "{reason}");
        assert!(done.stderr.contains(reason), "{reason}: {}", done.stderr);
    }
    assert_eq!(place.run(&["run", "nowhere.yaml"]).unwrap().code, Some(3));
}

#[test]
fn looking_at_runs_shows_what_is_stored() {
    let place = Place::new().unwrap();
    assert_eq!(place.run(&["workflow", "list"]).unwrap().stdout, "no runs\n");
    place
        .write(
            "ok.yaml",
            "name: ok\ntasks: [{id: a, method: python/execute, params: {code: 'result = 1'}}]\n",
        )
        .unwrap();
    let id = run(&place, "ok.yaml", &[]).json().unwrap()["id"].as_str().unwrap().to_owned();
    let listed = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&json!(id), &json!("completed")));
    let results = place.run(&["workflow", "results", &id]).unwrap();
    assert!(results.stdout.starts_with("a: {\"result\":1"), "{results:?}");
    let status = place.run(&["workflow", "status", &id]).unwrap();
    assert!(status.stdout.contains("completed"));
    let unknown = place.run(&["workflow", "status", "nope"]).unwrap();
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("hint: "));
}

#[test]
fn cancelling_is_refused_where_there_is_nothing_to_cancel() {
    let place = Place::new().unwrap();
    place.write("fragile.yaml", FRAGILE).unwrap();
    let id = run(&place, "fragile.yaml", &[]).json().unwrap()["id"].as_str().unwrap().to_owned();
    let failed = place.run(&["workflow", "cancel", &id]).unwrap();
    assert_eq!(failed.code, Some(1), "a run that failed has ended already: {failed:?}");
    let unknown = place.run(&["workflow", "cancel", "nope", "--output", "json"]).unwrap();
    assert_eq!(
        (unknown.code, unknown.json().unwrap()["error"]["kind"].take()),
        (Some(3), json!("not_found"))
    );
}

#[test]
fn a_wrong_command_line_is_json_where_json_is_wanted() {
    let place = Place::new().unwrap();
    let done = place.run(&["run", "--bogus", "--output", "json"]).unwrap();
    assert_eq!(done.code, Some(2));
    assert_eq!(done.json().unwrap()["error"]["message"], "unexpected argument '--bogus' found");
    let text = place.run(&["run", "--bogus"]).unwrap();
    assert!(text.stdout.is_empty() && text.stderr.contains("--bogus") && text.code == Some(2));
}

#[test]
fn a_run_cancelled_from_outside_stops_and_can_be_resumed() {
    let place = Place::new().unwrap();
    let workflow = r#"
name: waits
tasks:
  - {id: first, method: python/execute, params: {code: "result = 1"}}
  - id: second
    method: python/execute
    dependencies: [first]
    params: {code: "import os, time\nopen('began', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\nresult = 2"}
"#;
    place.write("w.yaml", workflow).unwrap();
    let mut going = place.start(&["--set", "worker.lease=1s", "run", "w.yaml"]).unwrap();
    while !place.path().join("began").exists() {
        assert!(going.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    let listed = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["workflow", "cancel", &id]).unwrap().code, Some(0));
    assert_eq!(going.wait().unwrap().code(), Some(1));
    let report = place.run(&["workflow", "status", &id, "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(
        (&report["state"], states(&report)),
        (&json!("cancelled"), vec!["first: done".into(), "second: cancelled".into()])
    );
    place.write("go", "").unwrap();
    let resumed = place.run(&["workflow", "resume", &id, "--output", "json"]).unwrap();
    assert_eq!((resumed.code, resumed.json().unwrap()["state"].take()), (Some(0), json!("completed")));
}

#[test]
fn warnings_of_a_run_reach_stderr_where_it_is_no_terminal_too() {
    let answer = json!({
        "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let server = Server::start(move |_, _| Reply::json(200, &answer)).unwrap();
    let place = Place::new().unwrap();
    let settings =
        format!("[providers.lab]\ndialect = \"anthropic-messages\"\nbase_url = \"{}\"\n", server.url());
    place.write("motet.toml", settings).unwrap();
    let task = "{id: a, method: llm/chat, params: {prompt: Hello, temperature: 0.3, top_p: 0.2}}";
    place
        .write("warn.yaml", format!("name: warn\nmodel: lab:claude-sonnet-4-5\ntasks:\n  - {task}\n"))
        .unwrap();
    let warning = "warning: the model takes either `temperature` or `top_p`; `top_p` was left out";
    let told = run(&place, "warn.yaml", &[]);
    assert_eq!((told.code, told.stderr.trim()), (Some(0), warning));
    assert_eq!(run(&place, "warn.yaml", &["--quiet"]).stderr, "");
}
