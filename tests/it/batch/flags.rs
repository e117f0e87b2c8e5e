//! Every flag of the command and every setting of batches has its effect.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::*;

/// Answers only when so many requests are there at the same time, and tells how many there were at most.
fn gathering(wanted: usize) -> (Server, Arc<Mutex<usize>>) {
    let (state, most) = (Arc::new((Mutex::new((0_usize, 0_usize)), Condvar::new())), Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&most);
    let server = Server::start(move |_, _| {
        let (lock, bell) = &*state;
        let mut here = lock.lock().unwrap();
        *here = (here.0 + 1, here.1 + 1);
        let mut most = seen.lock().unwrap();
        *most = (*most).max(here.0);
        drop(most);
        bell.notify_all();
        let round = here.1.div_ceil(wanted);
        // Whoever waits in vain answers late, and the count tells.
        let patience = Duration::from_secs(20);
        let (mut here, _) = bell.wait_timeout_while(here, patience, |here| here.1 < round * wanted).unwrap();
        here.0 -= 1;
        says("done")
    })
    .unwrap();
    (server, most)
}

#[test]
fn so_many_requests_run_at_once_as_the_flag_or_the_setting_says() {
    let place = place_with(&["a", "b", "c", "d", "e", "f"]);
    for by_flag in [true, false] {
        let (server, most) = gathering(3);
        let url = server.url();
        let flag: &[&str] =
            if by_flag { &["--max-concurrent", "3"] } else { &["--set", "batch.max_concurrent=3"] };
        let done = run(&place, &about_docs(&url, flag));
        assert_eq!((done.code, *most.lock().unwrap()), (Some(0), 3), "{done:?}");
    }
    let done = run(&place, &about_docs("http://127.0.0.1:9", &["--max-concurrent", "0"]));
    assert_eq!(done.code, Some(3));
    assert!(
        done.stderr.contains("batch.max_concurrent") && done.stderr.contains("--max-concurrent"),
        "{done:?}"
    );
}

#[test]
fn each_strategy_does_to_the_others_and_to_the_end_what_it_says() {
    for (strategy, code, sent) in [("fail_fast", 1, 2), ("continue", 1, 4), ("collect", 0, 4)] {
        for by_flag in [true, false] {
            let place = place_with(&["a", "b", "c", "d"]);
            let server = Server::start(|request, _| match question(request).ends_with('b') {
                true => refuses(400),
                false => says("done"),
            })
            .unwrap();
            let url = server.url();
            let mut arguments = vec!["--max-concurrent", "1", "--output", "json"];
            if by_flag {
                arguments.extend(["--strategy", strategy]);
            } else {
                place.write("motet.toml", format!("[batch]\nstrategy = \"{strategy}\"\n")).unwrap();
            }
            let done = run(&place, &about_docs(&url, &arguments));
            assert_eq!((done.code, server.requests().len()), (Some(code), sent), "{strategy}: {done:?}");
            let summary = done.json().unwrap()["summary"].clone();
            assert_eq!((&summary["failed"], &summary["not_started"]), (&json!(1), &json!(4 - sent)));
        }
    }
    let done = run(&place_with(&["a"]), &about_docs("http://127.0.0.1:9", &["--strategy", "hope"]));
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.contains("--strategy") && done.stderr.contains("fail_fast"), "{}", done.stderr);
}

#[test]
fn failures_that_may_pass_are_tried_again_so_many_times() {
    for flag in [["--retry-failed", "2"], ["--set", "batch.retry_failed=2"]] {
        let place = place_with(&["a", "b"]);
        let counts: Mutex<HashMap<String, u32>> = Mutex::default();
        let server = Server::start(move |request, _| {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(question(request)).or_default();
            *count += 1;
            if question(request).ends_with('a') && *count < 3 { refuses(503) } else { says("done") }
        })
        .unwrap();
        let url = server.url();
        let done = run(
            &place,
            &about_docs(&url, &[&flag[..], &["--output", "json", "--max-concurrent", "1"]].concat()),
        );
        assert_eq!(done.code, Some(0), "{done:?}");
        let results = done.json().unwrap()["results"].clone();
        assert_eq!((&results["a"]["attempts"], &results["b"]["attempts"]), (&json!(3), &json!(1)));
        let order: Vec<String> = server.requests().iter().map(question).collect();
        let order: Vec<char> = order.iter().filter_map(|question| question.chars().last()).collect();
        assert_eq!(order, ['a', 'b', 'a', 'a'], "after all others");
    }
}

#[test]
fn the_time_of_a_request_is_limited() {
    let place = place_with(&["a", "b"]);
    let answers = json!({"answers": [
        {"when": {"contains": "text of a"}, "text": "late", "delay_ms": 600_000},
        {"text": "in time"},
    ]});
    place.write("script.json", answers.to_string()).unwrap();
    let base = ["batch", "docs", "--prompt", "About", "--model", "scripted:script.json", "--output", "json"];
    let done = run(&place, &[&base[..], &["--timeout", "50ms"]].concat());
    let results = done.json().unwrap()["results"].clone();
    assert_eq!(
        (&results["a"]["error_kind"], &results["b"]["content"]),
        (&json!("timeout"), &json!("in time"))
    );
    assert_eq!(results["a"]["error"], "there was no answer within 50ms");
    assert_eq!(results["a"]["cost"], Value::Null);
    for wrong in ["0", "soon"] {
        assert_eq!(run(&place, &[&base[..], &["--timeout", wrong]].concat()).code, Some(2));
    }
}

#[test]
fn instructions_a_schema_and_a_limit_go_with_every_request() {
    let place = place_with(&["a", "b", "c"]);
    place
        .write("s.json", r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#)
        .unwrap();
    let server = Server::start(|_, _| says("{\"n\": 7}")).unwrap();
    let url = server.url();
    let flags = ["--system", "Be short.", "--schema", "s.json", "--limit", "2", "--output", "json"];
    let done = run(&place, &about_docs(&url, &flags));
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json().unwrap();
    assert_eq!(report["results"].as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(report["results"]["a"]["json"], json!({"n": 7}));
    for request in server.requests() {
        assert_eq!(request.body["messages"][0], json!({"role": "system", "content": "Be short."}));
        assert_eq!(request.body["response_format"]["type"], "json_schema");
        assert_eq!(request.body["model"], "m");
    }
    let text = run(&place, &about_docs(&url, &["--schema", "s.json", "--limit", "1"]));
    assert_eq!(text.stdout, "{\"n\":7}\n", "one answer needs no heading");
}

#[test]
fn a_batch_of_a_name_goes_on_and_one_that_changed_is_told() {
    let (place, server) = (place_with(&["a", "b"]), echo());
    let url = server.url();
    let named = |flags: &[&'static str]| {
        let flags = [&["--name", "nightly", "--output", "json"][..], flags].concat();
        let done = run(&place, &about_docs(&url, &flags));
        (done.code, done.json().unwrap())
    };
    assert_eq!(named(&[]).0, Some(0));
    place.write("docs/c", "new").unwrap();
    let (code, report) = named(&[]);
    assert_eq!((code, &report["batch_id"], server.requests().len()), (Some(0), &json!("nightly"), 3));
    assert_eq!((&report["summary"]["kept"], &report["summary"]["successful"]), (&json!(2), &json!(3)));
    assert_eq!(report["summary"]["usage"]["input"], 30, "what was paid before is part of the sums");
    place.write("docs/a", "changed").unwrap();
    let (code, report) = named(&[]);
    assert_eq!((code, server.requests().len()), (Some(1), 3));
    assert_eq!(report["results"]["a"]["error_kind"], "conflict");
    assert!(report["results"]["a"]["hint"].as_str().unwrap().contains("--redo-changed"));
    let (code, report) = named(&["--redo-changed"]);
    assert_eq!((code, server.requests().len()), (Some(0), 4));
    assert_eq!(report["results"]["a"]["content"], "re: About\n\nchanged");
    let listed = run(&place, &["workflow", "list"]).stdout;
    assert!(listed.contains("nightly") && listed.contains("batch of docs"), "{listed}");
    let status = run(&place, &["workflow", "status", "nightly", "--output", "json"]).json().unwrap();
    assert_eq!((&status["state"], &status["model_calls"]), (&json!("completed"), &json!(3)));
}

#[test]
fn a_batch_goes_on_by_its_id_alone_from_anywhere() {
    let place = place_with(&["a", "b"]);
    let server = Server::start({
        let broken = std::sync::atomic::AtomicBool::new(true);
        move |request, _| {
            let fails =
                question(request).ends_with('b') && broken.swap(false, std::sync::atomic::Ordering::SeqCst);
            if fails { refuses(500) } else { says("done") }
        }
    })
    .unwrap();
    let url = server.url();
    let first = run(&place, &about_docs(&url, &["--output", "json", "--system", "Be short."]));
    assert_eq!(first.code, Some(1), "{first:?}");
    let id = first.json().unwrap()["batch_id"].as_str().unwrap().to_owned();
    place.write("elsewhere/x", "").unwrap();
    let mut again = place.command(&["batch", "--resume", &id, "--output", "json"]).unwrap();
    place.write("motet.toml", format!("[providers.custom]\nbase_url = \"{url}\"\n")).unwrap();
    let again = again.current_dir(place.path().join("elsewhere")).output().unwrap();
    let again: Done = again.into();
    assert_eq!(again.code, Some(0), "{again:?}");
    let report = again.json().unwrap();
    assert_eq!((&report["summary"]["successful"], &report["summary"]["kept"]), (&json!(2), &json!(1)));
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.requests()[2].body["messages"][0]["content"], "Be short.");
    for (arguments, code, message) in [
        (vec!["batch", "--resume", "none"], 3, "there is no batch `none`"),
        (vec!["batch", "--resume", &id, "--prompt", "x"], 3, "given anew without its input"),
        (vec!["batch", "--resume", &id, "--name", "n"], 2, "cannot be used with"),
        (vec!["batch"], 2, "required arguments were not provided"),
        (
            vec!["batch", "docs", "--name", "no spaces", "--prompt", "x", "--model", "offline:extract"],
            3,
            "name of a batch",
        ),
        (vec!["batch", "docs", "--model", "offline:extract"], 3, "nothing to ask"),
        (vec!["batch", "none", "--prompt", "x"], 3, "`none` cannot be found"),
        (vec!["batch", "docs", "--prompt", "x", "--model", "openai:x"], 3, "OPENAI_API_KEY"),
    ] {
        let done = run(&place, &arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(message), "{arguments:?}: {}", done.stderr);
    }
}
