//! `motet complete` against a provider on loopback: the documented JSON shapes, streams, failures.

use motet_tests::command::{Done, Place};
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

fn answer(message: &Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "x-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
                  "prompt_tokens_details": {"cached_tokens": 4}},
    })
}

fn chunks(deltas: &[Value], finish: &str) -> Vec<Value> {
    let chunk = |choices: Value| json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "x-2026", "choices": choices});
    let mut chunks: Vec<Value> = deltas
        .iter()
        .map(|delta| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])))
        .collect();
    chunks.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}])));
    let mut last = chunk(json!([]));
    last["usage"] = answer(&Value::Null, finish)["usage"].clone();
    chunks.push(last);
    chunks
}

/// Runs `motet complete` with these arguments against a server that always gives this reply.
fn complete(reply: Reply, arguments: &[&str]) -> (Done, Vec<Request>) {
    let server = Server::start(move |_, _| reply.clone()).unwrap();
    let place = Place::new().unwrap();
    place
        .write("s.json", r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#)
        .unwrap();
    place
        .write(
            "t.json",
            r#"[{"name":"weather","description":"Tells the weather","parameters":{"type":"object"}}]"#,
        )
        .unwrap();
    let url = server.url();
    let base = ["complete", "Hello", "--model", "openai:x", "--base-url", &url];
    let done = place.run(&[&base, arguments].concat()).unwrap();
    (done, server.requests())
}

#[test]
fn an_answer_is_one_json_object_of_the_documented_shape_plain_and_streamed() {
    let message = json!({"role": "assistant", "content": "Hi there", "reasoning_content": "greet"});
    let (plain, requests) = complete(Reply::json(200, &answer(&message, "stop")), &["--output", "json"]);
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[0].body["messages"], json!([{"role": "user", "content": "Hello"}]));
    let deltas = [
        json!({"role": "assistant", "reasoning_content": "greet"}),
        json!({"content": "Hi "}),
        json!({"content": "there"}),
    ];
    let (streamed, requests) =
        complete(Reply::events(&chunks(&deltas, "stop")), &["--output", "json", "--stream"]);
    assert_eq!(requests[0].body["stream"], true);
    insta::assert_json_snapshot!(plain.json().unwrap(), @r#"
    {
      "text": "Hi there",
      "reasoning": "greet",
      "refusal": null,
      "tool_calls": [],
      "finish_reason": "stop",
      "raw_finish_reason": "stop",
      "usage": {
        "input": 12,
        "output": 5,
        "cached_input": 4
      },
      "cost": null,
      "model": "openai:x",
      "served_model": "x-2026",
      "provider": "openai",
      "response_id": "chatcmpl-1",
      "request_id": "req_test"
    }
    "#);
    assert_eq!(streamed.json().unwrap(), plain.json().unwrap());
    assert_eq!((plain.code, streamed.code), (Some(0), Some(0)));
}

#[test]
fn tool_calls_are_shown_with_parsed_arguments() {
    let call = |arguments: &str| json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call(r#"{"city":"Rome"}"#)]});
    let (plain, requests) = complete(
        Reply::json(200, &answer(&message, "tool_calls")),
        &["--output", "json", "--tools", "t.json"],
    );
    assert_eq!(requests[0].body["tools"][0]["function"]["name"], "weather");
    let shape = plain.json().unwrap();
    assert_eq!(
        shape["tool_calls"],
        json!([{"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}])
    );
    assert_eq!(shape["finish_reason"], "tool_calls");
    let deltas = [
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"Rome\"}"}}]}),
    ];
    let (streamed, _) = complete(
        Reply::events(&chunks(&deltas, "tool_calls")),
        &["--output", "json", "--tools", "t.json", "--stream"],
    );
    assert_eq!(streamed.json().unwrap(), shape);
}

#[test]
fn files_and_addresses_go_with_the_prompt_as_what_they_are() {
    let place = Place::new().unwrap();
    place.write("a.PNG", b"png").unwrap();
    place.write("b.pdf", b"pdf").unwrap();
    place.write("c.md", "Hi").unwrap();
    place.write("d.bin", b"\xff\xfe").unwrap();
    let shown = |files: &[&str]| {
        let base = ["complete", "Look", "--model", "openai:gpt-4o", "--dry-run", "--output", "json"];
        let files: Vec<&str> = files.iter().flat_map(|file| ["--file", *file]).collect();
        place.run(&[&base, files.as_slice()].concat()).unwrap().json().unwrap()
    };
    let content = shown(&["a.PNG", "b.pdf", "c.md", "https://x.example/cat.jpg?s=2"]);
    assert_eq!(
        content["body"]["messages"][0]["content"],
        json!([
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
            {"type": "file", "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
            {"type": "text", "text": "<document name=\"c.md\">\nHi\n</document>"},
            {"type": "image_url", "image_url": {"url": "https://x.example/cat.jpg?s=2"}},
        ])
    );
    let refused = |file: &str| shown(&[file])["error"]["message"].take();
    assert_eq!(refused("d.bin"), "`d.bin` is neither text in UTF-8 nor a known kind of file");
    assert_eq!(refused("none.png"), "`none.png` cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_schema_is_sent_and_the_answer_is_checked_and_repaired() {
    let right = json!({"role": "assistant", "content": "{\"city\": \"Rome\"}"});
    let (done, requests) =
        complete(Reply::json(200, &answer(&right, "stop")), &["--output", "json", "--schema", "s.json"]);
    assert_eq!(requests[0].body["response_format"]["type"], "json_schema");
    assert_eq!(done.json().unwrap()["json"], json!({"city": "Rome"}));
    let wrong = json!({"role": "assistant", "content": "{\"town\": \"Rome\"}"});
    let (done, requests) =
        complete(Reply::json(200, &answer(&wrong, "stop")), &["--output", "json", "--schema", "s.json"]);
    assert_eq!(requests.len(), 3, "one call and two repairs");
    assert_eq!(done.json().unwrap()["error"]["kind"], "invalid_output");
    assert_eq!(done.code, Some(1));
}

#[test]
fn a_refusal_of_the_provider_is_an_error_object_and_a_non_zero_exit() {
    let body = json!({"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}});
    let reply = Reply::json(429, &body).with_header("retry-after", "900");
    let (done, _) = complete(reply.clone(), &["--output", "json"]);
    let mut shape = done.json().unwrap();
    assert!(shape["error"]["hint"].take().is_string() || shape["error"]["hint"].is_null());
    insta::assert_json_snapshot!(shape, @r#"
    {
      "error": {
        "kind": "rate_limit",
        "status": 429,
        "message": "Rate limit reached",
        "hint": null,
        "retry_after": 900.0,
        "provider": "openai",
        "request_id": "req_test",
        "context": {
          "code": "rate_limit_exceeded",
          "type": "requests"
        }
      }
    }
    "#);
    assert_eq!(done.code, Some(1));
    let (text, _) = complete(reply, &[]);
    assert!(text.stdout.is_empty() && text.stderr.starts_with("error: Rate limit reached"), "{text:?}");
}

#[test]
fn a_stream_that_breaks_off_is_an_error_and_never_an_answer() {
    let deltas = [json!({"content": "Hi "}), json!({"content": "there"})];
    let reply = Reply::events(&chunks(&deltas, "stop"));
    let cut = reply.body.find("there").unwrap();
    let (done, _) = complete(reply.cut_after(cut), &["--output", "json", "--stream"]);
    assert_eq!(done.json().unwrap()["error"]["kind"], "truncated");
    assert_eq!(done.code, Some(1));
}

#[test]
fn what_a_broken_stream_showed_ends_its_line_before_the_error() {
    let deltas = [json!({"content": "Hi "}), json!({"content": "there"})];
    let reply = Reply::events(&chunks(&deltas, "stop"));
    let cut = reply.body.find("there").unwrap();
    let (done, _) = complete(reply.cut_after(cut), &["--stream"]);
    assert_eq!((done.stdout.as_str(), done.code), ("Hi \n", Some(1)));
}

#[test]
fn an_answer_that_is_less_than_asked_for_says_why() {
    let told = |message: Value, finish: &str| {
        let (done, _) = complete(Reply::json(200, &answer(&message, finish)), &[]);
        assert_eq!(done.code, Some(0));
        (done.stdout, done.stderr)
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(
        told(json!({"role": "assistant", "content": "Hi th"}), "length"),
        (
            text("Hi th\n"),
            text("warning: the answer was cut off by its length limit; `--max-tokens` sets it\n")
        )
    );
    assert_eq!(
        told(json!({"role": "assistant", "content": null, "refusal": "I may not."}), "stop"),
        (text(""), text("warning: the model declined to answer: I may not.\n"))
    );
    assert_eq!(
        told(json!({"role": "assistant", "content": ""}), "stop"),
        (text(""), text("warning: the answer holds no text\n"))
    );
    let call = json!({"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}});
    assert_eq!(
        told(json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls"),
        (text("weather({})\n"), text(""))
    );
}

#[test]
fn a_wrong_command_line_as_json_names_what_is_missing_and_what_was_meant() {
    let error = |arguments: &[&str]| {
        let done = Place::new().unwrap().run(&[arguments, &["--output", "json"]].concat()).unwrap();
        assert_eq!(done.code, Some(2));
        done.json().unwrap()["error"].clone()
    };
    assert_eq!(
        error(&["model", "list"])["message"],
        "the following required arguments were not provided: <PROVIDER>"
    );
    assert_eq!(error(&["complete", "--modle", "x"])["hint"], "a similar argument exists: '--model'");
}

#[test]
fn a_refusal_of_several_lines_is_told_in_one() {
    let body = json!({"error": {"message": "one\ntwo\n\n\u{1b}[2Jthree", "type": "invalid_request_error"}});
    let (done, _) = complete(Reply::json(400, &body), &[]);
    assert_eq!(
        done.stderr.lines().next(),
        Some("error: one two \u{fffd}[2Jthree (type: invalid_request_error)")
    );
}

#[test]
fn a_call_without_a_model_names_what_could_be_used() {
    let done = Place::new().unwrap().run(&["complete", "Hello"]).unwrap();
    assert_eq!(done.code, Some(3));
    insta::assert_snapshot!(done.stderr, @"
    error: no model was named
    hint: no key was found; give `--model provider:model` or the setting `model`, for example `offline:extract`, which needs no key
    ");
}

#[test]
fn a_server_that_is_not_there_is_told_in_one_line_with_a_hint() {
    let arguments =
        ["complete", "Hello", "--model", "custom:m", "--base-url", "http://127.0.0.1:9", "--output", "json"];
    let place = Place::new().unwrap();
    let mut command = place.command(&arguments).unwrap();
    let done: Done = command.env("MOTET_RETRY_MIN_DELAY", "1ms").output().unwrap().into();
    let error = done.json().unwrap()["error"].clone();
    assert_eq!((&error["kind"], done.code), (&json!("connection"), Some(1)));
    assert_eq!(error["context"]["attempts"], "3");
    assert!(error["hint"].is_string());
}

#[test]
fn a_provider_can_be_added_by_settings_alone() {
    let message = json!({"role": "assistant", "content": "from the lab"});
    let server = Server::start(move |_, _| Reply::json(200, &answer(&message, "stop"))).unwrap();
    let place = Place::new().unwrap();
    let settings = format!(
        "model = \"my-lab:m\"\n[providers.my-lab]\nbase_url = \"{}\"\napi_key = \"sk-lab-0123456789\"\n[providers.my-lab.headers]\nx-team = \"a\"\n[prices.\"my-lab:m\"]\ninput = 1.0\noutput = 2.0\n",
        server.url()
    );
    place.write("motet.toml", settings).unwrap();
    let shape = place.run(&["complete", "Hello", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((&shape["text"], &shape["provider"]), (&json!("from the lab"), &json!("my-lab")));
    assert_eq!(shape["cost"], json!(0.000_022), "12 tokens in at $1 and 5 out at $2 a million");
    let headers = server.requests()[0].headers.clone();
    let has = |name: &str, value: &str| headers.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("authorization", "Bearer sk-lab-0123456789") && has("x-team", "a"), "{headers:?}");
    let listed = place.run(&["provider", "list"]).unwrap().stdout;
    assert!(listed.contains("my-lab") && !listed.contains("sk-lab"), "{listed}");
    place.write("motet.toml", "[providers.opnai]\napi_key = \"sk\"\n").unwrap();
    let refused = place.run(&["provider", "list"]).unwrap();
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("there is no provider `opnai`"), "{}", refused.stderr);
}

#[test]
fn the_timeout_ends_the_whole_call_with_its_waits() {
    let busy = Reply::json(429, &json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}));
    let begun = std::time::Instant::now();
    let (done, requests) =
        complete(busy.with_header("retry-after", "100"), &["--timeout", "300ms", "--output", "json"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "nobody waits in vain");
    assert_eq!((done.code, requests.len()), (Some(1), 1), "{done:?}");
    assert_eq!(
        done.json().unwrap()["error"]["kind"],
        "rate_limit",
        "the provider's answer is the better news"
    );
}

#[test]
fn a_long_wait_and_another_model_are_told_on_stderr() {
    let busy = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
    let server = Server::start(move |request, number| match (number, request.body["model"].as_str()) {
        (0, _) => Reply::json(429, &busy).with_header("retry-after", "1"),
        (_, Some("x")) => Reply::json(503, &json!({"error": {"message": "no capacity"}})),
        _ => Reply::json(200, &answer(&json!({"role": "assistant", "content": "Hi"}), "stop")),
    })
    .unwrap();
    let url = server.url();
    let place = Place::new().unwrap();
    let sets = ["fallback.models=openai:y", "retry.min_delay=1ms", "retry.max_attempts=3"];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let arguments = [
        "complete",
        "Hello",
        "--model",
        "openai:x",
        "--base-url",
        &url,
        "--set",
        "providers.openai.api_key=k",
    ];
    let done = place.run(&arguments.into_iter().chain(sets).collect::<Vec<_>>()).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Hi\n"), "{done:?}");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(lines[0].starts_with("attempt 2 follows in 1.0 s:"), "{lines:?}");
    assert!(lines[1].starts_with("`openai:y` is asked in place of `openai:x`:"), "{lines:?}");
}
