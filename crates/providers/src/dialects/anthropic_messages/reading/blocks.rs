//! The blocks of an answer: begun whole or empty, grown by deltas, closed, and put at their places.

use std::borrow::Cow;

use motet_core::message::Opaque;
use motet_core::{Result, StreamEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::wire::{Block, Delta};
use crate::dialect::json::{Text, parse};
use crate::dialect::{Origin, call_ids};

/// The blocks of one answer, in order of appearance.
#[derive(Default)]
pub(super) struct Blocks {
    /// Tells minted ids of this answer from those of another.
    pub(super) seed: u64,
    slots: Vec<Slot>,
}

struct Slot {
    index: u64,
    part: u32,
    open: bool,
    /// It stood in the beginning of the message.
    given: bool,
    content: Content,
}

/// What is held back of a block until it is closed.
enum Content {
    Text {
        /// Some of it was given out, so that there is a part.
        shown: bool,
        citations: Vec<Value>,
    },
    Thinking {
        signature: String,
    },
    Redacted(Map<String, Value>),
    Call {
        /// What the call began with; it counts when nothing else comes.
        input: Option<String>,
        /// Fields beside those that every call has.
        beside: Map<String, Value>,
    },
    Native {
        fields: Map<String, Value>,
        /// Input that comes in pieces of JSON text.
        input: String,
    },
}

impl Blocks {
    /// Tells whether a tool is called.
    pub(super) fn called(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.content, Content::Call { .. }))
    }

    /// Gives the citations of all texts.
    pub(super) fn citations(&self) -> Vec<Value> {
        let of = |slot: &Slot| match &slot.content {
            Content::Text { citations, .. } => citations.clone(),
            _ => Vec::new(),
        };
        self.slots.iter().flat_map(of).collect()
    }

    /// Begins a block.
    pub(super) fn start(
        &mut self,
        index: Option<u64>,
        raw: &RawValue,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        let block: Block<'_> = parse(raw.get().as_bytes(), "a block of the answer")?;
        // What was given with the message is not begun a second time.
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.given && Some(slot.index) == index) {
            slot.given = false;
            return Ok(());
        }
        let (index, part) = self.place(index);
        let content = match &*block.kind.0 {
            "text" => {
                let citations = match block.citations.and_then(value) {
                    Some(Value::Array(list)) => list,
                    _ => Vec::new(),
                };
                Content::Text { shown: push_text(part, block.text, out), citations }
            }
            "thinking" => {
                push_thinking(part, block.thinking, out);
                Content::Thinking { signature: block.signature.unwrap_or_default().0.into_owned() }
            }
            "redacted_thinking" => Content::Redacted(fields(raw)),
            "tool_use" => {
                let sent = block.id.and_then(Text::filled);
                let minted = sent.is_none();
                let id = sent.map_or_else(|| call_ids::minted(self.seed, self.slots.len()), Cow::into_owned);
                let name = block.name.unwrap_or_default().0.into_owned();
                out.push(StreamEvent::ToolCallStarted { part, id, name, minted });
                Content::Call { input: block.input.and_then(whole_input), beside: beside_call(raw) }
            }
            _ => Content::Native { fields: fields(raw), input: String::new() },
        };
        self.slots.push(Slot { index, part, open: true, given: false, content });
        Ok(())
    }

    /// Begins a block that stands in the beginning of the message, as gateways send it that know the whole at once.
    pub(super) fn given(&mut self, index: u64, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<()> {
        self.start(Some(index), raw, out)?;
        if let Some(slot) = self.slots.last_mut() {
            slot.given = true;
        }
        Ok(())
    }

    /// Takes a piece of a block; pieces of kinds that do not fit their block say nothing.
    pub(super) fn add(
        &mut self,
        index: Option<u64>,
        delta: Delta<'_>,
        data: &[u8],
        out: &mut Vec<StreamEvent>,
    ) {
        if self.find(index).is_none() {
            // Some gateways leave out the beginnings of blocks of text.
            let content = match &*delta.kind.0 {
                "text_delta" => Content::Text { shown: false, citations: Vec::new() },
                "thinking_delta" => Content::Thinking { signature: String::new() },
                _ => return,
            };
            let (index, part) = self.place(index);
            self.slots.push(Slot { index, part, open: true, given: false, content });
        }
        if let Some(slot) = self.find(index) {
            slot.add(delta, data, out);
        }
    }

    /// Closes a block.
    pub(super) fn stop(&mut self, index: Option<u64>, origin: &Origin, out: &mut Vec<StreamEvent>) {
        if let Some(slot) = self.find(index) {
            slot.close(origin, out);
        }
    }

    /// Closes every block that is still open.
    pub(super) fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        for slot in &mut self.slots {
            slot.close(origin, out);
        }
    }

    /// Finds the latest block of an index, or the latest of all where none is told.
    fn find(&mut self, index: Option<u64>) -> Option<&mut Slot> {
        self.slots.iter_mut().rfind(|slot| index.is_none_or(|index| slot.index == index))
    }

    /// Gives the place that an index says, or the one after all others where that is taken or none is told.
    fn place(&self, index: Option<u64>) -> (u64, u32) {
        let next = self.slots.iter().map(|slot| slot.part.saturating_add(1)).max().unwrap_or(0);
        let index = index.unwrap_or(u64::from(next));
        let wished = u32::try_from(index).ok().filter(|wished| *wished < super::LAST);
        let free = |wished: &u32| self.slots.iter().all(|slot| slot.part != *wished);
        (index, wished.filter(free).unwrap_or(next))
    }
}

impl Slot {
    fn add(&mut self, delta: Delta<'_>, data: &[u8], out: &mut Vec<StreamEvent>) {
        let part = self.part;
        match (&mut self.content, &*delta.kind.0) {
            (Content::Text { shown, .. }, "text_delta") => *shown |= push_text(part, delta.text, out),
            (Content::Text { citations, .. }, "citations_delta") => {
                citations.extend(delta.citation.and_then(value));
            }
            (Content::Thinking { .. }, "thinking_delta") => push_thinking(part, delta.thinking, out),
            (Content::Thinking { signature }, "signature_delta") => {
                signature.push_str(&delta.signature.unwrap_or_default().0);
            }
            (Content::Call { input, .. }, "input_json_delta") => {
                if let Some(arguments) = delta.partial_json.and_then(Text::filled) {
                    *input = None;
                    out.push(StreamEvent::ToolCallDelta { part, arguments: arguments.into_owned() });
                }
            }
            (Content::Native { input, .. }, "input_json_delta") => {
                input.push_str(&delta.partial_json.unwrap_or_default().0);
            }
            (Content::Native { fields, .. }, _) => grow(fields, data),
            _ => {}
        }
    }

    fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let part = self.part;
        let opaque = |payload| Opaque { provider: origin.row.name.to_owned(), payload };
        match &mut self.content {
            Content::Text { citations, .. } if citations.is_empty() => {}
            Content::Text { shown, citations } => {
                if !*shown {
                    out.push(StreamEvent::TextDelta { part, text: String::new() });
                }
                let payload = json!({"type": "text", "citations": citations});
                out.push(StreamEvent::PartOpaque { part, opaque: opaque(payload) });
            }
            Content::Thinking { signature } => {
                if !signature.is_empty() {
                    let payload =
                        json!({"type": "thinking", "signature": signature, "model": origin.model.model()});
                    out.push(StreamEvent::PartOpaque { part, opaque: opaque(payload) });
                }
            }
            Content::Redacted(fields) => {
                fields.insert("model".to_owned(), Value::from(origin.model.model()));
                let payload = Value::Object(std::mem::take(fields));
                out.push(StreamEvent::PartOpaque { part, opaque: opaque(payload) });
            }
            Content::Call { input, beside } => {
                out.extend(input.take().map(|arguments| StreamEvent::ToolCallDelta { part, arguments }));
                if !beside.is_empty() {
                    beside.insert("type".to_owned(), Value::from("tool_use"));
                    let payload = Value::Object(std::mem::take(beside));
                    out.push(StreamEvent::PartOpaque { part, opaque: opaque(payload) });
                }
                out.push(StreamEvent::ToolCallEnded { part });
            }
            Content::Native { fields, input } => {
                if let Ok(input) = serde_json::from_str::<Value>(input) {
                    fields.insert("input".to_owned(), input);
                }
                let payload = Value::Object(std::mem::take(fields));
                out.push(StreamEvent::NativePart { part, opaque: opaque(payload) });
            }
        }
    }
}

/// Gives out a piece of text, and tells whether there was any.
fn push_text(part: u32, text: Option<Text<'_>>, out: &mut Vec<StreamEvent>) -> bool {
    let Some(text) = text.and_then(Text::filled) else { return false };
    out.push(StreamEvent::TextDelta { part, text: text.into_owned() });
    true
}

fn push_thinking(part: u32, text: Option<Text<'_>>, out: &mut Vec<StreamEvent>) {
    let text = text.and_then(Text::filled);
    out.extend(text.map(|text| StreamEvent::ReasoningDelta { part, text: text.into_owned() }));
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str::<Value>(raw.get()).ok().filter(|value| !value.is_null())
}

fn fields(raw: &RawValue) -> Map<String, Value> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Gives the input that a call began with; an empty one is what calls begin with whose input follows.
fn whole_input(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let empty = text == "\"\"" || bare.is_some_and(|inside| inside.trim().is_empty());
    (!empty).then(|| text.to_owned())
}

/// Gives the fields of a call beside those that every call has.
fn beside_call(raw: &RawValue) -> Map<String, Value> {
    let mut beside = fields(raw);
    beside
        .retain(|name, value| !["type", "id", "name", "input"].contains(&name.as_str()) && !value.is_null());
    beside
}

/// Grows a block of an unknown type by a delta of an unknown type: texts are joined, anything else is replaced.
fn grow(fields: &mut Map<String, Value>, data: &[u8]) {
    let Ok(mut event) = serde_json::from_slice::<Value>(data) else { return };
    let Some(Value::Object(delta)) = event.get_mut("delta").map(Value::take) else { return };
    for (name, value) in delta {
        match (fields.get_mut(&name), value) {
            (_, Value::Null) => {}
            _ if name == "type" => {}
            (Some(Value::String(known)), Value::String(more)) => known.push_str(&more),
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
}
