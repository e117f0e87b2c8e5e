//! What is sent for what is asked, and quirks of answers that recorded ones do not show.

use motet_core::accumulate::Accumulator;
use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, ChatResponse, Delivery, Error, ErrorKind, FinishReason, Message, Part, Role};
use serde_json::{Value, json};

use super::OllamaChat;
use crate::dialect::{Answer, Dialect as _, Origin, Profile, Thinking};
use crate::driver::StreamReader;
use crate::rows;

fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new("ollama:qwen3:4b".parse().unwrap(), messages)
}

fn origin() -> Origin {
    Origin::new(rows::find("ollama").unwrap(), "ollama:qwen3:4b".parse().unwrap())
}

/// Gives what is sent beside model and messages, and what is told.
fn options(request: &ChatRequest) -> (Value, Vec<String>) {
    let profile = rows::find("ollama").unwrap().profile_of(request.model.model());
    let sent = OllamaChat.encode(request, &profile, Delivery::Plain).unwrap();
    let mut body: Value = serde_json::from_slice(&sent.body).unwrap();
    for name in ["model", "messages", "truncate", "stream"] {
        body.as_object_mut().unwrap().remove(name).unwrap();
    }
    (body, sent.warnings)
}

fn messages(sent: Vec<Message>) -> (Value, Vec<String>) {
    let sent = OllamaChat.encode(&request(sent), &origin().profile, Delivery::Plain).unwrap();
    let mut body: Value = serde_json::from_slice(&sent.body).unwrap();
    (body["messages"].take(), sent.warnings)
}

fn call(id: &str, arguments: &str, minted: bool) -> Part {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: "add".into(),
        arguments: arguments.into(),
        minted,
        opaque: None,
    })
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn image(source: MediaSource) -> Part {
    Part::Image(Media { media_type: Some("image/png".into()), source, name: None })
}

fn text_file() -> Part {
    let source = MediaSource::Base64("aGk=".into());
    Part::Document(Media { media_type: Some("text/plain".into()), source, name: Some("a.txt".into()) })
}

#[test]
fn a_plain_question_says_that_nothing_may_be_cut_or_streamed() {
    let asked = request(vec![Message::system("Be brief."), Message::user("Hi")]);
    let sent = OllamaChat.encode(&asked, &origin().profile, Delivery::Plain).unwrap();
    assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/api/chat"));
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let expected = json!({
        "model": "qwen3:4b", "truncate": false, "stream": false,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    });
    assert_eq!(body, expected);
    let streamed = OllamaChat.encode(&asked, &origin().profile, Delivery::Streamed).unwrap().body;
    assert_eq!(serde_json::from_slice::<Value>(&streamed).unwrap()["stream"], true);
}

#[test]
fn options_go_into_their_own_field_and_the_callers_win_one_by_one() {
    let mut asked = request(vec![Message::user("Hi")]);
    asked.sampling.temperature = Some(0.5);
    asked.sampling.top_p = Some(0.9);
    asked.sampling.top_k = Some(40);
    asked.sampling.seed = Some(7);
    asked.sampling.frequency_penalty = Some(0.1);
    asked.sampling.presence_penalty = Some(0.2);
    asked.max_tokens = Some(100);
    asked.stop = vec!["END".into()];
    asked.extra = json!({"keep_alive": "5m", "options": {"num_ctx": 8192, "temperature": 1}})
        .as_object()
        .unwrap()
        .clone();
    let expected = json!({
        "num_predict": 100, "temperature": 1, "top_p": 0.9, "top_k": 40, "seed": 7, "frequency_penalty": 0.1,
        "presence_penalty": 0.2, "stop": ["END"], "num_ctx": 8192,
    });
    assert_eq!(options(&asked), (json!({"options": expected, "keep_alive": "5m"}), vec![]));
    let text = OllamaChat.encode(&asked, &origin().profile, Delivery::Plain).unwrap().body;
    assert_eq!(String::from_utf8(text.to_vec()).unwrap().matches("temperature").count(), 1);
}

#[test]
fn thinking_is_a_switch_or_a_level_as_the_model_knows_it() {
    use ReasoningEffort::{High, Low, None as Off, Xhigh};
    for (model, effort, expected, told) in [
        ("qwen3:4b", Some(Off), json!(false), 0),
        ("qwen3:4b", Some(Low), json!(true), 1),
        ("gpt-oss:20b", Some(High), json!("high"), 0),
        ("gpt-oss:20b", Some(Xhigh), json!("high"), 1),
        ("gpt-oss:20b", Some(Off), json!("low"), 1),
        ("qwen3:4b", None, Value::Null, 0),
    ] {
        let mut asked = request(vec![Message::user("Hi")]);
        asked.model = format!("ollama:{model}").parse().unwrap();
        asked.reasoning_effort = effort;
        let (body, warnings) = options(&asked);
        assert_eq!((&body["think"], warnings.len()), (&expected, told), "{model} {effort:?} {warnings:?}");
    }
    let never = Profile { thinking: Thinking::Never, ..Profile::COMMON };
    for (effort, told) in [(Off, 0), (High, 1)] {
        let mut asked = request(vec![Message::user("Hi")]);
        asked.reasoning_effort = Some(effort);
        let sent = OllamaChat.encode(&asked, &never, Delivery::Plain).unwrap();
        assert!(!String::from_utf8(sent.body.to_vec()).unwrap().contains("think"));
        assert_eq!(sent.warnings.len(), told);
    }
}

#[test]
fn tools_and_schemas_are_sent_and_what_cannot_be_is_told() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let mut asked = request(vec![Message::user("Hi")]);
    asked.tools =
        vec![ToolSpec::new("add", "Adds.", schema.clone()), ToolSpec::new("now", "", schema.clone())];
    asked.output =
        Output::JsonSchema(JsonSchemaOutput { name: "x".into(), schema: schema.clone(), strict: true });
    let tools = json!([
        {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": schema}},
        {"type": "function", "function": {"name": "now", "parameters": schema}},
    ]);
    let whole = json!({"tools": tools, "format": schema});
    assert_eq!(options(&asked), (whole.clone(), vec![]));
    asked.tool_choice = ToolChoice::Required;
    asked.parallel_tool_calls = Some(false);
    asked.tools[0].strict = Some(true);
    let (body, warnings) = options(&asked);
    assert_eq!(body, whole);
    assert_eq!(
        warnings,
        [
            "the server cannot require the call of a tool; the model decides",
            "the model does not accept `parallel_tool_calls`; left out",
            "the server cannot enforce schemas of arguments; they are only checked",
        ]
    );
    asked.tool_choice = ToolChoice::None;
    assert_eq!(options(&asked), (json!({"format": schema}), vec![]));
    asked.tool_choice = ToolChoice::Tool("add".into());
    let error = OllamaChat.encode(&asked, &origin().profile, Delivery::Plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn calls_go_back_as_objects_and_results_by_the_names_of_tools() {
    let (sent, warnings) = messages(vec![
        Message::user("Add."),
        assistant(vec![
            Part::Reasoning(Reasoning { text: "hm".into(), opaque: None }),
            call("call_1", "{\"b\": 1,  \"a\":2}", false),
            call("call_2", "", true),
            call("call_3", "{\"a\":", false),
        ]),
        Message::tool(vec![
            result("call_1", vec![Part::text("3")]),
            result("call_2", vec![image(MediaSource::Base64("AA==".into()))]),
            result("call_3", vec![text_file()]),
        ]),
        Message::user("Go on."),
    ]);
    let calls = json!([
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 1}}},
        {"type": "function", "function": {"name": "add", "arguments": {}}},
        {"id": "call_3", "type": "function", "function": {
            "name": "add", "arguments": {"malformed_arguments": "{\"a\":"}}},
    ]);
    let expected = json!([
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls},
        {"role": "tool", "content": "3", "tool_name": "add", "tool_call_id": "call_1"},
        {"role": "tool", "content": "The result follows in the next message.", "tool_name": "add"},
        {"role": "tool", "content": "<document name=\"a.txt\">\nhi\n</document>", "tool_name": "add",
            "tool_call_id": "call_3"},
        {"role": "user", "content": "Images that tool `add` gave.\n", "images": ["AA=="]},
        {"role": "user", "content": "Go on."},
    ]);
    assert_eq!((sent, warnings), (expected, vec![]));
    let raw = OllamaChat
        .encode(
            &request(vec![assistant(vec![call("a", "{\"b\": 1,  \"a\":2}", false)])]),
            &Profile::COMMON,
            Delivery::Plain,
        )
        .unwrap();
    assert!(String::from_utf8(raw.body.to_vec()).unwrap().contains(r#""arguments":{"b": 1,  "a":2}"#));
}

#[test]
fn what_belongs_to_others_is_left_out_and_told() {
    let foreign = || Some(Opaque { provider: "other".into(), payload: json!({"signature": "x"}) });
    let (sent, warnings) = messages(vec![assistant(vec![
        Part::Reasoning(Reasoning { text: "secret".into(), opaque: foreign() }),
        Part::Native { opaque: foreign().unwrap() },
        Part::Text { text: "a".into(), opaque: foreign() },
        Part::Refusal { text: "b".into() },
    ])]);
    assert_eq!(sent, json!([{"role": "assistant", "content": "ab"}]));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains("of `other` was left out once")), "{warnings:?}");
}

#[test]
fn images_are_bare_bytes_and_what_cannot_be_sent_is_refused_with_advice() {
    let user = |parts| Message { role: Role::User, parts };
    let (sent, _) =
        messages(vec![user(vec![Part::text("See"), image(MediaSource::Base64("AA==".into())), text_file()])]);
    let content = "See<document name=\"a.txt\">\nhi\n</document>";
    assert_eq!(sent, json!([{"role": "user", "content": content, "images": ["AA=="]}]));
    let pdf = Media {
        media_type: Some("application/pdf".into()),
        source: MediaSource::Base64("AA==".into()),
        name: None,
    };
    for (message, kind) in [
        (user(vec![image(MediaSource::Url("https://h/a.png".into()))]), ErrorKind::Unsupported),
        (user(vec![Part::Document(pdf)]), ErrorKind::Unsupported),
        (user(vec![call("a", "{}", false)]), ErrorKind::InvalidRequest),
        (assistant(vec![Part::ToolResult(result("a", vec![]))]), ErrorKind::InvalidRequest),
    ] {
        let error =
            OllamaChat.encode(&request(vec![message]), &origin().profile, Delivery::Plain).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

fn streamed(text: &str) -> Result<ChatResponse, Error> {
    let origin = std::sync::Arc::new(origin());
    let (mut events, mut reader) = (Vec::new(), StreamReader::new(&OllamaChat, &origin));
    reader.feed(text.as_bytes(), &mut events).and_then(|()| reader.finish(&mut events))?;
    folded(events)
}

fn plain(text: &str) -> Result<ChatResponse, Error> {
    folded(OllamaChat.decode(text.as_bytes(), &origin())?)
}

fn folded(events: Vec<motet_core::StreamEvent>) -> Result<ChatResponse, Error> {
    let mut accumulator = Accumulator::new(origin().model);
    events.into_iter().try_for_each(|event| accumulator.push(event))?;
    accumulator.finish()
}

#[test]
fn ids_are_made_where_none_were_sent_and_results_find_them() {
    let body = json!({
        "created_at": "2026-01-01T00:00:00Z", "done": true, "done_reason": "stop", "eval_count": 3,
        "message": {"content": "", "tool_calls": [
            {"function": {"name": "now", "arguments": {}}}, {"function": {"name": "add", "arguments": "{\"a\":1}"}},
            {"id": "c3", "function": {"name": "now", "arguments": null}},
        ]},
    });
    let answer = plain(&body.to_string()).unwrap();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    assert_eq!(answer.raw_finish_reason.as_deref(), Some("stop"));
    let calls: Vec<&ToolCall> = answer.message.tool_calls().collect();
    let texts: Vec<&str> = calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(texts, ["{}", "{\"a\":1}", ""]);
    assert_eq!(calls.iter().map(|call| call.minted).collect::<Vec<_>>(), [true, true, false]);
    assert_ne!(calls[0].id, calls[1].id);
    let later = body.to_string().replace("2026", "2027");
    assert_ne!(plain(&later).unwrap().message.tool_calls().next().unwrap().id, calls[0].id);
    let usage = answer.usage.unwrap();
    assert_eq!((usage.input, usage.output), (0, 3), "a cached prompt is not counted by the server");
}

#[test]
fn the_end_is_what_the_server_calls_the_end() {
    let piece = |rest: &str| format!("{{\"message\":{{\"content\":\"a\"}}{rest}}}\n");
    for (text, expected) in [
        (piece(",\"done\":true"), Ok(FinishReason::Unknown)),
        (piece(",\"done\":true,\"done_reason\":\"length\""), Ok(FinishReason::Length)),
        (piece(",\"done\":true,\"done_reason\":\"load\""), Ok(FinishReason::Other)),
        (piece(",\"done\":false"), Err((ErrorKind::Truncated, "the answer broke off before its end"))),
        (
            piece(",\"done\":false") + "{\"error\":\"an error was encountered while running the model\"}\n",
            Err((ErrorKind::Overloaded, "an error was encountered while running the model")),
        ),
        (
            piece(",\"error\":null,\"done\":false") + &piece(",\"error\":\"\",\"done\":true"),
            Ok(FinishReason::Unknown),
        ),
    ] {
        for read in [streamed(&text), plain(&text)] {
            let got = read.as_ref().map(|answer| answer.finish_reason);
            let got = got.map_err(|error| (error.kind(), error.message()));
            assert_eq!(got, expected, "{text}");
        }
    }
    for (body, kind) in [
        ("{\"done\":true}", ErrorKind::InvalidOutput),
        ("", ErrorKind::InvalidOutput),
        ("{\"message\":{\"con", ErrorKind::Truncated),
        ("nonsense", ErrorKind::InvalidOutput),
    ] {
        assert_eq!(plain(body).unwrap_err().kind(), kind, "{body}");
    }
    assert_eq!(plain("{\"message\":{\"content\":\"a\"}}").unwrap().finish_reason, FinishReason::Unknown);
}

#[test]
fn refusals_advise_what_helps() {
    let inner = r#"{"error":{"code":400,"message":"request (8889 tokens) exceeds the available context size (4096 tokens)","type":"exceed_context_size_error"}}"#;
    for (status, body, kind, hint) in [
        (
            404,
            json!({"error": "model 'qwen3:4b' not found"}).to_string(),
            ErrorKind::NotFound,
            "ollama pull qwen3:4b",
        ),
        (404, "404 page not found".to_owned(), ErrorKind::NotFound, "without `/v1` or `/api`"),
        (400, json!({"error": inner}).to_string(), ErrorKind::TokenLimit, "`num_ctx`"),
        (
            400,
            json!({"error": "the input length exceeds the context length"}).to_string(),
            ErrorKind::TokenLimit,
            "`num_ctx`",
        ),
        (
            400,
            json!({"error": "registry.ollama.ai/library/m does not support tools"}).to_string(),
            ErrorKind::InvalidRequest,
            "calls tools",
        ),
    ] {
        let answer = Answer { status, headers: &[], body: body.as_bytes() };
        let error = OllamaChat.classify(&answer, &origin());
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap().contains(hint), "{error:?}");
        assert!(!error.message().contains("{\\\""), "{error}");
    }
}
