//! Messages as they go over the wire, borrowed from the request wherever they can be.

use std::borrow::Cow;
use std::collections::HashSet;

use motet_core::message::{Media, MediaSource, ToolCall, ToolResult};
use motet_core::{ChatRequest, Message, Part, Result, Role};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::Profile;
use crate::dialect::history::Losses;
use crate::dialect::parts::{out_of_place, text_document, unsupported};

/// One message on the wire.
#[derive(Serialize, Default)]
pub(super) struct WireMessage<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: Cow<'a, str>,
    /// Base64 without any prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: Arguments<'a>,
}

/// Arguments of a call, which must be an object.
#[derive(Serialize)]
#[serde(untagged)]
enum Arguments<'a> {
    Object(&'a RawValue),
    Empty {},
    /// What the model wrote and is no object, so that it can see what it did wrong.
    Malformed {
        malformed_arguments: &'a str,
    },
}

/// Writes the conversation, and notes what of it this model cannot take.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
    losses: &mut Losses,
) -> Result<Vec<WireMessage<'a>>> {
    let calls = request.messages.iter().flat_map(Message::tool_calls);
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        minted: calls.filter(|call| call.minted).map(|call| call.id.as_str()).collect(),
        messages: Vec::with_capacity(request.messages.len()),
        attached: WireMessage { role: "user", ..WireMessage::default() },
        losses,
    };
    for message in &request.messages {
        if message.role != Role::Tool {
            writing.flush_attached();
        }
        match message.role {
            Role::System => writing.system(message),
            Role::User => writing.user(message)?,
            Role::Assistant => writing.assistant(message)?,
            Role::Tool => writing.tool(message)?,
        }
    }
    writing.flush_attached();
    Ok(writing.messages)
}

struct Writing<'a, 'l> {
    profile: &'a Profile,
    provider: &'a str,
    /// Ids that the provider never gave and is not told.
    minted: HashSet<&'a str>,
    messages: Vec<WireMessage<'a>>,
    /// Images of tool results, which follow all results as one message of the user.
    attached: WireMessage<'a>,
    losses: &'l mut Losses,
}

impl<'a> Writing<'a, '_> {
    fn system(&mut self, message: &'a Message) {
        let mut written = WireMessage { role: "system", ..WireMessage::default() };
        message.parts.iter().filter_map(Part::as_text).for_each(|text| add(&mut written.content, text));
        self.messages.push(written);
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut written = WireMessage { role: "user", ..WireMessage::default() };
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Text { text, .. } => add(&mut written.content, text),
                Part::Image(media) => written.images.push(self.image(media)?),
                Part::Document(media) => written.content.to_mut().push_str(&text_document(media)?),
                other => return Err(out_of_place(other, "user")),
            }
        }
        self.flush_attached();
        if !written.content.is_empty() || !written.images.is_empty() {
            self.messages.push(written);
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        let mut written = WireMessage { role: "assistant", ..WireMessage::default() };
        let echo = self.profile.reasoning_echo.is_due(message.tool_calls().next().is_some());
        for part in &message.parts {
            match part {
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("what belongs to a text", opaque.as_ref(), self.provider);
                    add(&mut written.content, text);
                }
                Part::Refusal { text } => add(&mut written.content, text),
                Part::ToolCall(call) => written.tool_calls.push(self.call(call)),
                Part::Reasoning(reasoning) => match &reasoning.opaque {
                    Some(opaque) if opaque.provider != self.provider => {
                        self.losses.note("reasoning", &opaque.provider);
                    }
                    _ if echo => add(&mut written.thinking, &reasoning.text),
                    _ => self.losses.note("reasoning", ""),
                },
                Part::Native { opaque } => self.losses.note("a block", &opaque.provider),
                Part::Image(_) | Part::Document(_) => self.losses.note("what the model drew", ""),
                other => return Err(out_of_place(other, "assistant")),
            }
        }
        let empty =
            written.content.is_empty() && written.thinking.is_empty() && written.tool_calls.is_empty();
        if !empty {
            self.messages.push(written);
        }
        Ok(())
    }

    fn call(&mut self, call: &'a ToolCall) -> WireCall<'a> {
        self.losses.note_foreign("what belongs to a tool call", call.opaque.as_ref(), self.provider);
        let id = Some(call.id.as_str()).filter(|_| !call.minted);
        let function = WireFunction { name: &call.name, arguments: arguments(&call.arguments) };
        WireCall { id, kind: "function", function }
    }

    fn tool(&mut self, message: &'a Message) -> Result<()> {
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                other => return Err(out_of_place(other, "tool")),
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &'a ToolResult) -> Result<()> {
        let mut written = WireMessage { role: "tool", ..WireMessage::default() };
        let before = self.attached.images.len();
        for part in &result.content {
            match part {
                Part::Text { text, .. } => add(&mut written.content, text),
                Part::Document(media) => written.content.to_mut().push_str(&text_document(media)?),
                Part::Image(media) => {
                    let image = self.image(media)?;
                    self.attached.images.push(image);
                }
                other => return Err(out_of_place(other, "tool")),
            }
        }
        if self.attached.images.len() > before {
            if written.content.is_empty() {
                written.content = Cow::Borrowed("The result follows in the next message.");
            }
            let lead = format!("Images that tool `{}` gave.\n", result.name);
            self.attached.content.to_mut().push_str(&lead);
        }
        written.tool_name = Some(&result.name);
        written.tool_call_id = Some(result.id.as_str()).filter(|id| !self.minted.contains(id));
        self.messages.push(written);
        Ok(())
    }

    fn flush_attached(&mut self) {
        if !self.attached.images.is_empty() {
            let empty = WireMessage { role: "user", ..WireMessage::default() };
            self.messages.push(std::mem::replace(&mut self.attached, empty));
        }
    }

    fn image(&self, media: &'a Media) -> Result<&'a str> {
        match &media.source {
            _ if !self.profile.images => {
                Err(unsupported("images", "take a model that reads images, or leave them out"))
            }
            MediaSource::Base64(data) => Ok(data),
            MediaSource::Url(_) => Err(unsupported("images by address", "send the image's bytes instead")),
        }
    }
}

/// Adds a piece; the first one is borrowed.
fn add<'a>(text: &mut Cow<'a, str>, piece: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else {
        text.to_mut().push_str(piece);
    }
}

fn arguments(text: &str) -> Arguments<'_> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') => Arguments::Object(raw),
        Ok(raw) if raw.get() == "null" => Arguments::Empty {},
        Err(_) if text.trim().is_empty() => Arguments::Empty {},
        _ => Arguments::Malformed { malformed_arguments: text },
    }
}
