//! Messages as they go over the wire, borrowed from the request wherever they can be.

use std::borrow::Cow;

use motet_core::message::{Media, MediaSource, Reasoning, ToolCall, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::dialect::Profile;
use crate::dialect::call_ids;
use crate::dialect::history::{self, Losses};
use crate::dialect::parts::{out_of_place, text_document, unsupported};

/// Field of a message with calls that tells how the model goes about them.
pub(super) const TOOL_PLAN: &str = "tool_plan";

/// One message on the wire.
#[derive(Serialize, Default)]
pub(super) struct WireMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Content::is_empty")]
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_plan: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

/// What a message shows: one text, or blocks of several kinds.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    /// A text, left out where there may be none.
    Text(Cow<'a, str>),
    /// A text that must be there even if it is empty.
    Result(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl Default for Content<'_> {
    fn default() -> Self {
        Content::Text(Cow::Borrowed(""))
    }
}

impl Content<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Content::Text(text) if text.is_empty())
    }
}

impl<'a> Content<'a> {
    /// Makes a text of what is one text, and blocks of anything else.
    fn of(mut blocks: Vec<Block<'a>>) -> Self {
        match blocks.pop() {
            None => Content::default(),
            Some(Block::Text { text }) if blocks.is_empty() => Content::Text(text),
            Some(last) => {
                blocks.push(last);
                Content::Blocks(blocks)
            }
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: Cow<'a, str> },
    Thinking { thinking: &'a str },
    ImageUrl { image_url: Address<'a> },
}

#[derive(Serialize)]
struct Address<'a> {
    #[serde(serialize_with = "address")]
    url: &'a Media,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// Writes the conversation, and notes what of it this model cannot take.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
    losses: &mut Losses,
) -> Result<Vec<WireMessage<'a>>> {
    let messages = Vec::with_capacity(request.messages.len());
    let mut writing =
        Writing { profile, provider: request.model.provider(), messages, attached: Vec::new(), losses };
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
    messages: Vec<WireMessage<'a>>,
    /// Images of tool results, which follow all results as one message of the user.
    attached: Vec<Block<'a>>,
    losses: &'l mut Losses,
}

impl<'a> Writing<'a, '_> {
    fn system(&mut self, message: &'a Message) {
        let text = message.parts.iter().filter_map(Part::as_text).collect::<Vec<_>>();
        self.push("system", Content::Text(joined(&text)));
    }

    fn push(&mut self, role: &'static str, content: Content<'a>) {
        self.messages.push(WireMessage { role, content, ..WireMessage::default() });
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut blocks = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Text { text, .. } => blocks.push(Block::Text { text: Cow::Borrowed(text) }),
                Part::Image(media) => blocks.push(self.image(media)?),
                Part::Document(media) => blocks.push(Block::Text { text: text_document(media)?.into() }),
                other => return Err(out_of_place(other, "user")),
            }
        }
        self.flush_attached();
        if !blocks.is_empty() {
            self.push("user", Content::of(blocks));
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        let mut written = WireMessage { role: "assistant", ..WireMessage::default() };
        let (mut thoughts, mut texts) = (Vec::new(), Vec::new());
        let echo = self.profile.reasoning_echo.is_due(message.tool_calls().next().is_some());
        for part in &message.parts {
            match part {
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("what belongs to a text", opaque.as_ref(), self.provider);
                    texts.push(text.as_str());
                }
                Part::Refusal { text } => texts.push(text.as_str()),
                Part::ToolCall(call) => {
                    let call = self.call(call);
                    written.tool_calls.push(call);
                }
                Part::Reasoning(reasoning) => self.reasoning(reasoning, echo, &mut written, &mut thoughts),
                Part::Native { opaque } => self.losses.note("a block", &opaque.provider),
                Part::Image(_) | Part::Document(_) => self.losses.note("what the model drew", ""),
                other => return Err(out_of_place(other, "assistant")),
            }
        }
        // A plan belongs to calls; without them it says nothing.
        written.tool_plan = written.tool_plan.filter(|_| !written.tool_calls.is_empty());
        let text = joined(&texts);
        if !text.is_empty() {
            thoughts.push(Block::Text { text });
        }
        written.content = Content::of(thoughts);
        if !written.content.is_empty() || !written.tool_calls.is_empty() {
            self.messages.push(written);
        }
        Ok(())
    }

    fn reasoning(
        &mut self,
        reasoning: &'a Reasoning,
        echo: bool,
        written: &mut WireMessage<'a>,
        thoughts: &mut Vec<Block<'a>>,
    ) {
        let opaque = reasoning.opaque.as_ref();
        let plan = history::own(opaque, self.provider).and_then(|payload| payload.get(TOOL_PLAN));
        if let Some(plan) = plan.and_then(Value::as_str) {
            written.tool_plan = Some(plan);
        }
        match opaque {
            Some(opaque) if opaque.provider != self.provider => {
                self.losses.note("reasoning", &opaque.provider);
            }
            _ if reasoning.text.is_empty() => {}
            _ if echo => thoughts.push(Block::Thinking { thinking: &reasoning.text }),
            _ => self.losses.note("reasoning", ""),
        }
    }

    fn call(&mut self, call: &'a ToolCall) -> WireCall<'a> {
        self.losses.note_foreign("what belongs to a tool call", call.opaque.as_ref(), self.provider);
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
        let id = call_ids::on_wire(&call.id, &self.profile.call_ids);
        WireCall { id, kind: "function", function: WireFunction { name: &call.name, arguments } }
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
        let (mut text, mut images) = (Cow::Borrowed(""), Vec::new());
        for part in &result.content {
            match part {
                Part::Text { text: piece, .. } if text.is_empty() => text = Cow::Borrowed(piece),
                Part::Text { text: piece, .. } => text.to_mut().push_str(piece),
                Part::Document(media) => text.to_mut().push_str(&text_document(media)?),
                Part::Image(media) => images.push(self.image(media)?),
                other => return Err(out_of_place(other, "tool")),
            }
        }
        if !images.is_empty() {
            if text.is_empty() {
                text = Cow::Borrowed("The result follows in the next message.");
            }
            let lead = format!("Images that tool `{}` gave:", result.name);
            self.attached.push(Block::Text { text: lead.into() });
            self.attached.append(&mut images);
        }
        self.messages.push(WireMessage {
            role: "tool",
            content: Content::Result(text),
            tool_call_id: Some(call_ids::on_wire(&result.id, &self.profile.call_ids)),
            ..WireMessage::default()
        });
        Ok(())
    }

    fn flush_attached(&mut self) {
        if !self.attached.is_empty() {
            let blocks = std::mem::take(&mut self.attached);
            self.push("user", Content::Blocks(blocks));
        }
    }

    fn image(&self, media: &'a Media) -> Result<Block<'a>> {
        if !self.profile.images {
            return Err(unsupported("images", "take a model that reads images, or leave them out"));
        }
        match &media.source {
            MediaSource::Url(_) if !self.profile.image_urls => {
                Err(unsupported("images by address", "send the image's bytes instead"))
            }
            MediaSource::Base64(_) if media.media_type.is_none() => {
                Err(Error::new(ErrorKind::InvalidRequest, "an image given by its bytes has no media type")
                    .with_hint("set its media type, for example `image/png`"))
            }
            _ => Ok(Block::ImageUrl { image_url: Address { url: media } }),
        }
    }
}

fn joined<'a>(texts: &[&'a str]) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.concat()),
    }
}

/// Writes the address of some bytes, or the bytes as a data URL.
fn address<S: Serializer>(media: &&Media, serializer: S) -> Result<S::Ok, S::Error> {
    match &media.source {
        MediaSource::Url(url) => serializer.serialize_str(url),
        MediaSource::Base64(data) => {
            let media_type = media.media_type.as_deref().unwrap_or_default();
            serializer.collect_str(&format_args!("data:{media_type};base64,{data}"))
        }
    }
}
