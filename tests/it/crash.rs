//! Runs are killed at any moment and go on without paying for anything twice.

use std::collections::HashMap;
use std::path::Path;

use motet_tests::command::{Place, workspace};
use serde_json::{Value, json};

/// Copies the example workflow, so that its store and output are the test's own. A model that answers slowly is hit in the
/// middle of a call by a kill at its beginning, a quick one while answers are recorded and tasks completed.
fn example(place: &Place, delay_ms: usize) {
    copy(&workspace().join("examples"), &place.path().join("examples"));
    let answers = json!({
        "answers": [
            {"when": {"schema": true}, "json": {"title": "T", "dates": ["2026-05-03"], "people": ["Ada Brook"]}, "delay_ms": delay_ms},
            {"when": {"schema": false}, "text": "A summary.", "delay_ms": delay_ms},
        ],
        "log": "calls.jsonl",
    });
    place.write("script.json", answers.to_string()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "output" && entry.file_name() != ".motet" {
                copy(&entry.path(), &target);
            }
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

const RUN: &[&str] = &["run", "examples/brief.yaml", "--model", "scripted:script.json", "--output", "json"];

/// Counts the calls of each step that the scripted model saw.
fn calls(place: &Place) -> HashMap<String, u32> {
    let log = place.read("calls.jsonl").unwrap_or_default();
    let mut calls = HashMap::new();
    for line in log.lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        *calls.entry(call["step"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    calls
}

fn latest_run(place: &Place) -> Option<Value> {
    let listed = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    listed.as_array().unwrap().first().cloned()
}

/// Steps whose answers the journal holds.
fn recorded(place: &Place) -> Vec<String> {
    let store = motet::persistence::open_in("sqlite:.motet/motet.db", place.path()).unwrap();
    let run: motet::RunId = latest_run(place).unwrap()["id"].as_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let records = runtime.block_on(store.records(&run, 0, u32::MAX)).unwrap();
    let finished = records
        .iter()
        .filter(|entry| matches!(entry.record.entry(), motet_core::run_log::Entry::Finished { .. }));
    finished.map(|entry| entry.record.step().to_owned()).collect()
}

#[test]
fn a_run_killed_at_any_moment_goes_on_and_repeats_nothing_that_was_recorded() {
    let whole = Place::new().unwrap();
    example(&whole, 0);
    let done = whole.run(RUN).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = whole.read("examples/output/brief.md").unwrap();
    let all_steps = calls(&whole).len();
    let mut killed_midway = 0;
    for moment in 0..10 {
        let place = Place::new().unwrap();
        example(&place, moment % 4 * 10);
        let mut child = place.start(RUN).unwrap();
        wait_for_calls(&place, &mut child, moment * all_steps / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        // Killed before the run was stored, there is nothing to resume and nothing was paid.
        let Some(run) = latest_run(&place) else {
            assert!(calls(&place).is_empty());
            continue;
        };
        killed_midway += u32::from(run["state"] == "running");
        let (before, had) = (calls(&place), recorded(&place));
        let id = run["id"].as_str().unwrap();
        if run["state"] == "running" {
            let resumed = place.run(&["workflow", "resume", id, "--output", "json"]).unwrap();
            assert_eq!(resumed.code, Some(0), "{resumed:?}");
            assert_eq!(resumed.json().unwrap()["state"], "completed");
        }
        assert_eq!(place.read("examples/output/brief.md").unwrap(), expected);
        let after = calls(&place);
        for step in had {
            assert_eq!(after.get(&step), before.get(&step), "recorded step {step} was called again");
        }
        assert_eq!(after.len(), all_steps);
        let left: Vec<_> = std::fs::read_dir(place.path().join("examples/output")).unwrap().collect();
        assert_eq!(left.len(), 1, "something half-written was left: {left:?}");
    }
    assert!(killed_midway >= 5, "only {killed_midway} of 10 kills hit a run that was going on");
}

/// Waits until the model saw so many calls, or the command has ended.
fn wait_for_calls(place: &Place, child: &mut std::process::Child, wanted: usize) {
    while calls_seen(place) < wanted.max(1) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

fn calls_seen(place: &Place) -> usize {
    place.read("calls.jsonl").map_or(0, |log| log.lines().count())
}
