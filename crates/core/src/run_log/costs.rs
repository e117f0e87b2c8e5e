//! What the entries of run logs say was paid: one sum, or one for each call that was paid.
//!
//! Reads entries in order and keeps only the steps that have begun and not ended, so that any number of them can be
//! read. A step that was replayed has no second entry, so that nothing counts twice.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Entry, StepKind};
use crate::context::Attribution;
use crate::id::Millis;
use crate::model_id::ModelId;
use crate::store::Sequenced;
use crate::usage::{Cost, Usage};

/// Label of the step that a request of a batch is; its result stands in the place of all its calls.
pub const BATCH_REQUEST: &str = "batch request";

/// Reads entries of one run, in order.
#[derive(Debug, Default)]
pub struct Costs {
    begun: HashMap<(u32, String), Begun>,
    total: Total,
}

#[derive(Debug)]
struct Begun {
    label: String,
    attribution: Attribution,
    /// Where the answer stands in the result.
    answer: &'static str,
}

/// One call that was paid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Paid {
    /// Full name of the step.
    pub step: String,
    /// When it ended.
    pub at: Millis,
    /// The model that was asked; `None` where the entry names none.
    pub model: Option<ModelId>,
    /// Name of the key that was used, where the answer tells it.
    pub key: Option<String>,
    /// To whom the call is ascribed.
    pub attribution: Attribution,
    /// Tokens; `None` where the provider did not say.
    pub usage: Option<Usage>,
    /// Money; `None` where it is unknown.
    pub cost: Option<Cost>,
    /// The answer was kept from an earlier call: the tokens are those of that call, and nothing was paid.
    pub cached: bool,
}

/// What several calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Calls that were answered.
    pub calls: u64,
    /// How many of them were answered by what was kept from earlier ones.
    pub cached: u64,
    /// Tokens of all others.
    pub usage: Usage,
    /// Money of those whose cost is known.
    pub cost: Cost,
    /// Calls whose cost is unknown.
    pub unknown: u64,
}

impl Total {
    /// Adds one call.
    pub fn add(&mut self, paid: &Paid) {
        self.calls += 1;
        if paid.cached {
            self.cached += 1;
            return;
        }
        self.usage += paid.usage.unwrap_or_default();
        match paid.cost {
            Some(cost) => self.cost = self.cost + cost,
            None => self.unknown += 1,
        }
    }
}

/// The part of a recorded answer that tells what was paid.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    cost: Option<Cost>,
}

impl Costs {
    /// Reads an entry; gives the call that it ends, if it ends one.
    pub fn add(&mut self, entry: &Sequenced) -> Option<Paid> {
        let record = &entry.record;
        let step = || (entry.task, record.step().to_owned());
        match record.entry() {
            Entry::Started { kind: StepKind::Model, label, .. } => {
                let attribution = record.attribution().cloned().unwrap_or_default();
                self.begun.insert(step(), Begun { label: label.clone(), attribution, answer: "" });
                None
            }
            Entry::Started { kind: StepKind::Method, label, .. } if label == BATCH_REQUEST => {
                let attribution = record.attribution().cloned().unwrap_or_default();
                self.begun.insert(step(), Begun { label: label.clone(), attribution, answer: "/response" });
                None
            }
            Entry::Started { .. } => None,
            Entry::Finished { result } => {
                let begun = self.begun.remove(&step())?;
                // A request of a batch may have failed before anything was asked.
                if result.pointer("/model_calls").is_some_and(|calls| *calls == 0) {
                    return None;
                }
                let paid = begun.paid(record.step(), record.at(), result);
                self.total.add(&paid);
                Some(paid)
            }
            Entry::Failed { .. } => {
                self.begun.remove(&step());
                None
            }
        }
    }

    /// Gives the sum so far.
    #[must_use]
    pub fn total(&self) -> Total {
        self.total
    }
}

impl Begun {
    fn paid(self, step: &str, at: Millis, result: &Value) -> Paid {
        // An answer that cannot be read was paid all the same; what it cost is unknown then.
        let answer = Answer::deserialize(result).ok();
        let whole = result.pointer(self.answer).unwrap_or(result);
        let key = whole.pointer("/metadata/key").and_then(Value::as_str).map(str::to_owned);
        let model = whole.get("model").and_then(Value::as_str).and_then(|model| model.parse().ok());
        Paid {
            step: step.to_owned(),
            at,
            model: model.or_else(|| self.label.parse().ok()),
            key,
            attribution: self.attribution,
            cached: whole.pointer("/metadata/cached").is_some_and(|cached| *cached == Value::Bool(true)),
            usage: answer.as_ref().and_then(|answer| answer.usage),
            cost: answer.and_then(|answer| answer.cost),
        }
    }
}
