//! The parts of contents, borrowed from the conversation.

use std::borrow::Cow;

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall};
use motet_core::{Error, ErrorKind, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::dialect::history;
pub(super) use crate::dialect::parts::out_of_place;

/// A part, with the signature that belongs to it.
#[derive(Debug)]
pub(super) struct WirePart<'a> {
    pub(super) data: Data<'a>,
    pub(super) thought: bool,
    pub(super) signature: Option<&'a str>,
}

/// What a part holds.
#[derive(Debug)]
pub(super) enum Data<'a> {
    Text(Cow<'a, str>),
    Media { media: &'a Media, media_type: Option<Cow<'a, str>> },
    Call { name: &'a str, arguments: Arguments<'a>, id: Option<&'a str> },
    Result(FunctionResult<'a>),
    Native(&'a Map<String, Value>),
}

/// Arguments of a call, which the wire wants as an object.
#[derive(Debug)]
pub(super) enum Arguments<'a> {
    Object(&'a RawValue),
    None,
    /// A text that is no object.
    Text(&'a str),
}

/// What a tool answered.
#[derive(Debug)]
pub(super) struct FunctionResult<'a> {
    pub(super) name: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) text: Cow<'a, str>,
    pub(super) is_error: bool,
    pub(super) media: Vec<WirePart<'a>>,
}

impl<'a> From<Data<'a>> for WirePart<'a> {
    fn from(data: Data<'a>) -> Self {
        Self { data, thought: false, signature: None }
    }
}

impl<'a> WirePart<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Data::Text(text.into()).into()
    }

    /// Writes text of the model; nothing for an empty text, unless it carries a signature.
    pub(super) fn answer(text: &'a str, opaque: Option<&'a Opaque>, provider: &str) -> Option<Self> {
        let signature = own_field(opaque, provider, "thoughtSignature");
        let part = WirePart { signature, ..WirePart::text(text) };
        (!text.is_empty() || signature.is_some()).then_some(part)
    }

    /// Writes reasoning that carries a signature; any other is a summary for people, which no model asks back.
    pub(super) fn reasoning(reasoning: &'a Reasoning, provider: &str) -> Option<Self> {
        let signature = own_field(reasoning.opaque.as_ref(), provider, "thoughtSignature");
        signature.map(|_| WirePart { thought: true, signature, ..WirePart::text(&*reasoning.text) })
    }

    /// Writes a call; gives a warning where its arguments are no object.
    pub(super) fn call(call: &'a ToolCall, provider: &str) -> (Self, Option<String>) {
        let text = call.arguments.trim();
        let object = serde_json::from_str::<&RawValue>(text).ok().filter(|raw| raw.get().starts_with('{'));
        let arguments = match object {
            Some(raw) => Arguments::Object(raw),
            None if text.is_empty() || text == "null" => Arguments::None,
            None => Arguments::Text(&call.arguments),
        };
        let warning = matches!(arguments, Arguments::Text(_)).then(|| {
            format!(
                "arguments of a call of tool `{}` are no JSON object; they were sent as a text in one",
                call.name
            )
        });
        let id = own_field(call.opaque.as_ref(), provider, "id");
        let signature = own_field(call.opaque.as_ref(), provider, "thoughtSignature");
        (WirePart { signature, ..Data::Call { name: &call.name, arguments, id }.into() }, warning)
    }

    /// Writes an image or a document by its bytes or its address.
    pub(super) fn media(media: &'a Media) -> Result<Self> {
        let media_type = match (&media.media_type, &media.source) {
            (Some(known), _) => Some(Cow::Borrowed(known.as_str())),
            (None, MediaSource::Url(url)) => type_of_name(url).map(Cow::Borrowed),
            (None, MediaSource::Base64(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "an image or document given by its bytes has no media type",
                )
                .with_hint("set its media type, for example `image/png` or `application/pdf`"));
            }
        };
        Ok(Data::Media { media, media_type }.into())
    }

    /// Gives the id that the provider sent with a call.
    pub(super) fn call_id(&self) -> Option<&'a str> {
        if let Data::Call { id, .. } = &self.data { *id } else { None }
    }
}

/// Writes a block as it came; a signature that followed an image returns to it.
pub(super) fn push_native<'a>(payload: &'a Value, said: &mut Vec<WirePart<'a>>) {
    // Blocks of this format say what they are by their fields, those of others by a type.
    let Some(fields) = payload.as_object().filter(|fields| !fields.contains_key("type")) else { return };
    let signature = fields.get("thoughtSignature").and_then(Value::as_str).filter(|_| fields.len() == 1);
    match (signature, said.last_mut()) {
        (Some(signature), Some(last)) if matches!(last.data, Data::Media { .. }) => {
            last.signature = Some(signature);
        }
        _ => said.push(Data::Native(fields).into()),
    }
}

/// Signs the first call of a turn of which nothing is signed; tells whether it did.
pub(super) fn sign_first_call<'a>(said: &mut [WirePart<'a>], placeholder: &'a str) -> bool {
    if said.iter().any(|part| part.signature.is_some()) {
        return false;
    }
    let first = said.iter_mut().find(|part| matches!(part.data, Data::Call { .. }));
    first.is_some_and(|call| call.signature.replace(placeholder).is_none())
}

/// Gives a field to send back, of a payload that came from the provider asked.
fn own_field<'a>(opaque: Option<&'a Opaque>, provider: &str, name: &str) -> Option<&'a str> {
    history::own(opaque, provider)?.get(name)?.as_str()
}

/// Guesses a media type by the end of an address, since a file's type is mostly demanded.
fn type_of_name(url: &str) -> Option<&'static str> {
    const TYPES: &[(&str, &str)] = &[
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("md", "text/markdown"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (_, end) = path.rsplit('/').next()?.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, media_type)| *media_type)
}
