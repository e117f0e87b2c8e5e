//! Messages as they go over the wire, borrowed from the request wherever they can be.

mod assistant;
mod json;

use std::borrow::Cow;

use motet_core::message::{Media, MediaSource, ToolCall, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde_json::Value;

use crate::dialect::history::{self, Losses};
use crate::dialect::parts::out_of_place;
use crate::dialect::{DocumentForm, Profile};
use crate::dialect::{call_ids, documents};

/// One message on the wire.
pub(super) struct WireMessage<'a> {
    role: &'static str,
    content: Content<'a>,
    calls: Vec<WireCall<'a>>,
    answers: Option<Cow<'a, str>>,
    reasoning: Option<(&'a str, String)>,
    /// Fields that the provider sent and wants back.
    own: Vec<(&'a str, Cow<'a, Value>)>,
}

struct WireCall<'a> {
    id: Cow<'a, str>,
    call: &'a ToolCall,
    free_form: bool,
    extra: Option<&'a Value>,
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
    Document(&'a Media),
    Thinking(String),
}

/// Writes the conversation; what is left out is told.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
    warnings: &mut Vec<String>,
) -> Result<Vec<WireMessage<'a>>> {
    history::check_pairs(&request.messages)?;
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        messages: Vec::with_capacity(request.messages.len() + 1),
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
    warnings.extend(writing.losses.warnings());
    Ok(writing.messages)
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str, content: Content<'a>) -> Self {
        Self { role, content, calls: Vec::new(), answers: None, reasoning: None, own: Vec::new() }
    }

    /// Tells whether it is content and nothing else.
    fn is_plain(&self) -> bool {
        self.calls.is_empty() && self.answers.is_none() && self.reasoning.is_none() && self.own.is_empty()
    }
}

impl<'a> Content<'a> {
    /// Adds what follows; texts are set apart by an empty line.
    fn join(&mut self, more: Content<'a>) {
        *self = match (std::mem::replace(self, Content::Null), more) {
            (Content::Null, other) | (other, Content::Null) => other,
            (Content::Text(first), Content::Text(second)) => {
                Content::Text(Cow::Owned(format!("{first}\n\n{second}")))
            }
            (first, second) => Content::Parts(first.into_parts().chain(second.into_parts()).collect()),
        };
    }

    fn into_parts(self) -> std::vec::IntoIter<ContentPart<'a>> {
        match self {
            Content::Null => Vec::new(),
            Content::Text(text) => vec![ContentPart::Text(text)],
            Content::Parts(parts) => parts,
        }
        .into_iter()
    }
}

struct Writing<'a> {
    profile: &'a Profile,
    provider: &'a str,
    messages: Vec<WireMessage<'a>>,
    /// Images and documents of tool results and of the model, which follow as one message of the user.
    attached: Vec<ContentPart<'a>>,
    losses: Losses,
}

impl<'a> Writing<'a> {
    /// Adds a message, and gives it unless it was joined to the one before.
    fn push(&mut self, role: &'static str, content: Content<'a>) -> Option<&mut WireMessage<'a>> {
        let last = self.messages.last_mut();
        if self.profile.merge_neighbours
            && let Some(last) = last.filter(|last| last.role == role && last.is_plain())
        {
            last.content.join(content);
            return None;
        }
        self.messages.push(WireMessage::new(role, content));
        self.messages.last_mut()
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
        let added = self.push(role, Content::Text(text)).is_some();
        if self.profile.merge_system && added {
            self.messages.rotate_right(1);
        }
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut parts = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Text { text, .. } => parts.push(ContentPart::Text(Cow::Borrowed(text))),
                Part::Image(media) => parts.push(self.image(media)?),
                Part::Document(media) => parts.push(self.document(media)?),
                other => return Err(out_of_place(other, "user")),
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
        let (mut text, mut media) = (Cow::Borrowed(""), Vec::new());
        for part in &result.content {
            match part {
                Part::Text { text: more, .. } => join(&mut text, more),
                Part::Image(image) => media.push(self.image(image)?),
                Part::Document(document) => media.push(self.document(document)?),
                other => return Err(out_of_place(other, "tool")),
            }
        }
        if text.is_empty() && !media.is_empty() {
            text = Cow::Borrowed("The result follows in the next message.");
        }
        if !media.is_empty() {
            let lead = format!("Result of the call of tool `{}` with id `{}`:", result.name, result.id);
            self.attached.push(ContentPart::Text(Cow::Owned(lead)));
            self.attached.append(&mut media);
        }
        let id = call_ids::on_wire(&result.id, &self.profile.call_ids);
        let answer = WireMessage::new("tool", Content::Text(text));
        self.messages.push(WireMessage { answers: Some(id), ..answer });
        Ok(())
    }

    fn flush_attached(&mut self) {
        if !self.attached.is_empty() {
            let parts = std::mem::take(&mut self.attached);
            self.push("user", Content::Parts(parts));
        }
    }

    fn image(&self, media: &'a Media) -> Result<ContentPart<'a>> {
        if !self.profile.images {
            return Err(unsupported("images", "take a model that reads images, or leave them out"));
        }
        if matches!(media.source, MediaSource::Base64(_)) && media.media_type.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "an image given by its bytes has no media type",
            )
            .with_hint("set its media type, for example `image/png`"));
        }
        Ok(ContentPart::Image(media))
    }

    fn document(&self, media: &'a Media) -> Result<ContentPart<'a>> {
        if let Some(text) = documents::as_text(media)? {
            return Ok(ContentPart::Text(Cow::Owned(text)));
        }
        match &media.source {
            _ if !self.profile.documents => {
                Err(unsupported("documents", "take a model that reads documents, or send their text"))
            }
            MediaSource::Url(_) if !self.profile.document_urls => {
                Err(unsupported("documents by address", "send the document's bytes instead"))
            }
            _ if self.profile.document_form == DocumentForm::Address => Ok(ContentPart::Document(media)),
            _ => Ok(ContentPart::File(media)),
        }
    }
}

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the model does not accept {what}")).with_hint(hint)
}

fn visible_text(message: &Message) -> Cow<'_, str> {
    let mut text = Cow::Borrowed("");
    message.parts.iter().filter_map(Part::as_text).for_each(|more| join(&mut text, more));
    text
}

/// Adds what follows to a text, which stays borrowed as long as it is one piece.
fn join<'a>(text: &mut Cow<'a, str>, more: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(more);
    } else if !more.is_empty() {
        text.to_mut().push_str(more);
    }
}
