//! What is sent for what is asked, and what is read beside the recorded answers.

mod answers;
mod history;
mod requests;

use motet_core::message::{Media, MediaSource, ToolCall, ToolResult};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::Value;

use super::BedrockConverse;
use crate::dialect::{Dialect as _, Profile};
use crate::rows;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "amazon.nova-lite-v1:0";

fn request(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new(format!("bedrock:{model}").parse().unwrap(), messages)
}

fn profile(request: &ChatRequest) -> Profile {
    rows::find("bedrock").unwrap().profile_of(request.model.model())
}

/// Gives the body and the warnings.
fn sent(request: &ChatRequest) -> (Value, Vec<String>) {
    let sent = BedrockConverse.encode(request, &profile(request), Delivery::Plain).unwrap();
    (serde_json::from_slice(&sent.body).unwrap(), sent.warnings)
}

/// Gives the messages on the wire, of which nothing was left out.
fn messages(model: &str, messages: Vec<Message>) -> Value {
    let (mut body, warnings) = sent(&request(model, messages));
    assert_eq!(warnings, [""; 0]);
    body["messages"].take()
}

fn refusal(request: &ChatRequest) -> (ErrorKind, String) {
    let error = BedrockConverse.encode(request, &profile(request), Delivery::Plain).unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    (error.kind(), error.message().to_owned())
}

fn call(id: &str, arguments: &str) -> Part {
    let (name, arguments) = ("add".to_owned(), arguments.to_owned());
    Part::ToolCall(ToolCall { id: id.into(), name, arguments, minted: false, opaque: None })
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn media(media_type: Option<&str>, source: MediaSource, name: Option<&str>) -> Media {
    Media { media_type: media_type.map(str::to_owned), source, name: name.map(str::to_owned) }
}

fn bytes(media_type: &str, name: Option<&str>) -> Media {
    media(Some(media_type), MediaSource::Base64("AAEC".to_owned()), name)
}
