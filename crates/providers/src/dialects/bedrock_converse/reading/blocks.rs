//! The blocks of an answer: text, reasoning, calls, images, and what only the provider understands.
//!
//! Blocks are keyed by their index, which may skip; a block that changes its nature midway becomes several parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource, Opaque};
use motet_core::{Error, ErrorKind, Result, StreamEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::wire::{Block, Delta, Image, ReasoningContent, Start, ToolUse};
use crate::dialect::json::{Text, parse};
use crate::dialect::{Origin, call_ids};

/// What a tool call is called that the provider runs itself.
const SERVER_TOOL: &str = "server_tool_use";
/// Parts that one block can become.
const PARTS_OF_BLOCK: u64 = 64;

/// The blocks of one answer.
#[derive(Default)]
pub(super) struct Blocks {
    slots: Vec<Slot>,
    citations: Vec<Value>,
    /// Folds all that was said, to tell minted ids of this answer from those of another.
    said: Option<u64>,
}

/// One part that a block becomes.
struct Slot {
    index: u64,
    place: u32,
    held: Held,
    ended: bool,
}

/// What a part is, and what of it waits for its end.
enum Held {
    Text,
    Reasoning {
        signature: String,
    },
    Redacted,
    Call,
    /// A call that the provider runs itself: its fields and the text of its input.
    ServerCall(Map<String, Value>, String),
    /// The result of such a call: its fields and its content.
    ServerResult(Map<String, Value>, Vec<Value>),
    Image {
        format: String,
        bytes: Vec<u8>,
    },
    Native,
}

impl Blocks {
    /// Tells whether the model called a tool of the caller's.
    pub(super) fn called(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.held, Held::Call))
    }

    /// Gives where the texts come from, if that was told.
    pub(super) fn take_citations(&mut self) -> Option<Vec<Value>> {
        let citations = std::mem::take(&mut self.citations);
        (!citations.is_empty()).then_some(citations)
    }

    /// Takes a block of a plain answer.
    pub(super) fn whole(
        &mut self,
        index: u64,
        raw: &RawValue,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        let block: Block<'_> = parse(raw.get().as_bytes(), "a block of the answer")?;
        let served = |call: &ToolUse<'_>| call.kind.0 == SERVER_TOOL;
        let bytes = |image: &Image<'_>| image.source.as_ref().is_some_and(|source| source.bytes.is_some());
        if let Some(text) = block.text {
            self.text(index, text, out);
        } else if let Some(mut call) = block.tool_use.filter(|call| !served(call)) {
            let input = call.input.take();
            self.start(index, Start { tool_use: Some(call), tool_result: None, image: None }, out);
            self.input(index, input, out)?;
        } else if let Some(reasoning) = block.reasoning_content {
            self.reasoning(index, reasoning, origin, out);
        } else if let Some(cited) = block.citations_content {
            for piece in cited.content.into_iter().flatten() {
                self.text(index, piece.text.unwrap_or_default(), out);
            }
            self.citations.extend(cited.citations.into_iter().flatten().filter_map(value));
        } else if let Some(image) = block.image.filter(bytes) {
            self.image(index, image);
        } else if let Some(payload) =
            value(raw).filter(|value| value.as_object().is_some_and(|it| !it.is_empty()))
        {
            let part = self.add(index, Held::Native);
            out.push(StreamEvent::NativePart { part, opaque: opaque(origin, payload) });
        }
        self.end(index, origin, out);
        Ok(())
    }

    /// Takes the beginning of a block.
    pub(super) fn start(&mut self, index: u64, start: Start<'_>, out: &mut Vec<StreamEvent>) {
        if let Some(call) = start.tool_use {
            if call.kind.0 == SERVER_TOOL {
                let fields = [("toolUseId", call.tool_use_id), ("name", call.name), ("type", call.kind)];
                let fields = fields.map(|(name, text)| (name.to_owned(), Value::String(text.0.into_owned())));
                self.add(index, Held::ServerCall(fields.into_iter().collect(), String::new()));
                return;
            }
            let part = self.add(index, Held::Call);
            let seed = self.say(&call.name.0);
            let minted = call.tool_use_id.0.is_empty();
            let id =
                if minted { call_ids::minted(seed, part as usize) } else { call.tool_use_id.0.into_owned() };
            out.push(StreamEvent::ToolCallStarted { part, id, name: call.name.0.into_owned(), minted });
        } else if let Some(Value::Object(fields)) = start.tool_result.and_then(value) {
            self.add(index, Held::ServerResult(fields, Vec::new()));
        } else if let Some(image) = start.image {
            self.image(index, image);
        }
    }

    /// Takes a piece of a block.
    pub(super) fn delta(
        &mut self,
        index: u64,
        delta: Delta<'_>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        if let Some(text) = delta.text {
            self.text(index, text, out);
        }
        if let Some(reasoning) = delta.reasoning_content {
            self.reasoning(index, reasoning, origin, out);
        }
        if let Some(call) = delta.tool_use {
            self.input(index, call.input, out)?;
        }
        if let Some(Value::Array(pieces)) = delta.tool_result.and_then(value)
            && let Some(Held::ServerResult(_, content)) = self.latest(index).map(|slot| &mut slot.held)
        {
            pieces.into_iter().for_each(|piece| join(content, piece));
        }
        if let Some(image) = delta.image {
            self.image(index, image);
        }
        self.citations.extend(delta.citation.and_then(value));
        Ok(())
    }

    /// Takes the end of a block and gives what waited for it.
    pub(super) fn end(&mut self, index: u64, origin: &Origin, out: &mut Vec<StreamEvent>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.index == index) {
            slot.end(origin, out);
        }
    }

    /// Ends all blocks.
    pub(super) fn end_all(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        for slot in &mut self.slots {
            slot.end(origin, out);
        }
    }

    fn text(&mut self, index: u64, text: Text<'_>, out: &mut Vec<StreamEvent>) {
        if let Some(text) = text.filled() {
            self.say(&text);
            let part = self.place(index, |held| matches!(held, Held::Text), || Held::Text);
            out.push(StreamEvent::TextDelta { part, text: text.into_owned() });
        }
    }

    fn reasoning(
        &mut self,
        index: u64,
        content: ReasoningContent<'_>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        let (text, signature) = match content.reasoning_text {
            Some(whole) => (whole.text, whole.signature),
            None => (content.text, content.signature),
        };
        let text = text.and_then(Text::filled);
        let signature = signature.and_then(Text::filled);
        if text.is_some() || signature.is_some() {
            let is_reasoning = |held: &Held| matches!(held, Held::Reasoning { .. });
            let part = self.place(index, is_reasoning, || Held::Reasoning { signature: String::new() });
            if let Some(text) = text {
                self.say(&text);
                out.push(StreamEvent::ReasoningDelta { part, text: text.into_owned() });
            }
            let slot = self.slots.iter_mut().find(|slot| slot.place == part);
            if let (Some(Held::Reasoning { signature: known }), Some(more)) =
                (slot.map(|slot| &mut slot.held), signature)
            {
                known.push_str(&more);
            }
        }
        if let Some(data) = content.redacted_content.and_then(Text::filled) {
            let part = self.add(index, Held::Redacted);
            out.push(StreamEvent::PartOpaque { part, opaque: opaque(origin, json!({"data": data})) });
        }
    }

    /// Takes the input of a call: an object where it is whole, a text where it is a piece.
    fn input(&mut self, index: u64, input: Option<&RawValue>, out: &mut Vec<StreamEvent>) -> Result<()> {
        let raw = input.map(RawValue::get).filter(|raw| *raw != "null").unwrap_or_default();
        let piece =
            if raw.starts_with('"') { parse::<Text<'_>>(raw.as_bytes(), "arguments")?.0 } else { raw.into() };
        if piece.is_empty() {
            return Ok(());
        }
        match self.latest(index) {
            Some(Slot { held: Held::ServerCall(_, input), .. }) => input.push_str(&piece),
            Some(Slot { held: Held::Call, place, .. }) => {
                out.push(StreamEvent::ToolCallDelta { part: *place, arguments: piece.into_owned() });
            }
            _ => return Err(Error::new(ErrorKind::InvalidOutput, "arguments came for no tool call")),
        }
        Ok(())
    }

    fn image(&mut self, index: u64, image: Image<'_>) {
        let is_image = |held: &Held| matches!(held, Held::Image { .. });
        let empty = || Held::Image { format: String::new(), bytes: Vec::new() };
        let part = self.place(index, is_image, empty);
        let slot = self.slots.iter_mut().find(|slot| slot.place == part);
        let Some(Held::Image { format, bytes }) = slot.map(|slot| &mut slot.held) else { return };
        if let Some(name) = image.format.and_then(Text::filled) {
            *format = name.into_owned();
        }
        let piece = image.source.and_then(|source| source.bytes).and_then(Text::filled);
        if let Some(Ok(piece)) = piece.map(|piece| STANDARD.decode(piece.as_bytes())) {
            bytes.extend(piece);
        }
    }

    fn latest(&mut self, index: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().rev().find(|slot| slot.index == index)
    }

    /// Gives the place of a part of this nature of a block, made if there is none.
    fn place(&mut self, index: u64, fits: impl Fn(&Held) -> bool, make: impl FnOnce() -> Held) -> u32 {
        let known = self.latest(index).filter(|slot| fits(&slot.held)).map(|slot| slot.place);
        known.unwrap_or_else(|| self.add(index, make()))
    }

    fn add(&mut self, index: u64, held: Held) -> u32 {
        let before = self.slots.iter().filter(|slot| slot.index == index).count() as u64;
        let place = index.saturating_mul(PARTS_OF_BLOCK).saturating_add(before);
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.slots.push(Slot { index, place, held, ended: false });
        place
    }

    fn say(&mut self, text: &str) -> u64 {
        let said = call_ids::fold(self.said.unwrap_or(call_ids::FOLD_START), text.as_bytes());
        *self.said.insert(said)
    }
}

impl Slot {
    fn end(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let part = self.place;
        let native = |block: Value| StreamEvent::NativePart { part, opaque: opaque(origin, block) };
        match &mut self.held {
            Held::Text | Held::Redacted | Held::Native => {}
            Held::Call => out.push(StreamEvent::ToolCallEnded { part }),
            Held::Reasoning { signature } if signature.is_empty() => {}
            Held::Reasoning { signature } => {
                let payload = json!({"signature": std::mem::take(signature)});
                out.push(StreamEvent::PartOpaque { part, opaque: opaque(origin, payload) });
            }
            Held::ServerCall(fields, input) => {
                let input = serde_json::from_str(input).unwrap_or_else(|_| json!({}));
                fields.insert("input".to_owned(), input);
                out.push(native(json!({"toolUse": std::mem::take(fields)})));
            }
            Held::ServerResult(fields, content) => {
                fields.insert("content".to_owned(), Value::Array(std::mem::take(content)));
                out.push(native(json!({"toolResult": std::mem::take(fields)})));
            }
            Held::Image { format, bytes } => {
                let image = Media {
                    media_type: Some(format!("image/{format}")).filter(|_| !format.is_empty()),
                    source: MediaSource::Base64(STANDARD.encode(std::mem::take(bytes))),
                    name: None,
                };
                out.push(StreamEvent::ImagePart { part, image });
            }
        }
    }
}

/// Adds a piece of a result: texts that follow each other are one text.
fn join(content: &mut Vec<Value>, piece: Value) {
    let more = piece.get("text").and_then(Value::as_str);
    match (content.last_mut().and_then(|last| last.get_mut("text")), more) {
        (Some(Value::String(text)), Some(more)) => text.push_str(more),
        _ => content.push(piece),
    }
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

fn opaque(origin: &Origin, payload: Value) -> Opaque {
    Opaque { provider: origin.row.name.to_owned(), payload }
}
