//! Reads which workers may run tasks, and how many tasks of a kind may run at once.
//!
//! Knows no store: whether anybody serves a queue is not known before a run goes on.

use std::collections::BTreeMap;

use motet_core::workflow::TaskSpec;
use serde_json::{Map, Value};

use super::Rules;
use super::describe::found;
use super::fields::{Fields, count, misfit, name};
use super::report::Report;
use crate::dag::yaml::{Content, Field, Place};

/// Queues of runs that are no workflows; their processes take them by themselves.
pub const RESERVED_QUEUES: [&str; 3] = ["agents", "batch", "calls"];

/// The longest name of a queue or a limit, in characters.
const LONGEST: usize = 100;

/// The largest limit that can be written.
const MOST: u32 = 100_000;

/// Reads the name of a queue.
pub(super) fn queue(field: &Field, report: &mut Report<'_>) -> Option<String> {
    let queue = key(field, report)?;
    if RESERVED_QUEUES.contains(&queue.as_str()) {
        let message = format!("the queue `{queue}` is reserved for runs that are no workflows");
        report.hint(field.node.place, message, "choose another name");
        return None;
    }
    Some(queue)
}

/// Reads a name that command lines list, divided by commas.
pub(super) fn key(field: &Field, report: &mut Report<'_>) -> Option<String> {
    let written = name(field, report)?.trim();
    if let Some(bad) = written.chars().find(|bad| bad.is_control() || bad.is_whitespace() || *bad == ',') {
        let message =
            format!("`{}` holds `{}`, which no name of this kind may", field.key, bad.escape_debug());
        report.hint(field.node.place, message, "use letters, digits, `-`, `_`, and `.`");
        return None;
    }
    if written.chars().count() > LONGEST {
        report.add(field.node.place, format!("`{}` is longer than {LONGEST} characters", field.key));
        return None;
    }
    Some(written.to_owned())
}

/// Reads how many tasks of each key may run at once.
pub(super) fn limits(fields: Fields<'_>, report: &mut Report<'_>) -> BTreeMap<String, u32> {
    let Some(field) = fields.get("limits") else { return BTreeMap::new() };
    let Content::Map(written) = &field.node.content else {
        misfit(field, "a mapping of keys and numbers", report);
        return BTreeMap::new();
    };
    let limit = |field: &Field| Some((field.key.clone(), count(field, 1..=MOST, report)?));
    written.iter().filter_map(limit).collect()
}

/// Reads the providers of methods as they are written: names and mappings.
pub(super) fn providers(
    fields: Fields<'_>,
    rules: &Rules<'_>,
    report: &mut Report<'_>,
) -> Map<String, Value> {
    let Some(field) = fields.get("providers") else { return Map::new() };
    let Content::Map(written) = &field.node.content else {
        misfit(field, "a mapping of names and mappings", report);
        return Map::new();
    };
    for provider in written {
        if !matches!(provider.node.content, Content::Map(_)) {
            let message = format!(
                "the provider `{}` must be a mapping, but is {}",
                provider.key,
                found(&provider.node)
            );
            report.hint(provider.node.place, message, "say how it is reached, such as `{url: …}`");
        } else if let Some(reason) = rules.providers.get(&provider.key) {
            report.add_with(provider.place, reason.message.clone(), reason.hint.clone());
        }
    }
    written.iter().map(|provider| (provider.key.clone(), provider.node.to_json())).collect()
}

/// Finds the limits that tasks name: those of the file, else those of the settings, which the file then holds too.
pub(super) fn check<'t>(
    limits: &mut BTreeMap<String, u32>,
    named: impl Iterator<Item = (&'t TaskSpec, Place)>,
    rules: &Rules<'_>,
    report: &mut Report<'_>,
) {
    for (task, place) in named {
        let Some(key) = task.limit.as_ref().filter(|key| !limits.contains_key(*key)) else { continue };
        if let Some(most) = rules.limits.get(key) {
            limits.insert(key.clone(), *most);
            continue;
        }
        let known: Vec<&str> = limits.keys().chain(rules.limits.keys()).map(String::as_str).collect();
        let hint = report.nearest(key, known.into_iter()).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.unwrap_or_else(|| {
            format!("set it above the tasks, as in `limits: {{{key}: 2}}`, or as the setting `workflow.limits.{key}`")
        });
        report.hint(place, format!("there is no limit `{key}`"), hint);
    }
}
