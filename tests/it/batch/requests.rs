//! Files with one request a line: what each line says, and what is wrong with it.

use std::sync::{Arc, Condvar, Mutex};

use super::*;

fn asked(place: &Place, url: &str, arguments: &[&str]) -> Done {
    run(place, &[&["batch", "r.jsonl", "--output", "json"], arguments, &asking(url)].concat())
}

#[test]
fn each_line_is_a_request_of_its_own() {
    let (place, server) = (Place::new().unwrap(), echo());
    let lines = [
        "\u{feff}{\"id\": \"a\", \"prompt\": \"one\", \"metadata\": {\"k\": 1}, \"temperature\": 0.5}",
        "",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}], \"system\": \"S\", \"max_tokens\": 9}",
        "{\"id\": 7, \"prompt\": \"three\", \"model\": \"custom:other\"}",
    ];
    place.write("r.jsonl", lines.join("\r\n")).unwrap();
    let url = server.url();
    let done = asked(&place, &url, &["--system", "For all", "--max-concurrent", "1"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let results = done.json().unwrap()["results"].clone();
    assert_eq!(results.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "3", "7"]);
    assert_eq!((&results["a"]["content"], &results["a"]["metadata"]), (&json!("re: one"), &json!({"k": 1})));
    let bodies: Vec<Value> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(
        (&bodies[0]["temperature"], &bodies[0]["messages"][0]["content"]),
        (&json!(0.5), &json!("For all"))
    );
    assert_eq!((&bodies[1]["max_tokens"], &bodies[1]["messages"][0]["content"]), (&json!(9), &json!("S")));
    assert_eq!((&bodies[0]["model"], &bodies[2]["model"]), (&json!("m"), &json!("other")));
    let limited = asked(&place, &url, &["--limit", "2"]).json().unwrap();
    assert_eq!(limited["summary"]["total"], 2);
}

#[test]
fn what_is_wrong_is_told_with_its_line_before_anything_is_sent() {
    let (place, server) = (Place::new().unwrap(), echo());
    let lines = [
        r#"{"id": "a", "prompt": "one"}"#,
        r#"{"id": "b", "prompt"}"#,
        r#"{"id": "c"}"#,
        r#"{"id": "a", "prompt": "again"}"#,
        r#"{"id": "d", "prompt": "x", "promt": "y"}"#,
    ];
    place.write("r.jsonl", lines.join("\n")).unwrap();
    let url = server.url();
    let done = asked(&place, &url, &[]);
    assert_eq!(done.code, Some(3));
    let message = done.json().unwrap()["error"]["message"].as_str().unwrap().replace("; ", "\n");
    insta::assert_snapshot!(message, @r"
    `r.jsonl` cannot be used: line 2: it is not JSON: expected `:` at line 1 column 21
    line 3: the request has neither `prompt` nor `messages`
    line 4: the id `a` is that of line 1 already
    line 5: the request cannot be read: unknown field `promt`, expected one of `id`, `model`, `prompt`, `messages`, `system`, `tools`, `tool_choice`, `schema`, `timeout`, `metadata`, `key`, `max_tokens`, `stop`, `reasoning_effort`, `extra`, `temperature`, `top_p`, `top_k`, `seed`, `frequency_penalty`, `presence_penalty`
    ");
    place.write("r.jsonl", "{\"prompt\": \"x\"}\n").unwrap();
    for (flag, value) in [("--prompt", Some("x")), ("--pattern", Some("*")), ("--vision", None)] {
        let done = asked(&place, &url, &[Some(flag), value].into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(done.code, Some(3));
        let message = done.json().unwrap()["error"]["message"].clone();
        assert_eq!(message, format!("`{flag}` is for directories, and `r.jsonl` is a file"));
    }
    place.write("notes.txt", "x").unwrap();
    let done = run(&place, &["batch", "notes.txt", "--model", "offline:extract"]);
    assert_eq!(done.code, Some(3));
    assert!(
        done.stderr.contains("`notes.txt` is neither a directory nor a `.jsonl` file"),
        "{}",
        done.stderr
    );
    assert!(server.requests().is_empty());
}

#[test]
fn a_line_without_a_model_is_told() {
    let place = Place::new().unwrap();
    place.write("r.jsonl", "{\"prompt\": \"x\"}\n").unwrap();
    let done = run(&place, &["batch", "r.jsonl"]);
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.contains("line 1: the request names no `model`"), "{}", done.stderr);
}

#[test]
fn results_are_never_written_over_the_requests() {
    let (place, server) = (Place::new().unwrap(), echo());
    let requests = "{\"prompt\": \"x\"}\n";
    place.write("r.jsonl", requests).unwrap();
    let url = server.url();
    let done = asked(&place, &url, &["--output-file", "./r.jsonl"]);
    assert_eq!((done.code, place.read("r.jsonl").unwrap().as_str()), (Some(3), requests), "{done:?}");
    assert!(done.stdout.contains("holds the requests") && server.requests().is_empty(), "{done:?}");
}

#[test]
fn lines_that_never_began_are_counted() {
    let (place, server) = (Place::new().unwrap(), Server::start(|_, _| refuses(400)).unwrap());
    place.write("r.jsonl", "{\"prompt\": \"x\"}\n".repeat(4)).unwrap();
    let url = server.url();
    let done = asked(&place, &url, &["--strategy", "fail_fast", "--max-concurrent", "1"]);
    let summary = done.json().unwrap()["summary"].clone();
    assert_eq!((done.code, &summary["total"], &summary["not_started"]), (Some(1), &json!(4), &json!(3)));
}

/// A gate at which threads wait until it is opened.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |is_open| !*is_open).unwrap());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_batch_whose_results_cannot_be_written_can_go_on_at_once() {
    let place = Place::new().unwrap();
    let (begun, over) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let gates = (Arc::clone(&begun), Arc::clone(&over));
    // The slow request is on its way before the fast one is answered, and stays so until the batch has given up.
    let server = Server::start(move |request, _| {
        if question(request) == "slow" {
            gates.0.open();
            gates.1.pass();
        } else {
            gates.0.pass();
        }
        says("done")
    })
    .unwrap();
    let url = server.url();
    place.write("r.jsonl", "{\"prompt\": \"fast\"}\n{\"prompt\": \"slow\"}\n").unwrap();
    std::os::unix::fs::symlink("/dev/full", place.path().join("full.jsonl")).unwrap();
    let base = [&["batch", "r.jsonl", "--name", "n", "--max-concurrent", "2"][..], &asking(&url)].concat();
    let done = run(&place, &[&base[..], &["--output-file", "full.jsonl"]].concat());
    assert!(done.code == Some(1) && done.stderr.contains("`full.jsonl` cannot be written"), "{done:?}");
    over.open();
    let done = run(&place, &[&base[..], &["--output", "json"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json().unwrap()["summary"]["kept"], 1);
    let mut asked: Vec<String> = server.requests().iter().map(question).collect();
    asked.sort();
    assert_eq!(asked, ["fast", "slow", "slow"]);
}
