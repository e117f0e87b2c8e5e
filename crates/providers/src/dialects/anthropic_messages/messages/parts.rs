//! Parts of messages as blocks: what goes as it is, what goes back to its provider, and what is left out.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall};
use motet_core::{Error, ErrorKind, Part, Result, Role};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::reading::CONTAINER;
use super::{Block, Document, Input, Writing};
use crate::dialect::history::own;
pub(super) use crate::dialect::parts::out_of_place;

const PDF: &str = "application/pdf";

impl<'a> Writing<'a> {
    /// Writes a part that every side may say; a text of white space alone is left out, as the server refuses it.
    pub(super) fn shown(&mut self, part: &'a Part, role: Role) -> Result<Option<Block<'a>>> {
        Ok(match part {
            Part::Text { text, .. } if text.trim().is_empty() => None,
            Part::Text { text, opaque } => Some(self.text(text, opaque.as_ref())),
            Part::Refusal { text } if role == Role::Assistant && !text.trim().is_empty() => {
                Some(Block::Text { text: Cow::Borrowed(text), citations: None })
            }
            Part::Refusal { .. } if role == Role::Assistant => None,
            Part::Image(media) if role != Role::Assistant => Some(self.image(media)?),
            Part::Document(media) if role != Role::Assistant => Some(Block::Document(self.document(media)?)),
            Part::Native { opaque } => self.native(opaque),
            other => {
                let role = match role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                    Role::Tool => "tool",
                };
                return Err(out_of_place(other, role));
            }
        })
    }

    fn text(&mut self, text: &'a str, opaque: Option<&'a Opaque>) -> Block<'a> {
        self.losses.note_foreign("what belongs to a text", opaque, self.provider);
        let payload = own(opaque, self.provider).filter(|payload| is_of(payload, "text"));
        let citations = payload.and_then(|payload| payload.get("citations"));
        Block::Text { text: Cow::Borrowed(text), citations }
    }

    /// Writes reasoning if this model signed it; a signature of another model would be refused.
    pub(super) fn thinking(&mut self, reasoning: &'a Reasoning) -> Option<Block<'a>> {
        let payload = own(reasoning.opaque.as_ref(), self.provider).and_then(Value::as_object);
        let fits = |name: &str, needed: &str| {
            payload.filter(|payload| {
                let of_model = payload.get("model").is_none_or(|model| model == self.model);
                payload.get("type").is_some_and(|kind| kind == name)
                    && payload.contains_key(needed)
                    && of_model
            })
        };
        match fits("thinking", "signature").or_else(|| fits("redacted_thinking", "data")) {
            Some(payload) => Some(Block::Thinking { text: &reasoning.text, payload }),
            None => {
                if reasoning.opaque.is_some() || !reasoning.text.is_empty() {
                    let from = reasoning.opaque.as_ref().map_or("", |opaque| &opaque.provider);
                    self.losses.note("reasoning", from);
                }
                None
            }
        }
    }

    pub(super) fn call(&mut self, call: &'a ToolCall) -> Block<'a> {
        self.losses.note_foreign("what belongs to a tool call", call.opaque.as_ref(), self.provider);
        let payload = own(call.opaque.as_ref(), self.provider).filter(|payload| is_of(payload, "tool_use"));
        let input = input(&call.arguments);
        if let Input::Broken(_) = input {
            self.warnings.push(format!(
                "the arguments of call `{}` of tool `{}` are no JSON object; they were sent as the text `raw` in one",
                call.id, call.name
            ));
        }
        let id = self.calls.call(&call.id, &call.name, &self.profile.call_ids);
        Block::Call { id, name: &call.name, input, beside: payload.and_then(Value::as_object) }
    }

    /// Gives back a block of the provider's own.
    fn native(&mut self, opaque: &'a Opaque) -> Option<Block<'a>> {
        let payload = own(Some(opaque), self.provider);
        match payload.filter(|payload| payload.get("type").is_some_and(Value::is_string)) {
            Some(payload) => Some(Block::Native(payload)),
            None => {
                self.losses.note("a block that only its provider understands", &opaque.provider);
                None
            }
        }
    }

    pub(super) fn is_container(&self, opaque: &Opaque) -> bool {
        own(Some(opaque), self.provider).is_some_and(|payload| is_of(payload, CONTAINER))
    }

    fn image(&self, media: &'a Media) -> Result<Block<'a>> {
        if !self.profile.images {
            return Err(unsupported("images", "take a model that reads images, or leave them out"));
        }
        if matches!(media.source, MediaSource::Base64(_)) && media.media_type.is_none() {
            return Err(invalid(
                "an image given by its bytes has no media type",
                "set its media type, for example `image/png`",
            ));
        }
        Ok(Block::Image(media))
    }

    fn document(&self, media: &'a Media) -> Result<Document<'a>> {
        let kind = media.media_type.as_deref().map(|kind| kind.split(';').next().unwrap_or(kind).trim());
        let is_text = kind.is_some_and(|kind| kind.starts_with("text/"));
        let readable = kind.is_none_or(|kind| kind == PDF);
        match &media.source {
            MediaSource::Base64(data) if is_text => text_document(media, data),
            _ if !self.profile.documents => {
                Err(unsupported("documents", "take a model that reads documents, or send their text"))
            }
            MediaSource::Base64(data) if readable => Ok(Document::Bytes { media, data }),
            MediaSource::Url(url) if readable && self.profile.document_urls => {
                Ok(Document::Url { media, url })
            }
            MediaSource::Url(_) if readable => {
                Err(unsupported("documents by address", "send the document's bytes instead"))
            }
            _ => Err(unsupported(
                &format!("documents of type `{}`", kind.unwrap_or_default()),
                "send a PDF, or the document's text as `text/plain` by its bytes",
            )),
        }
    }
}

/// Reads arguments, which are an object where the model wrote them well and nothing where it needed none.
fn input(arguments: &str) -> Input<'_> {
    let text = arguments.trim();
    if text.is_empty() || text == "null" {
        return Input::Empty;
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(object) if text.starts_with('{') => Input::Object(object),
        _ => Input::Broken(arguments),
    }
}

fn text_document<'a>(media: &'a Media, data: &str) -> Result<Document<'a>> {
    let decoded = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.ok_or_else(|| {
        invalid(
            "a text document is not base64 of UTF-8 text",
            "give its bytes in standard base64 with padding",
        )
    })?;
    Ok(Document::Text { media, text })
}

fn is_of(payload: &Value, kind: &str) -> bool {
    payload.get("type").is_some_and(|told| told == kind)
}

fn unsupported(what: &str, hint: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the model does not accept {what}")).with_hint(hint)
}

fn invalid(message: &'static str, hint: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with_hint(hint)
}
