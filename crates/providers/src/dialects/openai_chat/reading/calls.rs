//! Tool calls put together from pieces that are keyed by index, by id, or by nothing.

use std::borrow::Cow;

use motet_core::StreamEvent;
use motet_core::message::Opaque;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::wire::Call;
use super::FIRST_CALL;
use crate::dialect::Origin;
use crate::dialect::call_ids;
use crate::dialect::json::Text;

/// The calls of one answer, in order of appearance.
#[derive(Default)]
pub(super) struct Calls {
    /// Tells minted ids of this answer from those of another.
    pub(super) seed: u64,
    slots: Vec<Slot>,
    /// The slot that took the last piece.
    latest: Option<usize>,
}

struct Slot {
    index: Option<u64>,
    id: String,
    name: String,
    /// Arguments that arrived before the call could be announced.
    held: String,
    announced: bool,
    free_form: bool,
    /// What the provider wants back with the call.
    extra: Option<Value>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a call or a piece of one.
    pub(super) fn add(&mut self, call: Call<'_>, out: &mut Vec<StreamEvent>) {
        let extra = call.extra_content.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        let free_form = call.function.is_none() && call.custom.is_some();
        let (name, arguments) = match (call.function, call.custom) {
            (Some(function), _) => (function.name, arguments_text(function.arguments)),
            (None, Some(custom)) => (custom.name, custom.input.unwrap_or_default().0),
            (None, None) => (None, Cow::Borrowed("")),
        };
        let (id, name) = (call.id.unwrap_or_default().0, name.unwrap_or_default().0);
        let Some(place) = self.place(call.index.0, &id, &name) else { return };
        for earlier in 0..self.slots.len() {
            if earlier != place {
                self.announce(earlier, out);
            }
        }
        self.latest = Some(place);
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.free_form |= free_form;
        slot.extra = extra.filter(|extra| !extra.is_null()).or_else(|| slot.extra.take());
        if !slot.announced {
            slot.learn(id, &name);
        }
        if slot.announced {
            push_arguments(place, arguments, out);
        } else {
            slot.held.push_str(&arguments);
            if !slot.held.is_empty() && !slot.id.is_empty() && !slot.name.is_empty() {
                self.announce(place, out);
            }
        }
    }

    /// Announces every call that still waits for its id, name, or arguments.
    pub(super) fn flush(&mut self, out: &mut Vec<StreamEvent>) {
        for place in 0..self.slots.len() {
            self.announce(place, out);
        }
    }

    /// Ends all calls.
    pub(super) fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        self.flush(out);
        for (slot, part) in self.slots.iter_mut().zip(FIRST_CALL..) {
            if let Some(payload) = slot.payload() {
                let opaque = Opaque { provider: origin.row.name.to_owned(), payload };
                out.push(StreamEvent::PartOpaque { part, opaque });
            }
            out.push(StreamEvent::ToolCallEnded { part });
        }
    }

    /// Finds the slot of a piece, or makes one: a new id on a used index is a new call.
    fn place(&mut self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let known = |slot: &&Slot| slot.id.is_empty() || id.is_empty() || slot.id == id;
        let found = if index.is_some() {
            let of_index = |place: &usize| self.slots.get(*place).is_some_and(|slot| slot.index == index);
            let latest = self.latest.filter(of_index);
            let latest = latest.or_else(|| self.slots.iter().rposition(|slot| slot.index == index));
            match latest.and_then(|place| self.slots.get(place)).filter(known) {
                Some(_) => latest,
                None => self.slots.iter().rposition(|slot| slot.index == index && slot.id == id),
            }
        } else if id.is_empty() && name.is_empty() {
            return self.latest;
        } else {
            self.slots.iter().rposition(|slot| slot.index.is_none() && slot.id == id && !id.is_empty())
        };
        found.or_else(|| {
            self.slots.push(Slot {
                index,
                id: String::new(),
                name: String::new(),
                held: String::new(),
                announced: false,
                free_form: false,
                extra: None,
            });
            Some(self.slots.len() - 1)
        })
    }

    fn announce(&mut self, place: usize, out: &mut Vec<StreamEvent>) {
        let seed = self.seed;
        let Some(slot) = self.slots.get_mut(place).filter(|slot| !slot.announced) else { return };
        slot.announced = true;
        let minted = slot.id.is_empty();
        if minted {
            slot.id = call_ids::minted(seed, place);
        }
        let (id, name) = (slot.id.clone(), slot.name.clone());
        out.push(StreamEvent::ToolCallStarted { part: part_of(place), id, name, minted });
        push_arguments(place, Cow::Owned(std::mem::take(&mut slot.held)), out);
    }
}

impl Slot {
    /// Gives what goes back with the call beside its id, name, and arguments.
    fn payload(&mut self) -> Option<Value> {
        let mut payload = Map::new();
        if self.free_form {
            payload.insert("type".to_owned(), json!("custom"));
        }
        if let Some(extra) = self.extra.take() {
            payload.insert("extra_content".to_owned(), extra);
        }
        (!payload.is_empty()).then_some(Value::Object(payload))
    }

    /// Takes an id, and a name that may come in pieces or be repeated.
    fn learn(&mut self, id: Cow<'_, str>, name: &str) {
        if self.id.is_empty() {
            self.id = id.into_owned();
        }
        if self.name != name {
            self.name.push_str(name);
        }
    }
}

fn push_arguments(place: usize, arguments: Cow<'_, str>, out: &mut Vec<StreamEvent>) {
    if !arguments.is_empty() {
        out.push(StreamEvent::ToolCallDelta { part: part_of(place), arguments: arguments.into_owned() });
    }
}

fn part_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX).saturating_add(FIRST_CALL)
}

/// Gives the text of arguments, which a few servers send as an object or null instead of a text.
fn arguments_text(raw: Option<&RawValue>) -> Cow<'_, str> {
    let Some(raw) = raw.map(RawValue::get) else { return Cow::Borrowed("") };
    if raw.starts_with('"') {
        return serde_json::from_str::<Text<'_>>(raw).unwrap_or_default().0;
    }
    match serde_json::from_str::<Value>(raw) {
        Ok(Value::Null) => Cow::Borrowed(""),
        _ => Cow::Borrowed(raw),
    }
}
