//! The parts of an answer in their order, each with the signature that belongs to it and to no other.
//!
//! A part's payload holds the fields to send back with it: `thoughtSignature`, and a call's `id` where one was sent.

use std::borrow::Cow;

use motet_core::message::{Media, MediaSource, Opaque};
use motet_core::{Error, ErrorKind, Result, StreamEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::wire::{Call, InlineData, Part};
use crate::dialect::call_ids;

/// The parts told so far.
pub(super) struct Parts {
    /// Tells minted ids of this answer from those of another.
    seed: u64,
    calls: usize,
    /// Place of the next part.
    next: u32,
    /// The text that a piece without a signature goes on with: whether it is reasoning, and its place.
    open: Option<(bool, u32)>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { seed: call_ids::FOLD_START, calls: 0, next: 0, open: None }
    }
}

impl Parts {
    /// Takes the answer's id.
    pub(super) fn set_seed(&mut self, id: &str) {
        self.seed = call_ids::fold(call_ids::FOLD_START, id.as_bytes());
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// Takes a part.
    pub(super) fn add(
        &mut self,
        mut part: Part<'_>,
        provider: &str,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        if let Some(call) = part.call.take() {
            return self.call(call, part.signature, provider, out);
        }
        if part.text.is_none() && !part.rest.is_empty() {
            self.other(&part, provider, out);
            return Ok(());
        }
        let text = part.text.take().unwrap_or_default().0;
        match part.signature {
            Some(signature) => {
                self.open = None;
                let place = self.place();
                push_text(part.thought, place, text, out);
                push_payload(place, Some(signature), None, provider, out);
            }
            None if text.is_empty() => {}
            None => {
                let place = match self.open {
                    Some((thought, place)) if thought == part.thought => place,
                    _ => self.place(),
                };
                self.open = Some((part.thought, place));
                push_text(part.thought, place, text, out);
            }
        }
        Ok(())
    }

    fn place(&mut self) -> u32 {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        place
    }

    fn call(
        &mut self,
        call: Call<'_>,
        signature: Option<Cow<'_, str>>,
        provider: &str,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        if call.partial_args.is_some() || call.will_continue == Some(true) {
            return Err(Error::new(ErrorKind::Unsupported, "a tool call came in pieces, which are not read")
                .with_hint("leave `streamFunctionCallArguments` out of the request's own fields"));
        }
        self.open = None;
        let part = self.place();
        let name = call.name.unwrap_or_default().0;
        let arguments = call.args.map(compact).unwrap_or_default();
        let id = call.id.and_then(|id| id.filled());
        let minted = id.is_none();
        // The call's own text tells it from those of other answers where the answer itself has no id.
        let seed = call_ids::fold(call_ids::fold(self.seed, name.as_bytes()), arguments.as_bytes());
        let known = id.as_deref().map_or_else(|| call_ids::minted(seed, self.calls), str::to_owned);
        self.calls += 1;
        out.push(StreamEvent::ToolCallStarted { part, id: known, name: name.into_owned(), minted });
        if !arguments.is_empty() {
            out.push(StreamEvent::ToolCallDelta { part, arguments });
        }
        push_payload(part, signature, id, provider, out);
        out.push(StreamEvent::ToolCallEnded { part });
        Ok(())
    }

    /// Takes a part that is neither text nor a call: an image, or a block that only the provider understands.
    fn other(&mut self, part: &Part<'_>, provider: &str, out: &mut Vec<StreamEvent>) {
        self.open = None;
        let native = |part: u32, payload: Value| StreamEvent::NativePart {
            part,
            opaque: Opaque { provider: provider.to_owned(), payload },
        };
        let Some(image) = image(part) else {
            out.push(native(self.place(), part.whole()));
            return;
        };
        out.push(StreamEvent::ImagePart { part: self.place(), image });
        if let Some(signature) = &part.signature {
            // An image has no payload of its own; its signature follows it and is put back when both are sent.
            out.push(native(self.place(), fields(Some(signature.clone()), None)));
        }
    }
}

/// Reads a shown image; those of the model's thoughts stay as they are.
fn image(part: &Part<'_>) -> Option<Media> {
    let (_, raw) = part.rest.iter().find(|(name, _)| name == "inlineData")?;
    let data: InlineData = serde_json::from_str(raw.get()).ok()?;
    let is_image = data.mime_type.as_deref().is_some_and(|kind| kind.starts_with("image/"));
    let image = Media { media_type: data.mime_type, source: MediaSource::Base64(data.data), name: None };
    (is_image && !part.thought).then_some(image)
}

fn push_text(thought: bool, part: u32, text: Cow<'_, str>, out: &mut Vec<StreamEvent>) {
    let text = text.into_owned();
    out.push(if thought {
        StreamEvent::ReasoningDelta { part, text }
    } else {
        StreamEvent::TextDelta { part, text }
    });
}

fn push_payload(
    part: u32,
    signature: Option<Cow<'_, str>>,
    id: Option<Cow<'_, str>>,
    provider: &str,
    out: &mut Vec<StreamEvent>,
) {
    if signature.is_some() || id.is_some() {
        let opaque = Opaque { provider: provider.to_owned(), payload: fields(signature, id) };
        out.push(StreamEvent::PartOpaque { part, opaque });
    }
}

fn fields(signature: Option<Cow<'_, str>>, id: Option<Cow<'_, str>>) -> Value {
    let mut fields = Map::new();
    for (name, value) in [("thoughtSignature", signature), ("id", id)] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), Value::String(value.into_owned()));
        }
    }
    Value::Object(fields)
}

/// Gives JSON without the white space between its tokens, which is the server's layout and differs in streams.
fn compact(raw: &RawValue) -> String {
    let (mut text, mut quoted, mut escaped) = (String::with_capacity(raw.get().len()), false, false);
    for c in raw.get().chars() {
        if quoted {
            (quoted, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            quoted = c == '"';
        }
        text.push(c);
    }
    text
}
