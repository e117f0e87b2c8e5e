//! What models used below calls of tools that end without an answer. The log tells it, as the tools cannot any more.
//!
//! Looks at the log only where a call was given up, never on the way of a run that goes well.

use std::collections::BTreeSet;

use motet_core::run_log::{Entry, StepKind};
use motet_core::tool::Spent;
use motet_core::{Cost, RunContext, Usage};
use serde::Deserialize;
use serde_json::Value;

/// The part of a recorded answer that tells what was used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    usage: Option<Usage>,
    cost: Option<Cost>,
}

/// Sums up what models used below these steps; `None` where none was asked. A call that is open may have been billed, so
/// that the cost is unknown.
pub(super) fn spent_below(context: &RunContext, steps: &[String]) -> Option<Spent> {
    if steps.is_empty() {
        return None;
    }
    let keys: Vec<String> = steps.iter().map(|step| context.key(step)).collect();
    // Another try of a call stands beside it, as `tool/0/0.2`.
    let is_below = |step: &str| {
        keys.iter()
            .any(|key| step.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(['/', '.'])))
    };
    let (mut open, mut spent) = (BTreeSet::new(), None::<Spent>);
    for record in context.log().records() {
        let step = record.step();
        // What guardrails ask of models is no part of what a run uses.
        if !is_below(step) || step.contains("/guardrail/") {
            continue;
        }
        match record.entry() {
            Entry::Started { kind: StepKind::Model, .. } => {
                open.insert(step.to_owned());
            }
            Entry::Finished { result } if open.remove(step) => add(&mut spent, result),
            Entry::Failed { .. } => {
                open.remove(step);
            }
            _ => {}
        }
    }
    match (spent, open.is_empty()) {
        (spent, true) => spent,
        (spent, false) => {
            Some(Spent { usage: spent.map(|spent| spent.usage).unwrap_or_default(), cost: None })
        }
    }
}

fn add(spent: &mut Option<Spent>, result: &Value) {
    let Answer { usage, cost } = Answer::deserialize(result).unwrap_or_default();
    let sum = spent.get_or_insert(Spent { usage: Usage::default(), cost: Some(Cost::ZERO) });
    sum.usage += usage.unwrap_or_default();
    sum.cost = sum.cost.zip(cost).map(|(sum, cost)| sum + cost);
}
