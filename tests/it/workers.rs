//! Workers in processes of their own over one store: who finishes what, how they stop, and who hears of it.

mod loops;
mod outage;

use std::process::Child;

use motet_tests::command::{Done, Place};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Code that tells that it began, and waits for a file.
fn waits(mine: &str, other: &str) -> String {
    format!(
        "import os, time\\nopen('{mine}', 'w').close()\\nwhile not os.path.exists('{other}'):\\n    time.sleep(0.01)\\nresult = 1"
    )
}

fn task(id: &str, code: &str) -> String {
    format!("- {{id: {id}, method: python/execute, params: {{code: \"{code}\"}}}}\n")
}

fn submit(place: &Place, tasks: &str) -> String {
    place.write("w.yaml", format!("tasks:\n{tasks}")).unwrap();
    let done = place.run(&["workflow", "submit", "w.yaml"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.trim().to_owned()
}

fn report(place: &Place, run: &str) -> Value {
    place.run(&["workflow", "status", run, "--output", "json"]).unwrap().json().unwrap()
}

fn wait_for_file(place: &Place, name: &str) {
    while !place.path().join(name).exists() {
        std::thread::yield_now();
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ended(child: Child) -> Done {
    child.wait_with_output().unwrap().into()
}

#[test]
fn two_workers_share_one_file_and_work_side_by_side() {
    let place = Place::new().unwrap();
    // Each task ends only when the other one runs too, and each worker runs one at a time.
    let run =
        submit(&place, &(task("a", &waits("a.began", "b.began")) + &task("b", &waits("b.began", "a.began"))));
    let arguments = ["worker", "--once", "--parallel", "1", "--output", "json"];
    let workers = [place.start(&arguments).unwrap(), place.start(&arguments).unwrap()];
    for worker in workers {
        let done = ended(worker);
        assert_eq!(done.code, Some(0), "{done:?}");
        let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["run"] == run.as_str() && line["state"] == "done"), "{lines:?}");
    }
    assert_eq!(report(&place, &run)["state"], "completed");
}

#[test]
fn a_run_whose_process_dies_is_finished_by_another_worker() {
    let place = Place::new().unwrap();
    place
        .write("w.yaml", format!("tasks:\n{}", task("a", &waits("began", "go")) + &task("b", "result = 2")))
        .unwrap();
    let mut first = place.start(&["run", "w.yaml"]).unwrap();
    wait_for_file(&place, "began");
    first.kill().unwrap();
    first.wait().unwrap();
    place.write("go", "").unwrap();
    let done = place.run(&["worker", "--once"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let runs = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((&runs[0]["state"], &runs[0]["done"]), (&"completed".into(), &2.into()), "{runs}");
}

#[test]
fn a_worker_told_to_stop_finishes_what_runs_and_takes_nothing_new() {
    let place = Place::new().unwrap();
    let run = submit(&place, &(task("a", &waits("began", "go")) + &task("b", "result = 2")));
    let worker = place.start(&["worker", "--parallel", "1"]).unwrap();
    wait_for_file(&place, "began");
    signal(&worker, Signal::TERM);
    // What begins to stop is not seen from outside; the queue shows it, as the next task stays where it is.
    place.write("go", "").unwrap();
    let done = ended(worker);
    assert_eq!(done.code, Some(0), "{done:?}");
    let tasks = report(&place, &run)["tasks"].take();
    assert_eq!(tasks[0]["state"], "done", "{tasks}");
}

#[test]
fn a_second_signal_gives_the_tasks_back_at_once() {
    let place = Place::new().unwrap();
    let run = submit(&place, &task("a", &waits("began", "never")));
    let worker = place.start(&["worker"]).unwrap();
    wait_for_file(&place, "began");
    signal(&worker, Signal::TERM);
    // Two signals that come at once may be told as one, so a second one is sent until it is heard.
    let mut worker = worker;
    while worker.try_wait().unwrap().is_none() {
        signal(&worker, Signal::INT);
        std::thread::yield_now();
    }
    let task = report(&place, &run)["tasks"][0].take();
    assert!(task["state"] == "ready" || task["state"] == "running", "{task}");
}

#[test]
fn the_time_to_finish_is_a_setting() {
    let place = Place::new().unwrap();
    let run = submit(&place, &task("a", &waits("began", "never")));
    let worker = place.start(&["worker", "--set", "worker.drain_timeout=100ms"]).unwrap();
    wait_for_file(&place, "began");
    signal(&worker, Signal::TERM);
    let done = ended(worker);
    assert_eq!(done.code, Some(0), "{done:?}");
    let task = report(&place, &run)["tasks"][0].take();
    assert_eq!((&task["state"], &task["attempt"]), (&"ready".into(), &0.into()), "{task}");
}

#[test]
fn the_same_key_gives_the_same_run() {
    let place = Place::new().unwrap();
    place.write("w.yaml", format!("inputs: {{n: 1}}\ntasks:\n{}", task("a", "result = 1"))).unwrap();
    let submit = |key: &str| {
        let arguments =
            ["workflow", "submit", "w.yaml", "--key", key, "--params", "{\"n\": 2}", "--output", "json"];
        place.run(&arguments).unwrap().json().unwrap()["run"].take()
    };
    let (first, again, other) = (submit("one"), submit("one"), submit("two"));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn a_run_is_followed_without_a_gap_and_its_end_is_the_exit_code() {
    let place = Place::new().unwrap();
    let run = submit(&place, &(task("a", &waits("began", "go")) + &task("b", "1/0")));
    let watch = place.start(&["workflow", "watch", &run, "--output", "json"]).unwrap();
    let wait = [
        "workflow",
        "submit",
        "w.yaml",
        "--key",
        "other",
        "--wait",
        "--output-file",
        "out.json",
        "--output",
        "json",
    ];
    let waiting = place.start(&wait).unwrap();
    place.write("go", "").unwrap();
    let worker = place.start(&["worker", "--set", "worker.drain_timeout=1s"]).unwrap();
    let (watched, waited) = (ended(watch), ended(waiting));
    signal(&worker, Signal::TERM);
    ended(worker);
    assert_eq!((watched.code, waited.code), (Some(1), Some(1)), "{watched:?} {waited:?}");
    let events: Vec<Value> = watched.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(places, (1..=places.len() as u64).collect::<Vec<_>>());
    assert!(events.iter().any(|event| event["name"] == "b" && event["state"] == "failed"), "{events:?}");
    let written: Value = serde_json::from_str(&place.read("out.json").unwrap()).unwrap();
    assert_eq!(written["state"], "failed");
    let exported = place.run(&["workflow", "export", &run, "--journal"]).unwrap().json().unwrap();
    assert_eq!(exported["events"].as_array().unwrap().len(), events.len());
    assert!(exported["journal"].is_array() && exported["report"]["id"] == run.as_str());
}

#[test]
fn single_tasks_are_submitted_listed_and_read() {
    let place = Place::new().unwrap();
    let params = "{\"code\": \"result = 6 * 7\"}";
    let submitted =
        place.run(&["task", "submit", "python/execute", "--params", params, "--output", "json"]).unwrap();
    let run = submitted.json().unwrap()["run"].as_str().unwrap().to_owned();
    let early = place.run(&["task", "result", &run]).unwrap();
    assert!(early.code == Some(1) && early.stderr.contains("is ready and has no result"), "{early:?}");
    assert_eq!(place.run(&["worker", "--once"]).unwrap().code, Some(0));
    let result = place.run(&["task", "result", &run, "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(result["result"], 42, "{result}");
    let listed = place.run(&["task", "list", "--state", "done", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["run"]), (1, &Value::from(run.as_str())));
    let results = place.run(&["backend", "results", "--workflow", "python", "--output", "json"]).unwrap();
    assert_eq!(results.json().unwrap()[0]["result"]["result"], 42);
    let status = place.run(&["system", "status", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(status["workers"][0]["queues"], serde_json::json!(["default"]), "{status}");
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let place = Place::new().unwrap();
    let run = submit(&place, &task("a", "result = 1"));
    let paused = place.run(&["workflow", "pause", &run, "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(paused["state"], "paused");
    assert_eq!(place.run(&["worker", "--once"]).unwrap().code, Some(0));
    assert_eq!(report(&place, &run)["tasks"][0]["state"], "ready");
    assert_eq!(place.run(&["workflow", "watch", &run]).unwrap().code, Some(5));
    assert_eq!(place.run(&["workflow", "resume", &run]).unwrap().code, Some(0));
}

#[test]
fn old_runs_are_counted_and_removed() {
    let place = Place::new().unwrap();
    let run = submit(&place, &task("a", "result = 1"));
    assert_eq!(place.run(&["worker", "--once"]).unwrap().code, Some(0));
    let other = submit(&place, &task("a", "result = 2"));
    let json =
        |arguments: &[&str]| place.run(&[arguments, &["--output", "json"]].concat()).unwrap().json().unwrap();
    let stats = json(&["backend", "stats"]);
    assert_eq!(stats["runs"], serde_json::json!([["running", 1], ["completed", 1]]), "{stats}");
    assert_eq!(stats["ready"], serde_json::json!([["default", 1]]));
    let prune = ["backend", "prune", "--older-than", "0s"];
    assert_eq!(json(&[&prune[..], &["--dry-run"]].concat())["runs"], 1);
    assert_eq!(json(&["backend", "prune", "--older-than", "30d"])["runs"], 0);
    assert_eq!(json(&[&prune[..], &["--state", "failed"]].concat())["runs"], 0);
    assert_eq!(json(&prune), serde_json::json!({"runs": 1, "tasks": 1, "dry_run": false}));
    assert_eq!(place.run(&["workflow", "status", &run]).unwrap().code, Some(3));
    assert_eq!(report(&place, &other)["state"], "running");
    let open = place.run(&[&prune[..], &["--state", "running"]].concat()).unwrap();
    assert!(open.code == Some(3) && open.stderr.contains("has not ended"), "{open:?}");
}

#[test]
fn limits_of_the_settings_hold_and_priorities_of_the_command_count() {
    let place = Place::new().unwrap();
    let task = |keys: &str| format!("- {{{keys}, method: python/execute, params: {{code: 'result = 1'}}}}\n");
    let tasks = [task("id: c, priority: low"), task("id: b, priority: normal"), task("id: a, limit: box")];
    let tasks = format!("tasks:\n{}", tasks.concat());
    place.write("w.yaml", tasks).unwrap();
    let unknown = place.run(&["workflow", "submit", "w.yaml"]).unwrap();
    assert!(unknown.code == Some(3) && unknown.stderr.contains("there is no limit `box`"), "{unknown:?}");
    let submit = ["workflow", "submit", "w.yaml", "--set", "workflow.limits.box=1", "--priority", "urgent"];
    let submitted = place.run(&submit).unwrap();
    let exported = place.run(&["workflow", "export", submitted.stdout.trim()]).unwrap().json().unwrap();
    assert_eq!(exported["run"]["definition"]["limits"]["box"], 1);
    let worked = place.run(&["worker", "--once", "--parallel", "1", "--output", "json"]).unwrap();
    let lines = worked.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let done: Vec<_> = lines
        .filter(|line| line["state"] == "done")
        .map(|line| line["task"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(done, ["a", "b", "c"], "{worked:?}");
}

#[test]
fn neither_a_worker_nor_a_submission_takes_a_store_that_ends_with_it() {
    let place = Place::new().unwrap();
    place.write("w.yaml", "tasks: [{id: a, method: python/execute, params: {code: 'result = 1'}}]").unwrap();
    for command in [&["worker"][..], &["worker", "--once"], &["workflow", "submit", "w.yaml"]] {
        let refused = place.run(&[command, &["--set", "store=memory:"]].concat()).unwrap();
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""), "{refused:?}");
        assert!(refused.stderr.contains("the store ends with this command"), "{refused:?}");
    }
}

#[test]
fn what_a_run_below_asks_is_shown_above_and_its_answer_lets_both_go_on() {
    let place = Place::new().unwrap();
    let child = "{tasks: [{id: ask, method: human/approve, params: {message: 'Go on?'}}]}";
    let run =
        submit(&place, &format!("- {{id: below, method: workflow/run, params: {{workflow: {child}}}}}\n"));
    assert_eq!(place.run(&["worker", "--once"]).unwrap().code, Some(0));
    let waiting = report(&place, &run);
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    let below = waiting["questions"][0]["run"].as_str().unwrap();
    assert_eq!(waiting["children"][0]["id"], below);
    assert_eq!(place.run(&["approve", below]).unwrap().code, Some(0));
    assert_eq!(place.run(&["worker", "--once"]).unwrap().code, Some(0));
    assert_eq!(report(&place, &run)["state"], "completed");
}
