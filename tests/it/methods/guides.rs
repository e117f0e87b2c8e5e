//! What the guides of methods and of other programs show, run as it is written.

use std::io::Write as _;
use std::process::Stdio;

use motet_tests::command::{Done, Place, workspace};
use motet_tests::server::{Reply, Server};
use serde_json::{Value, json};

use super::{outputs, reported};
use crate::readme::{blocks, words};

const METHODS: &str = "docs/guide/methods.md";
const REMOTE: &str = "docs/guide/remote-providers.md";

#[test]
fn every_example_of_methods_runs() {
    let folder = workspace().join("examples/methods");
    let place = Place::new().unwrap();
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
        files.push(entry.file_name().into_string().unwrap());
    }
    files.retain(|name| name.ends_with(".yaml"));
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let checked = place.run(&["check", &file]).unwrap();
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let (done, report) = reported(&place, &["run", &file, "--output", "json"]);
        assert_eq!((done.code, report["state"].as_str()), (Some(0), Some("completed")), "{file}: {done:?}");
    }
}

#[test]
fn every_workflow_of_the_guide_of_methods_runs() {
    let server = Server::start(|_, _| Reply::json(200, &json!({"sky": "blue"}))).unwrap();
    let place = Place::new().unwrap();
    let settings = blocks(METHODS, "toml").concat();
    let named = "\"api.example.com\"";
    assert!(settings.contains(named), "{settings}");
    // The stand-in is allowed in the place of the host that the guide names.
    let settings = settings.replace(named, &format!("\"{}\"", server.host()));
    place.write("motet.toml", format!("model = \"offline:extract\"\n{settings}")).unwrap();
    let all = blocks(METHODS, "yaml");
    assert!(all.len() >= 5, "{all:?}");
    for block in all {
        let stands_in = block.replace("https://api.example.com", &format!("http://{}", server.host()));
        let asks = stands_in != block;
        let text = if asks { format!("env: [WEATHER_KEY]\n{stands_in}") } else { stands_in };
        place.write("guide.yaml", text).unwrap();
        let mut command = place.command(&["run", "guide.yaml", "--output", "json"]).unwrap();
        let done: Done = command.env("WEATHER_KEY", "a-key-of-the-weather").output().unwrap().into();
        assert_eq!(done.code, Some(0), "{block}\n{done:?}");
        if asks {
            assert_eq!(done.json().unwrap()["outputs"]["weather"]["json"]["sky"], "blue");
        }
    }
    assert_eq!(server.requests().len(), 1);
    let authorization = ("authorization".to_owned(), "Bearer a-key-of-the-weather".to_owned());
    assert!(server.requests()[0].headers.contains(&authorization));
}

#[test]
fn the_workflow_and_the_program_of_the_guide_of_other_programs_work_together() {
    let place = Place::new().unwrap();
    let [program] = <[String; 1]>::try_from(blocks(REMOTE, "python")).unwrap();
    place.write("words.py", program).unwrap();
    let [workflow] = <[String; 1]>::try_from(blocks(REMOTE, "yaml")).unwrap();
    assert_eq!(outputs(&place, &workflow), json!({"count": 3}));
}

/// Answers calls of `add` and `log`, alone and several at once.
fn adding(body: &Value) -> Value {
    match body {
        Value::Array(calls) => calls.iter().map(adding).filter(|answer| !answer.is_null()).collect(),
        call if call["method"] == "add" => {
            let sum: i64 = call["params"].as_array().unwrap().iter().filter_map(Value::as_i64).sum();
            json!({"jsonrpc": "2.0", "id": call["id"], "result": sum})
        }
        _ => Value::Null,
    }
}

#[test]
fn every_command_of_the_guide_of_other_programs_works() {
    let server = Server::start(|request, _| match adding(&request.body) {
        Value::Null => Reply::text(204, "text/plain", ""),
        answer => Reply::json(200, &answer),
    })
    .unwrap();
    let place = Place::new().unwrap();
    place.write("words.py", blocks(REMOTE, "python").concat()).unwrap();
    let remote =
        json!({"providers": {"words": {"type": "stdio", "command": "python3", "args": ["words.py"]}}});
    place.write("providers.json", remote.to_string()).unwrap();
    place.write("motet.toml", "[remote]\nfile = \"providers.json\"\n").unwrap();
    let commands = blocks(REMOTE, "text").concat();
    let commands: Vec<&str> = commands.lines().collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let command = command.split(" #").next().unwrap().trim();
        let stands_in = command.replace("localhost:8080", &server.host());
        let (input, command) = match stands_in.split_once(" | ") {
            Some((input, command)) => {
                (words(input.strip_prefix("echo ").unwrap()).concat(), command.to_owned())
            }
            None => (String::new(), stands_in.clone()),
        };
        let arguments = words(command.strip_prefix("motet ").expect("a command of this program"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = place
            .command(&arguments)
            .unwrap()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let done: Done = child.wait_with_output().unwrap().into();
        assert_eq!(done.code, Some(0), "{command}: {done:?}");
        let expected = match arguments.as_slice() {
            ["rpc", "call", "--notify", ..] => "",
            ["rpc", "call", _, "add", ..] => "3",
            ["rpc", "call", _, "count", ..] => "2",
            ["rpc", "call", _] => "3",
            ["provider", ..] => "words",
            other => panic!("an example that no test runs: {other:?}"),
        };
        assert!(done.stdout.contains(expected), "{command}: {done:?}");
    }
    assert!(server.requests().iter().any(|request| request.body["method"] == "log"));
}
