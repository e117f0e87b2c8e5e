//! `motet batch` as users run it: files and requests, results and reports, flags and settings, kills and resumes.

mod crash;
mod files;
mod flags;
mod requests;

use std::process::{Command, Stdio};

use motet_tests::command::{Done, Place, workspace};
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

/// An answer of the provider.
fn says(text: &str) -> Reply {
    Reply::json(
        200,
        &json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
        }),
    )
}

fn refuses(status: u16) -> Reply {
    Reply::json(status, &json!({"error": {"message": "not today", "type": "refused"}}))
}

/// The text of the last message of a request.
fn question(request: &Request) -> String {
    let messages = request.body["messages"].as_array().unwrap();
    let content = &messages.last().unwrap()["content"];
    let parts =
        content.as_array().map(|parts| parts.iter().filter_map(|part| part["text"].as_str()).collect());
    parts.unwrap_or_else(|| content.as_str().unwrap_or_default().to_owned())
}

/// A server that repeats the question.
fn echo() -> Server {
    Server::start(|request, _| says(&format!("re: {}", question(request)))).unwrap()
}

/// A place with text files of these names, each of which holds its name.
fn place_with(files: &[&str]) -> Place {
    let place = Place::new().unwrap();
    for file in files {
        place.write(&format!("docs/{file}"), format!("text of {file}")).unwrap();
    }
    place
}

/// Asks about the files of `docs` by a server.
fn about_docs<'a>(url: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["batch", "docs", "--prompt", "About"], arguments, &asking(url)].concat()
}

/// The flags that name a server; nothing is sent a second time behind the test's back.
fn asking(url: &str) -> [&str; 6] {
    let set = Box::leak(format!("providers.custom.base_url={url}").into_boxed_str());
    ["--model", "custom:m", "--set", set, "--set", "retry.max_attempts=1"]
}

fn run(place: &Place, arguments: &[&str]) -> Done {
    place.run(arguments).unwrap()
}

/// The JSON object of a batch, without what differs from run to run.
fn comparable(mut report: Value) -> Value {
    report["created_at"].take();
    report["summary"]["processing_time"].take();
    report["summary"]["kept"].take();
    for (_, result) in report["results"].as_object_mut().unwrap() {
        result["seconds"].take();
    }
    report
}

/// Hides ids, dates, and times.
fn hidden(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, shown) in [
        (r"[0-9a-f]{32}", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "DATE"),
        (r#""(seconds|processing_time)":[0-9.e-]+"#, r#""$1":SECONDS"#),
        (r"\d+\.\d+ s\b", "SECONDS s"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, shown).into_owned();
    }
    text
}

#[test]
fn every_command_of_the_guide_works() {
    let place = Place::new().unwrap();
    let status = Command::new("cp").arg("-r").arg(workspace().join("examples")).arg(place.path()).status();
    assert!(status.unwrap().success());
    let guide = std::fs::read_to_string(workspace().join("docs/guide/batch.md")).unwrap();
    let mut commands = 0;
    for line in guide.lines().filter_map(|line| line.strip_prefix("$ motet ")) {
        let words = line.split('"').enumerate().flat_map(|(index, piece)| match index % 2 {
            1 => vec![piece.to_owned()],
            _ => piece.split_whitespace().map(str::to_owned).collect(),
        });
        let words: Vec<String> = words.collect();
        let done = run(&place, &words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        commands += 1;
    }
    assert!(commands >= 7, "{commands} commands");
    let report: Value = serde_json::from_str(&place.read("results.json").unwrap()).unwrap();
    assert_eq!(report["summary"]["successful"], 8);
    assert!(place.read("results.md").unwrap().contains("### \u{2705} letter.txt"));
    assert_eq!(place.read("results.jsonl").unwrap().lines().count(), 12);
}

/// Starts a command whose stderr is a terminal, and gives what it shows there.
#[cfg(unix)]
fn on_a_terminal(place: &Place, arguments: &[&str]) -> String {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = std::fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = place.command(arguments).unwrap();
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(OwnedFd::from(side));
    let mut child = command.spawn().unwrap();
    drop(command);
    let reading = std::thread::spawn(move || {
        let (mut shown, mut terminal) = (Vec::new(), std::fs::File::from(terminal));
        let mut piece = [0; 4096];
        // The end of the last writer is an error on a terminal.
        while let Ok(length @ 1..) = terminal.read(&mut piece) {
            shown.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    assert!(child.wait().unwrap().success());
    reading.join().unwrap()
}

#[cfg(unix)]
#[test]
fn progress_is_shown_on_a_terminal_unless_it_is_not_wanted() {
    let (place, server) = (place_with(&["a.txt", "b.txt"]), echo());
    let url = server.url();
    let shown = on_a_terminal(&place, &about_docs(&url, &[]));
    assert!(shown.contains("/2 ") && shown.contains("left"), "{shown}");
    let shown = on_a_terminal(&place, &about_docs(&url, &["--no-progress"]));
    assert!(!shown.contains("left") && shown.contains("2 of 2 requests answered"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_long_wait_is_told_once_for_all_requests_beside_the_line_of_progress() {
    let place = place_with(&["a.txt", "b.txt", "c.txt"]);
    let server = Server::start(|request, number| match number {
        0..3 => refuses(429).with_header("retry-after", "1"),
        _ => says(&question(request)),
    })
    .unwrap();
    let url = server.url();
    let flags = ["--set", "retry.min_delay=1ms", "--set", "retry.max_attempts=9"];
    let mut arguments = about_docs(&url, &[]);
    arguments.extend(flags);
    let shown = on_a_terminal(&place, &arguments);
    assert_eq!(shown.matches("attempt 2 follows in 1.0 s: ").count(), 1, "{shown:?}");
    let line = shown.lines().find(|line| line.contains("attempt 2 follows")).unwrap();
    let words = line.rsplit('\u{1b}').next().unwrap();
    assert!(words.starts_with("[2Kattempt 2") && words.trim_end().ends_with("not today"), "{shown:?}");
}

#[test]
fn a_closed_pipe_is_success() {
    let (place, server) = (place_with(&["a.txt", "b.txt"]), echo());
    let url = server.url();
    let mut child = place.start(&about_docs(&url, &[])).unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
