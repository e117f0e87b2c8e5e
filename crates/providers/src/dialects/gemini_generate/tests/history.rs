//! What becomes of a conversation: own payloads go back byte for byte to their parts, foreign ones do not.

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use crate::dialect::Dialect as _;
use crate::dialects::gemini_generate::GeminiGenerate;
use crate::rows;

fn encoded(model: &str, messages: Vec<Message>) -> (Value, Vec<String>) {
    let request = ChatRequest::new(format!("gemini:{model}").parse().unwrap(), messages);
    let profile = rows::find("gemini").unwrap().profile_of(model);
    let sent = GeminiGenerate.encode(&request, &profile, Delivery::Plain).unwrap();
    (serde_json::from_slice::<Value>(&sent.body).unwrap()["contents"].take(), sent.warnings)
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn payload(provider: &str, payload: Value) -> Option<Opaque> {
    Some(Opaque { provider: provider.into(), payload })
}

fn call(id: &str, name: &str, arguments: &str, opaque: Option<Opaque>) -> Part {
    let minted = opaque.is_none();
    Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), minted, opaque })
}

fn result(id: &str, name: &str, text: &str) -> ToolResult {
    ToolResult { id: id.into(), name: name.into(), content: vec![Part::text(text)], is_error: false }
}

fn image(data: &str) -> Part {
    let source = MediaSource::Base64(data.into());
    Part::Image(Media { media_type: Some("image/png".into()), source, name: None })
}

fn response(name: &str, text: &str) -> Value {
    json!({"functionResponse": {"name": name, "response": {"output": text}}})
}

#[test]
fn every_signature_returns_to_exactly_its_part() {
    let said = assistant(vec![
        Part::Reasoning(Reasoning { text: "a summary for people".into(), opaque: None }),
        Part::Reasoning(Reasoning {
            text: "hm".into(),
            opaque: payload("gemini", json!({"thoughtSignature": "r=="})),
        }),
        Part::text("one"),
        Part::Text { text: "two".into(), opaque: payload("gemini", json!({"thoughtSignature": "t+/="})) },
        Part::text(""),
        call(
            "c1",
            "f",
            r#"{"n": 12345678901234567890, "x":1.0}"#,
            payload("gemini", json!({"thoughtSignature": "c", "id": "w1"})),
        ),
        call("c2", "g", "", None),
        Part::Native {
            opaque: payload("gemini", json!({"executableCode": {"code": "1"}, "thoughtSignature": "n"}))
                .unwrap(),
        },
        image("AA=="),
        Part::Native { opaque: payload("gemini", json!({"thoughtSignature": "i"})).unwrap() },
        Part::Text { text: String::new(), opaque: payload("gemini", json!({"thoughtSignature": "last"})) },
    ]);
    let (contents, warnings) = encoded("gemini-3-flash-preview", vec![Message::user("q"), said]);
    let expected: Value = serde_json::from_str(
        r#"{"role": "model", "parts": [
            {"text": "hm", "thought": true, "thoughtSignature": "r=="},
            {"text": "one"},
            {"text": "two", "thoughtSignature": "t+/="},
            {"functionCall": {"id": "w1", "name": "f", "args": {"n": 12345678901234567890, "x": 1.0}}, "thoughtSignature": "c"},
            {"functionCall": {"name": "g", "args": {}}},
            {"executableCode": {"code": "1"}, "thoughtSignature": "n"},
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "i"},
            {"text": "", "thoughtSignature": "last"}
        ]}"#,
    )
    .unwrap();
    assert_eq!(contents[1], expected);
    assert_eq!(warnings, [] as [&str; 0]);
}

#[test]
fn a_foreign_history_is_sent_plain_with_a_placeholder_where_the_model_wants_one() {
    let history = || {
        vec![
            Message::user("q"),
            assistant(vec![
                Part::Reasoning(Reasoning {
                    text: "hm".into(),
                    opaque: payload("other", json!({"signature": "s"})),
                }),
                Part::Native { opaque: payload("other", json!({"type": "server_tool_use"})).unwrap() },
                call(
                    "toolu_1",
                    "f",
                    "{}",
                    payload("other", json!({"id": "toolu_1", "thoughtSignature": "x"})),
                ),
                call("toolu_2", "f", "{}", None),
            ]),
            Message::tool(vec![result("toolu_1", "f", "1"), result("toolu_2", "f", "2")]),
        ]
    };
    let (contents, warnings) = encoded("gemini-3-flash-preview", history());
    let expected = json!([
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"},
            {"functionCall": {"name": "f", "args": {}}},
        ]},
        {"role": "user", "parts": [response("f", "1"), response("f", "2")]},
    ]);
    assert_eq!(contents, expected);
    assert_eq!(
        warnings,
        [
            "a block that only its provider understands of `other` was left out once, as this model cannot take it",
            "a signature of `other` was left out once, as this model cannot take it",
            "reasoning of `other` was left out once, as this model cannot take it",
            "the tool calls of one turn came without this model's signature; a placeholder was sent instead, and the model does \
             not know what led to them",
        ]
    );
    let (contents, warnings) = encoded("gemini-2.5-flash", history());
    assert_eq!(contents[1]["parts"][0], json!({"functionCall": {"name": "f", "args": {}}}));
    assert_eq!(warnings.len(), 3);
}

#[test]
fn results_stand_alone_in_the_order_of_their_calls() {
    let history = vec![
        Message::user("q"),
        assistant(vec![
            call("a", "f", "{}", payload("gemini", json!({"id": "w"}))),
            call("b", "g", "{}", None),
            call("c", "g", "{}", None),
        ]),
        Message::tool(vec![result("c", "g", "3"), result("a", "f", "1")]),
        Message {
            role: Role::User,
            parts: vec![
                Part::ToolResult(ToolResult { is_error: true, ..result("b", "", "broken") }),
                Part::text("And now?"),
            ],
        },
        Message::user("Well?"),
    ];
    let (contents, _) = encoded("gemini-2.5-flash", history);
    let expected = json!([
        {"functionResponse": {"id": "w", "name": "f", "response": {"output": "1"}}},
        {"functionResponse": {"name": "g", "response": {"error": "broken"}}},
        response("g", "3"),
    ]);
    assert_eq!(contents[2], json!({"role": "user", "parts": expected}));
    assert_eq!(contents[3], json!({"role": "user", "parts": [{"text": "And now?"}, {"text": "Well?"}]}));
}

#[test]
fn media_of_results_go_where_the_model_reads_them() {
    let history = || {
        let content = vec![Part::text("a cat"), image("AA==")];
        vec![
            Message::user("q"),
            assistant(vec![call("a", "f", "{}", None)]),
            Message::tool(vec![ToolResult { content, ..result("a", "f", "") }]),
        ]
    };
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
    let (contents, _) = encoded("gemini-3-flash-preview", history());
    let inside = json!({"name": "f", "response": {"output": "a cat"}, "parts": [inline]});
    assert_eq!(contents[2]["parts"], json!([{"functionResponse": inside}]));
    let (contents, _) = encoded("gemini-2.5-flash", history());
    assert_eq!(contents[2]["parts"], json!([response("f", "a cat")]));
    assert_eq!(contents[3]["parts"], json!([{"text": "Result of the call of tool `f`:"}, inline]));
}

#[test]
fn media_are_sent_by_their_bytes_or_address_with_a_type() {
    let media = |media_type: Option<&str>, source| Media {
        media_type: media_type.map(str::to_owned),
        source,
        name: None,
    };
    let url = |url: &str| MediaSource::Url(url.to_owned());
    let user = |part| vec![Message { role: Role::User, parts: vec![part] }];
    for (part, expected) in [
        (image("AA=="), json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}})),
        (
            Part::Document(media(Some("text/plain"), MediaSource::Base64("YQ==".into()))),
            json!({"inlineData": {"mimeType": "text/plain", "data": "YQ=="}}),
        ),
        (
            Part::Document(media(None, url("https://h/a.b/c.PDF?x=1"))),
            json!({"fileData": {"mimeType": "application/pdf", "fileUri": "https://h/a.b/c.PDF?x=1"}}),
        ),
        (
            Part::Document(media(None, url("https://h.example/v1beta/files/k8"))),
            json!({"fileData": {"fileUri": "https://h.example/v1beta/files/k8"}}),
        ),
    ] {
        assert_eq!(encoded("gemini-2.5-flash", user(part)).0[0]["parts"][0], expected);
    }
    let untyped = user(Part::Image(media(None, MediaSource::Base64("AA==".into()))));
    let request = ChatRequest::new("gemini:m".parse().unwrap(), untyped);
    let profile = rows::find("gemini").unwrap().profile;
    let error = GeminiGenerate.encode(&request, &profile, Delivery::Plain).unwrap_err();
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::InvalidRequest, true));
}

#[test]
fn arguments_are_always_an_object() {
    for (arguments, expected, warned) in [
        (r#" {"a":1} "#, json!({"a": 1}), false),
        ("null", json!({}), false),
        ("[1]", json!({"arguments": "[1]"}), true),
        (r#"{"a":"#, json!({"arguments": r#"{"a":"#}), true),
    ] {
        let history = vec![Message::user("q"), assistant(vec![call("a", "f", arguments, None)])];
        let (contents, warnings) = encoded("gemini-2.5-flash", history);
        assert_eq!(contents[1]["parts"][0]["functionCall"]["args"], expected);
        assert_eq!(warnings.len(), usize::from(warned), "{warnings:?}");
    }
}

#[test]
fn a_model_without_instructions_gets_them_as_the_users() {
    let history = vec![Message::system("Be brief."), Message::user("Hi")];
    let (contents, _) = encoded("gemma-3-27b-it", history);
    assert_eq!(contents, json!([{"role": "user", "parts": [{"text": "Be brief."}, {"text": "Hi"}]}]));
}
