//! Servers in processes of their own, and workers and commands that reach their stores through them.

mod contract;
mod refusals;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use motet_tests::command::{Done, Place};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running `motet serve`; killed when it is dropped.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens, as `127.0.0.1:PORT`.
    address: String,
}

impl Served {
    /// Starts a server in a directory, with variables of the environment, and waits until it listens.
    fn start(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = place.command(&[&["--output", "json", "serve"], arguments].concat()).unwrap();
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(told) = serde_json::from_str::<Value>(&line) else {
            panic!("`{line}`: {:?}", Done::from(child.wait_with_output().unwrap()));
        };
        assert_eq!(told["event"], "listening", "{told}");
        let address = told["address"].as_str().unwrap().to_owned();
        Self { child, stdout, address }
    }

    fn on_a_free_port(place: &Place) -> Self {
        Self::start(place, &["--listen", "127.0.0.1:0"], &[])
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it, and gives where it listened.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.address)
    }

    /// Waits for its end; gives its exit code and what it logged.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut log).unwrap();
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).unwrap();
        (self.child.wait().unwrap().code(), log + &rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Code that tells that it began, and waits for a file.
fn waits(mine: &str, other: &str) -> String {
    format!(
        "import os, time\\nopen('{mine}', 'w').close()\\nwhile not os.path.exists('{other}'):\\n    time.sleep(0.01)\\nresult = 1"
    )
}

fn task(id: &str, code: &str) -> String {
    format!("- {{id: {id}, method: python/execute, params: {{code: \"{code}\"}}}}\n")
}

fn wait_for_file(place: &Place, name: &str) {
    while !place.path().join(name).exists() {
        std::thread::yield_now();
    }
}

/// Runs a command on the store of a server.
fn through(place: &Place, url: &str, arguments: &[&str]) -> Done {
    place.run(&[&["--store", url], arguments].concat()).unwrap()
}

fn submit(place: &Place, url: &str, tasks: &str) -> String {
    place.write("w.yaml", format!("tasks:\n{tasks}")).unwrap();
    let done = through(place, url, &["workflow", "submit", "w.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.trim().to_owned()
}

fn report(place: &Place, url: &str, run: &str) -> Value {
    through(place, url, &["--output", "json", "workflow", "status", run]).json().unwrap()
}

fn ended(child: Child) -> Done {
    child.wait_with_output().unwrap().into()
}

#[test]
fn two_workers_finish_a_run_through_a_server() {
    let (home, away) = (Place::new().unwrap(), Place::new().unwrap());
    let served = Served::on_a_free_port(&home);
    let url = served.url();
    // Each of the first two ends only when the other one runs too, and each worker runs one at a time.
    let after = "- {id: c, method: python/execute, dependencies: [a, b], params: {code: 'result = 3'}}\n";
    let both = task("a", &waits("a.began", "b.began")) + &task("b", &waits("b.began", "a.began")) + after;
    let run = submit(&away, &url, &both);
    let arguments = ["worker", "--server", &url, "--once", "--parallel", "1"];
    let workers = [away.start(&arguments).unwrap(), away.start(&arguments).unwrap()];
    let watched = through(&away, &url, &["workflow", "watch", &run]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    for worker in workers {
        let done = ended(worker);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    assert_eq!(report(&away, &url, &run)["state"], "completed");
    let status = through(&away, &url, &["--output", "json", "system", "status"]).json().unwrap();
    assert_eq!(
        (&status["store"]["name"], &status["store"]["durability"]),
        (&"server".into(), &"fsync".into())
    );
    assert_eq!(status["workers"].as_array().unwrap().len(), 2, "{status}");
    // The store itself knows the run too, and who of its workers came through a server.
    let here = home.run(&["--output", "json", "system", "status"]).unwrap().json().unwrap();
    assert_eq!(here["store"]["name"], "sqlite");
    assert!(here["workers"][0]["id"].as_str().unwrap().starts_with("away/"), "{here}");
    assert!(!away.path().join(".motet").exists(), "nothing is kept where the workers are");
}

#[test]
fn what_a_killed_worker_had_in_hand_is_taken_by_the_other() {
    let place = Place::new().unwrap();
    let served = Served::on_a_free_port(&place);
    let url = served.url();
    let run = submit(&place, &url, &task("a", &waits("began", "go")));
    let arguments = ["worker", "--server", &url, "--once", "--set", "worker.lease=2s"];
    let mut first = place.start(&arguments).unwrap();
    wait_for_file(&place, "began");
    first.kill().unwrap();
    first.wait().unwrap();
    place.write("go", "").unwrap();
    // A lease of the usual length does not end on a machine that is busy.
    let done = place.run(&["worker", "--server", &url, "--once"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let shown = report(&place, &url, &run);
    assert_eq!((&shown["state"], &shown["tasks"][0]["attempt"]), (&"completed".into(), &2.into()), "{shown}");
}

#[test]
fn workers_outlast_a_server_that_is_killed_and_started_again() {
    let place = Place::new().unwrap();
    let served = Served::on_a_free_port(&place);
    let url = served.url();
    let run = submit(&place, &url, &(task("a", &waits("began", "go")) + &task("b", "result = 2")));
    let worker = place.start(&["worker", "--server", &url, "--once", "--parallel", "1"]).unwrap();
    wait_for_file(&place, "began");
    let address = served.kill();
    // The task ends while nobody is there to take its outcome.
    place.write("go", "").unwrap();
    let gone = through(&place, &url, &["workflow", "list"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.stderr.contains("`the server` cannot be reached"), "{gone:?}");
    let again = Served::start(&place, &["--listen", &address], &[]);
    let done = ended(worker);
    assert_eq!(done.code, Some(0), "{done:?}");
    let shown = report(&place, &again.url(), &run);
    assert_eq!(shown["state"], "completed", "{shown}");
    let attempts: Vec<_> = shown["tasks"].as_array().unwrap().iter().map(|task| &task["attempt"]).collect();
    assert_eq!(attempts, [1, 1], "what the worker had in hand stayed there: {shown}");
}

#[test]
fn a_store_is_copied_to_a_server_and_through_it() {
    let (place, other) = (Place::new().unwrap(), Place::new().unwrap());
    place.write("w.yaml", format!("tasks:\n{}", task("a", "result = {'n': 6}"))).unwrap();
    let ran = place.run(&["run", "w.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let served = Served::on_a_free_port(&other);
    let arguments = ["store", "migrate", "sqlite:.motet/motet.db", &served.url(), "--output", "json"];
    let copied = place.run(&arguments).unwrap().json().unwrap();
    assert_eq!((&copied["runs"], &copied["tasks"]), (&1.into(), &1.into()), "{copied}");
    let runs = through(&place, &served.url(), &["--output", "json", "workflow", "list"]).json().unwrap();
    let run = runs[0]["id"].as_str().unwrap();
    let there = other.run(&["workflow", "results", run, "--output", "json"]).unwrap();
    assert!(there.stdout.contains("\"n\":6") || there.stdout.contains("\"n\": 6"), "{there:?}");
}
