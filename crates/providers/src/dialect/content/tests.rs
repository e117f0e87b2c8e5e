//! What is refused before anything is sent, and with which advice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource, Reasoning, ToolCall, ToolResult};
use motet_core::request::JsonSchemaOutput;
use serde_json::json;

use super::*;
use crate::dialect::Profile;
use crate::provider::ProviderRow;

static ROW: ProviderRow = ProviderRow { name: "mine", ..ProviderRow::COMPATIBLE };

fn origin(profile: Profile) -> Origin {
    Origin { model: "mine:m".parse().unwrap(), row: &ROW, profile }
}

fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new("mine:m".parse().unwrap(), messages)
}

fn message(role: Role, part: Part) -> ChatRequest {
    request(vec![Message::user("Hi"), Message { role, parts: vec![part] }])
}

fn media(media_type: &str, source: MediaSource) -> Media {
    Media { media_type: Some(media_type.to_owned()).filter(|given| !given.is_empty()), source, name: None }
}

fn bytes(media_type: &str, data: &str) -> Media {
    media(media_type, MediaSource::Base64(data.into()))
}

fn image(media_type: &str, data: &[u8]) -> ChatRequest {
    message(Role::User, Part::Image(bytes(media_type, &STANDARD.encode(data))))
}

fn result(part: Part) -> Part {
    Part::ToolResult(ToolResult { id: "a".into(), name: "look".into(), content: vec![part], is_error: false })
}

fn refusal(request: &ChatRequest, profile: Profile) -> (ErrorKind, String, String) {
    let error = check(request, &origin(profile)).unwrap_err();
    (error.kind(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0000";
const JPEG: &[u8] = b"\xff\xd8\xff\xe000000000";
const PDF: &[u8] = b"%PDF-1.7\n0000";
const WEBP: &[u8] = b"RIFF0000WEBPVP8 ";

#[test]
fn what_models_take_passes() {
    let url = |address: &str| media("", MediaSource::Url(address.into()));
    let call =
        ToolCall { id: "a".into(), name: "look".into(), arguments: "{}".into(), minted: false, opaque: None };
    let full = vec![
        Message::system("Be brief."),
        Message {
            role: Role::User,
            parts: vec![Part::text("Look"), Part::Image(bytes("image/png", &STANDARD.encode(PNG)))],
        },
        Message {
            role: Role::Assistant,
            parts: vec![
                Part::Reasoning(Reasoning::default()),
                Part::text("…"),
                Part::ToolCall(call),
                Part::Refusal { text: "No.".into() },
            ],
        },
        Message {
            role: Role::Tool,
            parts: vec![result(Part::Image(bytes("image/webp", &STANDARD.encode(WEBP))))],
        },
        Message {
            role: Role::User,
            parts: vec![
                result(Part::text("4")),
                Part::Document(bytes("application/pdf", &STANDARD.encode(PDF))),
            ],
        },
    ];
    let text = Profile { images: false, documents: false, ..Profile::COMMON };
    let typed = Profile { image_types: &["image/png", "image/jpeg"], image_limit: 12, ..Profile::COMMON };
    for (request, profile) in [
        (request(full), Profile::COMMON),
        (message(Role::User, Part::Image(url("https://h/a.png"))), Profile::COMMON),
        (message(Role::User, Part::Document(bytes("text/csv; charset=utf-8", "YSxi"))), text),
        (
            message(Role::User, Part::Image(url("data:image/png;base64,AA=="))),
            Profile { image_urls: false, ..Profile::COMMON },
        ),
        (image("IMAGE/PNG", PNG), typed),
        (image("image/jpg", JPEG), Profile::COMMON),
        (image("image/png", b"no magic here"), Profile::COMMON),
        (message(Role::User, Part::Document(bytes("application/pdf", "AQ=="))), Profile::COMMON),
    ] {
        check(&request, &origin(profile)).unwrap();
    }
}

#[test]
fn what_a_model_does_not_take_is_refused_with_who_does() {
    let url = |address: &str| media("", MediaSource::Url(address.into()));
    let blind = Profile { images: false, documents: false, ..Profile::COMMON };
    let typed = Profile { image_types: &["image/png"], ..Profile::COMMON };
    let mut tools = request(vec![Message::user("Hi")]);
    tools.tools = vec![ToolSpec::new("add", "", json!({"type": "object"}))];
    for (request, profile, message, hint) in [
        (
            image("image/png", PNG),
            blind,
            "model `mine:m` does not take images in message 2",
            "leave them out, or take one of: `openai`, `ollama`",
        ),
        (
            message(Role::Tool, result(Part::Image(url("u")))),
            blind,
            "model `mine:m` does not take images in a tool's result in message 2",
            "leave them out, or take one of: `openai`, `ollama`",
        ),
        (
            message(Role::User, Part::Document(url("u"))),
            blind,
            "model `mine:m` does not take documents in message 2",
            "send their text, or take one of: `openai`",
        ),
        (
            message(Role::User, Part::Document(url("https://h/a.pdf"))),
            Profile::COMMON,
            "model `mine:m` does not take documents by address in message 2",
            "send the bytes instead",
        ),
        (
            message(Role::User, Part::Image(url("https://h/a.png"))),
            Profile { image_urls: false, ..Profile::COMMON },
            "model `mine:m` does not take images by address in message 2",
            "send the bytes instead, or take one of: `openai`, `ollama`",
        ),
        (
            image("image/webp", WEBP),
            typed,
            "model `mine:m` does not take images of type `image/webp` in message 2",
            "send one of `image/png`, or take one of: `openai`, `ollama`",
        ),
        (
            tools,
            Profile { tools: false, ..Profile::COMMON },
            "model `mine:m` does not take tools",
            "leave them out, or take one of: `openai`, `ollama`",
        ),
    ] {
        let (kind, told, advice) = refusal(&request, profile);
        assert_eq!((kind, told.as_str()), (ErrorKind::Unsupported, message));
        // Rows that come later may take it as well.
        let (first, rest) = advice.split_once(": ").unwrap_or((&advice, ""));
        let (expected, names) = hint.split_once(": ").unwrap_or((hint, ""));
        assert!(first.starts_with(expected.split(", or").next().unwrap_or_default()), "{advice}");
        assert!(names.is_empty() || rest.contains("`openai`"), "{advice}");
        assert!(rest.matches('`').count() <= 10, "{advice}");
    }
    let openai = Origin::new(crate::rows::find("openai").unwrap(), "openai:o1-mini".parse().unwrap());
    let error = check(&image("image/png", PNG), &openai).unwrap_err();
    assert!(error.hint().unwrap().contains("other models of `openai`"), "{error:?}");
}

#[test]
fn what_is_malformed_is_refused_before_anybody_pays() {
    let png = STANDARD.encode(PNG);
    let user = |media: Media| message(Role::User, Part::Image(media));
    let small = Profile { image_limit: 11, ..Profile::COMMON };
    for (request, profile, message, hint) in [
        (request(vec![]), Profile::COMMON, "the request has no messages", "add at least"),
        (
            user(bytes("", &png)),
            Profile::COMMON,
            "the image in message 2 is given by its bytes and has no media type",
            "`image/png`",
        ),
        (
            user(bytes("image/png", "")),
            Profile::COMMON,
            "the image in message 2 has no bytes",
            "set its bytes",
        ),
        (
            user(media("", MediaSource::Url(" ".into()))),
            Profile::COMMON,
            "the image in message 2 has an empty address",
            "set its address",
        ),
        (
            user(bytes("image/png", "AAA")),
            Profile::COMMON,
            "the bytes of the image in message 2 are not base64: 3 characters, which is no multiple of four",
            "padding",
        ),
        (
            user(bytes("image/png", "AA-_")),
            Profile::COMMON,
            "the bytes of the image in message 2 are not base64: `-` at byte 2",
            "standard base64",
        ),
        (
            user(bytes("image/png", "AAAA\nAAA")),
            Profile::COMMON,
            "the bytes of the image in message 2 are not base64: `\\n` at byte 4",
            "one line",
        ),
        (
            user(bytes("image/png", "A=AA")),
            Profile::COMMON,
            "the bytes of the image in message 2 are not base64: `=` at byte 1",
            "padding",
        ),
        (
            user(bytes("image/png", "data:image/png;base64,AA==")),
            Profile::COMMON,
            "the bytes of the image in message 2 are not base64: they are an address",
            "leave out",
        ),
        (
            image("image/png", PNG),
            small,
            "the image in message 2 has 12 bytes, and model `mine:m` takes at most 11",
            "smaller",
        ),
        (
            image("image/png", JPEG),
            Profile::COMMON,
            "the image in message 2 is said to be `image/png`, but its bytes are `image/jpeg`",
            "`image/jpeg`",
        ),
        (
            image("image/gif", PDF),
            Profile::COMMON,
            "the image in message 2 is said to be `image/gif`, but its bytes are `application/pdf`",
            "`application/pdf`",
        ),
        (
            user(bytes("application/pdf", &png)),
            Profile::COMMON,
            "`application/pdf` is not the media type of an image in message 2",
            "as a document",
        ),
        (
            message(Role::User, Part::Document(bytes("image/png", &png))),
            Profile::COMMON,
            "`image/png` is not the media type of a document in message 2",
            "as an image",
        ),
        (
            message(Role::Tool, result(Part::Document(bytes("application/pdf", &png)))),
            Profile::COMMON,
            "the document in a tool's result in message 2 is said to be `application/pdf`, but its bytes are `image/png`",
            "`image/png`",
        ),
        (
            message(Role::Tool, Part::text("4")),
            Profile::COMMON,
            "text cannot stand in a message of role `tool` (message 2)",
            "move it",
        ),
        (
            message(Role::System, Part::Refusal { text: "No.".into() }),
            Profile::COMMON,
            "a refusal cannot stand in a message of role `system` (message 2)",
            "move it",
        ),
        (
            message(Role::User, Part::Reasoning(Reasoning::default())),
            Profile::COMMON,
            "reasoning cannot stand in a message of role `user` (message 2)",
            "move it",
        ),
        (
            message(Role::Assistant, result(Part::text("4"))),
            Profile::COMMON,
            "a tool result cannot stand in a message of role `assistant` (message 2)",
            "move it",
        ),
        (
            message(Role::Tool, result(result(Part::text("4")))),
            Profile::COMMON,
            "a tool result cannot stand in the result of a tool (message 2)",
            "move it",
        ),
    ] {
        let (kind, told, advice) = refusal(&request, profile);
        assert_eq!((kind, told.as_str()), (ErrorKind::InvalidRequest, message));
        assert!(advice.contains(hint), "{advice}");
    }
}

#[test]
fn names_and_numbers_must_be_usable() {
    let mut asked = request(vec![Message::user("Hi")]);
    asked.sampling.top_p = Some(f64::NAN);
    assert_eq!(refusal(&asked, Profile::COMMON).1, "`top_p` is no finite number");
    asked.sampling.top_p = None;
    let tools =
        |names: &[&str]| names.iter().map(|name| ToolSpec::new(*name, "", json!({}))).collect::<Vec<_>>();
    let dotted = Profile { tool_names: NameRule { max: 5, marks: "_." }, ..Profile::COMMON };
    for (names, profile, message) in [
        (tools(&["a-b", "c d"]), Profile::COMMON, "`c d` cannot be the name of a tool of model `mine:m`"),
        (tools(&[""]), Profile::COMMON, "`` cannot be the name of a tool of model `mine:m`"),
        (tools(&["a.b", "a.bcde"]), dotted, "`a.bcde` cannot be the name of a tool of model `mine:m`"),
        (tools(&["b", "a", "b"]), dotted, "two tools are named `b`"),
    ] {
        asked.tools = names;
        assert_eq!(refusal(&asked, profile).1, message);
    }
    asked.tools = tools(&["a.b"]);
    check(&asked, &origin(dotted)).unwrap();
    asked.output =
        Output::JsonSchema(JsonSchemaOutput { name: "my out".into(), schema: json!({}), strict: true });
    let (_, message, hint) = refusal(&asked, dotted);
    assert_eq!(message, "`my out` cannot be the name of an output schema");
    assert_eq!(hint, "use 1 to 64 letters, digits, and `_`, `-`");
}
