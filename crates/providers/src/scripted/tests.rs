//! Tests of the scripted model, from Rust and from files.

use std::sync::Arc;

use futures::StreamExt as _;
use motet_core::message::ToolResult;
use motet_core::model::chat;
use motet_core::request::{JsonSchemaOutput, Output};
use motet_core::{FinishReason, Message, Part, Retry, Role, Usage};
use serde_json::{Value, json};

use super::*;

fn id() -> ModelId {
    "scripted:test".parse().unwrap()
}

fn request(text: &str) -> ChatRequest {
    ChatRequest::new(id(), vec![Message::system("Be kind."), Message::user(text)])
}

async fn ask(model: &ScriptedModel, text: &str) -> Result<String> {
    chat(model, &RunContext::new(), &request(text)).await.map(|response| response.text())
}

async fn events(model: &ScriptedModel, text: &str, delivery: Delivery) -> Vec<Result<StreamEvent>> {
    model.open(&RunContext::new(), &request(text), delivery).await.unwrap().collect().await
}

fn script(text: &str) -> Result<ScriptedModel> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.json"), text).unwrap();
    ScriptedModel::from_file(&"scripted:s.json".parse().unwrap(), dir.path())
}

fn refusal(text: &str) -> String {
    let error = script(text).err().expect("the script is refused");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().is_some());
    let message = error.message().to_owned();
    message.split_once("s.json` ").expect("the message names the file").1.to_owned()
}

#[tokio::test]
async fn answers_come_in_order_and_then_the_script_ends_as_told() {
    for (on_exhausted, expected) in [
        (
            OnExhausted::Error,
            [
                "a",
                "b",
                "all 2 answers of the script have been given",
                "all 2 answers of the script have been given",
            ],
        ),
        (OnExhausted::RepeatLast, ["a", "b", "b", "b"]),
        (OnExhausted::Cycle, ["a", "b", "a", "b"]),
    ] {
        let model = ScriptedModel::answers(["a", "b"]).on_exhausted(on_exhausted);
        for expected in expected {
            let answer = ask(&model, "hi").await.unwrap_or_else(|error| error.message().to_owned());
            assert_eq!(answer, expected, "{on_exhausted:?}");
        }
    }
}

#[tokio::test]
async fn rules_go_first_and_use_up_nothing() {
    let model = ScriptedModel::answers([
        Answer::text("one"),
        Answer::text("weather").when_contains("rain"),
        Answer::json(&json!({"n": 1})).when_schema(true),
    ]);
    let mut structured = request("hi");
    let output = JsonSchemaOutput { name: "n".into(), schema: json!({}), strict: true };
    structured.output = Output::JsonSchema(output);
    assert_eq!(ask(&model, "will it rain?").await.unwrap(), "weather");
    assert_eq!(chat(&model, &RunContext::new(), &structured).await.unwrap().text(), r#"{"n":1}"#);
    assert_eq!(ask(&model, "rain again").await.unwrap(), "weather");
    assert_eq!(ask(&model, "hi").await.unwrap(), "one");
    let error = ask(&model, "hi").await.unwrap_err();
    assert_eq!(error.message(), "all 1 answers of the script have been given, and none of 2 rules applies");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(model.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_ask_together_get_each_answer_once() {
    let model = Arc::new(ScriptedModel::answers((0..200).map(|n| Answer::text(n.to_string()))));
    let calls = (0..200).map(|_| {
        let model = Arc::clone(&model);
        tokio::spawn(async move { ask(&model, "hi").await.unwrap().parse::<usize>().unwrap() })
    });
    let mut given: Vec<usize> =
        futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    given.sort_unstable();
    assert_eq!(given, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_streamed_answer_comes_by_words_and_folds_into_the_plain_one() {
    let model = ScriptedModel::answers([Answer::text("Good morning, Ada.")
        .with_reasoning("Be polite.")
        .and_tool_call("clock", &json!({"zone": "UTC"}))])
    .on_exhausted(OnExhausted::RepeatLast);
    let streamed: Vec<StreamEvent> =
        events(&model, "hi", Delivery::Streamed).await.into_iter().map(Result::unwrap).collect();
    let texts: Vec<&str> = streamed
        .iter()
        .filter_map(|event| match event {
            StreamEvent::TextDelta { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["Good ", "morning, ", "Ada."]);
    let deltas = streamed.iter().filter(|event| matches!(event, StreamEvent::ToolCallDelta { .. })).count();
    assert_eq!(deltas, 2);

    let plain = chat(&model, &RunContext::new(), &request("hi")).await.unwrap();
    let folded = motet_core::accumulate::fold(id(), motet_core::event::ready_stream(streamed)).await.unwrap();
    assert_eq!(folded, plain);
    assert_eq!(plain.finish_reason, FinishReason::ToolCalls);
    assert_eq!(plain.message.reasoning_text(), "Be polite.");
    let call = plain.message.tool_calls().next().unwrap();
    assert_eq!((call.id.as_str(), call.arguments.as_str()), ("call_2_1", r#"{"zone":"UTC"}"#));
}

#[tokio::test]
async fn usage_is_a_quarter_of_the_characters_unless_given_and_the_cost_is_zero() {
    let model =
        ScriptedModel::answers([Answer::text("12345"), Answer::text("12345").with_usage(Usage::new(7, 9))]);
    let mut usages = Vec::new();
    for _ in 0..2 {
        let response = chat(&model, &RunContext::new(), &request("123456789")).await.unwrap();
        assert_eq!(response.cost, Some(motet_core::Cost::ZERO));
        usages.push(response.usage.unwrap());
    }
    // "Be kind." and "123456789" are 17 characters.
    assert_eq!(usages, [Usage::new(5, 2), Usage::new(7, 9)]);
}

#[tokio::test]
async fn a_scripted_error_keeps_kind_and_time_to_wait() {
    let scripted =
        Error::new(ErrorKind::RateLimit, "slow down").with_retry(Retry::After(Duration::from_millis(1500)));
    let model = ScriptedModel::answers([Answer::error(&scripted)]);
    let error = ask(&model, "hi").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    assert_eq!((error.provider(), error.model()), (Some("scripted"), Some(&id())));
}

#[tokio::test]
async fn an_answer_that_is_cut_breaks_off_after_so_many_characters() {
    for (cut, shown) in [(0, ""), (7, "Good mo"), (13, "Good morning."), (99, "Good morning.")] {
        for delivery in [Delivery::Plain, Delivery::Streamed] {
            let model = ScriptedModel::answers([Answer::text("Good morning.").cut_after(cut)]);
            let mut events = events(&model, "hi", delivery).await;
            let error = events.pop().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated);
            let mut accumulator = motet_core::accumulate::Accumulator::new(id());
            for event in events {
                accumulator.push(event.unwrap()).unwrap();
            }
            assert_eq!(accumulator.partial().visible_text(), shown);
        }
    }
}

#[tokio::test]
async fn a_function_answers_as_it_likes() {
    let model = ScriptedModel::from_fn(|request| match request.messages.len() {
        2 => Answer::echo().respond(request),
        count => Err(Error::new(ErrorKind::InvalidRequest, format!("{count} messages"))),
    });
    assert_eq!(ask(&model, "hello").await.unwrap(), "hello");
    let mut longer = request("hello");
    longer.messages.push(Message::text(Role::User, "more"));
    let error = chat(&model, &RunContext::new(), &longer).await.unwrap_err();
    assert_eq!(error.message(), "3 messages");
}

#[tokio::test(start_paused = true)]
async fn a_delay_ends_with_the_run() {
    let slow = || ScriptedModel::answers([Answer::text("late").with_delay(Duration::from_secs(3600))]);
    assert_eq!(ask(&slow(), "hi").await.unwrap(), "late");

    let waiting = RunContext::new();
    let model = slow();
    let asked = request("hi");
    let call = chat(&model, &waiting, &asked);
    let (outcome, ()) = futures::future::join(call, async { waiting.cancellation().cancel() }).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);

    let short = RunContext::new().with_timeout(Duration::from_millis(1));
    let error = chat(&slow(), &short, &asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_file_scripts_texts_tools_json_errors_and_echo() {
    let model = script(
        r#"{"answers": [
            {"text": "hello", "reasoning": "hm", "usage": {"input": 3, "output": 4}, "finish_reason": "length"},
            {"tool_calls": [{"name": "add", "arguments": {"a": 1}}, {"name": "bad", "arguments": "{\"a\":", "id": "x"}]},
            {"json": {"n": [1, 2]}},
            {"error": {"kind": "rate_limit", "message": "slow down", "retry_after": 1.5}},
            {"echo": true},
            {"text": "ruled", "when": {"contains": "special", "schema": false}}
        ], "on_exhausted": "cycle"}"#,
    )
    .unwrap();
    let first = chat(&model, &RunContext::new(), &request("hi")).await.unwrap();
    assert_eq!((first.text().as_str(), first.message.reasoning_text().as_str()), ("hello", "hm"));
    assert_eq!((first.usage, first.finish_reason), (Some(Usage::new(3, 4)), FinishReason::Length));
    let second = chat(&model, &RunContext::new(), &request("hi")).await.unwrap();
    let calls: Vec<_> = second.message.tool_calls().map(|call| (&*call.id, &*call.arguments)).collect();
    assert_eq!(calls, [("call_2_1", r#"{"a":1}"#), ("x", r#"{"a":"#)]);
    assert_eq!(ask(&model, "hi").await.unwrap(), r#"{"n":[1,2]}"#);
    let error = ask(&model, "hi").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::RateLimit, Some(Duration::from_millis(1500)))
    );
    assert_eq!(ask(&model, "a special case").await.unwrap(), "ruled");
    assert_eq!(ask(&model, "say this").await.unwrap(), "say this");
    assert_eq!(ask(&model, "hi").await.unwrap(), "hello");
    assert!(model.requests().is_empty());
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_place() {
    for (text, expected) in [
        (
            "{\"answers\": [\n  {\"txt\": \"hi\"}\n]}",
            "line 2, column 4: unknown key `txt` in an answer, nearest is `text`",
        ),
        ("{\"answer\": []}", "line 1, column 2: unknown key `answer` in the script, nearest is `answers`"),
        (
            "{\"answers\": [{\"tool_calls\": [{\"nom\" : \"é\"}]}]}",
            "line 1, column 31: unknown key `nom` in a tool call, nearest is `name`",
        ),
        (
            "{\"answers\": [{\"text\": \"a\",\n \"text\": \"b\"}]}",
            "line 2, column 2: key `text` stands twice in an answer",
        ),
        ("{\"answers\": []}", "line 1, column 15: the script has no `answers`"),
        (
            "{\"answers\": [{}]}",
            "line 1, column 15: an answer needs one of `text`, `json`, `echo`, `tool_result`, `tool_calls` and `error`",
        ),
        (
            "{\"answers\": [{\"text\": \"a\", \"echo\": true}]}",
            "line 1, column 40: an answer can have only one of `text`, `json`, `echo` and `tool_result`",
        ),
        (
            "{\"answers\": [{\"error\": {\"kind\": \"rate_limit\", \"message\": \"m\"}, \"text\": \"a\"}]}",
            "line 1, column 75: an answer with `error` can have no `text`, `json`, `echo`, `tool_result` or `tool_calls`",
        ),
        ("{\"answers\": [{\"text\": 1}]}", "line 1, column 23: invalid type: integer `1`, expected a string"),
        (
            "{\"answers\": [{\"text\": \"a\"}], \"on_exhausted\": \"stop\"}",
            "line 1, column 46: unknown variant `stop`, expected one of `error`, `repeat_last`, `cycle`",
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let error = refusal("{\"answers\": [{\"error\": {\"kind\": \"oops\", \"message\": \"m\"}}]}");
    assert!(error.starts_with("line 1, column 33: unknown variant `oops`"), "{error}");
    assert!(refusal("{\"answers\": [").starts_with("line 1, column 13: EOF"));
    let missing = ScriptedModel::from_file(&"scripted:gone.json".parse().unwrap(), Path::new("nowhere"));
    assert!(missing.err().unwrap().message().contains("gone.json"));
}

#[tokio::test]
async fn the_log_has_one_line_per_call_even_of_calls_that_fail() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let text = r#"{"answers": [{"text": "hi"}], "log": "calls.jsonl"}"#;
    std::fs::write(dir.path().join("sub/s.json"), text).unwrap();
    let open = || ScriptedModel::from_file(&"scripted:sub/s.json".parse().unwrap(), dir.path()).unwrap();
    let (first, second) = (open(), open());
    let context = RunContext::new().child("task").child("call");
    chat(&first, &context, &request("a")).await.unwrap();
    let stream = second.open(&context, &request("b"), Delivery::Streamed).await.unwrap();
    assert!(stream.count().await > 0);
    assert!(ask(&first, "a").await.is_err());

    let log = std::fs::read_to_string(dir.path().join("sub/calls.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let column = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("step"), ["task/call", "task/call", ""]);
    assert_eq!(column("streamed"), [json!(false), json!(true), json!(false)]);
    let hash = column("request_hash");
    assert_eq!(hash[0], json!(motet_core::id::content_hash(&request("a")).unwrap()));
    assert!(hash[0] == hash[2] && hash[0] != hash[1]);
    assert!(column("at_ms").iter().all(|at| at.as_i64().unwrap() > 1_600_000_000_000));
}

#[test]
fn another_provider_is_not_a_script() {
    let error = ScriptedModel::from_file(&"offline:extract".parse().unwrap(), Path::new(".")).err().unwrap();
    assert_eq!(error.message(), "`offline:extract` is not a scripted model");
}

#[test]
fn an_answer_may_repeat_what_a_tool_answered_last() {
    let result = |text: &str| ToolResult {
        id: "c".into(),
        name: "look".into(),
        content: vec![Part::text(text)],
        is_error: false,
    };
    let messages = vec![
        Message::user("go"),
        Message::tool(vec![result("first")]),
        Message::tool(vec![result("second")]),
    ];
    let request = ChatRequest::new("scripted:test".parse().unwrap(), messages);
    let answer = Answer::tool_result("look").respond(&request).unwrap();
    assert_eq!(answer.text(), "second");
    let error = Answer::tool_result("other").respond(&request).unwrap_err();
    assert!(error.message().contains("`other` answered, which was not called"), "{error}");
}
