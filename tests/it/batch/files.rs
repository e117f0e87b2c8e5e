//! Which files are asked about, how they go into the prompt, and the forms of results.

use super::*;

#[test]
fn files_are_summarized_without_a_key_and_answers_stand_in_the_order_of_the_files() {
    let place = place_with(&[]);
    let documents = workspace().join("examples/documents");
    let documents = documents.to_str().unwrap();
    let arguments = ["batch", documents, "--pattern", "*.txt", "--prompt", "Summarize this document"];
    let done = run(&place, &[&arguments[..], &["--model", "offline:extract"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let headings: Vec<&str> = done.stdout.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(
        headings,
        ["## contract-clause.txt", "## letter.txt", "## short-note.txt", "## status-thread.txt"]
    );
    assert!(done.stdout.contains("the spare key for the Kiel server room is with Sabine Lorenz"));
    let told = hidden(&done.stderr);
    insta::assert_snapshot!(told, @"batch ID: 4 of 4 requests answered; 4 model calls, 1636 tokens, $0.00, SECONDS s");
}

#[test]
fn patterns_choose_files_and_hidden_ones_only_by_their_dot() {
    let place =
        place_with(&["b.txt", "a.txt", "c.md", ".hidden.txt", "deep/d.txt", "deep/.x/e.txt", "deep/er/f.md"]);
    let server = echo();
    let url = server.url();
    let chosen = |patterns: &[&'static str]| {
        let patterns: Vec<&str> = patterns.iter().flat_map(|pattern| ["--pattern", pattern]).collect();
        let done = run(&place, &about_docs(&url, &[&patterns[..], &["--output", "json"]].concat()));
        let report = done.json().unwrap();
        report["results"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(chosen(&[]), "a.txt b.txt c.md");
    assert_eq!(chosen(&["*.txt"]), "a.txt b.txt");
    assert_eq!(chosen(&["**/*.txt", "*.md"]), "a.txt b.txt c.md deep/d.txt");
    assert_eq!(chosen(&["deep/**"]), "deep/d.txt deep/er/f.md");
    assert_eq!(chosen(&[".*.txt"]), ".hidden.txt");
    let done = run(&place, &about_docs(&url, &["--pattern", "*.pdf"]));
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with("error: no file matches `*.pdf`\nhint: "), "{}", done.stderr);
    let sent = server.requests().len();
    assert_eq!(sent, 3 + 2 + 4 + 2 + 1);
}

#[test]
fn prompts_say_where_a_file_goes_and_its_text_is_not_expanded_again() {
    let place = Place::new().unwrap();
    place.write("docs/deep/a.txt", "see {file} and {content}").unwrap();
    let server = echo();
    let url = server.url();
    let asked = |prompt: &str| {
        let arguments = ["batch", "docs", "--pattern", "**/*", "--prompt", prompt];
        let done = run(&place, &[&arguments[..], &asking(&url)].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        question(server.requests().last().unwrap())
    };
    assert_eq!(asked("Look:"), "Look:\n\nsee {file} and {content}");
    assert_eq!(
        asked("{name} at {file}, {other}{"),
        "a.txt at deep/a.txt, {other}{\n\nsee {file} and {content}"
    );
    assert_eq!(asked("<{content}> in {name}"), "<see {file} and {content}> in a.txt");
}

#[test]
fn images_are_sent_where_asked_and_else_fail_alone() {
    let place = place_with(&["a.txt"]);
    place.write("docs/b.png", b"png").unwrap();
    place.write("docs/c.bin", b"\xff\xfe").unwrap();
    place.write("docs/d.txt", vec![b'x'; (4 << 20) + 1]).unwrap();
    let server = echo();
    let url = server.url();
    let plain = run(&place, &about_docs(&url, &["--output", "json"]));
    assert_eq!((plain.code, server.requests().len()), (Some(1), 1));
    let results = plain.json().unwrap()["results"].clone();
    let errors = |results: &Value| {
        let error = |(id, result): (&String, &Value)| Some(format!("{id}: {}", result["error"].as_str()?));
        results.as_object().unwrap().iter().filter_map(error).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(errors(&results), @r"
    b.png: `b.png` is no text
    c.bin: `c.bin` is not UTF-8: byte 0xff at offset 0
    d.txt: `d.txt` is larger than the 4194304 bytes that may be read
    ");
    let seeing =
        run(&place, &about_docs(&url, &["--vision", "--pattern", "*.{txt,png}", "--output", "json"]));
    let results = seeing.json().unwrap()["results"].clone();
    assert_eq!(results["b.png"]["content"], "re: About");
    let requests = server.requests();
    let image = requests.iter().find(|request| request.body.to_string().contains("image_url")).unwrap();
    let parts = &image.body["messages"][0]["content"];
    assert_eq!(parts[1]["image_url"]["url"], "data:image/png;base64,cG5n");
}

#[test]
fn the_reports_of_a_batch_are_as_documented() {
    let place = place_with(&["a.txt", "b.txt", "c.txt"]);
    let server = Server::start(|request, _| match question(request).contains("b.txt") {
        true => refuses(400),
        false => says("An answer.\n\nIn two parts."),
    })
    .unwrap();
    let url = server.url();
    let files = ["--output", "r.json", "--output-file", "r.md", "--output-file", "r.jsonl"];
    let done = run(&place, &about_docs(&url, &files));
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    let hint = done.stderr.lines().last().unwrap();
    assert!(hint.starts_with("go on with it by `motet batch --resume "), "{hint}");
    insta::assert_snapshot!("report_json", hidden(&place.read("r.json").unwrap()));
    insta::assert_snapshot!("report_markdown", hidden(&place.read("r.md").unwrap()));
    let lines = place.read("r.jsonl").unwrap();
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!("report_lines", hidden(&lines.join("\n")));
    let json = run(&place, &about_docs(&url, &["--output", "json"]));
    let file: Value = serde_json::from_str(&place.read("r.json").unwrap()).unwrap();
    let (mut printed, mut written) = (comparable(json.json().unwrap()), comparable(file));
    printed["batch_id"].take();
    written["batch_id"].take();
    assert_eq!(printed, written);
}

#[test]
fn results_are_no_input_of_the_next_batch() {
    let (place, server) = (place_with(&["a.md"]), echo());
    let url = server.url();
    for _ in 0..2 {
        let done = run(&place, &about_docs(&url, &["--pattern", "*.md", "--output-file", "docs/r.md"]));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(place.read("docs/r.md").unwrap().contains("- **Total**: 1 (1 successful, 0 failed)"));
    }
}

#[test]
fn lines_of_results_are_there_before_the_batch_ends() {
    use std::sync::{Arc, Condvar, Mutex};
    let (open, gate) = (Arc::new((Mutex::new(false), Condvar::new())), place_with(&["a.txt", "b.txt"]));
    let waiting = Arc::clone(&open);
    let server = Server::start(move |request, _| {
        if question(request).contains("b.txt") {
            let (opened, bell) = &*waiting;
            drop(bell.wait_while(opened.lock().unwrap(), |opened| !*opened).unwrap());
        }
        says("done")
    })
    .unwrap();
    let url = server.url();
    let mut child = gate.start(&about_docs(&url, &["--output-file", "r.jsonl"])).unwrap();
    while gate.read("r.jsonl").map_or(0, |lines| lines.lines().count()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the batch ended without its second answer");
        std::thread::yield_now();
    }
    let line: Value = serde_json::from_str(gate.read("r.jsonl").unwrap().trim_end()).unwrap();
    assert_eq!((&line["id"], &line["index"], &line["content"]), (&json!("a.txt"), &json!(0), &json!("done")));
    *open.0.lock().unwrap() = true;
    open.1.notify_all();
    assert!(child.wait().unwrap().success());
    assert_eq!(gate.read("r.jsonl").unwrap().lines().count(), 2);
}

#[test]
fn a_place_for_results_that_cannot_be_written_is_told_before_anything_is_sent() {
    let (place, server) = (place_with(&["a.txt"]), echo());
    let url = server.url();
    for (file, message) in [
        ("none/r.json", "`none/r.json` cannot be written: entity not found"),
        ("r.txt", "`r.txt` has no form that results can be written in"),
    ] {
        let done = run(&place, &about_docs(&url, &["--output-file", file]));
        assert_eq!(done.code, Some(3));
        assert!(done.stderr.starts_with(&format!("error: {message}")), "{}", done.stderr);
    }
    let done = run(&place, &about_docs(&url, &["--output", "r.txt"]));
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn the_ledger_counts_each_request_by_its_model() {
    let server = echo();
    let place = place_with(&["a.txt", "b.txt", "c.txt"]);
    let prices = ["--set", "prices.\"custom:m\".input=1", "--set", "prices.\"custom:m\".output=2"];
    let url = server.url();
    let done = run(&place, &about_docs(&url, &prices));
    assert_eq!(done.code, Some(0), "{done:?}");
    let ledger = run(&place, &["log", "cost", "--by", "model", "--output", "json"]).json().unwrap();
    assert_eq!((&ledger["groups"][0]["group"], &ledger["total"]["calls"]), (&json!("custom:m"), &json!(3)));
    assert_eq!(
        (&ledger["total"]["unknown_cost_calls"], ledger["groups"].as_array().unwrap().len()),
        (&json!(0), 1)
    );
    assert!(ledger["total"]["cost_nanos"].as_u64().unwrap() > 0, "{ledger}");
}

#[test]
fn the_log_of_a_batch_shows_its_requests() {
    let (place, server) = (place_with(&["a.txt", "b.txt"]), echo());
    let url = server.url();
    let done = run(&place, &about_docs(&url, &["--name", "n"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let shown = run(&place, &["log", "show", "n", "--full"]);
    let row = shown.stdout.lines().find(|line| line.contains("a.txt ")).unwrap();
    assert!(row.contains(" finished ") && row.contains(" 10+2 ") && row.contains(" unknown "), "{row}");
    assert!(shown.stdout.contains("> user: About"), "{}", shown.stdout);
    assert!(shown.stdout.contains("< assistant: re: About\n"), "{}", shown.stdout);
    assert!(shown.stderr.contains("completed, 2 answers of models, 24 tokens, cost unknown"), "{shown:?}");
    let entries = run(&place, &["log", "show", "n", "--output", "json"]).json().unwrap();
    let steps = entries.as_array().unwrap().iter().filter(|entry| entry["record"]["step"] == "b.txt");
    assert_eq!(steps.count(), 2);
    let refused = run(&place, &["log", "export", "n"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("no cassette holds"), "{refused:?}");
}
