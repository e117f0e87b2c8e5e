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
fn malformed_bytes_are_refused_before_anybody_pays() {
    let (png, jpeg, pdf) = (&STANDARD.encode(PNG), &STANDARD.encode(JPEG), &STANDARD.encode(PDF));
    let small = Profile { image_limit: 11, ..Profile::COMMON };
    let not_base64 = |why: &str| format!("the bytes of the image in message 2 are not base64: {why}");
    let said_to_be =
        |said: &str, found: &str| format!(" is said to be `{said}`, but its bytes are `{found}`");
    for (given, data, expected, hint) in [
        ("", png.as_str(), " is given by its bytes and has no media type".to_owned(), "`image/png`"),
        ("image/png", "", " has no bytes".to_owned(), "set its bytes"),
        ("image/png", "AAA", not_base64("3 characters, which is no multiple of four"), "padding"),
        ("image/png", "AA-_", not_base64("`-` at byte 2"), "standard base64"),
        ("image/png", "AAAA\nAAA", not_base64("`\\n` at byte 4"), "one line"),
        ("image/png", "A=AA", not_base64("`=` at byte 1"), "padding"),
        ("image/png", "data:image/png;base64,AA==", not_base64("they are an address"), "leave out"),
        ("image/png", jpeg, said_to_be("image/png", "image/jpeg"), "`image/jpeg`"),
        ("image/gif", pdf, said_to_be("image/gif", "application/pdf"), "`application/pdf`"),
    ] {
        let refused = refusal(&message(Role::User, Part::Image(bytes(given, data))), Profile::COMMON);
        let expected =
            if expected.starts_with(' ') { format!("the image in message 2{expected}") } else { expected };
        assert_eq!((refused.0, refused.1), (ErrorKind::InvalidRequest, expected));
        assert!(refused.2.contains(hint), "{}", refused.2);
    }
    let (_, told, _) = refusal(&image("image/png", PNG), small);
    assert_eq!(told, "the image in message 2 has 12 bytes, and model `mine:m` takes at most 11");
    let empty = message(Role::User, Part::Image(media("", MediaSource::Url(" ".into()))));
    assert_eq!(refusal(&empty, Profile::COMMON).1, "the image in message 2 has an empty address");
    let document = message(Role::Tool, result(Part::Document(bytes("application/pdf", png))));
    let expected =
        format!("the document in a tool's result in message 2{}", said_to_be("application/pdf", "image/png"));
    assert_eq!(refusal(&document, Profile::COMMON).1, expected);
}

#[test]
fn parts_out_of_place_are_refused() {
    let reasoning = || Part::Reasoning(Reasoning::default());
    let refused = || Part::Refusal { text: "No.".into() };
    for (role, part, what) in [
        (Role::Tool, Part::text("4"), "text cannot stand in a message of role `tool`"),
        (Role::System, refused(), "a refusal cannot stand in a message of role `system`"),
        (Role::User, reasoning(), "reasoning cannot stand in a message of role `user`"),
        (Role::Assistant, result(reasoning()), "a tool result cannot stand in a message of role `assistant`"),
        (Role::Tool, result(refused()), "a refusal cannot stand in the result of a tool"),
    ] {
        let (kind, told, hint) = refusal(&message(role, part), Profile::COMMON);
        assert_eq!((kind, told), (ErrorKind::InvalidRequest, format!("{what} (message 2)")));
        assert!(hint.starts_with("move it"));
    }
    let png = STANDARD.encode(PNG);
    for (part, told) in [
        (
            Part::Image(bytes("application/pdf", &png)),
            "`application/pdf` is not the media type of an image in message 2",
        ),
        (
            Part::Document(bytes("image/png", &png)),
            "`image/png` is not the media type of a document in message 2",
        ),
    ] {
        assert_eq!(refusal(&message(Role::User, part), Profile::COMMON).1, told);
    }
    assert_eq!(refusal(&request(vec![]), Profile::COMMON).1, "the request has no messages");
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
