//! `motet demo provider`: each flag, and the summary at the end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use motet_tests::command::{Done, Place};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A provider that runs until it is interrupted.
struct Demo {
    place: Place,
    child: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Demo {
    fn start(flags: &[&str]) -> Self {
        Self::start_in(Place::new().unwrap(), flags)
    }

    fn start_in(place: Place, flags: &[&str]) -> Self {
        let mut child = place.start(&[&["demo", "provider"], flags].concat()).unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.trim_end().to_owned();
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/v1"), "{url:?}");
        Self { place, child, stdout, url }
    }

    fn complete(&self, more: &[&str]) -> Done {
        let base =
            ["complete", "Hello", "--model", "custom:demo", "--base-url", &self.url, "--output", "json"];
        // One attempt each, so that what the provider did is seen.
        self.place.run(&[&base, more, &["--set", "retry.max_attempts=1"]].concat()).unwrap()
    }

    fn text(&self, more: &[&str]) -> Value {
        self.complete(more).json().unwrap()["text"].take()
    }

    fn error(&self, more: &[&str]) -> Value {
        self.complete(more).json().unwrap()["error"]["kind"].take()
    }

    /// Interrupts it; gives the rest of what it wrote to stdout and to stderr.
    fn end(mut self) -> (String, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let (mut rest, mut told) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        (rest, told)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_tells_how_to_use_it_answers_and_sums_up_when_it_is_interrupted() {
    let demo = Demo::start(&["--words", "3", "--requests-per-minute", "2"]);
    assert_eq!(demo.text(&[]), "word0 word1 word2 ");
    assert_eq!(demo.text(&["--stream"]), "word0 word1 word2 ");
    assert_eq!(demo.error(&[]), "rate_limit");
    let key = ["--set", "providers.custom.api_key=sk-0123456789"];
    assert_eq!(demo.text(&key), "word0 word1 word2 ", "each key has a quota of its own");
    let url = demo.url.clone();
    let (rest, told) = demo.end();
    assert!(
        told.contains(&format!("try: motet complete Hello --model custom:demo --base-url {url}\n")),
        "{told}"
    );
    let lines: Vec<Vec<&str>> = rest.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["none", "3", "2", "1", "0", "0"], "{rest}");
    assert_eq!(lines[2], ["…6789", "1", "1", "0", "0", "0"], "{rest}");
}

#[test]
fn tokens_are_limited_apart_from_requests() {
    let demo = Demo::start(&["--tokens-per-minute", "50", "--words", "30"]);
    assert_eq!(demo.complete(&[]).code, Some(0));
    let refused = demo.complete(&[]).json().unwrap();
    assert_eq!(refused["error"]["kind"], "rate_limit");
    assert!(refused["error"]["retry_after"].as_f64().unwrap() > 5.0, "{refused}");
}

#[test]
fn answers_begin_late_and_their_words_come_apart() {
    let took = |flags: &[&str], more: &[&str]| {
        let demo = Demo::start(flags);
        let begun = Instant::now();
        assert_eq!(demo.complete(more).code, Some(0));
        begun.elapsed()
    };
    assert!(took(&["--latency", "400ms"], &[]) >= Duration::from_millis(400));
    assert!(took(&["--between", "40ms", "--words", "10"], &["--stream"]) >= Duration::from_millis(400));
}

#[test]
fn faults_come_by_a_file() {
    let place = Place::new().unwrap();
    let faults = r#"[{"request": 0, "stage": "in_headers", "status": 503}, {"request": 1, "stage": "after_connect"},
        {"request": 2, "stage": "mid_stream", "kind": "overloaded"}]"#;
    place.write("faults.json", faults).unwrap();
    place.write("wrong.json", r#"[{"request": 0}]"#).unwrap();
    let wrong = place.run(&["demo", "provider", "--faults", "wrong.json"]).unwrap();
    assert_eq!(wrong.code, Some(3));
    assert!(wrong.stderr.contains("entry 1 of the faults has neither `stage` nor `delay`"), "{wrong:?}");
    let demo = Demo::start_in(place, &["--faults", "faults.json"]);
    assert_eq!(demo.error(&[]), "overloaded");
    assert_eq!(demo.error(&[]), "connection");
    assert_eq!(demo.error(&["--stream"]), "overloaded");
    assert_eq!(demo.complete(&["--stream"]).code, Some(0));
}

#[test]
fn faults_come_by_chance_the_same_with_the_same_seed() {
    let outcomes = |seed: &str| {
        let demo = Demo::start(&["--fault-rate", "0.5", "--seed", seed, "--words", "2"]);
        (0..12).map(|_| demo.complete(&["--stream"]).code == Some(0)).collect::<Vec<_>>()
    };
    let first = outcomes("1");
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    assert_eq!(first, outcomes("1"));
    assert_ne!(first, outcomes("2"));
}

#[test]
fn a_port_can_be_chosen_and_json_is_one_value_at_the_end() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port().to_string()
    };
    let place = Place::new().unwrap();
    let mut child = place.start(&["demo", "provider", "--port", &port, "--output", "json"]).unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, format!("http://127.0.0.1:{port}/v1\n"));
    let taken = place.run(&["demo", "provider", "--port", &port]).unwrap();
    assert_eq!(taken.code, Some(1));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!(done.json().unwrap(), json!({"base_url": format!("http://127.0.0.1:{port}/v1"), "keys": []}));
}
