//! The order of a workflow's tasks before it runs: waves of those that can run at once, and the longest chain.

use std::collections::HashMap;

use motet_core::workflow::WorkflowSpec;

/// In which order tasks can run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// Places of the tasks in the workflow: each wave waits for tasks of the waves before it.
    pub waves: Vec<Vec<usize>>,
    /// The chain of tasks that takes longest, each waiting for the one before it.
    pub critical: Vec<usize>,
}

/// Gives the order of tasks; `weight` says how long one takes, in any unit. The workflow has no circles.
#[must_use]
pub fn outline(spec: &WorkflowSpec, weight: impl Fn(usize) -> u64) -> Outline {
    let count = spec.tasks.len();
    let numbers: HashMap<&str, usize> =
        spec.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let needs = |at: usize| {
        let names = spec.tasks.get(at).map_or(&[][..], |task| task.dependencies.as_slice());
        names.iter().filter_map(|name| numbers.get(name.as_str()).copied())
    };
    let (mut waits, mut next) = (vec![0_usize; count], vec![Vec::new(); count]);
    for at in 0..count {
        for other in needs(at) {
            waits.get_mut(at).into_iter().for_each(|waits| *waits += 1);
            next.get_mut(other).into_iter().for_each(|next: &mut Vec<usize>| next.push(at));
        }
    }
    let mut longest = vec![0_u64; count];
    let mut waves = Vec::new();
    let mut wave: Vec<usize> = (0..count).filter(|at| waits.get(*at) == Some(&0)).collect();
    while !wave.is_empty() {
        let mut following = Vec::new();
        for at in &wave {
            let before = needs(*at).filter_map(|other| longest.get(other).copied()).max().unwrap_or(0);
            longest
                .get_mut(*at)
                .into_iter()
                .for_each(|longest| *longest = before.saturating_add(weight(*at)));
            for to in next.get(*at).into_iter().flatten() {
                if let Some(waits) = waits.get_mut(*to) {
                    *waits -= 1;
                    if *waits == 0 {
                        following.push(*to);
                    }
                }
            }
        }
        following.sort_unstable();
        waves.push(std::mem::replace(&mut wave, following));
    }
    let length = |at: &usize| longest.get(*at).copied().unwrap_or_default();
    // Of equally long chains the one that is written first.
    let first = |one: usize, other: usize| if length(&other) > length(&one) { other } else { one };
    let mut critical: Vec<usize> = (0..count).reduce(first).into_iter().collect();
    while let Some(before) = critical.last().and_then(|last| needs(*last).reduce(first)) {
        critical.push(before);
    }
    critical.reverse();
    Outline { waves, critical }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(tasks: &[(&str, &[&str])]) -> WorkflowSpec {
        let task = |(id, needs): &(&str, &[&str])| json!({"id": id, "method": "m", "dependencies": needs});
        let tasks: Vec<_> = tasks.iter().map(task).collect();
        serde_json::from_value(json!({"name": "w", "tasks": tasks})).unwrap()
    }

    #[test]
    fn waves_hold_what_can_run_at_once_and_the_critical_path_is_the_longest_chain() {
        let spec =
            spec(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["c"]), ("e", &["b", "d"]), ("f", &[])]);
        let even = outline(&spec, |_| 1);
        assert_eq!(even.waves, [vec![0, 5], vec![1, 2], vec![3], vec![4]]);
        assert_eq!(even.critical, [0, 2, 3, 4]);
        let heavy = outline(&spec, |at| if at == 1 { 9 } else { 1 });
        assert_eq!(heavy.critical, [0, 1, 4]);
        assert_eq!(outline(&spec, |at| if at == 5 { 99 } else { 1 }).critical, [5]);
    }

    #[test]
    fn a_workflow_without_tasks_has_no_waves() {
        let none = outline(&spec(&[]), |_| 1);
        assert_eq!((none.waves.len(), none.critical.len()), (0, 0));
    }
}
