//! What models used below calls of tools that do not tell: those that end without an answer, and functions that run
//! agents. The log tells it.
//!
//! Reads the log only where a call was given up, or models were asked below one.

use std::collections::BTreeSet;

use motet_core::run_log::{Entry, StepKind};
use motet_core::tool::Spent;
use motet_core::{Cost, RunContext, ToolOutput, Usage};
use serde::Deserialize;
use serde_json::Value;

/// The part of a recorded answer that tells what was used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    usage: Option<Usage>,
    cost: Option<Cost>,
}

/// Tells what models used below a call, whose context this is, where its tool did not.
pub(crate) fn counted(call: &RunContext, output: ToolOutput) -> ToolOutput {
    let step = call.step_name();
    if output.spent.is_some() || !call.log().asks_models_below(step) {
        return output;
    }
    ToolOutput { spent: sum_below(call, &[step.to_owned()]), ..output }
}

/// Sums up what models used below these steps; `None` where none was asked. A call that is open may have been billed, so
/// that the cost is unknown.
pub(super) fn spent_below(context: &RunContext, steps: &[String]) -> Option<Spent> {
    if steps.is_empty() {
        return None;
    }
    sum_below(context, &steps.iter().map(|step| context.key(step)).collect::<Vec<_>>())
}

fn sum_below(context: &RunContext, keys: &[String]) -> Option<Spent> {
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
