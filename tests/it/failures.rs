//! What a failure means, row by row: states of tasks, state of the run, exit code, and what `status` shows.

use std::time::Duration;

use motet_core::WorkerId;
use motet_core::store::{ClaimRequest, TaskState};
use motet_tests::command::{Done, Place};
use serde_json::{Value, json};

/// A run as the command shows it.
struct Shown {
    code: Option<i32>,
    report: Value,
    /// What `workflow status` prints for people.
    status: String,
}

impl Shown {
    fn of(place: &Place, done: &Done) -> Self {
        let report = done.json().unwrap();
        let id = report["id"].as_str().unwrap_or_else(|| panic!("{done:?}")).to_owned();
        let id = id.as_str();
        let status = place.run(&["workflow", "status", id]).unwrap();
        assert_eq!(status.code, Some(0), "{status:?}");
        let shown = Self { code: done.code, status: status.stdout, report };
        if shown.report["state"] != "completed" {
            // Nothing that did not end well may look as if it had, to people or to programs.
            let as_json = place.run(&["workflow", "status", id, "--output", "json"]).unwrap().stdout;
            for text in [&shown.status, &as_json] {
                assert!(!text.to_lowercase().contains("completed"), "{text}");
            }
        }
        shown
    }

    /// Gives `name: state` of all tasks.
    fn tasks(&self) -> Vec<String> {
        let tasks = self.report["tasks"].as_array().unwrap();
        let line =
            |task: &Value| format!("{}: {}", task["name"].as_str().unwrap(), task["state"].as_str().unwrap());
        tasks.iter().map(line).collect()
    }

    fn expect(&self, tasks: &[&str], state: &str, code: i32, status: &[&str]) {
        assert_eq!(self.tasks(), tasks, "{}", self.report);
        assert_eq!((self.report["state"].as_str(), self.code), (Some(state), Some(code)), "{}", self.report);
        for text in status {
            assert!(self.status.contains(text), "`{text}` is missing in:\n{}", self.status);
        }
    }
}

fn run(tasks: &str) -> Shown {
    run_in(&Place::new().unwrap(), tasks)
}

fn run_in(place: &Place, tasks: &str) -> Shown {
    place.write("w.yaml", tasks).unwrap();
    Shown::of(place, &place.run(&["run", "w.yaml", "--output", "json"]).unwrap())
}

fn id(shown: &Shown) -> String {
    shown.report["id"].as_str().unwrap().to_owned()
}

fn failing(policy: &str) -> String {
    format!(
        "max_parallel_tasks: 1\ntasks:\n\
         - {{id: bad, method: python/execute, params: {{code: '1/0'}}, on_failure: {policy}}}\n\
         - {{id: after, method: python/execute, dependencies: [bad], params: {{code: 'result = 1'}}}}\n\
         - {{id: beside, method: python/execute, priority: low, params: {{code: 'result = 1'}}}}\n"
    )
}

#[test]
fn a_failed_task_ends_the_run_and_its_dependents_never_start() {
    run(&failing("fail")).expect(
        &["bad: failed", "after: cancelled", "beside: cancelled"],
        "failed",
        1,
        &["): failed", "error: task `bad` failed: "],
    );
}

#[test]
fn a_failed_task_may_cost_only_its_dependents_and_the_run_fails_all_the_same() {
    run(&failing("skip_dependents")).expect(
        &["bad: failed", "after: skipped", "beside: done"],
        "failed",
        1,
        &["error: task `bad` failed: ", "task `bad` failed"],
    );
}

#[test]
fn a_failed_task_may_be_gone_on_from() {
    run(&failing("continue")).expect(
        &["bad: failed", "after: done", "beside: done"],
        "completed",
        0,
        &["bad     failed"],
    );
}

#[test]
fn a_task_skipped_by_its_condition_holds_nothing_up() {
    run("tasks:\n\
         - {id: maybe, method: python/execute, when: false, params: {code: '1/0'}}\n\
         - {id: after, method: python/execute, dependencies: [maybe], params: {code: 'result = 1'}}\n")
    .expect(&["maybe: skipped", "after: done"], "completed", 0, &["its condition is false"]);
}

#[test]
fn a_task_that_takes_too_long_fails_and_its_work_is_ended() {
    let shown = run("tasks:\n\
         - {id: slow, method: python/execute, timeout: 300ms, params: {code: 'import time; time.sleep(60)'}}\n\
         - {id: after, method: python/execute, dependencies: [slow], params: {code: 'result = 1'}}\n");
    shown.expect(&["slow: failed", "after: cancelled"], "failed", 1, &["timeout of 300ms"]);
    assert_eq!(shown.report["tasks"][0]["error"]["kind"], "timeout");
    assert!(shown.report["seconds"].as_f64().unwrap() < 30.0);
}

#[test]
fn a_run_that_takes_too_long_fails_and_what_runs_is_stopped() {
    let shown = run("timeout: 500ms\ntasks:\n\
         - {id: slow, method: python/execute, params: {code: 'import time; time.sleep(60)'}}\n\
         - {id: after, method: python/execute, dependencies: [slow], params: {code: 'result = 1'}}\n");
    let error = "error: the run took longer than its timeout";
    shown.expect(&["slow: cancelled", "after: cancelled"], "failed", 1, &[error]);
    assert_eq!(shown.report["error"]["kind"], "timeout");
    assert!(shown.report["seconds"].as_f64().unwrap() < 30.0);
}

#[test]
fn a_cancelled_run_shows_what_it_left_behind() {
    let place = Place::new().unwrap();
    place
        .write("w.yaml", "tasks: [{id: only, method: python/execute, params: {code: 'result = 1'}}]")
        .unwrap();
    let run = place.run(&["workflow", "submit", "w.yaml"]).unwrap();
    let id = run.stdout.trim();
    let cancelled = place.run(&["workflow", "cancel", id, "--output", "json"]).unwrap();
    let shown = Shown::of(&place, &cancelled);
    shown.expect(&["only: cancelled"], "cancelled", 0, &["): cancelled"]);
    assert_eq!(place.run(&["workflow", "watch", id]).unwrap().code, Some(1));
}

#[test]
fn a_task_that_killed_three_workers_is_dead_and_its_run_failed() {
    let place = Place::new().unwrap();
    place
        .write("w.yaml", "tasks: [{id: poison, method: python/execute, params: {code: 'result = 1'}}]")
        .unwrap();
    let submitted = place.run(&["workflow", "submit", "w.yaml"]).unwrap();
    let id: motet::RunId = submitted.stdout.trim().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = motet::persistence::open_in("sqlite:.motet/motet.db", place.path()).unwrap();
        for crash in 0..3 {
            let request = ClaimRequest {
                worker: WorkerId::new(),
                queues: Vec::new(),
                run: Some(id.clone()),
                limit: 1,
                ttl: Duration::from_millis(1),
                max_active: None,
                in_hand: 0,
            };
            assert_eq!(store.claim(request).await.unwrap().len(), 1, "crash {crash}");
            while store.tasks(&id).await.unwrap()[0].state == TaskState::Running {
                store.advance().await.unwrap();
            }
        }
    });
    let watched = place.run(&["workflow", "watch", id.as_str()]).unwrap();
    let status = place.run(&["workflow", "status", id.as_str(), "--output", "json"]).unwrap();
    let shown = Shown { code: watched.code, ..Shown::of(&place, &status) };
    shown.expect(&["poison: dead"], "failed", 1, &["its worker died 3 times while running it"]);
}

const APPROVAL: &str = "tasks:\n\
    - {id: ask, method: human/approve, params: {message: 'Send it?', details: {to: all}}}\n\
    - {id: send, method: python/execute, dependencies: [ask], params: {code: 'result = 1'}}\n";

#[test]
fn a_denied_approval_fails_its_task_as_blocked() {
    let place = Place::new().unwrap();
    let waiting = run_in(&place, APPROVAL);
    waiting.expect(
        &["ask: waiting", "send: blocked"],
        "waiting",
        5,
        &["a task asks: Send it? ({\"to\":\"all\"})"],
    );
    let id = id(&waiting);
    assert_eq!(place.run(&["deny", &id, "--reason", "too soon"]).unwrap().code, Some(0));
    let shown = Shown::of(&place, &place.run(&["workflow", "resume", &id, "--output", "json"]).unwrap());
    shown.expect(&["ask: failed", "send: cancelled"], "failed", 1, &["denied by a person: too soon"]);
    assert_eq!(shown.report["tasks"][0]["error"]["kind"], "blocked");
}

#[test]
fn an_approval_lets_the_run_go_on_and_a_denial_may_too() {
    let place = Place::new().unwrap();
    let id = id(&run_in(&place, APPROVAL));
    assert_eq!(place.run(&["approve", &id, "--arguments", "{\"copies\": 2}"]).unwrap().code, Some(0));
    let shown = Shown::of(&place, &place.run(&["workflow", "resume", &id, "--output", "json"]).unwrap());
    shown.expect(&["ask: done", "send: done"], "completed", 0, &[]);
    let expected = json!({"approved": true, "by": "person", "reason": null, "arguments": {"copies": 2}});
    assert_eq!(shown.report["outputs"]["ask"], expected);
    let lenient = APPROVAL.replace("message:", "on_deny: continue, message:");
    let waiting = run_in(&place, &lenient);
    let id = waiting.report["id"].as_str().unwrap();
    place.run(&["deny", id]).unwrap();
    let shown = Shown::of(&place, &place.run(&["workflow", "resume", id, "--output", "json"]).unwrap());
    shown.expect(&["ask: done", "send: done"], "completed", 0, &[]);
    assert_eq!(shown.report["outputs"]["ask"]["approved"], false);
}

#[test]
fn nobody_answering_in_time_means_what_the_task_says() {
    for (silence, state, code, tasks) in [
        ("approve", "completed", 0, ["ask: done", "send: done"]),
        ("deny", "failed", 1, ["ask: failed", "send: cancelled"]),
        ("fail", "failed", 1, ["ask: failed", "send: cancelled"]),
    ] {
        let place = Place::new().unwrap();
        let timed = APPROVAL.replace("message:", &format!("timeout: 0.2, on_timeout: {silence}, message:"));
        let waiting = run_in(&place, &timed);
        let id = waiting.report["id"].as_str().unwrap();
        let mut shown = waiting.report["state"].clone();
        let mut ended = None;
        // A run whose time to wait is over goes on with the next worker that looks.
        while shown == "waiting" || shown == "running" {
            let done = place.run(&["workflow", "resume", id, "--output", "json"]).unwrap();
            shown = done.json().unwrap()["state"].clone();
            ended = Some(done);
        }
        let shown = ended.map_or(waiting, |done| Shown::of(&place, &done));
        shown.expect(&tasks, state, code, &[]);
    }
}

fn partial(policy: &str) -> Shown {
    run(&format!(
        "max_parallel_tasks: 1\ntasks:\n\
         - id: each\n  method: python/execute\n  on_failure: {policy}\n  for_each: [1, 0, 2]\n  \
         params: {{context: {{n: '${{item}}'}}, code: \"result = 2 / context['n']\"}}\n\
         - {{id: after, method: python/execute, dependencies: [each], params: {{code: 'result = 1'}}}}\n"
    ))
}

#[test]
fn a_failed_item_fails_the_whole_at_once_by_default() {
    let shown = partial("fail");
    let tasks =
        ["each: failed", "after: cancelled", "each[0]: done", "each[1]: failed", "each[2]: cancelled"];
    shown.expect(&tasks, "failed", 1, &["item `each[1]` failed: "]);
}

#[test]
fn a_failed_item_may_let_the_others_finish_before_the_whole_fails() {
    let shown = partial("skip_dependents");
    let tasks = ["each: failed", "after: skipped", "each[0]: done", "each[1]: failed", "each[2]: done"];
    shown.expect(&tasks, "failed", 1, &["1 of its items failed"]);
}

#[test]
fn a_failed_item_may_be_null_among_the_results() {
    let shown = partial("continue");
    let tasks = ["each: done", "after: done", "each[0]: done", "each[1]: failed", "each[2]: done"];
    shown.expect(&tasks, "completed", 0, &[]);
    assert_eq!(shown.report["outputs"]["each"][1], Value::Null);
    assert_ne!(shown.report["outputs"]["each"][2], Value::Null);
}

const PARENT: &str = "tasks:\n\
    - {id: below, method: workflow/run, params: {file: sub/child.yaml, inputs: {n: 0}}}\n\
    - {id: after, method: python/execute, dependencies: [below], params: {code: 'result = 1'}}\n";

const CHILD: &str = "name: child\ninputs: {n: 1}\ntasks:\n\
    - {id: half, method: python/execute, params: {code: \"open('half.log', 'a').write('x'); result = 1\"}}\n\
    - {id: divide, method: python/execute, dependencies: [half], params: {context: {n: '${inputs.n}'}, \
       code: \"import os\\nassert os.path.exists('mended'), 'the oven is cold'\\nresult = 4\"}}\n\
    outputs: {value: '${divide.result}'}\n";

#[test]
fn a_failed_sub_run_fails_its_task_and_resuming_goes_on_with_that_run() {
    let place = Place::new().unwrap();
    place.write("sub/child.yaml", CHILD).unwrap();
    let failed = run_in(&place, PARENT);
    failed.expect(
        &["below: failed", "after: cancelled"],
        "failed",
        1,
        &["the oven is cold", "task below started run ", "(child): failed"],
    );
    place.write("sub/mended", "").unwrap();
    let id = id(&failed);
    let mended = Shown::of(&place, &place.run(&["workflow", "resume", &id, "--output", "json"]).unwrap());
    mended.expect(&["below: done", "after: done"], "completed", 0, &["(child): done"]);
    assert_eq!(place.read("sub/half.log").unwrap(), "x", "what the sub-run had done was done again");
    let child = failed.report["children"][0]["id"].clone();
    assert_eq!(mended.report["outputs"]["below"], json!({"value": 4, "run": child}));
    let runs = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
}

#[test]
fn a_workflow_that_runs_itself_is_stopped() {
    let place = Place::new().unwrap();
    let shown = run_in(&place, "tasks: [{id: again, method: workflow/run, params: {file: w.yaml}}]");
    shown.expect(&["again: failed"], "failed", 1, &["runs start runs more than 16 deep"]);
}
