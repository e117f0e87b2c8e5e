//! What the provider needs back of its reasoning: details, signatures, encrypted texts.
//!
//! The payload is the fields of the message as they came; streamed details are joined to what a plain answer holds. It
//! also names the field in which the text came, so that the text can go back there and to no other provider.

use motet_core::message::Opaque;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::CAME_IN;
use crate::dialect::Origin;

const DETAILS: &str = "reasoning_details";

/// Fields of the details that come in pieces.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// The fields to send back, so far.
#[derive(Default)]
pub(super) struct Hidden {
    fields: Map<String, Value>,
    /// The field in which the text came.
    came_in: Option<&'static str>,
}

impl Hidden {
    /// Takes a field that is kept as it comes; pieces of a text are joined.
    pub(super) fn add_field(&mut self, name: &str, raw: Option<&RawValue>) {
        let Some(Ok(value)) = raw.map(|raw| serde_json::from_str::<Value>(raw.get())) else { return };
        let empty = matches!(&value, Value::Null | Value::Bool(false)) || value == "";
        if empty {
            return;
        }
        match (self.fields.get_mut(name), value) {
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (_, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }

    /// Notes the field in which text came.
    pub(super) fn note_field(&mut self, name: &'static str) {
        self.came_in.get_or_insert(name);
    }

    /// Takes details and gives the reasoning text that they show.
    pub(super) fn add_details(&mut self, raw: &RawValue) -> String {
        let Ok(Value::Array(details)) = serde_json::from_str(raw.get()) else { return String::new() };
        if details.is_empty() {
            return String::new();
        }
        let slot = self.fields.entry(DETAILS).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = slot else { return String::new() };
        let (mut shown, before) = (String::new(), list.len());
        for detail in details {
            let text = |name: &str| detail.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            shown.push_str(text("text").or_else(|| text("summary")).unwrap_or_default());
            let earlier = list.iter_mut().take(before).rev().find(|known| continues(known, &detail));
            match (earlier, detail) {
                (Some(Value::Object(known)), Value::Object(piece)) => join(known, piece),
                (_, detail) => list.push(detail),
            }
        }
        shown
    }

    /// Gives the payload, if there is any.
    pub(super) fn take(&mut self, origin: &Origin) -> Option<Opaque> {
        let mut fields = std::mem::take(&mut self.fields);
        if let Some(name) = self.came_in.take() {
            fields.insert(CAME_IN.to_owned(), Value::from(name));
        }
        (!fields.is_empty())
            .then(|| Opaque { provider: origin.row.name.to_owned(), payload: Value::Object(fields) })
    }
}

/// Adds a piece to a detail: texts grow, anything else is replaced by what is newer.
fn join(known: &mut Map<String, Value>, piece: Map<String, Value>) {
    for (name, value) in piece {
        match (known.get_mut(&name), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::String(text)), Value::String(more)) if GROWING.contains(&&*name) => {
                text.push_str(&more)
            }
            (_, value) => {
                known.insert(name, value);
            }
        }
    }
}

/// Tells whether a piece goes on with a detail of an earlier piece: same place, same type, and no other id.
fn continues(known: &Value, piece: &Value) -> bool {
    let index = piece.get("index").filter(|index| !index.is_null());
    let other_id = match (known.get("id"), piece.get("id")) {
        (Some(Value::String(known)), Some(Value::String(new))) => known != new,
        _ => false,
    };
    index.is_some() && known.get("index") == index && known.get("type") == piece.get("type") && !other_id
}
