//! Looks at what workers left: whether anything was lost, done twice, or done too early.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};
use motet_core::RunId;
use motet_core::run_log::Entry;
use motet_core::store::{Change, RunEvent, RunState, SharedStore, Task, TaskState};
use motet_core::workflow::WorkflowSpec;
use serde_json::Value;

use super::effects::Effects;
use super::{Chaos, Work, graph};

/// Entries that are read at a time.
const PAGE: u32 = 1_000;

/// Checks a run that has ended; gives how many tasks it has.
pub(super) fn verify(
    chaos: &Chaos,
    store: SharedStore,
    run: &RunId,
    effects: &Effects,
    was_set_back: bool,
) -> Work<usize> {
    let (run, effects, poison) = (run.clone(), effects.clone(), chaos.shape.poison);
    Box::pin(async move {
        let found = store.run(&run).await?.context("the run is gone")?;
        let tasks = store.tasks(&run).await?;
        let expected = if poison { RunState::Failed } else { RunState::Completed };
        ensure!(found.summary.state == expected, "the run is {}: {}", found.summary.state, shown(&tasks));
        ensure!(found.summary.active == 0, "{} tasks seem to be in hand", found.summary.active);
        check_counts(&found.summary, &tasks)?;
        let events = events(&store, &run).await?;
        check_events(&events, &tasks)?;
        check_order(&found.definition, &events, &tasks)?;
        check_effects(&store, &run, &tasks, &effects, was_set_back).await?;
        Ok(tasks.len())
    })
}

fn shown(tasks: &[Task]) -> String {
    tasks.iter().map(|task| format!("{}:{}", task.name, task.state)).collect::<Vec<_>>().join(" ")
}

/// What has ended adds up to what there is, and nothing waits for anything.
fn check_counts(run: &motet_core::store::RunSummary, tasks: &[Task]) -> Result<()> {
    let count = |fits: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| fits(task)).count();
    let done = count(&|task| task.state == TaskState::Done);
    let failed = count(&|task| task.state.has_failed());
    let skipped = count(&|task| task.state == TaskState::Skipped);
    let told = (run.tasks as usize, run.done as usize, run.failed as usize, run.skipped as usize);
    ensure!(told == (tasks.len(), done, failed, skipped), "the run tells {told:?}: {}", shown(tasks));
    ensure!(done + failed + skipped == tasks.len(), "something has not ended: {}", shown(tasks));
    for task in tasks {
        ensure!(task.remaining == 0 && task.open_children == 0, "`{}` still waits", task.name);
        let may_fail = graph::is_poison(&task.name);
        ensure!(may_fail == (task.state == TaskState::Dead), "`{}` is {}", task.name, task.state);
    }
    Ok(())
}

async fn events(store: &SharedStore, run: &RunId) -> Result<Vec<RunEvent>> {
    let mut all: Vec<RunEvent> = Vec::new();
    loop {
        let page = store.events(run, all.last().map_or(0, |event| event.seq), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Events have no gaps, and each task was done once, by an attempt that had begun.
fn check_events(events: &[RunEvent], tasks: &[Task]) -> Result<()> {
    for (place, event) in (1..).zip(events) {
        ensure!(event.seq == place, "event {place} has the number {}", event.seq);
    }
    for task in tasks {
        let of_task = |event: &&RunEvent| event.task == Some(task.number);
        let mut in_hand = false;
        let mut done = 0;
        for event in events.iter().filter(of_task) {
            match &event.change {
                Change::Started { .. } => {
                    ensure!(!in_hand, "`{}` was given to two workers at once", task.name);
                    in_hand = true;
                }
                Change::Ended { state, .. } => {
                    done += u32::from(*state == TaskState::Done);
                    in_hand = false;
                }
                Change::Crashed { .. }
                | Change::Released
                | Change::Retrying { .. }
                | Change::Expanded { .. } => {
                    in_hand = false;
                }
                _ => {}
            }
        }
        let expected = u32::from(task.state == TaskState::Done);
        ensure!(done == expected, "`{}` was done {done} times", task.name);
    }
    Ok(())
}

/// No task began before those it waits for were done.
fn check_order(definition: &Value, events: &[RunEvent], tasks: &[Task]) -> Result<()> {
    let spec: WorkflowSpec = serde_json::from_value(definition.clone())?;
    let numbers: HashMap<&str, u32> = tasks.iter().map(|task| (task.name.as_str(), task.number)).collect();
    let mut done: HashMap<u32, u64> = HashMap::new();
    let mut begun: HashMap<u32, u64> = HashMap::new();
    for event in events {
        match (&event.change, event.task) {
            (Change::Started { .. }, Some(task)) => drop(begun.entry(task).or_insert(event.seq)),
            (Change::Ended { state: TaskState::Done, .. }, Some(task)) => drop(done.insert(task, event.seq)),
            _ => {}
        }
    }
    for task in &spec.tasks {
        let number = numbers.get(task.id.as_str()).context("a task is gone")?;
        for dependency in &task.dependencies {
            let above = numbers.get(dependency.as_str()).context("a task is gone")?;
            let (Some(began), Some(ended)) = (begun.get(number), done.get(above)) else {
                bail!("`{}` or `{dependency}` never ran", task.id);
            };
            ensure!(ended < began, "`{}` began before `{dependency}` was done", task.id);
        }
    }
    Ok(())
}

/// What was recorded was not paid again, and is what the task gave.
async fn check_effects(
    store: &SharedStore,
    run: &RunId,
    tasks: &[Task],
    effects: &Effects,
    was_set_back: bool,
) -> Result<()> {
    let mut steps = HashSet::new();
    let mut after = 0;
    loop {
        let page = store.records(run, after, PAGE).await?;
        for entry in &page {
            ensure!(entry.seq == after + 1, "entry {} of the journal follows {after}", entry.seq);
            after = entry.seq;
            if let Entry::Finished { .. } = entry.record.entry() {
                let is_new = steps.insert(entry.record.step().to_owned());
                ensure!(is_new, "step `{}` was recorded twice", entry.record.step());
            }
        }
        if page.is_empty() {
            break;
        }
    }
    let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
    let outputs = store.outputs(run, &numbers).await?;
    for (task, output) in tasks.iter().zip(outputs) {
        let Some(receipt) = output.as_ref().and_then(|output| output.get("receipt")).and_then(Value::as_str)
        else {
            ensure!(
                task.state != TaskState::Done || output.is_some_and(|output| output.is_array()),
                "`{}` gave nothing",
                task.name
            );
            continue;
        };
        let paid: Vec<&str> = effects.receipts(&task.name).collect();
        ensure!(paid.contains(&receipt), "`{}` gave what nobody paid for", task.name);
        // What was recorded is what every later attempt has, so that only one that had begun before may pay after it.
        let (late, halted) = effects.after(&task.name, receipt);
        ensure!(was_set_back || late <= halted, "`{}` was paid for again after it was recorded", task.name);
    }
    Ok(())
}
