//! Facts that stand beside the answer, put together from the pieces of a stream.

use motet_core::StreamEvent;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::wire::Candidate;

/// The facts told so far.
#[derive(Default)]
pub(super) struct Facts {
    told: Vec<(&'static str, Value)>,
    /// How the content was rated; told only when it was blocked.
    safety: Option<Value>,
}

/// What becomes of the lists in a fact that is told again.
#[derive(Clone, Copy, PartialEq)]
enum Joining {
    /// The later ones count, since what stands in them refers to other lists of the same piece.
    Latest,
    /// Entries that are new are added; some models repeat the earlier ones.
    Union,
    /// All entries are added.
    Append,
}

impl Facts {
    /// Takes what stands beside a candidate.
    pub(super) fn add(&mut self, candidate: &Candidate<'_>) {
        for (name, raw, joining) in [
            ("grounding_metadata", candidate.grounding_metadata, Joining::Latest),
            ("citation_metadata", candidate.citation_metadata, Joining::Union),
            ("url_context_metadata", candidate.url_context_metadata, Joining::Union),
            ("logprobs", candidate.logprobs_result, Joining::Append),
            ("avg_logprobs", candidate.avg_logprobs, Joining::Latest),
        ] {
            if let Some(value) = raw.and_then(read) {
                self.set(name, value, joining);
            }
        }
        self.safety = candidate.safety_ratings.and_then(read).or(self.safety.take());
        if let Some(message) = &candidate.finish_message {
            self.tell("finish_detail", Value::from(message.0.as_ref()));
        }
    }

    /// Sets a fact.
    pub(super) fn tell(&mut self, name: &'static str, value: Value) {
        self.set(name, value, Joining::Latest);
    }

    /// Gives all facts; ratings only of content that was blocked.
    pub(super) fn close(&mut self, blocked: bool, out: &mut Vec<StreamEvent>) {
        if let Some(ratings) = self.safety.take().filter(|ratings| blocked || names_blocked(ratings)) {
            self.tell("safety_ratings", ratings);
        }
        let told = std::mem::take(&mut self.told).into_iter();
        out.extend(told.map(|(name, value)| StreamEvent::Metadata { name: name.to_owned(), value }));
    }

    fn set(&mut self, name: &'static str, value: Value, joining: Joining) {
        match (self.told.iter_mut().find(|(known, _)| *known == name), value) {
            (Some((_, Value::Object(known))), Value::Object(new)) => join(known, new, joining),
            (Some((_, known)), value) => *known = value,
            (None, value) => self.told.push((name, value)),
        }
    }
}

fn join(known: &mut Map<String, Value>, new: Map<String, Value>, joining: Joining) {
    for (name, value) in new {
        match (known.get_mut(&name), value) {
            (Some(Value::Array(list)), Value::Array(more)) if joining != Joining::Latest => {
                for entry in more {
                    if joining == Joining::Append || !list.contains(&entry) {
                        list.push(entry);
                    }
                }
            }
            (_, value) => {
                known.insert(name, value);
            }
        }
    }
}

fn names_blocked(ratings: &Value) -> bool {
    let blocked = |rating: &Value| rating.get("blocked").is_some_and(|blocked| *blocked == true);
    ratings.as_array().is_some_and(|list| list.iter().any(blocked))
}

/// Reads a fact; `None` when it is empty.
pub(super) fn read(raw: &RawValue) -> Option<Value> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    let empty = match &value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    (!empty).then_some(value)
}
