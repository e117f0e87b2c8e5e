//! The conversation as it goes over the wire, borrowed from the request wherever it can be.
//!
//! Turns of user and model alternate: what follows each other from one side is one message, and results of tools come
//! first in the user's.

mod media;

use std::borrow::Cow;

use motet_core::message::{Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use self::media::{Document, Image, Names};
use crate::dialect::history::{self, Losses};
use crate::dialect::parts::out_of_place;
use crate::dialect::{Profile, ReasoningEcho, SystemRole, call_ids};

/// What a tool's result holds where the tool said nothing, as the format refuses empty texts.
const NO_OUTPUT: &str = "(no output)";

/// What stands above the conversation, and the conversation.
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<WireMessage<'a>>,
}

/// One message on the wire.
#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// One block of content.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    /// Only in results of tools.
    Json(Value),
    Image(Image<'a>),
    Document(Document<'a>),
    ToolUse(ToolUse<'a>),
    ToolResult(WireResult<'a>),
    ReasoningContent(ReasoningContent<'a>),
    /// A block that the provider sent or that the caller wrote in its form.
    #[serde(untagged)]
    Native(&'a Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    tool_use_id: Cow<'a, str>,
    name: &'a str,
    input: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireResult<'a> {
    tool_use_id: Cow<'a, str>,
    content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ReasoningContent<'a> {
    ReasoningText { text: &'a str, signature: &'a str },
    RedactedContent(&'a str),
}

/// Writes the conversation, and tells what was left out.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
    warnings: &mut Vec<String>,
) -> Result<Conversation<'a>> {
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        system: Vec::new(),
        messages: Vec::with_capacity(request.messages.len()),
        attached: Vec::new(),
        unanswered: Vec::new(),
        names: Names::default(),
        losses: Losses::default(),
        warnings,
    };
    for message in &request.messages {
        match message.role {
            Role::System => writing.system(message)?,
            Role::User | Role::Tool => writing.user(message)?,
            Role::Assistant => writing.assistant(message)?,
        }
    }
    writing.end_turn()?;
    let Writing { system, messages, losses, warnings, .. } = writing;
    warnings.extend(losses.warnings());
    Ok(Conversation { system, messages })
}

struct Writing<'a, 'w> {
    profile: &'a Profile,
    provider: &'a str,
    system: Vec<Block<'a>>,
    messages: Vec<WireMessage<'a>>,
    /// Images and documents of tool results that the results cannot hold; they follow all results.
    attached: Vec<Block<'a>>,
    /// Ids of the calls of the model's last turn that no result answered yet.
    unanswered: Vec<&'a str>,
    names: Names,
    losses: Losses,
    warnings: &'w mut Vec<String>,
}

impl<'a> Writing<'a, '_> {
    fn push(&mut self, role: &'static str, block: Block<'a>) {
        match self.messages.last_mut().filter(|last| last.role == role) {
            Some(last) => last.content.push(block),
            None => self.messages.push(WireMessage { role, content: vec![block] }),
        }
    }

    fn push_text(&mut self, role: &'static str, text: &'a str) {
        // The format refuses empty texts, which other providers send and accept.
        if !text.is_empty() {
            self.push(role, Block::Text(Cow::Borrowed(text)));
        }
    }

    fn system(&mut self, message: &'a Message) -> Result<()> {
        for part in &message.parts {
            match part {
                Part::Text { text, .. } if self.profile.system_role == SystemRole::User => {
                    self.push_text("user", text);
                }
                Part::Text { text, .. } if text.is_empty() => {}
                Part::Text { text, .. } => self.system.push(Block::Text(Cow::Borrowed(text))),
                Part::Native { opaque } => {
                    let block = self.native(opaque);
                    self.system.extend(block);
                }
                other => return Err(out_of_place(other, "system")),
            }
        }
        Ok(())
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let (results, others): (Vec<_>, Vec<_>) =
            message.parts.iter().partition(|part| matches!(part, Part::ToolResult(_)));
        for part in results {
            if let Part::ToolResult(result) = part {
                self.tool_result(result)?;
            }
        }
        if !others.is_empty() {
            self.flush_attached();
        }
        for part in others {
            match part {
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("a signature", opaque.as_ref(), self.provider);
                    self.push_text("user", text);
                }
                Part::Image(image) => {
                    let block = media::image(image, self.profile)?;
                    self.push("user", block);
                }
                Part::Document(document) => {
                    let block = media::document(document, self.profile, &mut self.names)?;
                    self.push("user", block);
                }
                Part::Native { opaque } => {
                    if let Some(block) = self.native(opaque) {
                        self.push("user", block);
                    }
                }
                other => return Err(out_of_place(other, "user")),
            }
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        if self.messages.last().is_some_and(|last| last.role == "user") {
            self.end_turn()?;
        }
        for part in &message.parts {
            match part {
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("a signature", opaque.as_ref(), self.provider);
                    self.push_text("assistant", text);
                }
                Part::Refusal { text } => self.push_text("assistant", text),
                Part::Reasoning(reasoning) => self.reasoning(reasoning),
                Part::ToolCall(call) => self.call(call)?,
                Part::Native { opaque } => {
                    if let Some(block) = self.native(opaque) {
                        self.push("assistant", block);
                    }
                }
                Part::Image(_) => self.losses.note("an image that a model made", ""),
                other => return Err(out_of_place(other, "assistant")),
            }
        }
        Ok(())
    }

    /// Sends reasoning back as it was signed; what nobody signed is refused, and some models take none.
    fn reasoning(&mut self, reasoning: &'a Reasoning) {
        let own = history::own(reasoning.opaque.as_ref(), self.provider);
        let text = |name: &str| own.and_then(|payload| payload.get(name)).and_then(Value::as_str);
        let content = match (text("signature"), text("data")) {
            (Some(signature), _) => {
                Some(ReasoningContent::ReasoningText { text: &reasoning.text, signature })
            }
            (None, Some(data)) => Some(ReasoningContent::RedactedContent(data)),
            (None, None) => None,
        };
        let takes = self.profile.reasoning_echo != ReasoningEcho::Never;
        match content {
            Some(content) if takes => self.push("assistant", Block::ReasoningContent(content)),
            // Models that never take reasoning back need none; only what was meant to come back is a loss.
            None if !takes && reasoning.opaque.is_none() => {}
            _ => {
                let from = reasoning.opaque.as_ref().map_or("", |opaque| opaque.provider.as_str());
                self.losses.note("reasoning", from);
            }
        }
    }

    fn call(&mut self, call: &'a ToolCall) -> Result<()> {
        self.losses.note_foreign("a signature", call.opaque.as_ref(), self.provider);
        let text = call.arguments.trim();
        let input = match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if text.starts_with('{') => Cow::Borrowed(raw),
            _ if text.is_empty() => written(&json!({}))?,
            _ => {
                self.warnings.push(format!(
                    "the arguments of call `{}` are no JSON object; they were sent as a text in one",
                    call.id
                ));
                written(&json!({"arguments": text}))?
            }
        };
        let tool_use_id = call_ids::on_wire(&call.id, &self.profile.call_ids);
        self.push("assistant", Block::ToolUse(ToolUse { tool_use_id, name: &call.name, input }));
        self.unanswered.push(&call.id);
        Ok(())
    }

    fn tool_result(&mut self, result: &'a ToolResult) -> Result<()> {
        let Some(place) = self.unanswered.iter().position(|id| *id == result.id) else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("the tool result `{}` answers no call of the model's turn before it", result.id),
            )
            .with_hint("put one result for each call right after the message with the calls"));
        };
        self.unanswered.remove(place);
        let (mut content, mut apart) = (Vec::new(), Vec::new());
        for part in &result.content {
            match part {
                Part::Text { text, .. } => content.extend(self.result_text(text)),
                Part::Image(image) => {
                    let holds = self.profile.tool_result_images;
                    let into = if holds { &mut content } else { &mut apart };
                    into.push(media::image(image, self.profile)?);
                }
                Part::Document(document) => {
                    let holds = self.profile.tool_result_documents;
                    let into = if holds { &mut content } else { &mut apart };
                    into.push(media::document(document, self.profile, &mut self.names)?);
                }
                Part::Native { opaque } => content.extend(self.native(opaque)),
                other => return Err(out_of_place(other, "tool")),
            }
        }
        if content.is_empty() {
            let text = if apart.is_empty() { NO_OUTPUT } else { "The result follows." };
            content.extend(self.result_text(text));
        }
        if !apart.is_empty() {
            let lead = format!("Result of the call of tool `{}` with id `{}`:", result.name, result.id);
            self.attached.push(Block::Text(Cow::Owned(lead)));
            self.attached.append(&mut apart);
        }
        let tool_use_id = call_ids::on_wire(&result.id, &self.profile.call_ids);
        let status = result.is_error.then_some("error");
        self.push_result(Block::ToolResult(WireResult { tool_use_id, content, status }));
        Ok(())
    }

    fn result_text(&self, text: &'a str) -> Option<Block<'a>> {
        if text.is_empty() {
            return None;
        }
        if !self.profile.tool_result_json {
            return Some(Block::Text(Cow::Borrowed(text)));
        }
        let parsed = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        Some(Block::Json(parsed.unwrap_or_else(|| json!({"result": text}))))
    }

    /// Puts a result before all else that the user says in this turn.
    fn push_result(&mut self, block: Block<'a>) {
        let last = self.messages.last_mut().filter(|last| last.role == "user");
        let Some(last) = last else { return self.push("user", block) };
        let place = last.content.iter().take_while(|block| matches!(block, Block::ToolResult(_))).count();
        last.content.insert(place, block);
    }

    fn flush_attached(&mut self) {
        for block in std::mem::take(&mut self.attached) {
            self.push("user", block);
        }
    }

    /// Ends a turn of the user: every call is answered, and documents come with a text.
    fn end_turn(&mut self) -> Result<()> {
        self.flush_attached();
        if let Some(id) = self.unanswered.first() {
            return Err(Error::new(ErrorKind::InvalidRequest, format!("the tool call `{id}` has no result"))
                .with_hint(
                    "answer every call of a turn before the conversation goes on, if need be by an error",
                ));
        }
        let Some(last) = self.messages.last_mut().filter(|last| last.role == "user") else { return Ok(()) };
        let has = |fits: fn(&Block<'_>) -> bool| last.content.iter().any(fits);
        if has(|block| matches!(block, Block::Document(_))) && !has(|block| matches!(block, Block::Text(_))) {
            last.content.push(Block::Text(Cow::Borrowed("The document is attached.")));
            self.warnings
                .push("a document cannot stand without a text; a line that names it was added".to_owned());
        }
        Ok(())
    }

    /// Gives a block of this provider's as it is; another's is left out.
    fn native(&mut self, opaque: &'a Opaque) -> Option<Block<'a>> {
        let own = history::own(Some(opaque), self.provider);
        let block = own.filter(|payload| payload.as_object().is_some_and(|fields| fields.len() == 1));
        if block.is_none() {
            self.losses.note("a block", &opaque.provider);
        }
        block.map(Block::Native)
    }
}

fn written(value: &Value) -> Result<Cow<'static, RawValue>> {
    to_raw_value(value).map(Cow::Owned).map_err(|error| {
        Error::new(ErrorKind::Internal, "arguments cannot be written as JSON").with_source(error)
    })
}
