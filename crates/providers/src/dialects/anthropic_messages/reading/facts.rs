//! What an answer tells that has no field of its own: citations, why it stopped, what was billed beside tokens.

use motet_core::StreamEvent;
use serde_json::Value;
use serde_json::value::RawValue;

/// Fields of the usage object that tell more than the counts, where they tell anything.
const BILLED: [&str; 4] = ["cache_creation", "server_tool_use", "iterations", "service_tier"];

/// The facts so far, by name; a later one replaces an earlier one of its name.
#[derive(Default)]
pub(super) struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    /// Takes a fact; null, empty lists, and empty objects are none.
    pub(super) fn set(&mut self, name: &'static str, raw: Option<&RawValue>) {
        if let Some(Ok(value)) = raw.map(|raw| serde_json::from_str::<Value>(raw.get())) {
            self.put(name, value);
        }
    }

    /// Takes a list of facts, unless it is empty.
    pub(super) fn set_list(&mut self, name: &'static str, list: Vec<Value>) {
        self.put(name, Value::Array(list));
    }

    /// Takes what a usage object tells beside the counts.
    pub(super) fn add_usage(&mut self, raw: &RawValue) {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(raw.get()) else { return };
        for name in BILLED {
            if let Some(value) = fields.swap_remove(name).filter(is_unusual) {
                self.put(name, value);
            }
        }
    }

    /// Gives all facts and forgets them.
    pub(super) fn report(&mut self, out: &mut Vec<StreamEvent>) {
        let facts = std::mem::take(&mut self.0).into_iter();
        out.extend(facts.map(|(name, value)| StreamEvent::Metadata { name: name.to_owned(), value }));
    }

    fn put(&mut self, name: &'static str, value: Value) {
        let says_nothing = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if says_nothing {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

/// Tells whether a value says more than that there was nothing or that all was as always.
fn is_unusual(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "standard",
        Value::Array(list) => list.iter().any(is_unusual),
        Value::Object(fields) => fields.values().any(is_unusual),
    }
}
