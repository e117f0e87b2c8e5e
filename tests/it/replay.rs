//! Recording, exporting, and replaying through the command: what was recorded comes back without a network, and no secret
//! leaves with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use motet_tests::command::{Done, Place, workspace};
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

fn answer(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "x-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
    })
}

fn events(pieces: &[&str]) -> Reply {
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x-2026",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let mut chunks: Vec<Value> =
        pieces.iter().map(|piece| chunk(json!({"content": piece}), Value::Null)).collect();
    chunks.push(chunk(json!({}), json!("stop")));
    chunks.push(json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x-2026", "choices": [],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
    }));
    Reply::events(&chunks)
}

/// A place whose provider `lab` is the server, with a price.
fn place(server: &Server) -> Place {
    let place = Place::new().unwrap();
    let settings = format!(
        "[providers.lab]\nbase_url = \"{}\"\napi_key = \"sk-lab-0123456789\"\n\n[prices.\"lab:x\"]\ninput = 1.0\noutput = 2.0\n",
        server.url()
    );
    place.write("motet.toml", settings).unwrap();
    place
}

fn run(place: &Place, arguments: &[&str]) -> Done {
    place.run(arguments).unwrap()
}

fn ok(place: &Place, arguments: &[&str]) -> Done {
    let done = run(place, arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
    done
}

fn newest(place: &Place) -> Value {
    let listed = ok(place, &["workflow", "list", "--output", "json"]).json().unwrap();
    listed.as_array().unwrap().first().cloned().unwrap()
}

fn newest_id(place: &Place) -> String {
    newest(place)["id"].as_str().unwrap().to_owned()
}

/// Exports the newest run over any file, and gives the text of the cassette, which is its owner's alone.
fn export(place: &Place, arguments: &[&str]) -> String {
    let id = newest_id(place);
    ["run.jsonl", "run.jsonl.partial"].iter().for_each(|file| drop(place.write(file, "").unwrap()));
    ok(place, &[&["log", "export", &id, "--to", "run.jsonl"], arguments].concat());
    #[cfg(unix)]
    {
        let mode = std::fs::metadata(place.path().join("run.jsonl")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    }
    place.read("run.jsonl").unwrap()
}

/// Another machine: nothing but the cassette.
fn elsewhere(cassette: &str) -> Place {
    let place = Place::new().unwrap();
    place.write("run.jsonl", cassette).unwrap();
    place
}

const ASK: &[&str] = &["complete", "--model", "lab:x", "Hello"];

#[test]
fn a_recorded_call_comes_back_byte_for_byte_when_its_server_is_gone() {
    let server = Server::start(|request: &Request, _| match request.body["stream"] == true {
        true => events(&["Good ", "morning", ",\nAda."]),
        false => Reply::json(200, &answer("Good morning,\nAda.")),
    })
    .unwrap();
    let here = place(&server);
    let plain = ok(&here, &[ASK, &["--record"]].concat());
    let cassette = export(&here, &[]);
    let streamed = ok(&here, &[ASK, &["--record", "--stream"]].concat());
    let streamed_cassette = export(&here, &[]);
    assert!(plain.stderr.contains("recorded as run ") && plain.stderr.contains("motet log show "));
    assert_eq!(server.requests().len(), 2);
    drop(server);
    for (cassette, recorded) in [(cassette, plain), (streamed_cassette, streamed)] {
        let there = elsewhere(&cassette);
        let replayed = ok(&there, &["replay", "run.jsonl"]);
        assert_eq!(replayed.stdout, recorded.stdout);
        assert!(replayed.stderr.contains("replayed as recorded: completed, 1 answers from the recording"));
        assert!(!there.path().join(".motet").exists(), "a replay of a file needs no store");
        let report = ok(&there, &["replay", "run.jsonl", "--output", "json"]).json().unwrap();
        assert_eq!((&report["equal"], &report["differences"]), (&json!(true), &json!([])));
        for form in [&[][..], &["--stream"]] {
            let asked = [&["complete", "--model", "replay:run.jsonl", "Hello"], form].concat();
            assert_eq!(ok(&there, &asked).stdout, recorded.stdout);
            let told = ok(&there, &[&asked[..], &["--output", "json"]].concat()).json().unwrap();
            assert_eq!(told["cost"], 0.0, "nothing is paid");
            assert_eq!(told["usage"], json!({"input": 12, "output": 5}));
            assert_eq!(told["metadata"]["recorded_model"], "lab:x");
        }
    }
    // The run in the store is replayed without the server too.
    ok(&here, &["replay", &newest_id(&here)]);
}

#[test]
fn calls_are_kept_only_where_they_are_asked_to_be() {
    let server = Server::start(|_, _| Reply::json(200, &answer("Hi"))).unwrap();
    let here = place(&server);
    let done = ok(&here, ASK);
    assert!(!here.path().join(".motet").exists() && done.stderr.is_empty(), "{done:?}");
    let set = ok(&here, &[ASK, &["--set", "record.calls=true"]].concat());
    assert_eq!(set.stdout, done.stdout);
    let kept = newest(&here);
    assert_eq!(
        (&kept["kind"], &kept["name"], &kept["state"]),
        (&json!("call"), &json!("lab:x"), &json!("completed"))
    );
    let results = ok(&here, &["workflow", "results", kept["id"].as_str().unwrap()]);
    assert_eq!(results.stdout, "text: Hi\n");
}

#[test]
fn repairs_of_a_structured_answer_are_replayed_whatever_the_settings_say_there() {
    let server = Server::start(|_, number| match number {
        0 => Reply::json(200, &answer("{\"n\": \"seven\"}")),
        _ => Reply::json(200, &answer("{\"n\": 7}")),
    })
    .unwrap();
    let here = place(&server);
    here.write(
        "n.json",
        r#"{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}"#,
    )
    .unwrap();
    let recorded = ok(&here, &[ASK, &["--record", "--schema", "n.json"]].concat());
    let shown = ok(&here, &["log", "show", &newest_id(&here)]).stdout;
    assert!(shown.contains("model/repair/1"), "{shown}");
    let cassette = export(&here, &[]);
    drop(server);
    let there = elsewhere(&cassette);
    let replayed = ok(&there, &["replay", "run.jsonl", "--set", "structured.max_repairs=0"]);
    assert_eq!(replayed.stdout, recorded.stdout);
    let report = ok(&there, &["replay", "run.jsonl", "--output", "json"]).json().unwrap();
    assert_eq!((&report["outputs"]["json"], &report["answered"]), (&json!({"n": 7}), &json!(2)));
    there.write("n.json", here.read("n.json").unwrap()).unwrap();
    let asked = ["complete", "--model", "replay:run.jsonl", "Hello", "--schema", "n.json"];
    assert_eq!(ok(&there, &asked).stdout, recorded.stdout);
}

#[test]
fn a_recorded_failure_fails_again_and_that_is_no_difference() {
    let refusal = json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}});
    let server = Server::start(move |_, _| Reply::json(404, &refusal)).unwrap();
    let here = place(&server);
    let recorded = run(&here, &[ASK, &["--record", "--output", "json"]].concat());
    assert_eq!(newest(&here)["state"], "failed");
    let there = elsewhere(&export(&here, &[]));
    drop(server);
    let asked = ["complete", "--model", "replay:run.jsonl", "Hello", "--output", "json"];
    let replayed = run(&there, &asked);
    assert_eq!((replayed.code, replayed.json().unwrap()), (recorded.code, recorded.json().unwrap()));
    let report = ok(&there, &["replay", "run.jsonl", "--output", "json"]).json().unwrap();
    assert_eq!((&report["equal"], &report["state"]), (&json!(true), &json!("failed")));
}

/// Copies the example workflow into a place.
fn example(place: &Place) {
    for directory in ["documents", "scripts"] {
        for entry in std::fs::read_dir(workspace().join("examples").join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{directory}/{}", path.file_name().unwrap().to_str().unwrap());
            place.write(&name, std::fs::read(&path).unwrap()).unwrap();
        }
    }
    place.write("brief.yaml", std::fs::read(workspace().join("examples/brief.yaml")).unwrap()).unwrap();
}

#[test]
fn the_example_workflow_is_replayed_where_neither_its_documents_nor_its_scripts_are() {
    let here = Place::new().unwrap();
    example(&here);
    let recorded = ok(&here, &["run", "brief.yaml"]);
    let there = elsewhere(&export(&here, &[]));
    let replayed = ok(&there, &["replay", "run.jsonl"]);
    assert_eq!(replayed.stdout, recorded.stdout);
    // 24 answers, 24 documents read, 2 lists of files, 2 scripts, 1 file written.
    assert!(replayed.stderr.contains("53 answers from the recording, nothing sent"), "{}", replayed.stderr);
    let left: Vec<_> =
        std::fs::read_dir(there.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["run.jsonl"], "the replay wrote something");
}

const STEPS: &str = r#"
name: steps
model: scripted:s.json
tasks:
  - {id: ask, method: llm/chat, params: {system: "Be short.", prompt: "Who wrote Faust?"}}
  - id: count
    method: python/execute
    params: {context: {text: "${ask.content}"}, code: "open('ran', 'a').write('x'); result = len(context['text'])"}
outputs: {answer: "${ask.content}", length: "${count.result}"}
"#;

/// Runs the small workflow, and gives its cassette.
fn steps(place: &Place) -> String {
    place.write("s.json", r#"{"answers": [{"text": "Goethe did."}], "log": "calls.jsonl"}"#).unwrap();
    place.write("steps.yaml", STEPS).unwrap();
    ok(place, &["run", "steps.yaml"]);
    export(place, &[])
}

#[test]
fn neither_models_nor_python_work_again() {
    let here = Place::new().unwrap();
    let cassette = steps(&here);
    let (calls, ran) = (here.read("calls.jsonl").unwrap(), here.read("ran").unwrap());
    let id = newest_id(&here);
    assert_eq!(ok(&here, &["replay", &id]).stdout, "answer: Goethe did.\nlength: 11\n");
    assert_eq!(ok(&here, &["replay", "run.jsonl"]).stdout, ok(&here, &["replay", &id]).stdout);
    assert_eq!((here.read("calls.jsonl").unwrap(), here.read("ran").unwrap()), (calls, ran));
    // A recorded result that is another than the run comes to is told.
    let other = cassette.replacen("\"length\":11", "\"length\":12", 1);
    let differs = run(&elsewhere(&other), &["replay", "run.jsonl", "--output", "json"]);
    assert_eq!(differs.code, Some(1));
    let report = differs.json().unwrap();
    assert_eq!(report["differences"], json!([{"place": "outputs.length", "now": "11", "recorded": "12"}]));
}

#[test]
fn a_step_that_asks_something_else_fails_strictly_and_is_answered_otherwise() {
    let here = Place::new().unwrap();
    let changed =
        steps(&here).replacen("\"prompt\":\"Who wrote Faust?\"", "\"prompt\":\"Who wrote Emma?\"", 1);
    let there = elsewhere(&changed);
    let strict = run(&there, &["replay", "run.jsonl"]);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(1), ""));
    let stderr = strict.stderr.replace(newest_id(&here).as_str(), "RUN");
    insta::assert_snapshot!(stderr);
    for loose in [&["--no-strict"][..], &["--set", "replay.strict=false"]] {
        let answered = ok(&there, &[&["replay", "run.jsonl"], loose].concat());
        assert_eq!(answered.stdout, "answer: Goethe did.\nlength: 11\n");
        assert!(
            answered
                .stderr
                .contains("warning: this request was not recorded; the answer of step `ask/model` is given")
        );
    }
    let back = run(&there, &["replay", "run.jsonl", "--strict", "--set", "replay.strict=false"]);
    assert_eq!(back.code, Some(1), "the flag wins over the setting");
}

#[test]
fn a_call_that_was_not_recorded_names_the_nearest_and_what_differs() {
    let here = Place::new().unwrap();
    let there = elsewhere(&steps(&here));
    let asked = ["complete", "--model", "replay:run.jsonl", "--system", "Be short.", "Who wrote Emma?"];
    let strict = run(&there, &asked);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(3), ""));
    insta::assert_snapshot!(strict.stderr);
    let loose = ok(&there, &[&asked[..], &["--set", "replay.strict=false"]].concat());
    assert_eq!(loose.stdout, "Goethe did.\n");
    assert!(loose.stderr.starts_with("warning: this request was not recorded"), "{}", loose.stderr);
    // A workflow whose model is the cassette asks each request once.
    there.write("steps.yaml", STEPS).unwrap();
    let again = ok(&there, &["run", "steps.yaml", "--model", "replay:run.jsonl"]);
    assert_eq!(again.stdout, "answer: Goethe did.\nlength: 11\n");
}

#[test]
fn a_failed_workflow_comes_to_the_same_failure() {
    let here = Place::new().unwrap();
    let workflow = r#"
name: fails
tasks:
  - {id: first, method: python/execute, params: {code: "result = 1"}}
  - id: second
    method: python/execute
    dependencies: [first]
    retry: {max_attempts: 2, base_delay: 1ms}
    params: {code: "raise RuntimeError('the oven is cold')"}
  - {id: third, method: python/execute, params: {context: {x: "${second.result}"}, code: "result = 2"}}
"#;
    here.write("w.yaml", workflow).unwrap();
    assert_eq!(run(&here, &["run", "w.yaml"]).code, Some(1));
    let report =
        ok(&elsewhere(&export(&here, &[])), &["replay", "run.jsonl", "--output", "json"]).json().unwrap();
    assert_eq!((&report["equal"], &report["state"]), (&json!(true), &json!("failed")));
}

#[test]
fn the_turns_of_agents_are_replayed_in_a_run_and_as_a_model() {
    let here = Place::new().unwrap();
    here.write("s.json", r#"{"answers": [{"text": "a draft 4711"}, {"text": "a better draft"}]}"#).unwrap();
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
outputs: {text: "${write.final_output}", turns: "${write.interactions[*].input}"}
"#;
    here.write("p.yaml", workflow).unwrap();
    let recorded = ok(&here, &["run", "p.yaml"]);
    let there = elsewhere(&export(&here, &[]));
    assert_eq!(ok(&there, &["replay", "run.jsonl"]).stdout, recorded.stdout);
    there.write("p.yaml", workflow).unwrap();
    let as_model = ok(&there, &["run", "p.yaml", "--model", "replay:run.jsonl"]);
    assert_eq!(as_model.stdout, recorded.stdout);
    let masked = elsewhere(&export(&here, &["--redact", "[0-9]{4}"]));
    assert_eq!(ok(&masked, &["replay", "run.jsonl"]).stdout, recorded.stdout.replace("4711", "[redacted]"));
}

#[test]
fn a_call_that_is_not_kept_is_not_said_to_be() {
    let server = Server::start(|_, _| Reply::json(200, &answer("Hi"))).unwrap();
    let here = place(&server);
    let lost = ok(&here, &[ASK, &["--record", "--set", "store=memory:"]].concat());
    assert_eq!(lost.stderr, "warning: the store keeps nothing beyond this command, and so not the call\n");
    let never = run(&here, &["complete", "--model", "openai:x", "--record", "Hello"]);
    assert_eq!(never.code, Some(3));
    assert!(!never.stderr.contains("recorded as run"), "{}", never.stderr);
    let both = run(&here, &[ASK, &["--record", "--dry-run"]].concat());
    assert_eq!(both.code, Some(2), "what is not sent cannot be recorded");
}

/// Everything into which a user could write a secret, and everything a server and code could answer it in.
fn leaky(secret: &str) -> (Server, Place) {
    let said = format!("The word is {secret}.");
    let server = Server::start(move |request: &Request, _| match request.body["tools"].is_array() {
        true => Reply::json(
            200,
            &json!({
                "id": said, "object": "chat.completion", "created": 1, "model": said,
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": said, "reasoning_content": said,
                    "tool_calls": [{"id": said, "type": "function", "function": {
                        "name": "tell", "arguments": json!({"word": said, "url": format!("https://x/?q={said}")}).to_string(),
                    }}],
                }}],
                "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
            }),
        ),
        false if request.body.to_string().contains("please fail") => {
            Reply::json(400, &json!({"error": {"message": said, "type": said, "code": said}}))
        }
        false => Reply::json(200, &answer(&said)),
    })
    .unwrap();
    let place = place(&server);
    (server, place)
}

#[test]
fn what_an_expression_matches_is_in_no_field_of_a_cassette_and_it_replays_all_the_same() {
    let secret = "hunter2-4711";
    let (server, here) = leaky(secret);
    let tool = json!([{"name": "tell", "description": secret, "parameters": {
        "type": "object", "properties": {secret: {"type": "string", "description": secret}}}}]);
    here.write("tools.json", tool.to_string()).unwrap();
    here.write(&format!("{secret}.txt"), format!("It is {secret}, at https://host/{secret}?x={secret}."))
        .unwrap();
    let workflow = format!(
        r#"
name: "{secret}"
description: "{secret}"
model: lab:x
inputs: {{word: "{secret}"}}
metadata: {{"{secret}": "{secret}"}}
tasks:
  - id: ask
    name: "the {secret}"
    method: llm/chat
    for_each: ["{secret}", "please fail {secret}"]
    on_failure: continue
    params: {{system: "Keep {secret}.", prompt: "${{item}}", file_path: "{secret}.txt"}}
  - id: work
    method: python/execute
    params:
      context: {{word: "${{inputs.word}}"}}
      code: "result = {{context['word']: [context['word'], {{'deep': context['word'] * 2}}]}}"
  - id: break
    method: python/execute
    on_failure: continue
    params: {{context: {{word: "${{inputs.word}}"}}, code: "raise RuntimeError(context['word'])"}}
outputs: {{all: "${{ask}}", work: "${{work.result}}"}}
"#
    );
    here.write("w.yaml", workflow).unwrap();
    ok(&here, &["run", "w.yaml"]);
    let whole = export(&here, &[]);
    assert!(whole.matches(secret).count() > 20, "the secret is not everywhere to begin with");
    assert!(!whole.contains("sk-lab-0123456789"));
    let masked = export(&here, &["--redact", "hunter2-[0-9]+"]);
    assert!(!masked.contains("hunter2") && masked.contains("[redacted]"), "{masked}");
    let by_setting = export(&here, &["--set", "record.redact=hunter2-[0-9]+"]);
    assert_eq!(by_setting, masked, "the flag and the setting mask the same");
    let call =
        ["complete", "--model", "lab:x", "--record", "--system", secret, "--tools", "tools.json", secret];
    ok(&here, &call);
    let call = export(&here, &["--redact", "hunter2-[0-9]+"]);
    assert!(!call.contains("hunter2") && call.contains("[redacted]"), "{call}");
    drop(server);
    for cassette in [masked, call.clone()] {
        let replayed = ok(&elsewhere(&cassette), &["replay", "run.jsonl", "--output", "json"]);
        assert_eq!(replayed.json().unwrap()["equal"], true, "{replayed:?}");
    }
    // Whoever knows what was asked finds the answer by it, although it is masked in the cassette.
    let there = elsewhere(&call);
    there.write("tools.json", tool.to_string()).unwrap();
    let asked =
        ["complete", "--model", "replay:run.jsonl", "--system", secret, "--tools", "tools.json", secret];
    assert!(ok(&there, &asked).stdout.starts_with("The word is [redacted]."));
}

#[test]
fn the_keys_of_the_settings_are_masked_without_being_asked_for() {
    let server = Server::start(|_, _| Reply::json(200, &answer("your key is sk-lab-0123456789"))).unwrap();
    let here = place(&server);
    ok(&here, &["complete", "--model", "lab:x", "--record", "is it sk-lab-0123456789?"]);
    let printed = ok(&here, &["log", "export", &newest_id(&here)]);
    assert!(!printed.stdout.contains("sk-lab-0123456789") && printed.stdout.contains("is it [redacted]?"));
    assert_eq!(printed.stdout, export(&here, &[]), "the file is what is printed");
    let wrong = run(&here, &["log", "export", &newest_id(&here), "--redact", "(["]);
    assert_eq!(wrong.code, Some(3));
    assert!(
        wrong.stderr.contains("`([`, which is to be masked, is no regular expression: "),
        "{}",
        wrong.stderr
    );
    let blunt = run(&here, &["log", "export", &newest_id(&here), "--redact", ".", "--to", "blunt.jsonl"]);
    assert_eq!(blunt.code, Some(0), "{blunt:?}");
    assert_eq!(run(&here, &["log", "export", "nope"]).code, Some(3));
}

#[test]
fn files_that_are_no_cassette_are_refused_with_the_line_and_the_reason() {
    let here = Place::new().unwrap();
    let whole = steps(&here);
    let cut: String = whole.lines().take(3).map(|line| format!("{line}\n")).collect();
    let damaged = whole.replacen("\"entry\":\"finished\"", "\"entry\":\"fin", 1);
    for (content, reason) in [
        (String::new(), "line 1: this is no cassette: it is empty"),
        ("hello".to_owned(), "line 1: this is no cassette: it is not JSON"),
        ("{\"id\": 1}".to_owned(), "has no field `cassette`"),
        (cut, "line 3: the cassette breaks off here; its end is missing"),
        (damaged, ": it cannot be read: "),
        (
            whole.replacen("\"cassette\":1", "\"cassette\":9", 1),
            "the cassette has version 9, and this Motet reads up to 1",
        ),
    ] {
        let there = elsewhere(&content);
        for command in [&["replay", "run.jsonl"][..], &["complete", "--model", "replay:run.jsonl", "Hello"]] {
            let refused = run(&there, command);
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""), "{command:?}: {refused:?}");
            assert!(refused.stderr.contains(reason), "{reason}: {}", refused.stderr);
            assert!(
                refused.stderr.contains("run.jsonl") && refused.stderr.contains("hint: "),
                "{}",
                refused.stderr
            );
        }
    }
    let missing = run(&here, &["replay", "none.jsonl"]);
    assert_eq!(missing.code, Some(3));
    assert!(missing.stderr.contains("the cassette cannot be read: "), "{}", missing.stderr);
    assert_eq!(run(&here, &["replay", "0123456789"]).code, Some(3));
}

#[test]
fn the_log_shows_what_was_asked_answered_used_and_paid() {
    let server = Server::start(|_, _| Reply::json(200, &answer("Hi"))).unwrap();
    let here = place(&server);
    ok(&here, &["complete", "--model", "lab:x", "--system", "Be short.", "--record", "Hello"]);
    let id = newest_id(&here);
    let shown = ok(&here, &["log", "show", &id]);
    let row: Vec<&str> = shown.stdout.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(&row[..4], ["1", "model", "finished", "1"], "{}", shown.stdout);
    assert_eq!(&row[5..], ["s", "12+5", "$0.000022", "model", "lab:x"], "{}", shown.stdout);
    assert!(
        shown.stderr.contains("completed, 1 answers of models, 17 tokens, $0.000022"),
        "{}",
        shown.stderr
    );
    assert!(!shown.stdout.contains("Be short."));
    let full = ok(&here, &["log", "show", &id, "--full"]).stdout;
    for line in ["        > system: Be short.\n", "        > user: Hello\n", "        < assistant: Hi\n"] {
        assert!(full.contains(line), "{full}");
    }
    let entries = ok(&here, &["log", "show", &id, "--output", "json"]).json().unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 2);
    assert_eq!(entries[1]["record"]["result"]["message"]["parts"][0]["text"], "Hi");
    let unknown = run(&here, &["log", "show", "nope"]);
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.stderr.contains("there is no run `nope`") && unknown.stderr.contains("hint: "));
}

#[test]
fn the_log_of_a_workflow_shows_failed_attempts_and_tasks_without_steps() {
    let here = Place::new().unwrap();
    here.write(
        "s.json",
        r#"{"answers": [{"error": {"kind": "overloaded", "message": "busy\u001b[2J"}}, {"text": "yes"}]}"#,
    )
    .unwrap();
    let workflow = r#"
name: w
model: scripted:s.json
tasks:
  - {id: ask, method: llm/chat, retry: {max_attempts: 2, base_delay: 1ms}, params: {system: S, prompt: P}}
  - {id: work, method: python/execute, params: {code: "result = 1"}}
"#;
    here.write("w.yaml", workflow).unwrap();
    ok(&here, &["run", "w.yaml", "--set", "retry.max_attempts=1"]);
    let shown = ok(&here, &["log", "show", &newest_id(&here), "--full"]).stdout;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let found = |kind: &str, outcome: &str, attempt: &str| {
        rows.iter().any(|row| row.windows(3).any(|cells| cells == [kind, outcome, attempt]))
    };
    assert!(
        found("model", "failed", "1") && found("model", "finished", "2") && found("task", "done", "1"),
        "{shown}"
    );
    assert!(shown.contains("python/execute") && shown.contains("overloaded: busy"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "what steers a terminal was let through");
    assert!(shown.contains("> 2 messages as above"), "{shown}");
}

#[test]
fn two_runs_are_compared_and_their_first_differences_told() {
    let here = Place::new().unwrap();
    steps(&here);
    let first = newest_id(&here);
    here.write("steps.yaml", STEPS.replace("Faust", "Emma")).unwrap();
    here.write("s.json", r#"{"answers": [{"text": "Austen did."}]}"#).unwrap();
    ok(&here, &["run", "steps.yaml"]);
    let second = newest_id(&here);
    let same = ok(&here, &["log", "diff", &first, "run.jsonl"]);
    assert!(same.stdout.is_empty() && same.stderr.contains("the runs came to the same"), "{same:?}");
    let differs = run(&here, &["log", "diff", &second, &first]);
    assert_eq!(differs.code, Some(1));
    let lines: Vec<&str> = differs.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "step `ask/model`: message 2 (user) is `Who wrote Emma?` and was `Who wrote Faust?`"
    );
    assert!(lines.contains(&"outputs.answer is `Austen did.` and was `Goethe did.`"), "{lines:?}");
    let json = run(&here, &["log", "diff", &second, &first, "--output", "json"]).json().unwrap();
    assert_eq!((&json["equal"], json["differences"].as_array().unwrap().len()), (&json!(false), lines.len()));
}

#[test]
fn a_recorded_call_that_was_killed_is_shown_as_going_on_and_is_resumed() {
    let (open, silent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let (opened, gate) = (Arc::clone(&open), Arc::clone(&silent));
    let server = Server::start(move |_, _| {
        opened.store(true, Ordering::SeqCst);
        while gate.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Reply::json(200, &answer("Hi"))
    })
    .unwrap();
    let here = place(&server);
    let mut going = here.start(&[ASK, &["--record"]].concat()).unwrap();
    while !open.load(Ordering::SeqCst) {
        assert!(going.try_wait().unwrap().is_none(), "the call ended by itself");
        std::thread::yield_now();
    }
    going.kill().unwrap();
    going.wait().unwrap();
    silent.store(false, Ordering::SeqCst);
    let id = newest_id(&here);
    assert_eq!(newest(&here)["state"], "running");
    let shown = ok(&here, &["log", "show", &id]).stdout;
    assert!(shown.contains("no end"), "{shown}");
    let early = run(&here, &["replay", &id]);
    assert!(early.code == Some(1) && early.stderr.contains("is running in its recording"), "{early:?}");
    let resumed = ok(&here, &["workflow", "resume", &id]);
    assert_eq!(resumed.stdout, "text: Hi\n");
    assert_eq!(newest(&here)["state"], "completed");
    ok(&here, &["replay", &id]);
}
