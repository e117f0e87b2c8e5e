//! Conversations as they are sent: turns, results of tools, what goes back to its provider and what is left out.

use motet_core::ErrorKind;
use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use serde_json::json;

use super::*;

fn call(id: &str, arguments: &str) -> Part {
    let (id, name) = (id.to_owned(), "add".to_owned());
    Part::ToolCall(ToolCall { id, name, arguments: arguments.to_owned(), minted: false, opaque: None })
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn answer(id: &str) -> Message {
    Message::tool(vec![result(id, vec![Part::text("4")])])
}

fn opaque(provider: &str, payload: Value) -> Option<Opaque> {
    Some(Opaque { provider: provider.to_owned(), payload })
}

fn thinking(text: &str, provider: &str, model: &str) -> Part {
    let payload = json!({"type": "thinking", "signature": "c2ln", "model": model});
    Part::Reasoning(Reasoning { text: text.to_owned(), opaque: opaque(provider, payload) })
}

fn messages(sent: Vec<Message>) -> Value {
    body(&request(MODEL, sent))["messages"].take()
}

fn refused(sent: Vec<Message>) -> String {
    let error = encode(&request(MODEL, sent)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(error.hint().is_some(), "{error}");
    error.message().to_owned()
}

#[test]
fn turns_alternate_and_results_come_first() {
    let user = |text: &str| Message::user(text);
    let call_block = |id: &str| json!({"type": "tool_use", "id": id, "name": "add", "input": {"a": 1}});
    let result_block = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "4"});
    let text = |text: &str| json!({"type": "text", "text": text});
    for (sent, expected) in [
        (
            vec![user("a"), user(" \n"), user("b")],
            json!([{"role": "user", "content": [text("a"), text("b")]}]),
        ),
        (
            vec![
                user("a"),
                Message::assistant(""),
                user("b"),
                Message::assistant("c"),
                Message::assistant("d \n"),
            ],
            json!([
                {"role": "user", "content": [text("a"), text("b")]},
                {"role": "assistant", "content": [text("c"), text("d")]},
            ]),
        ),
        (
            vec![
                user("a"),
                assistant(vec![Part::text("so"), call("1", "{\"a\":1}"), call("2", "{\"a\":1}")]),
                answer("2"),
                user("quick"),
                answer("1"),
                Message::assistant("4"),
            ],
            json!([
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [text("so"), call_block("1"), call_block("2")]},
                {"role": "user", "content": [result_block("2"), result_block("1"), text("quick")]},
                {"role": "assistant", "content": "4"},
            ]),
        ),
    ] {
        assert_eq!(messages(sent), expected);
    }
}

#[test]
fn system_messages_stand_above_or_in_place() {
    let sent = vec![
        Message::system("first"),
        Message::user("a"),
        Message::assistant("b"),
        Message::user("c"),
        Message::system("later"),
    ];
    let above = body(&request(MODEL, sent.clone()));
    assert_eq!(
        above["system"],
        json!([{"type": "text", "text": "first"}, {"type": "text", "text": "later"}])
    );
    assert_eq!(above["messages"].as_array().unwrap().len(), 3);
    let in_place = body(&request("anthropic:claude-opus-4-8", sent));
    assert_eq!(in_place["system"], "first");
    assert_eq!(in_place["messages"][3], json!({"role": "system", "content": "later"}));
    let between = vec![Message::user("a"), Message::system("now"), Message::user("b")];
    let between = body(&request("anthropic:claude-opus-4-8", between));
    assert_eq!((between["system"].as_str(), between["messages"].as_array().unwrap().len()), (Some("now"), 1));
}

#[test]
fn a_conversation_that_the_server_would_refuse_is_refused_before_it_is_sent() {
    let user = || Message::user("a");
    let called = |ids: &[&str]| assistant(ids.iter().map(|id| call(id, "")).collect());
    for (sent, message) in [
        (vec![user(), called(&["x", "y"]), answer("y"), user()], "call `x` of tool `add` has no result"),
        (vec![user(), called(&["x"]), Message::assistant("done")], "call `x` of tool `add` has no result"),
        (
            vec![user(), called(&["x"]), user(), Message::assistant("b")],
            "call `x` of tool `add` has no result",
        ),
        (
            vec![user(), answer("z")],
            "a result answers call `z` of tool `add`, but no such call waits for one",
        ),
        (
            vec![user(), called(&["x"]), answer("x"), answer("x")],
            "a result answers call `x` of tool `add`, but no such call waits for one",
        ),
        (vec![Message::system("s"), Message::user("  ")], "the conversation has no messages with content"),
        (
            vec![Message { role: Role::User, parts: vec![call("x", "")] }],
            "a tool call cannot stand in a message of role `user`",
        ),
        (
            vec![Message { role: Role::System, parts: vec![thinking("", "anthropic", "m")] }],
            "reasoning cannot stand in a message of role `system`",
        ),
    ] {
        assert_eq!(refused(sent), message);
    }
}

#[test]
fn ids_and_arguments_are_what_the_server_takes() {
    let long = "i".repeat(90);
    let id = |sent: &Value, at: usize| sent[at]["content"][0]["id"].as_str().unwrap().to_owned();
    let turn = |id: &str| [assistant(vec![call(id, "{}")]), answer(id)];
    let sent: Vec<Message> = [
        vec![Message::user("a")],
        turn(&long).to_vec(),
        turn("f:0").to_vec(),
        turn("f:0").to_vec(),
        turn("ok-1").to_vec(),
    ]
    .concat();
    let sent = messages(sent);
    let ids: Vec<String> = [1, 3, 5, 7].map(|at| id(&sent, at)).to_vec();
    for (place, id) in ids.iter().enumerate() {
        let fits = id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        assert!(fits && !ids[..place].contains(id), "{ids:?}");
        assert_eq!(sent[place * 2 + 2]["content"][0]["tool_use_id"], json!(id));
    }
    assert_eq!(ids[3], "ok-1");

    for (arguments, input, warned) in [
        ("", json!({}), false),
        (" null ", json!({}), false),
        ("{\"a\": 1.50, \"a\": 2}", json!({"a": 2}), false),
        ("{\"a\": ", json!({"raw": "{\"a\": "}), true),
        ("[1]", json!({"raw": "[1]"}), true),
        ("\"text\"", json!({"raw": "\"text\""}), true),
    ] {
        let sent =
            request(MODEL, vec![Message::user("a"), assistant(vec![call("x", arguments)]), answer("x")]);
        assert_eq!(body(&sent)["messages"][1]["content"][0]["input"], input);
        assert_eq!(warnings(&sent).len(), usize::from(warned), "{arguments}");
    }
}

#[test]
fn what_only_one_provider_understands_goes_back_to_it_alone() {
    let native = |provider: &str| Part::Native {
        opaque: opaque(provider, json!({"type": "compaction", "content": "s"})).unwrap(),
    };
    let cited = |provider: &str| {
        let payload = json!({"type": "text", "citations": [{"cited_text": "A"}]});
        Part::Text { text: "a".into(), opaque: opaque(provider, payload) }
    };
    let redacted = |provider: &str| {
        let payload = json!({"type": "redacted_thinking", "data": "x", "model": "claude-sonnet-4-5"});
        Part::Reasoning(Reasoning { text: String::new(), opaque: opaque(provider, payload) })
    };
    let all = |provider: &str| {
        let parts = vec![
            thinking("hm", provider, "claude-sonnet-4-5"),
            redacted(provider),
            native(provider),
            cited(provider),
        ];
        request(MODEL, vec![Message::user("q"), assistant(parts), Message::user("r")])
    };
    assert_eq!(
        body(&all("anthropic"))["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "compaction", "content": "s"},
            {"type": "text", "text": "a", "citations": [{"cited_text": "A"}]},
        ])
    );
    assert_eq!(warnings(&all("anthropic")), [""; 0]);
    assert_eq!(body(&all("gemini"))["messages"][1]["content"], "a");
    assert_eq!(
        warnings(&all("gemini")),
        [
            "a block that only its provider understands of `gemini` was left out once, as this model cannot take it",
            "reasoning of `gemini` was left out 2 times, as this model cannot take it",
            "what belongs to a text of `gemini` was left out once, as this model cannot take it",
        ]
    );
}

#[test]
fn reasoning_goes_back_only_signed_and_to_the_model_that_signed_it() {
    let odd = |payload: Value| {
        Part::Reasoning(Reasoning { text: "t".into(), opaque: opaque("anthropic", payload) })
    };
    let unsigned = Part::Reasoning(Reasoning { text: "plain".into(), opaque: None });
    let empty = Part::Reasoning(Reasoning::default());
    for (part, kept, warned) in [
        (thinking("", "anthropic", "claude-sonnet-4-5"), true, false),
        (thinking("t", "anthropic", "claude-opus-4-8"), false, true),
        (odd(json!({"type": "thinking", "signature": "s"})), true, false),
        (odd(json!({"type": "thinking"})), false, true),
        (odd(json!([{"type": "reasoning.text"}])), false, true),
        (unsigned, false, true),
        (empty, false, false),
    ] {
        let sent = request(
            MODEL,
            vec![Message::user("q"), assistant(vec![part.clone(), Part::text("a")]), Message::user("r")],
        );
        let content = &body(&sent)["messages"][1]["content"];
        assert_eq!((content.is_array(), warnings(&sent).len()), (kept, usize::from(warned)), "{part:?}");
    }
    let cut = vec![
        Message::user("q"),
        assistant(vec![thinking("t", "anthropic", "claude-sonnet-4-5")]),
        Message::user("r"),
    ];
    assert_eq!(messages(cut).as_array().unwrap().len(), 1);
}

#[test]
fn the_place_where_code_ran_is_named_while_the_turn_goes_on() {
    let ran = plain(
        &json!({"content": [{"type": "tool_use", "id": "t", "name": "add", "input": {}}], "stop_reason": "tool_use",
        "container": {"id": "container_1", "expires_at": "2026-10-01T00:00:00Z"}}),
    );
    let ran = ran.unwrap().message;
    let going_on = vec![Message::user("q"), ran.clone(), answer("t")];
    let sent = body(&request(MODEL, going_on.clone()));
    assert_eq!(sent["container"], "container_1");
    assert_eq!(sent["messages"][1]["content"].as_array().unwrap().len(), 1);
    let done = [going_on, vec![Message::assistant("4"), Message::user("r")]].concat();
    assert_eq!(body(&request(MODEL, done)).get("container"), None);
}

#[test]
fn media_are_written_by_bytes_by_address_and_as_text() {
    let media = |kind: Option<&str>, source: MediaSource, name: Option<&str>| Media {
        media_type: kind.map(str::to_owned),
        source,
        name: name.map(str::to_owned),
    };
    let bytes = |data: &str| MediaSource::Base64(data.into());
    let url = |url: &str| MediaSource::Url(url.into());
    let image = Part::Image(media(Some("image/png"), bytes("AA=="), None));
    for (part, expected) in [
        (
            image.clone(),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
        ),
        (
            Part::Image(media(None, url("https://x/i"), None)),
            json!({"type": "image", "source": {"type": "url", "url": "https://x/i"}}),
        ),
        (
            Part::Document(media(Some("application/pdf"), bytes("AA=="), Some("a.pdf"))),
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}, "title": "a.pdf"}),
        ),
        (
            Part::Document(media(None, url("https://x/d"), None)),
            json!({"type": "document", "source": {"type": "url", "url": "https://x/d"}}),
        ),
        (
            Part::Document(media(Some("text/markdown; charset=utf-8"), bytes("w6k="), Some(" "))),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}}),
        ),
    ] {
        let sent = vec![Message { role: Role::User, parts: vec![part] }];
        assert_eq!(messages(sent)[0]["content"], json!([expected]));
    }
    let mut failed = result("x", vec![Part::text("see"), image, Part::text("")]);
    failed.is_error = true;
    let sent = messages(vec![
        Message::user("a"),
        assistant(vec![call("x", ""), call("y", "")]),
        Message::tool(vec![failed, result("y", vec![])]),
    ]);
    assert_eq!(
        sent[2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": "x", "is_error": true, "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            ]},
            {"type": "tool_result", "tool_use_id": "y"},
        ])
    );
    for (part, kind) in [
        (Part::Image(media(None, bytes("AA=="), None)), ErrorKind::InvalidRequest),
        (Part::Document(media(Some("text/plain"), bytes("/w=="), None)), ErrorKind::InvalidRequest),
        (Part::Document(media(Some("application/msword"), bytes("AA=="), None)), ErrorKind::Unsupported),
        (Part::Document(media(Some("text/html"), url("https://x"), None)), ErrorKind::Unsupported),
    ] {
        let error =
            encode(&request(MODEL, vec![Message { role: Role::User, parts: vec![part] }])).unwrap_err();
        assert!(error.kind() == kind && error.hint().is_some(), "{error:?}");
    }
}
