//! Agents of files, run by the real command: parked for people, resumed elsewhere, killed at any moment.
#![cfg(unix)]

mod commands;
mod crash;
mod tools;

use motet_tests::command::{Done, Place, workspace};
use serde_json::{Value, json};

fn run(place: &Place, arguments: &[&str]) -> Done {
    place.run(arguments).unwrap()
}

/// Links the examples into a place, so that commands find them and leave nothing in the checkout.
fn with_examples() -> Place {
    let place = Place::new().unwrap();
    let (from, to) = (workspace().join("examples"), place.path().join("examples"));
    assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    place
}

/// A tool that appends its name and the key of the call to a file, and answers with its number.
fn noting(name: &str, effect: &str) -> Value {
    let script = r#"echo "$1 $MOTET_IDEMPOTENCY_KEY" >> effects.log; echo "noted $2""#;
    json!({"command": {
        "name": name,
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "run": ["sh", "-c", script, "sh", name, "${n}"],
        "effect": effect,
    }})
}
