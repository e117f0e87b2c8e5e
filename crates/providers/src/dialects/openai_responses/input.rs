//! The conversation as items of input, borrowed from the request wherever it can be.
//!
//! Items that came from the provider go back with what it sent; of other providers' items only what all understand.

mod json;

use std::borrow::Cow;

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde_json::{Map, Value};

use crate::dialect::history::{self, Losses};
use crate::dialect::parts::out_of_place;
use crate::dialect::{Profile, SystemRole, call_ids, documents};

/// What is sent where the provider demands instructions and the conversation has none.
const NO_INSTRUCTIONS: &str = "You are a helpful assistant.";

/// Fields of the caller's own that stand for a conversation, so that there need be no messages.
const STAND_INS: [&str; 4] = ["input", "previous_response_id", "conversation", "prompt"];

/// A conversation on the wire.
pub(super) struct Input<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) instructions: Option<Cow<'a, str>>,
}

/// One item on the wire.
pub(super) enum Item<'a> {
    Message {
        role: &'static str,
        content: Content<'a>,
        kept: Kept<'a>,
    },
    Call {
        call: &'a ToolCall,
        id: Cow<'a, str>,
        kept: Kept<'a>,
        free_form: bool,
    },
    Result {
        id: Cow<'a, str>,
        output: Content<'a>,
        free_form: bool,
    },
    /// An item of the provider's own, with the image that it made and that stands in a part of its own.
    Own {
        fields: Kept<'a>,
        image: Option<&'a str>,
    },
}

/// Fields that the provider sent with an item.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    fields: Option<&'a Map<String, Value>>,
    /// The item's id is among those that go back.
    with_id: bool,
}

impl Kept<'_> {
    const NOTHING: Kept<'static> = Kept { fields: None, with_id: false };

    fn id(&self) -> Option<&Value> {
        self.fields.and_then(|fields| fields.get("id"))
    }
}

pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

pub(super) enum ContentPart<'a> {
    /// Text that the model reads.
    Given(Cow<'a, str>),
    /// Text that the model wrote.
    Written(&'a str),
    Refused(&'a str),
    Image(&'a Media),
    File(&'a Media),
}

/// Writes the conversation, and tells what was left out.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &'a Profile,
    warnings: &mut Vec<String>,
) -> Result<Input<'a>> {
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        kept: request.extra.get("store") == Some(&Value::Bool(true)),
        items: Vec::with_capacity(request.messages.len() + 1),
        instructions: None,
        attached: Vec::new(),
        free_form: Vec::new(),
        losses: Losses::default(),
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
    if writing.items.is_empty() && !STAND_INS.iter().any(|name| request.extra.contains_key(*name)) {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is nothing for the model to answer")
            .with_hint("add a message of the user"));
    }
    let mut instructions = writing.instructions;
    if profile.instructions_field && instructions.is_none() && !request.extra.contains_key("instructions") {
        warnings.push(format!(
            "the provider demands instructions and there are none; `{NO_INSTRUCTIONS}` was sent"
        ));
        instructions = Some(Cow::Borrowed(NO_INSTRUCTIONS));
    }
    warnings.extend(writing.losses.warnings());
    Ok(Input { items: writing.items, instructions })
}

struct Writing<'a> {
    profile: &'a Profile,
    provider: &'a str,
    /// The provider keeps this answer, and so has probably kept the ones before.
    kept: bool,
    items: Vec<Item<'a>>,
    instructions: Option<Cow<'a, str>>,
    /// Images and documents of tool results, which follow all results as one message of the user.
    attached: Vec<ContentPart<'a>>,
    /// Ids of calls of free-form tools, whose results have a type of their own.
    free_form: Vec<&'a str>,
    losses: Losses,
}

impl<'a> Writing<'a> {
    fn message(&mut self, role: &'static str, content: Content<'a>) {
        self.items.push(Item::Message { role, content, kept: Kept::NOTHING });
    }

    fn system(&mut self, message: &'a Message) {
        let texts: Vec<&str> = message.parts.iter().filter_map(Part::as_text).collect();
        let text = joined(&texts);
        if self.profile.instructions_field && self.items.is_empty() {
            append(&mut self.instructions, text);
            return;
        }
        // Above the conversation there is a field, and within it that role is all that such providers accept.
        let role = if self.profile.instructions_field {
            SystemRole::Developer.as_str()
        } else {
            self.profile.system_role.as_str()
        };
        if self.profile.merge_system {
            if let Some(Item::Message { role: first, content: Content::Text(known), .. }) =
                self.items.first_mut()
                && *first == role
            {
                let known = known.to_mut();
                known.push_str("\n\n");
                known.push_str(&text);
                return;
            }
            self.items.insert(0, Item::Message { role, content: Content::Text(text), kept: Kept::NOTHING });
            return;
        }
        self.message(role, Content::Text(text));
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut parts = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Native { opaque } => self.native(opaque, None),
                Part::Text { text, .. } => parts.push(ContentPart::Given(Cow::Borrowed(text))),
                Part::Image(media) => parts.push(image(media)?),
                Part::Document(media) => parts.push(document(media)?),
                other => return Err(out_of_place(other, "user")),
            }
        }
        self.flush_attached();
        match parts.pop() {
            None => {}
            Some(ContentPart::Given(text)) if parts.is_empty() => self.message("user", Content::Text(text)),
            Some(last) => {
                parts.push(last);
                self.message("user", Content::Parts(parts));
            }
        }
        Ok(())
    }

    fn tool(&mut self, message: &'a Message) -> Result<()> {
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                Part::Native { opaque } => self.native(opaque, None),
                other => return Err(out_of_place(other, "tool")),
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &'a ToolResult) -> Result<()> {
        let (mut texts, mut parts, mut media) = (Vec::new(), Vec::new(), false);
        for part in &result.content {
            match part {
                Part::Text { text, .. } => {
                    texts.push(text.as_str());
                    parts.push(ContentPart::Given(Cow::Borrowed(text)));
                    continue;
                }
                Part::Image(file) => parts.push(image(file)?),
                Part::Document(file) => parts.push(document(file)?),
                other => return Err(out_of_place(other, "tool")),
            }
            media = true;
        }
        let output = if !media {
            Content::Text(joined(&texts))
        } else if self.profile.tool_result_images {
            Content::Parts(parts)
        } else {
            let lead = format!("Result of the call of tool `{}` with id `{}`:", result.name, result.id);
            self.attached.push(ContentPart::Given(Cow::Owned(lead)));
            self.attached.append(&mut parts);
            Content::Text(Cow::Borrowed("The result follows in the next message of the user."))
        };
        let id = call_ids::on_wire(&result.id, &self.profile.call_ids);
        let free_form = self.free_form.contains(&result.id.as_str());
        self.items.push(Item::Result { id, output, free_form });
        Ok(())
    }

    fn flush_attached(&mut self) {
        if !self.attached.is_empty() {
            let parts = std::mem::take(&mut self.attached);
            self.message("user", Content::Parts(parts));
        }
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        let start = self.items.len();
        // The provider refuses an item by whose id it knows that reasoning went before which is not there now.
        let mut whole = true;
        let mut parts = message.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text { text, opaque } => self.written(text, opaque.as_ref(), start, whole),
                Part::Refusal { text } => self.refused(text, start),
                Part::ToolCall(call) => self.call(call, whole),
                Part::Reasoning(reasoning) => whole &= self.reasoning(reasoning),
                Part::Native { opaque } => {
                    let is_image = history::own(Some(opaque), self.provider).is_some_and(is_image_call);
                    let made = parts.next_if(|next| is_image && bytes_of_image(next).is_some());
                    self.native(opaque, made.and_then(bytes_of_image));
                }
                Part::Image(_) => self.losses.note("an image that a model made", ""),
                Part::Document(_) => self.losses.note("a document that a model made", ""),
                other => return Err(out_of_place(other, "assistant")),
            }
        }
        // Reasoning that led to nothing, as in an answer cut short, is refused without what should follow it.
        while self.items.len() > start && self.items.last().is_some_and(is_reasoning) {
            self.items.pop();
            self.losses.note("reasoning that led to nothing", "");
        }
        Ok(())
    }

    fn written(&mut self, text: &'a str, opaque: Option<&'a Opaque>, start: usize, whole: bool) {
        self.losses.note_foreign("a signature", opaque, self.provider);
        if text.is_empty() {
            return;
        }
        let kept = self.kept_of(opaque, "msg", whole);
        if let Some(Item::Message { content: Content::Parts(parts), kept: known, .. }) = self.latest(start)
            && known.id() == kept.id()
        {
            parts.push(ContentPart::Written(text));
            return;
        }
        let content = Content::Parts(vec![ContentPart::Written(text)]);
        self.items.push(Item::Message { role: "assistant", content, kept });
    }

    fn refused(&mut self, text: &'a str, start: usize) {
        match self.latest(start) {
            Some(Item::Message { content: Content::Parts(parts), .. }) => {
                parts.push(ContentPart::Refused(text));
            }
            _ => self.message("assistant", Content::Parts(vec![ContentPart::Refused(text)])),
        }
    }

    /// Gives the last item if it belongs to the message that is being written.
    fn latest(&mut self, start: usize) -> Option<&mut Item<'a>> {
        self.items.get_mut(start..).and_then(<[_]>::last_mut)
    }

    fn call(&mut self, call: &'a ToolCall, whole: bool) {
        self.losses.note_foreign("a signature", call.opaque.as_ref(), self.provider);
        let own = history::own(call.opaque.as_ref(), self.provider);
        let free_form = own.and_then(|payload| payload.get("type")).is_some_and(|kind| kind == "custom");
        if free_form {
            self.free_form.push(&call.id);
        }
        let kept = self.kept_of(call.opaque.as_ref(), if free_form { "ctc" } else { "fc" }, whole);
        let id = call_ids::on_wire(&call.id, &self.profile.call_ids);
        self.items.push(Item::Call { call, id, kept, free_form });
    }

    /// Writes a reasoning item that came from the provider; tells whether nothing of its was left out.
    fn reasoning(&mut self, reasoning: &'a Reasoning) -> bool {
        let Some(opaque) = &reasoning.opaque else {
            if !reasoning.text.is_empty() {
                self.losses.note("reasoning", "");
            }
            return true;
        };
        let own = history::own(Some(opaque), self.provider).and_then(Value::as_object);
        let kind = own.and_then(|fields| fields.get("type")).and_then(Value::as_str);
        match (own, kind) {
            // The item's text beside its summary, which an earlier part carries.
            (Some(_), Some("reasoning_text")) => true,
            (Some(fields), Some("reasoning")) if self.can_take_back(fields) => {
                let fields = self.kept_of(Some(opaque), "rs", true);
                self.items.push(Item::Own { fields, image: None });
                true
            }
            _ => {
                self.losses.note("reasoning", &opaque.provider);
                opaque.provider != self.provider
            }
        }
    }

    /// Tells whether the provider knows a reasoning item again: one that is encrypted, or that it has kept. Those that
    /// keep nothing read what the item says.
    fn can_take_back(&self, fields: &Map<String, Value>) -> bool {
        let encrypted = fields.get("encrypted_content").and_then(Value::as_str);
        !self.profile.keeps_answers || self.kept || encrypted.is_some_and(|text| !text.is_empty())
    }

    fn native(&mut self, opaque: &'a Opaque, image: Option<&'a str>) {
        let own = history::own(Some(opaque), self.provider).and_then(Value::as_object);
        match own.filter(|fields| fields.get("type").is_some_and(Value::is_string)) {
            Some(fields) => {
                let fields = Kept { fields: Some(fields), with_id: true };
                self.items.push(Item::Own { fields, image });
            }
            None => self.losses.note("a block of a hosted tool", &opaque.provider),
        }
    }

    /// Gives what goes back with an item; its id only where it is one of its type, as another is refused.
    fn kept_of(&self, opaque: Option<&'a Opaque>, prefix: &str, whole: bool) -> Kept<'a> {
        let fields = history::own(opaque, self.provider).and_then(Value::as_object);
        let id = fields.and_then(|fields| fields.get("id")).and_then(Value::as_str);
        Kept { fields, with_id: whole && id.is_some_and(|id| id.starts_with(prefix)) }
    }
}

fn append<'a>(known: &mut Option<Cow<'a, str>>, text: Cow<'a, str>) {
    match known {
        Some(known) => {
            let known = known.to_mut();
            known.push_str("\n\n");
            known.push_str(&text);
        }
        None => *known = Some(text),
    }
}

fn is_reasoning(item: &Item<'_>) -> bool {
    let Item::Own { fields: Kept { fields: Some(fields), .. }, .. } = item else { return false };
    fields.get("type").is_some_and(|kind| kind == "reasoning")
}

fn is_image_call(payload: &Value) -> bool {
    payload.get("type").is_some_and(|kind| kind == "image_generation_call")
        && payload.get("result").is_some_and(|result| result == "")
}

fn bytes_of_image(part: &Part) -> Option<&str> {
    match part {
        Part::Image(Media { source: MediaSource::Base64(bytes), .. }) => Some(bytes),
        _ => None,
    }
}

fn image(media: &Media) -> Result<ContentPart<'_>> {
    if matches!(media.source, MediaSource::Base64(_)) && media.media_type.is_none() {
        return Err(Error::new(ErrorKind::InvalidRequest, "an image given by its bytes has no media type")
            .with_hint("set its media type, for example `image/png`"));
    }
    Ok(ContentPart::Image(media))
}

fn document(media: &Media) -> Result<ContentPart<'_>> {
    Ok(match documents::as_text(media)? {
        Some(text) => ContentPart::Given(Cow::Owned(text)),
        None => ContentPart::File(media),
    })
}

fn joined<'a>(texts: &[&'a str]) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.concat()),
    }
}
