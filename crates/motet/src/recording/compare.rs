//! Compares what a run came to with what was recorded of it.

use std::collections::HashMap;

use motet_core::cassette::{Cassette, Difference, RecordedStep, RecordedTask, difference};
use motet_core::error::{ErrorReport, Result};
use motet_core::store::{RunState, TaskState};
use serde_json::{Map, Value};

/// One thing in which a run differs from its recording.
pub type RunDifference = Difference;

/// What a run came to.
pub(super) struct Came<'a> {
    pub(super) state: RunState,
    pub(super) outputs: &'a Map<String, Value>,
    pub(super) tasks: &'a [RecordedTask],
}

/// Tells in what a run differs from an earlier one: its state, what was asked at each step, its tasks, and its outputs.
///
/// # Errors
/// `Store` when a recorded request cannot be read.
pub fn compare(now: &Cassette, before: &Cassette) -> Result<Vec<RunDifference>> {
    let came = |of: &'_ Cassette| (of.header.state, of.header.outputs.clone(), of.tasks.clone());
    let ((state, outputs, tasks), (old_state, old_outputs, old_tasks)) = (came(now), came(before));
    let mut found = requests(now, before)?;
    found.extend(differences(
        &Came { state, outputs: &outputs, tasks: &tasks },
        &Came { state: old_state, outputs: &old_outputs, tasks: &old_tasks },
    ));
    Ok(found)
}

/// Tells in what the last requests of the steps differ that both runs have.
fn requests(now: &Cassette, before: &Cassette) -> Result<Vec<RunDifference>> {
    let old: HashMap<&str, &RecordedStep> =
        before.steps.iter().map(|step| (step.step.as_str(), step)).collect();
    let new: HashMap<&str, &RecordedStep> = now.steps.iter().map(|step| (step.step.as_str(), step)).collect();
    let mut found = Vec::new();
    for step in &now.steps {
        let is_last = new.get(step.step.as_str()).is_some_and(|last| std::ptr::eq(*last, step));
        let Some(was) = old.get(step.step.as_str()).filter(|_| is_last) else { continue };
        let place = |part: &str| format!("step `{}`: {part}", step.step);
        found.extend(Difference::of_texts(&place("model"), &step.label, &was.label));
        let (Some(asks), Some(asked)) = (now.request(step)?, before.request(was)?) else { continue };
        found.extend(difference(&asks, &asked).map(|first| first.below(&place(""))));
    }
    Ok(found)
}

/// Gives every difference, the state of the run first, then its tasks, then its outputs.
///
/// Outputs are compared where both ended alike. A replay is not cancelled where the recorded run was, so that the state is
/// then left aside. What had not ended when the recorded run stopped is no difference, and neither is a task that the run did not come to
/// because both failed: which tasks a failure cuts off is a matter of chance.
pub(super) fn differences(now: &Came<'_>, recorded: &Came<'_>) -> Vec<RunDifference> {
    let state = Difference::of_texts("state", now.state.as_str(), recorded.state.as_str());
    let mut found: Vec<RunDifference> =
        state.filter(|_| recorded.state != RunState::Cancelled).into_iter().collect();
    let cut_off = recorded.state != RunState::Completed;
    let mut tasks: HashMap<&str, &RecordedTask> =
        now.tasks.iter().map(|task| (task.name.as_str(), task)).collect();
    for was in recorded.tasks {
        let is = tasks.remove(was.name.as_str());
        let ended = is.is_some_and(|task| task.state.is_ended());
        if was.state.is_ended() && (ended || !cut_off) {
            found.extend(task(is, was));
        }
    }
    if !cut_off {
        let mut unknown: Vec<&&str> = tasks.keys().collect();
        unknown.sort_unstable();
        found.extend(unknown.into_iter().filter_map(|name| {
            Difference::between(&format!("task `{name}`"), Some(&Value::from("there")), None)
        }));
    }
    if now.state != recorded.state {
        return found;
    }
    let names = recorded
        .outputs
        .keys()
        .chain(now.outputs.keys().filter(|name| !recorded.outputs.contains_key(*name)));
    found.extend(names.filter_map(|name| {
        Difference::between(&format!("outputs.{name}"), now.outputs.get(name), recorded.outputs.get(name))
    }));
    found
}

fn task(is: Option<&RecordedTask>, was: &RecordedTask) -> Option<RunDifference> {
    let place = format!("task `{}`", was.name);
    let Some(is) = is else {
        return Difference::between(&place, None, Some(&Value::from(told(was))));
    };
    if is.state != was.state || was.state == TaskState::Failed {
        return Difference::of_words(&place, &told(is), &told(was));
    }
    Difference::between(&place, is.output.as_ref(), was.output.as_ref())
}

/// Tells how a task ended, in words that are the same whenever it ends so.
fn told(task: &RecordedTask) -> String {
    match (&task.error, task.state) {
        (Some(ErrorReport { kind, message, hint, .. }), TaskState::Failed) => match hint {
            Some(hint) => format!("failed with {kind}: {message} ({hint})"),
            None => format!("failed with {kind}: {message}"),
        },
        (_, state) => state.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task_of(name: &str, state: TaskState, output: Option<Value>) -> RecordedTask {
        RecordedTask {
            number: 0,
            name: name.to_owned(),
            state,
            attempt: 1,
            parent: None,
            output,
            error: None,
            started_at: None,
            ended_at: None,
        }
    }

    fn told_differences(
        state: [RunState; 2],
        tasks: [&[RecordedTask]; 2],
        outputs: [Value; 2],
    ) -> Vec<String> {
        let outputs = outputs.map(|outputs| outputs.as_object().cloned().unwrap());
        let came = |place: usize| Came { state: state[place], outputs: &outputs[place], tasks: tasks[place] };
        differences(&came(0), &came(1)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_difference_is_told_with_its_place() {
        let now =
            [task_of("a", TaskState::Done, Some(json!({"n": [1, 2]}))), task_of("x", TaskState::Done, None)];
        let was = [
            task_of("a", TaskState::Done, Some(json!({"n": [1, 3]}))),
            task_of("b", TaskState::Skipped, None),
        ];
        let found = told_differences(
            [RunState::Completed; 2],
            [&now, &was],
            [json!({"out": "new", "same": 1}), json!({"out": "old", "same": 1, "gone": true})],
        );
        assert_eq!(
            found,
            [
                "task `a`.n[1] is `2` and was `3`",
                "task `b` is not there and was `skipped`",
                "task `x` is `there` and was not there",
                "outputs.out is `new` and was `old`",
                "outputs.gone is not there and was `true`",
            ]
        );
    }

    #[test]
    fn what_a_failure_cut_off_is_no_difference() {
        let failed = task_of("bad", TaskState::Failed, None);
        let now = [
            failed.clone(),
            task_of("beside", TaskState::Ready, None),
            task_of("late", TaskState::Done, None),
        ];
        let was = [failed, task_of("beside", TaskState::Done, None), task_of("late", TaskState::Ready, None)];
        assert!(told_differences([RunState::Failed; 2], [&now, &was], [json!({}), json!({})]).is_empty());
        let found =
            told_differences([RunState::Completed, RunState::Failed], [&[], &[]], [json!({}), json!({})]);
        assert_eq!(found, ["state is `completed` and was `failed`"]);
    }
}
