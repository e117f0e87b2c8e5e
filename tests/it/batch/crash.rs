//! Batches are interrupted and killed at any moment, and go on without paying for anything twice.

use std::collections::HashMap;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};

use super::*;

const COUNT: usize = 40;
const AT_ONCE: usize = 4;

fn requests(place: &Place) {
    let line = |number: usize| json!({"id": format!("id {number}"), "prompt": format!("question {number}")});
    let lines: Vec<String> = (0..COUNT).map(|number| line(number).to_string()).collect();
    place.write("r.jsonl", lines.join("\n")).unwrap();
}

fn arguments(url: &str) -> Vec<&str> {
    let own = ["batch", "r.jsonl", "--name", "b", "--output", "json", "--max-concurrent", "4"];
    [&own[..], &["--output-file", "r.json"], &asking(url)].concat()
}

/// How often each question was asked.
fn counts(server: &Server) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for request in server.requests() {
        *counts.entry(question(&request)).or_default() += 1;
    }
    counts
}

/// The questions whose answers the store holds.
fn kept(place: &Place) -> Vec<String> {
    if !place.path().join(".motet/motet.db").exists() {
        return Vec::new();
    }
    let store = motet::persistence::open_in("sqlite:.motet/motet.db", place.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id: motet::RunId = "b".parse().unwrap();
    let is_kept = |number: &usize| {
        let records = runtime.block_on(store.item_records(&id, &format!("id {number}")));
        records.is_ok_and(|records| !records.is_empty())
    };
    (0..COUNT).filter(is_kept).map(|number| format!("question {number}")).collect()
}

fn wait_for_requests(server: &Server, child: &mut Child, wanted: usize) {
    while server.requests().len() < wanted && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn a_batch_killed_at_any_moment_goes_on_and_its_report_is_that_of_an_undisturbed_one() {
    let whole = Place::new().unwrap();
    requests(&whole);
    let server = echo();
    let url = server.url();
    let undisturbed = run(&whole, &arguments(&url));
    assert_eq!(undisturbed.code, Some(0), "{undisturbed:?}");
    let expected = comparable(undisturbed.json().unwrap());
    let (mut killed, mut had_some) = (0, 0);
    for moment in [1, 7, 14, 23, 31, 39] {
        let place = Place::new().unwrap();
        requests(&place);
        let server = echo();
        let url = server.url();
        // Twice, so that a batch that went on is killed too.
        let mut kills = 0;
        for wanted in [moment, moment + (COUNT - moment) / 2 + 1] {
            let mut child = place.start(&arguments(&url)).unwrap();
            wait_for_requests(&server, &mut child, wanted);
            child.kill().unwrap();
            kills += usize::from(!child.wait().unwrap().success());
            let (before, had) = (counts(&server), kept(&place));
            had_some += usize::from(!had.is_empty() && had.len() < COUNT);
            assert!(had.iter().all(|question| before[question] >= 1));
        }
        let (before, had) = (counts(&server), kept(&place));
        let done = run(&place, &arguments(&url));
        assert_eq!(done.code, Some(0), "{done:?}");
        let report = done.json().unwrap();
        assert_eq!(report["summary"]["kept"], had.len());
        assert_eq!(comparable(report), expected);
        let written: Value = serde_json::from_str(&place.read("r.json").unwrap()).unwrap();
        assert_eq!(comparable(written), expected);
        let after = counts(&server);
        for question in had {
            assert_eq!(after[&question], before[&question], "`{question}` was kept and asked again");
        }
        assert!(server.requests().len() <= COUNT + kills * AT_ONCE, "more than was in flight was sent again");
        killed += kills;
        let left: Vec<_> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".motet-")), "{left:?}");
    }
    assert!(killed >= 8 && had_some >= 5, "only {killed} kills hit, {had_some} of them amid the batch");
}

#[cfg(unix)]
#[test]
fn an_interrupted_batch_ends_in_good_order_with_what_it_has() {
    let place = place_with(&["a", "b", "c"]);
    let (open, waiting) = (Arc::new((Mutex::new(false), Condvar::new())), Arc::new(Mutex::new(0)));
    let (gate, held) = (Arc::clone(&open), Arc::clone(&waiting));
    let server = Server::start(move |request, _| {
        if question(request).ends_with('b') {
            *held.lock().unwrap() += 1;
            let (opened, bell) = &*gate;
            drop(bell.wait_while(opened.lock().unwrap(), |opened| !*opened).unwrap());
        }
        says("done")
    })
    .unwrap();
    let url = server.url();
    let flags = ["--max-concurrent", "1", "--output", "json", "--output-file", "r.md"];
    let child = place.start(&about_docs(&url, &flags)).unwrap();
    while *waiting.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let done: Done = child.wait_with_output().unwrap().into();
    *open.0.lock().unwrap() = true;
    open.1.notify_all();
    assert_eq!(done.code, Some(130), "{done:?}");
    let report = done.json().unwrap();
    let statuses =
        report["results"].as_object().unwrap().values().map(|result| result["status"].as_str().unwrap());
    assert_eq!(statuses.collect::<Vec<_>>(), ["success", "cancelled"]);
    assert_eq!(report["summary"]["not_started"], 1);
    assert!(
        place
            .read("r.md")
            .unwrap()
            .contains("- **Total**: 3 (1 successful, 0 failed, 1 cancelled, 1 not started)")
    );
    let id = report["batch_id"].as_str().unwrap();
    let resumed =
        run(&place, &[&["batch", "--resume", id, "--output", "json"][..], &asking(&url)[2..]].concat());
    let summary = resumed.json().unwrap()["summary"].clone();
    assert_eq!((&summary["successful"], &summary["kept"]), (&json!(3), &json!(1)), "{resumed:?}");
}
