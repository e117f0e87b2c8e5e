//! `motet chat`: over standard input here, in a real terminal in `terminal`; and `motet conversation`.

mod terminal;

use std::io::Write as _;
use std::process::Stdio;

use motet_tests::command::{Done, Place};
use serde_json::Value;

/// A model whose answers name what it was told.
const SCRIPT: &str = r#"{"answers": [
    {"when": {"contains": "fail"}, "error": {"kind": "overloaded", "message": "out of order"}},
    {"text": "first"}, {"text": "second"}, {"text": "third"}, {"text": "fourth"}
]}"#;

fn place() -> Place {
    let place = Place::new().unwrap();
    place.write("script.json", SCRIPT).unwrap();
    place
}

/// Chats with these lines as standard input.
fn chat(place: &Place, more: &[&str], lines: &str) -> Done {
    let base = ["chat", "--model", "scripted:script.json", "--set", "retry.max_attempts=1"];
    let mut command = place.command(&[&base, more].concat()).unwrap();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn turns(done: &Done) -> Vec<Value> {
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_is_a_turn_and_several_may_be_one() {
    let done = chat(&place(), &[], "one\n\ntwo \\\nlines\n```\nthree\n\nlines\n```\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "first\nsecond\nthird\n"), "{}", done.stderr);
    let whole = chat(&place(), &["--no-stream"], "one\ntwo");
    assert_eq!((whole.code, whole.stdout.as_str()), (Some(0), "first\nsecond\n"));
}

#[test]
fn as_json_each_turn_is_one_line_and_failures_are_turns_too() {
    let done = chat(&place(), &["--output", "json"], "one\nfail\ntwo\n");
    let turns = turns(&done);
    assert_eq!(turns.len(), 3, "{done:?}");
    assert_eq!((turns[0]["text"].as_str(), turns[0]["turn"].as_u64()), (Some("first"), Some(1)));
    assert_eq!(
        (turns[1]["error"]["kind"].as_str(), turns[1]["turn"].as_u64()),
        (Some("overloaded"), Some(1))
    );
    assert_eq!((turns[2]["text"].as_str(), turns[2]["turn"].as_u64()), (Some("second"), Some(2)));
    assert_eq!(done.code, Some(1));
}

#[test]
fn a_turn_that_fails_is_told_and_the_chat_goes_on() {
    let done = chat(&place(), &[], "fail\none\n/nonsense\n");
    assert_eq!(done.stdout, "first\n");
    assert!(done.stderr.contains("out of order") && done.stderr.contains("there is no command `/nonsense`"));
    assert!(done.stderr.contains("hint: `/help` lists them"), "{}", done.stderr);
    assert_ne!(done.code, Some(0));
}

#[test]
fn a_conversation_of_a_name_is_kept_and_gone_on_with() {
    let place = place();
    let first = chat(&place, &["--conversation", "trip", "--system", "Be brief."], "one\ntwo\n");
    assert!(first.stderr.contains("kept as `trip`"), "{}", first.stderr);
    let again = chat(&place, &["--conversation", "trip", "--output", "json"], "three\n");
    assert_eq!(turns(&again)[0]["turn"], 3, "{again:?}");
    let shown = place.run(&["conversation", "show", "trip"]).unwrap();
    assert!(
        shown.stdout.contains("## Instructions\n\nBe brief.") && shown.stdout.contains("## User\n\nthree")
    );
    let forked = place.run(&["conversation", "fork", "trip", "other", "--messages", "2"]).unwrap();
    assert_eq!(forked.stdout, "2 messages are in `other`\n");
    place.run(&["conversation", "rename", "other", "A copy"]).unwrap();
    let listed = place.run(&["conversation", "list", "--output", "json"]).unwrap().json().unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|head| head["id"].as_str().unwrap()).collect();
    assert_eq!((names, listed[0]["title"].as_str()), (vec!["other", "trip"], Some("A copy")));
    let found = place.run(&["conversation", "list", "--text", "copy", "--output", "json"]).unwrap();
    assert_eq!(found.json().unwrap().as_array().unwrap().len(), 1);
    place.run(&["conversation", "export", "trip", "--to", "trip.json"]).unwrap();
    let exported = motet::agents::conversation::from_json(&place.read("trip.json").unwrap()).unwrap();
    assert_eq!(exported.turns.len(), 3);
    let markdown = place.run(&["conversation", "export", "trip", "--format", "markdown"]).unwrap();
    assert!(markdown.stdout.starts_with("# trip\n"));
    assert_eq!(place.run(&["conversation", "delete", "trip"]).unwrap().code, Some(0));
    let gone = place.run(&["conversation", "show", "trip"]).unwrap();
    assert_eq!(gone.code, Some(3));
    assert!(gone.stderr.contains("hint: `motet conversation list`"), "{}", gone.stderr);
}

#[test]
fn commands_change_the_conversation() {
    let place = place();
    place.write("other.json", r#"{"answers": [{"text": "other"}], "on_exhausted": "repeat_last"}"#).unwrap();
    let lines = "one\ntwo\n/undo\n/retry\n/edit 1 anew\n/save kept\n/model scripted:other.json\n/system Be kind.\n\
                 three\n/fork 1 copy\nfour\n/cost\n/load kept\n/tools\n/help\n/quit\nnever\n";
    let done = chat(&place, &[], lines);
    assert_eq!(done.stdout, "first\nsecond\nthird\nfourth\nother\nother\n", "{}", done.stderr);
    for told in [
        "turn 2 is taken back",
        "kept as `kept`",
        "model: scripted:other.json",
        "instructions: Be kind.",
        "a copy of 1 turn, kept as `copy`",
        "2 turns, ",
        "going on with `kept`, 2 turns, model scripted:other.json",
        "there are no tools",
        "/retry",
    ] {
        assert!(done.stderr.contains(told), "{told:?} is not in\n{}", done.stderr);
    }
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let kept = place.run(&["conversation", "show", "kept"]).unwrap().stdout;
    assert!(
        kept.contains("## User\n\nanew") && kept.contains("## User\n\nthree") && !kept.contains("four\n")
    );
}

#[test]
fn long_conversations_are_summarised_at_the_limit_that_is_named() {
    let place = Place::new().unwrap();
    let long = "word ".repeat(40);
    let script = format!(
        r#"{{"answers": [{{"when": {{"contains": "Summarise both"}}, "text": "They talked."}}, {{"text": "{long}"}}],
            "on_exhausted": "repeat_last"}}"#
    );
    place.write("script.json", script).unwrap();
    let done = chat(&place, &["--max-context", "200"], &"go on\n".repeat(6));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("messages are sent as a summary from now on"), "{}", done.stderr);
    let compacted = chat(&place, &["--max-context", "2000"], "one\ntwo\n/compact\nthree\n");
    assert!(compacted.stderr.contains("in the place of"), "{}", compacted.stderr);
    assert_eq!(compacted.stdout.lines().count(), 3);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let place = place();
    let mut command = place.command(&["chat", "--model", "scripted:script.json"]).unwrap();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all(b"one\ntwo\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
