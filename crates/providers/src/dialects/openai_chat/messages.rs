//! Messages as they go over the wire, borrowed from the request wherever they can be.

mod json;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource, Reasoning, ToolCall, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde_json::{Map, Value};

use crate::dialect::call_ids;
use crate::dialect::history::Losses;
use crate::dialect::{Profile, ReasoningEcho};

/// One message on the wire.
pub(super) struct WireMessage<'a> {
    role: &'static str,
    content: Content<'a>,
    calls: Vec<WireCall<'a>>,
    answers: Option<Cow<'a, str>>,
    reasoning: Option<(&'static str, String)>,
    /// Fields that the provider sent with its reasoning and wants back.
    opaque: Option<&'a Map<String, Value>>,
}

struct WireCall<'a> {
    id: Cow<'a, str>,
    call: &'a ToolCall,
    free_form: bool,
}

enum Content<'a> {
    Null,
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

enum ContentPart<'a> {
    Text(Cow<'a, str>),
    Image(&'a Media),
    File(&'a Media),
}

/// Writes the conversation, whose parts were found to be in place, and tells what of it could not be said.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
) -> Result<(Vec<WireMessage<'a>>, Losses)> {
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        messages: Vec::with_capacity(request.messages.len()),
        attached: Vec::new(),
        losses: Losses::default(),
    };
    for message in &request.messages {
        if message.role != Role::Tool {
            writing.flush_attached();
        }
        match message.role {
            Role::System => writing.system(visible_text(message)),
            Role::User => writing.user(message)?,
            Role::Assistant => writing.assistant(message)?,
            Role::Tool => writing.tool(message)?,
        }
    }
    writing.flush_attached();
    Ok((writing.messages, writing.losses))
}

struct Writing<'a> {
    profile: &'a Profile,
    provider: &'a str,
    messages: Vec<WireMessage<'a>>,
    /// Images and documents of tool results, which follow all results as one message of the user.
    attached: Vec<ContentPart<'a>>,
    losses: Losses,
}

impl<'a> Writing<'a> {
    fn push(&mut self, role: &'static str, content: Content<'a>) -> &mut Self {
        self.messages.push(WireMessage {
            role,
            content,
            calls: Vec::new(),
            answers: None,
            reasoning: None,
            opaque: None,
        });
        self
    }

    fn system(&mut self, text: Cow<'a, str>) {
        let role = self.profile.system_role.as_str();
        if self.profile.merge_system
            && let Some(WireMessage { role: first, content: Content::Text(known), .. }) =
                self.messages.first_mut()
            && *first == role
        {
            let known = known.to_mut();
            known.push_str("\n\n");
            known.push_str(&text);
            return;
        }
        self.push(role, Content::Text(text));
        if self.profile.merge_system {
            self.messages.rotate_right(1);
        }
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut parts = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Text { text, .. } => parts.push(ContentPart::Text(Cow::Borrowed(text))),
                Part::Image(media) => parts.push(ContentPart::Image(media)),
                Part::Document(media) => parts.push(document(media)?),
                _ => {}
            }
        }
        self.flush_attached();
        let content = match parts.pop() {
            None => return Ok(()),
            Some(ContentPart::Text(text)) if parts.is_empty() => Content::Text(text),
            Some(last) => {
                parts.push(last);
                Content::Parts(parts)
            }
        };
        self.push("user", content);
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        let (mut calls, mut texts) = (Vec::new(), Vec::new());
        let (mut reasoning, mut opaque) = (String::new(), None);
        for part in &message.parts {
            match part {
                Part::Text { text, .. } | Part::Refusal { text } => texts.push(text.as_str()),
                Part::ToolCall(call) => calls.push(self.call(call)),
                Part::Reasoning(Reasoning { text, opaque: payload }) => {
                    reasoning.push_str(text);
                    let own = payload.as_ref().filter(|payload| payload.provider == self.provider);
                    opaque = own.and_then(|payload| payload.payload.as_object()).or(opaque);
                }
                Part::Native { opaque } => self.losses.note("a provider's own block", &opaque.provider),
                Part::Image(_) => self.losses.note("an image that a model made", ""),
                _ => {}
            }
        }
        let echo = match self.profile.reasoning_echo {
            ReasoningEcho::Always(field) => Some(field),
            ReasoningEcho::WithToolCalls(field) if !calls.is_empty() => Some(field),
            ReasoningEcho::Never | ReasoningEcho::WithToolCalls(_) => None,
        };
        let reasoning = echo.filter(|_| !reasoning.is_empty()).map(|field| (field, reasoning));
        let text = joined(&texts);
        if text.is_empty() && calls.is_empty() && reasoning.is_none() && opaque.is_none() {
            return Ok(());
        }
        let content = if text.is_empty() && !calls.is_empty() && self.profile.null_content {
            Content::Null
        } else {
            Content::Text(text)
        };
        self.push("assistant", content);
        if let Some(last) = self.messages.last_mut() {
            (last.calls, last.reasoning, last.opaque) = (calls, reasoning, opaque);
        }
        Ok(())
    }

    fn call(&self, call: &'a ToolCall) -> WireCall<'a> {
        let own = call.opaque.as_ref().filter(|opaque| opaque.provider == self.provider);
        let free_form =
            own.and_then(|opaque| opaque.payload.get("type")).is_some_and(|kind| kind == "custom");
        WireCall { id: call_ids::on_wire(&call.id, &self.profile.call_ids), call, free_form }
    }

    fn tool(&mut self, message: &'a Message) -> Result<()> {
        for part in &message.parts {
            if let Part::ToolResult(result) = part {
                self.tool_result(result)?;
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &'a ToolResult) -> Result<()> {
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for part in &result.content {
            match part {
                Part::Text { text, .. } => texts.push(text.as_str()),
                Part::Image(image) => media.push(ContentPart::Image(image)),
                Part::Document(file) => media.push(document(file)?),
                _ => {}
            }
        }
        let text = match joined(&texts) {
            text if text.is_empty() && !media.is_empty() => {
                Cow::Borrowed("The result follows in the next message.")
            }
            text => text,
        };
        if !media.is_empty() {
            let lead = format!("Result of the call of tool `{}` with id `{}`:", result.name, result.id);
            self.attached.push(ContentPart::Text(Cow::Owned(lead)));
            self.attached.append(&mut media);
        }
        let id = call_ids::on_wire(&result.id, &self.profile.call_ids);
        self.push("tool", Content::Text(text));
        if let Some(last) = self.messages.last_mut() {
            last.answers = Some(id);
        }
        Ok(())
    }

    fn flush_attached(&mut self) {
        if !self.attached.is_empty() {
            let parts = std::mem::take(&mut self.attached);
            self.push("user", Content::Parts(parts));
        }
    }
}

fn document(media: &Media) -> Result<ContentPart<'_>> {
    let is_text = media.media_type.as_deref().is_some_and(|kind| kind.starts_with("text/"));
    match &media.source {
        MediaSource::Base64(bytes) if is_text => text_document(media, bytes),
        _ => Ok(ContentPart::File(media)),
    }
}

/// Sends a document of plain text as text, which every model reads.
fn text_document<'a>(media: &Media, bytes: &str) -> Result<ContentPart<'a>> {
    let decoded = STANDARD.decode(bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = decoded else {
        return Err(Error::new(ErrorKind::InvalidRequest, "a text document is not base64 of UTF-8 text")
            .with_hint("give its bytes in standard base64 with padding"));
    };
    let name = media.name.as_deref().unwrap_or("document");
    Ok(ContentPart::Text(Cow::Owned(format!("<document name=\"{name}\">\n{text}\n</document>"))))
}

fn visible_text(message: &Message) -> Cow<'_, str> {
    let texts: Vec<&str> = message.parts.iter().filter_map(Part::as_text).collect();
    joined(&texts)
}

fn joined<'a>(texts: &[&'a str]) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.concat()),
    }
}
