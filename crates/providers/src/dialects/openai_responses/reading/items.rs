//! The items of an answer: found again from event to event, told as they grow, and reconciled with their restatements.
//!
//! Each item takes a run of places in the message, so that parts stand in the order of the items.

use motet_core::{Result, StreamEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::item::{Call, Growth, Item, Kind};
use crate::dialect::Origin;
use crate::dialect::json::parse;

/// Where an event says that it belongs; any of it may be missing.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Place of the item in the answer.
    pub(super) index: Option<u64>,
    /// Id of the item; some servers change it from event to event.
    pub(super) id: &'a str,
    /// Place of the content in the item.
    pub(super) content: Option<u64>,
}

/// The items of one answer, in order of appearance.
#[derive(Default)]
pub(super) struct Items {
    /// Tells minted ids of this answer from those of another.
    pub(super) seed: Option<u64>,
    pub(super) has_calls: bool,
    pub(super) has_refusal: bool,
    list: Vec<Item>,
    facts: Facts,
}

/// What the content tells beside its text.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<Value>,
    /// A restatement said something else than what was streamed.
    pub(super) contradicted: bool,
}

impl Items {
    /// Takes an item that begins.
    pub(super) fn added(&mut self, place: Place<'_>, raw: Option<&RawValue>, out: &mut Vec<StreamEvent>) {
        let Some(fields) = fields(raw) else { return };
        let kind = Kind::of(text(&fields, "type"));
        let id = text(&fields, "id");
        let same = |item: &Item| {
            let same_id = item.id == id || item.id.is_empty() || id.is_empty();
            item.kind == kind && !item.done && same_id && (place.index.is_some() || !id.is_empty())
        };
        let at = match self.find(Place { id, ..place }) {
            Some(at) if self.list.get(at).is_some_and(same) => at,
            _ => self.add(place.index, id, kind),
        };
        let seed = self.seed.unwrap_or_default();
        let Some(item) = self.list.get_mut(at) else { return };
        if let Kind::Call { .. } = kind {
            self.has_calls = true;
            item.call.learn(text(&fields, "call_id"), text(&fields, "name"));
            item.start_call(seed, false, out);
        }
    }

    /// Takes a piece of an item's text, reasoning, or arguments.
    pub(super) fn delta(&mut self, kind: &str, place: Place<'_>, delta: &str, out: &mut Vec<StreamEvent>) {
        let Some(growth) = Growth::of(kind) else { return };
        if delta.is_empty() {
            return;
        }
        let at = match self.find(place) {
            Some(at) => at,
            None => self.add(place.index, place.id, growth.kind()),
        };
        self.has_refusal |= growth == Growth::Refusal;
        if let Some(item) = self.list.get_mut(at).filter(|item| item.kind == growth.kind() && !item.done) {
            item.grow(growth, place.content.unwrap_or_default(), delta, out);
        }
    }

    /// Takes an item that is complete.
    pub(super) fn done(
        &mut self,
        place: Place<'_>,
        raw: Option<&RawValue>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        let Some(fields) = fields(raw) else { return };
        let kind = Kind::of(text(&fields, "type"));
        let id = text(&fields, "id");
        let at = match self.find(Place { id, ..place }) {
            Some(at) if self.list.get(at).is_some_and(|item| item.done && item.id == id) => return,
            Some(at) if self.list.get(at).is_some_and(|item| item.kind == kind && !item.done) => at,
            _ => self.add(place.index, id, kind),
        };
        self.complete(at, fields, origin, out);
    }

    /// Takes the list of all items at the end, which may be missing, shorter, or under other ids.
    ///
    /// It counts for what was not told before: everything in a plain answer, and items that never ended in a stream.
    pub(super) fn restated(
        &mut self,
        output: Option<&RawValue>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) -> Result<()> {
        let Some(output) = output else { return Ok(()) };
        if !self.list.is_empty() && self.list.iter().all(|item| item.done) {
            return Ok(());
        }
        let list: Vec<Map<String, Value>> = parse(output.get().as_bytes(), "the list of items")?;
        let fresh = self.list.is_empty();
        for (index, fields) in (0u64..).zip(list) {
            let kind = Kind::of(text(&fields, "type"));
            if fresh {
                let at = self.add(Some(index), text(&fields, "id"), kind);
                self.complete(at, fields, origin, out);
                continue;
            }
            let open = |item: &Item| item.index == index && item.kind == kind && !item.done;
            if let Some(at) = self.list.iter().position(open) {
                self.complete(at, fields, origin, out);
            }
        }
        Ok(())
    }

    /// Tells what was held back of calls, without ending them.
    pub(super) fn flush(&mut self, out: &mut Vec<StreamEvent>) {
        let seed = self.seed.unwrap_or_default();
        for item in &mut self.list {
            if let Kind::Call { .. } = item.kind {
                item.start_call(seed, true, out);
            }
        }
    }

    /// Ends all items, and tells what the content told beside its text.
    pub(super) fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.flush(out);
        for item in self.list.iter_mut().filter(|item| !item.done) {
            if let Kind::Call { .. } = item.kind {
                item.end_call(Map::new(), origin, out);
            }
        }
        let facts = std::mem::take(&mut self.facts);
        for (name, list) in [("annotations", facts.annotations), ("logprobs", facts.logprobs)] {
            if !list.is_empty() {
                out.push(StreamEvent::Metadata { name: name.to_owned(), value: Value::Array(list) });
            }
        }
        if facts.contradicted {
            let message =
                "the provider restated its answer in other words than it streamed; the streamed ones count";
            out.push(StreamEvent::Warning { message: message.to_owned() });
        }
    }

    /// Finds an item by its id, else by its place, else the latest.
    fn find(&self, place: Place<'_>) -> Option<usize> {
        let by_id = || self.list.iter().rposition(|item| item.id == place.id && !place.id.is_empty());
        let by_index = |index: u64| self.list.iter().rposition(|item| item.index == index);
        match place.index {
            // Within an answer, places are steadier than ids, unless a server gives one place to several items.
            Some(index) => by_index(index).filter(|at| self.is_alone(*at)).or_else(by_id).or(by_index(index)),
            None => by_id().or(if place.id.is_empty() { self.list.len().checked_sub(1) } else { None }),
        }
    }

    fn is_alone(&self, at: usize) -> bool {
        let index = self.list.get(at).map(|item| item.index);
        self.list.iter().filter(|item| Some(item.index) == index).count() == 1
    }

    fn add(&mut self, index: Option<u64>, id: &str, kind: Kind) -> usize {
        let next = self.list.iter().map(|item| item.order + 1).max().unwrap_or(0);
        let index = index.unwrap_or(u64::from(next));
        let order = u32::try_from(index).unwrap_or(u32::MAX).min(Item::LAST);
        let taken = self.list.iter().any(|item| item.order == order);
        let order = if taken { next } else { order };
        self.list.push(Item::new(index, order, id, kind));
        self.list.len() - 1
    }

    fn complete(
        &mut self,
        at: usize,
        fields: Map<String, Value>,
        origin: &Origin,
        out: &mut Vec<StreamEvent>,
    ) {
        let Some(item) = self.list.get_mut(at) else { return };
        item.done = true;
        match item.kind {
            Kind::Message => {
                self.has_refusal |= item.end_message(fields, &mut self.facts, origin, out);
            }
            Kind::Reasoning => item.end_reasoning(fields, &mut self.facts, origin, out),
            Kind::Call { .. } => {
                self.has_calls = true;
                item.call.learn(text(&fields, "call_id"), text(&fields, "name"));
                item.start_call(self.seed.unwrap_or_default(), true, out);
                item.restate_arguments(&fields, &mut self.facts, out);
                item.end_call(fields, origin, out);
            }
            Kind::Native => item.end_native(fields, origin, out),
            Kind::Nothing => {}
        }
    }
}

fn fields(raw: Option<&RawValue>) -> Option<Map<String, Value>> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// Gives a field's text, empty where there is none.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Call {
    /// Takes the call's id and name where they are not known yet.
    fn learn(&mut self, id: &str, name: &str) {
        for (known, told) in [(&mut self.id, id), (&mut self.name, name)] {
            if known.is_empty() {
                known.push_str(told);
            }
        }
    }
}
