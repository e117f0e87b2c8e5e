//! Methods as workflows call them through the command: tools of servers, agents, other programs, and services of the web.
#![cfg(unix)]

mod agents;
mod guides;
mod http;
mod remote;
mod tools;

use motet_tests::command::{Done, Place};
use serde_json::Value;

/// Runs a workflow, and gives how the command ended with its report.
fn ran(place: &Place, workflow: &str) -> (Done, Value) {
    place.write("w.yaml", workflow).unwrap();
    reported(place, &["run", "w.yaml", "--output", "json"])
}

fn reported(place: &Place, arguments: &[&str]) -> (Done, Value) {
    let done = place.run(arguments).unwrap();
    let report = done.json().unwrap_or(Value::Null);
    (done, report)
}

/// Gives the outputs of a workflow that must run to its end.
fn outputs(place: &Place, workflow: &str) -> Value {
    let (done, mut report) = ran(place, workflow);
    assert_eq!((done.code, report["state"].as_str()), (Some(0), Some("completed")), "{done:?}");
    report["outputs"].take()
}

/// Gives a task of a report by its name.
fn task<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tasks = report["tasks"].as_array().expect("a report has tasks");
    tasks.iter().find(|task| task["name"] == name).expect("there is such a task")
}
