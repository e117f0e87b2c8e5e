//! Agents as tasks: what they give, whom they wait for, and how they go on after a kill.

use std::process::Child;

use motet_tests::command::{Done, Place};
use serde_json::{Value, json};

use super::{outputs, ran, reported, task};

/// Writes an agent whose model says these things, and notes each that it is asked for.
fn agent(place: &Place, more: Value, answers: Value) {
    let mut agent = json!({"name": "clerk", "model": "scripted:script.json"});
    agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("agent.json", agent.to_string()).unwrap();
    place.write("script.json", json!({"answers": answers, "log": "calls.jsonl"}).to_string()).unwrap();
}

fn tool(name: &str, effect: &str, script: &str) -> Value {
    json!({"command": {"name": name, "run": ["sh", "-c", script], "effect": effect}})
}

const ASK: &str = "tasks:\n\
    - {id: ask, method: agent/run, params: {file: agent.json, input: 'Do it.'}}\n\
    - {id: tell, method: file/write, params: {path: told.txt, content: '${ask.response}'}}\n\
    outputs: {text: '${ask.text}', history: '${ask.tool_history}', calls: '${ask.model_calls}'}\n";

fn two_turns() -> Value {
    json!([
        {"when": {"turn": 0}, "tool_calls": [{"name": "look", "arguments": {}}]},
        {"when": {"turn": 1}, "text": "all is well"},
    ])
}

/// How often the model was asked, by its own log.
fn asked(place: &Place) -> usize {
    place.read("calls.jsonl").unwrap_or_default().lines().count()
}

#[test]
fn an_agent_uses_its_tools_and_its_answer_reaches_other_tasks() {
    let place = Place::new().unwrap();
    agent(&place, json!({"tools": [tool("look", "pure", "echo seen")]}), two_turns());
    let found = outputs(&place, ASK);
    assert_eq!((&found["text"], &found["calls"]), (&json!("all is well"), &json!(2)));
    assert!(found["history"][0]["result"].as_str().unwrap().contains("seen"), "{found}");
    assert_eq!(place.read("told.txt").unwrap(), "all is well");
}

/// A worker of its own, which ends with the test.
struct Worker(Option<Child>);

impl Worker {
    fn start(place: &Place) -> Self {
        Self(Some(place.start(&["worker", "--parallel", "1"]).unwrap()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn submitted(place: &Place, workflow: &str, name: &str) -> String {
    place.write(name, workflow).unwrap();
    let done = place.run(&["workflow", "submit", name]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.trim().to_owned()
}

fn until_state(place: &Place, run: &str, state: &str) -> Value {
    loop {
        let report = place.run(&["workflow", "status", run, "--output", "json"]).unwrap().json().unwrap();
        if report["state"] == state {
            return report;
        }
        assert!(["running", "waiting"].contains(&report["state"].as_str().unwrap()), "{report}");
    }
}

#[test]
fn an_agent_that_waits_for_a_person_leaves_its_worker_free_and_goes_on_when_it_is_answered() {
    let place = Place::new().unwrap();
    let tools = [tool("look", "at_most_once", "echo once >> looked.txt; echo seen")];
    agent(&place, json!({"tools": tools, "approvals": "always"}), two_turns());
    let _worker = Worker::start(&place);
    let run = submitted(&place, ASK, "ask.yaml");
    until_state(&place, &run, "waiting");
    assert!(place.read("looked.txt").is_err(), "the call was made before anybody agreed");
    // The only worker, which runs one task at a time, does something else meanwhile.
    let other =
        submitted(&place, "tasks: [{id: a, method: mcp/tool.add, params: {a: 1, b: 2}}]", "other.yaml");
    until_state(&place, &other, "completed");
    assert_eq!(until_state(&place, &run, "waiting")["tasks"][0]["state"], "waiting");
    let approved = place.run(&["approve", &run]).unwrap();
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let report = until_state(&place, &run, "completed");
    assert_eq!(report["outputs"]["text"], "all is well");
    assert_eq!((place.read("looked.txt").unwrap().as_str(), asked(&place)), ("once\n", 2));
}

#[test]
fn a_denied_call_is_told_to_the_model() {
    let place = Place::new().unwrap();
    let tools = [tool("look", "at_most_once", "echo once >> looked.txt")];
    agent(&place, json!({"tools": tools, "approvals": "always"}), two_turns());
    let (waiting, report) = ran(&place, ASK);
    assert_eq!((waiting.code, report["state"].as_str()), (Some(5), Some("waiting")), "{waiting:?}");
    let run = report["id"].as_str().unwrap();
    assert_eq!(place.run(&["deny", run, "--reason", "not today"]).unwrap().code, Some(0));
    let (done, report) = reported(&place, &["workflow", "resume", run, "--output", "json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let history = report["outputs"]["history"].to_string();
    assert!(history.contains("not today"), "{history}");
    assert!(place.read("looked.txt").is_err());
}

#[test]
fn an_agent_whose_worker_is_killed_goes_on_and_asks_its_model_nothing_twice() {
    let place = Place::new().unwrap();
    // The tool kills the engine once, in the middle of the run.
    let script = "echo try >> tried.txt; if [ -e died ]; then echo seen; else touch died; kill -9 $PPID; fi";
    agent(&place, json!({"tools": [tool("look", "idempotent", script)]}), two_turns());
    place.write("w.yaml", ASK).unwrap();
    let killed: Done = place.run(&["run", "w.yaml"]).unwrap();
    assert_eq!((killed.code, asked(&place)), (None, 1), "{killed:?}");
    let runs = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    let run = runs[0]["id"].as_str().unwrap();
    let (done, report) = reported(&place, &["workflow", "resume", run, "--output", "json"]);
    assert_eq!((done.code, &report["outputs"]["text"]), (Some(0), &json!("all is well")), "{done:?}");
    assert_eq!((place.read("tried.txt").unwrap().as_str(), asked(&place)), ("try\ntry\n", 2));
}

#[test]
fn an_agent_that_fails_fails_its_task() {
    let place = Place::new().unwrap();
    let endless = json!([{"tool_calls": [{"name": "look", "arguments": {}}]}]);
    let more = json!({"tools": [tool("look", "pure", "date +%N")], "limits": {"max_iterations": 1}});
    agent(&place, more, endless);
    let (done, report) = ran(&place, ASK);
    assert_eq!((done.code, report["state"].as_str()), (Some(1), Some("failed")), "{done:?}");
    let error = &task(&report, "ask")["error"];
    assert_eq!(error["kind"], "limit_reached", "{error}");
    assert!(place.read("told.txt").is_err());
    let (missing, report) = ran(&place, &ASK.replace("agent.json", "nobody.json"));
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(task(&report, "ask")["error"].to_string().contains("nobody.json"), "{report}");
}
