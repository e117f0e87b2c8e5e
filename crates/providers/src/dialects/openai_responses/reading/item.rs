//! One item of an answer: what was told of it, and what it becomes when it is complete.

use std::collections::BTreeMap;

use motet_core::StreamEvent;
use motet_core::message::{Media, MediaSource, Opaque};
use serde_json::{Map, Value};

use super::items::{Facts, text};
use crate::dialect::{Origin, call_ids};

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call {
        free_form: bool,
    },
    /// Only the provider understands it.
    Native,
    /// It says nothing of its type.
    Nothing,
}

impl Kind {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "message" => Kind::Message,
            "reasoning" => Kind::Reasoning,
            "function_call" => Kind::Call { free_form: false },
            "custom_tool_call" => Kind::Call { free_form: true },
            "" => Kind::Nothing,
            _ => Kind::Native,
        }
    }
}

/// What grows piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    Text,
    Refusal,
    Summary,
    Thought,
    Arguments,
    Input,
}

impl Growth {
    /// Reads the middle of an event's name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "output_text" => Growth::Text,
            "refusal" => Growth::Refusal,
            "reasoning_summary_text" => Growth::Summary,
            "reasoning_text" => Growth::Thought,
            "function_call_arguments" => Growth::Arguments,
            "custom_tool_call_input" => Growth::Input,
            _ => return None,
        })
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Growth::Text | Growth::Refusal => Kind::Message,
            Growth::Summary | Growth::Thought => Kind::Reasoning,
            Growth::Arguments => Kind::Call { free_form: false },
            Growth::Input => Kind::Call { free_form: true },
        }
    }
}

/// Remembers a text that was told, without keeping it.
#[derive(Default)]
struct Told {
    length: usize,
    mark: u64,
}

impl Told {
    fn add(&mut self, text: &str) {
        self.mark = call_ids::fold(self.mark, text.as_bytes());
        self.length += text.len();
    }

    /// Gives what a restatement adds; `None` when it says something else.
    fn rest<'a>(&mut self, whole: &'a str) -> Option<&'a str> {
        let (told, rest) = whole.split_at_checked(self.length)?;
        if call_ids::fold(0, told.as_bytes()) != self.mark {
            return None;
        }
        self.add(rest);
        Some(rest)
    }
}

/// A tool call.
#[derive(Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    started: bool,
    /// Arguments that arrived before the call could be announced.
    held: String,
}

/// One item.
pub(super) struct Item {
    /// Place in the answer, as the provider counts.
    pub(super) index: u64,
    /// Place in the answer, as it is told.
    pub(super) order: u32,
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) done: bool,
    pub(super) call: Call,
    /// The pieces of content by their places within the item.
    told: BTreeMap<u32, Told>,
}

/// Places that each item takes in the message.
const PLACES: u32 = 256;
/// Places of a message's refusals, which follow its texts.
const REFUSALS: u32 = 128;
/// Place of a reasoning item's text, which follows its summary.
const THOUGHT: u32 = 1;

/// Fields of an item that stand elsewhere in the message.
const SAID: [&str; 7] = ["type", "role", "content", "call_id", "name", "arguments", "input"];

impl Item {
    /// The greatest order that an item can have.
    pub(super) const LAST: u32 = u32::MAX / PLACES - 1;

    pub(super) fn new(index: u64, order: u32, id: &str, kind: Kind) -> Self {
        let (id, call) = (id.to_owned(), Call::default());
        Self { index, order: order.min(Self::LAST), id, kind, done: false, call, told: BTreeMap::new() }
    }

    fn part(&self, within: u32) -> u32 {
        self.order.saturating_mul(PLACES).saturating_add(within)
    }

    /// Takes a piece.
    pub(super) fn grow(&mut self, growth: Growth, content: u64, delta: &str, out: &mut Vec<StreamEvent>) {
        let content = u32::try_from(content).unwrap_or(u32::MAX).min(REFUSALS - 1);
        let within = match growth {
            Growth::Text => content,
            Growth::Refusal => REFUSALS + content,
            Growth::Thought => THOUGHT,
            Growth::Summary | Growth::Arguments | Growth::Input => 0,
        };
        if !self.call.started && matches!(self.kind, Kind::Call { .. }) {
            self.call.held.push_str(delta);
        } else {
            self.tell(within, delta, out);
        }
    }

    /// Tells a text and remembers it.
    fn tell(&mut self, within: u32, text: &str, out: &mut Vec<StreamEvent>) {
        if text.is_empty() {
            return;
        }
        self.told.entry(within).or_default().add(text);
        self.push(within, text, out);
    }

    fn push(&self, within: u32, text: &str, out: &mut Vec<StreamEvent>) {
        let (part, text) = (self.part(within), text.to_owned());
        out.push(match self.kind {
            Kind::Reasoning => StreamEvent::ReasoningDelta { part, text },
            Kind::Call { .. } => StreamEvent::ToolCallDelta { part, arguments: text },
            _ if within >= REFUSALS => StreamEvent::RefusalDelta { part, text },
            _ => StreamEvent::TextDelta { part, text },
        });
    }

    /// Tells what a restatement adds to what was told at a place; an empty one says nothing.
    fn restate(&mut self, within: u32, whole: &str, facts: &mut Facts, out: &mut Vec<StreamEvent>) {
        if whole.is_empty() {
            return;
        }
        match self.told.entry(within).or_default().rest(whole) {
            Some("") => {}
            Some(rest) => self.push(within, rest, out),
            None => facts.contradicted = true,
        }
    }

    /// Restates texts one after the other; gives their places. Pieces count by their order, as the places that a
    /// server names while it streams need not be those of its list.
    fn restate_all(
        &mut self,
        from: u32,
        wholes: &[&str],
        facts: &mut Facts,
        out: &mut Vec<StreamEvent>,
    ) -> Vec<u32> {
        let range = from..from + REFUSALS;
        let mut places: Vec<u32> = self.told.range(range.clone()).map(|(within, _)| *within).collect();
        let mut next = places.last().map_or(from, |last| last + 1);
        while places.len() < wholes.len() && next < range.end {
            places.push(next);
            next += 1;
        }
        for (place, whole) in places.iter().zip(wholes) {
            self.restate(*place, whole, facts, out);
        }
        places
    }

    /// Takes a whole message; tells whether it refuses.
    pub(super) fn end_message(
        &mut self,
        fields: Map<String, Value>,
        facts: &mut Facts,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> bool {
        let none = Vec::new();
        let content = fields.get("content").and_then(Value::as_array).unwrap_or(&none);
        let content = || content.iter().filter_map(Value::as_object);
        let of = |kinds: &'static [&'static str], name: &'static str| {
            let parts = content().filter(move |part| kinds.contains(&text(part, "type")));
            parts.map(move |part| text(part, name)).filter(|text| !text.is_empty()).collect::<Vec<_>>()
        };
        let texts = of(&["output_text", "text"], "text");
        let refusals = of(&["refusal"], "refusal");
        for part in content() {
            for (name, list) in [("annotations", &mut facts.annotations), ("logprobs", &mut facts.logprobs)] {
                list.extend(part.get(name).and_then(Value::as_array).into_iter().flatten().cloned());
            }
        }
        let places = self.restate_all(0, &texts, facts, out);
        let refused = self.restate_all(REFUSALS, &refusals, facts, out);
        let kept = kept(fields);
        for place in places.into_iter().filter(|_| !kept.is_empty()) {
            self.keep(place, Value::Object(kept.clone()), origin, out);
        }
        !refused.is_empty()
    }

    /// Takes a whole reasoning item, which the provider needs back as it is.
    pub(super) fn end_reasoning(
        &mut self,
        fields: Map<String, Value>,
        facts: &mut Facts,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        let joined = |name: &str| -> String {
            let list = fields.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(|part| part.get("text")).filter_map(Value::as_str).collect()
        };
        for (within, whole) in [(0, joined("summary")), (THOUGHT, joined("content"))] {
            self.restate(within, &whole, facts, out);
        }
        // A part for the summary and one for the text are one item, which the first of them carries.
        let first = self.told.keys().next().copied().unwrap_or(0);
        self.keep(first, Value::Object(fields), origin, out);
        if self.told.len() > 1 {
            self.keep(THOUGHT, serde_json::json!({"type": "reasoning_text"}), origin, out);
        }
    }

    /// Announces a call that has id and name, or in any case when it is due.
    pub(super) fn start_call(&mut self, seed: u64, due: bool, out: &mut Vec<StreamEvent>) {
        if self.call.started || !(due || !self.call.id.is_empty() && !self.call.name.is_empty()) {
            return;
        }
        self.call.started = true;
        let minted = self.call.id.is_empty();
        if minted {
            self.call.id = call_ids::minted(seed, self.order as usize);
        }
        let (id, name) = (self.call.id.clone(), self.call.name.clone());
        out.push(StreamEvent::ToolCallStarted { part: self.part(0), id, name, minted });
        let held = std::mem::take(&mut self.call.held);
        self.tell(0, &held, out);
    }

    pub(super) fn restate_arguments(
        &mut self,
        fields: &Map<String, Value>,
        facts: &mut Facts,
        out: &mut Vec<StreamEvent>,
    ) {
        let name = if self.kind == (Kind::Call { free_form: true }) { "input" } else { "arguments" };
        match fields.get(name) {
            Some(Value::String(whole)) => self.restate(0, whole, facts, out),
            None | Some(Value::Null) => {}
            // A few servers send an object in place of its text.
            Some(other) => self.restate(0, &other.to_string(), facts, out),
        }
    }

    /// Ends a call with what the provider wants back beside it.
    pub(super) fn end_call(&self, fields: Map<String, Value>, origin: &Origin, out: &mut Vec<StreamEvent>) {
        let free_form = self.kind == (Kind::Call { free_form: true });
        let mut kept = kept(fields);
        if free_form || !kept.is_empty() {
            let name = if free_form { "custom" } else { "function_call" };
            kept.insert("type".to_owned(), Value::from(name));
            self.keep(0, Value::Object(kept), origin, out);
        }
        out.push(StreamEvent::ToolCallEnded { part: self.part(0) });
    }

    /// Takes a whole item that only the provider understands; of an image, the image stands in a part of its own.
    pub(super) fn end_native(
        &self,
        mut fields: Map<String, Value>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        let is_image = text(&fields, "type") == "image_generation_call";
        let image = match fields.get_mut("result") {
            Some(Value::String(data)) if is_image => std::mem::take(data),
            _ => String::new(),
        };
        let format = match text(&fields, "output_format") {
            "" => "png",
            "jpg" => "jpeg",
            other => other,
        };
        let media_type = Some(format!("image/{format}"));
        let opaque = opaque(Value::Object(fields), origin);
        out.push(StreamEvent::NativePart { part: self.part(0), opaque });
        if !image.is_empty() {
            let image = Media { media_type, source: MediaSource::Base64(image), name: None };
            out.push(StreamEvent::ImagePart { part: self.part(1), image });
        }
    }

    fn keep(&self, within: u32, payload: Value, origin: &Origin, out: &mut Vec<StreamEvent>) {
        out.push(StreamEvent::PartOpaque { part: self.part(within), opaque: opaque(payload, origin) });
    }
}

fn opaque(payload: Value, origin: &Origin) -> Opaque {
    Opaque { provider: origin.row.name.to_owned(), payload }
}

/// Gives what an item holds beside what its part says.
fn kept(fields: Map<String, Value>) -> Map<String, Value> {
    fields.into_iter().filter(|(name, value)| !value.is_null() && !SAID.contains(&&**name)).collect()
}
