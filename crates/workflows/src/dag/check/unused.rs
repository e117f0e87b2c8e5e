//! Finds what is declared and never used, and listed variables that are not set.

use std::collections::HashSet;

use super::places::{View, field};
use super::{Found, Surroundings, rules};
use crate::dag::reference::{Root, Step};
use crate::dag::yaml::{Content, Place};

pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    let (mut inputs, mut variables, mut all_inputs) = (HashSet::new(), HashSet::new(), false);
    for used in view.uses() {
        match (used.reference.root(), used.reference.path()) {
            (Root::Inputs, [Step::Field(name), ..]) => drop(inputs.insert(name.as_str())),
            (Root::Inputs, _) => all_inputs = true,
            (Root::Env, [Step::Field(name), ..]) => drop(variables.insert(name.as_str())),
            _ => {}
        }
    }
    for name in view.spec.inputs.keys().filter(|name| !all_inputs && !inputs.contains(name.as_str())) {
        let hint = format!("remove it, or use it as `${{inputs.{name}}}`");
        found.add(
            &rules::UNUSED,
            entry(view, "inputs", name),
            format!("nothing uses the input `{name}`"),
            hint,
        );
    }
    for name in &view.spec.env {
        let place = entry(view, "env", name);
        if !variables.contains(name.as_str()) {
            let hint = format!("remove it, or use it as `${{env.{name}}}`");
            found.add(&rules::UNUSED, place, format!("nothing uses the variable `{name}`"), hint);
        } else if !around.is_set(name) {
            let message = format!("the environment variable `{name}` is not set");
            found.add(&rules::NOT_SET, place, message, "set it where the workflow runs");
        }
    }
    let limits: HashSet<&str> = view.tasks.iter().filter_map(|task| task.spec.limit.as_deref()).collect();
    for name in view.spec.limits.keys().filter(|name| !limits.contains(name.as_str())) {
        let hint = format!("remove it, or write `limit: {name}` in the tasks that it limits");
        found.add(
            &rules::UNUSED,
            entry(view, "limits", name),
            format!("no task names the limit `{name}`"),
            hint,
        );
    }
}

/// Gives where a name stands in a mapping or list of the workflow.
fn entry(view: &View<'_>, key: &str, name: &str) -> Place {
    let Some(list) = field(view.root, key) else { return view.root.place };
    let found = match &list.node.content {
        Content::Map(fields) => fields.iter().find(|field| field.key == name).map(|field| field.place),
        Content::List(items) => items
            .iter()
            .find(|item| matches!(&item.content, Content::String(text) if text == name))
            .map(|item| item.place),
        _ => None,
    };
    found.unwrap_or(list.place)
}
