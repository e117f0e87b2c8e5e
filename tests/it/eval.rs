//! Records written by a setting, exported from the store, scored, and compared through the command.

use motet_tests::command::{Done, Place};
use serde_json::Value;

const QUESTION: &str = "Who wrote the letter?\n\nThe letter was written by Ada Brook on 3 May 2026.";
const MODEL: &[&str] = &["--model", "offline:extract"];

fn run(place: &Place, arguments: &[&str]) -> Done {
    place.run(arguments).unwrap()
}

fn ok(place: &Place, arguments: &[&str]) -> Done {
    let done = run(place, arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
    done
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_setting_records_calls_and_batches_before_the_command_ends() {
    let place = Place::new().unwrap();
    place
        .write("motet.toml", "[eval]\nrecords = \"out/records.jsonl\"\n[record]\nredact = [\"Brook\"]\n")
        .unwrap();
    ok(&place, &[&["complete", QUESTION], MODEL].concat());
    ok(&place, &[&["complete", "--output", "json", QUESTION], MODEL].concat());
    let records = lines(&place.read("out/records.jsonl").unwrap());
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(
            (&record["success"], &record["model"]),
            (&Value::from(true), &Value::from("offline:extract"))
        );
        assert!(record["final_response"].as_str().unwrap().contains("Ada"), "{record}");
        assert!(!record.to_string().contains("Brook"), "{record}");
    }
    let place = Place::new().unwrap();
    ok(&place, &[&["complete", QUESTION], MODEL].concat());
    assert!(place.read("out/records.jsonl").is_err(), "nothing is recorded where nobody asked");
}

#[test]
fn stored_runs_are_exported_scored_and_compared() {
    let place = Place::new().unwrap();
    place.write("motet.toml", "[record]\ncalls = true\n").unwrap();
    ok(&place, &[&["complete", QUESTION], MODEL].concat());
    ok(&place, &["eval", "export", "--to", "a.jsonl"]);
    let records = lines(&place.read("a.jsonl").unwrap());
    assert_eq!((records.len(), records[0]["user_message"].as_str()), (1, Some(QUESTION)));
    assert_eq!(ok(&place, &["eval", "export", "--since", "1d"]).stdout, place.read("a.jsonl").unwrap());
    let id = records[0]["id"].as_str().unwrap();
    assert_eq!(lines(&ok(&place, &["eval", "export", id]).stdout), records);
    let none = run(&place, &["eval", "export", "--since", "2126-01-01"]);
    assert_eq!(none.code, Some(3), "{none:?}");

    place.write("expected.jsonl", format!("{{\"id\": \"{id}\", \"expected\": \"Ada Brook\"}}\n")).unwrap();
    let contains = ["eval", "score", "a.jsonl", "--scorer", "contains", "--expected-from", "expected.jsonl"];
    let scored = ok(
        &place,
        &[&contains[..], &["--output", "json", "--to", "good.jsonl", "--threshold", "1"]].concat(),
    );
    let scored = scored.json().unwrap();
    assert_eq!((&scored["mean"], &scored["passed"]), (&Value::from(1.0), &Value::from(true)));
    let exact = [
        "eval",
        "score",
        "a.jsonl",
        "--scorer",
        "exact",
        "--scorer",
        "contains",
        "--expected-from",
        "expected.jsonl",
    ];
    let below = run(&place, &[&exact[..], &["--threshold", "0.9"]].concat());
    assert_eq!(below.code, Some(4), "{below:?}");
    assert!(below.stdout.contains("0.500") && below.stderr.contains("below the threshold 0.9"), "{below:?}");
    ok(&place, &[&exact[..], &["--threshold", "0.5"]].concat());

    let judge = [
        "eval",
        "score",
        "a.jsonl",
        "--scorer",
        "judge=offline:extract",
        "--rubric",
        "Be kind.",
        "--output",
        "json",
    ];
    let judged = ok(&place, &judge).json().unwrap();
    let score = judged["records"][0]["scores"]["judge"]["score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score), "{judged}");
    assert_eq!(lines(&ok(&place, &["eval", "export"]).stdout).len(), 1, "what judges say is not kept");

    compare_with_worse(&place);
}

/// Compares records with ones that are worse, and with themselves.
fn compare_with_worse(place: &Place) {
    let worse = place
        .read("good.jsonl")
        .unwrap()
        .replace("\"contains\":1.0", "\"contains\":0.0")
        .replace("Ada", "Eva");
    place.write("worse.jsonl", worse).unwrap();
    let compare = ["eval", "compare", "good.jsonl", "worse.jsonl"];
    let compared = ok(place, &[&compare[..], &["--output", "json"]].concat()).json().unwrap();
    assert_eq!((&compared["changed"], &compared["regressions"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(run(place, &[&compare[..], &["--fail-on-regression"]].concat()).code, Some(4));
    ok(place, &[&compare[..], &["--fail-on-regression", "--tolerance", "1"]].concat());
    ok(
        place,
        &["eval", "compare", "good.jsonl", "good.jsonl", "--fail-on-regression", "--by", "user_message"],
    );
}

#[test]
fn tasks_of_workflows_and_requests_of_batches_are_exported() {
    let place = Place::new().unwrap();
    let workflow = "name: letters\ntasks:\n  - id: who\n    method: llm/chat\n    params:\n      model: offline:extract\n      prompt: |\n        Who wrote the letter?\n\n        The letter was written by Ada Brook.\n";
    place.write("w.yaml", workflow).unwrap();
    ok(&place, &["run", "w.yaml"]);
    let records = lines(&ok(&place, &["eval", "export"]).stdout);
    assert_eq!((records.len(), &records[0]["metadata"]["task"]), (1, &Value::from("who")));
    assert!(records[0]["user_message"].as_str().unwrap().starts_with("Who wrote"), "{}", records[0]);
    assert!(records[0]["final_response"].as_str().unwrap().contains("Ada Brook"));
}

#[test]
fn wrong_files_and_scorers_are_told() {
    let place = Place::new().unwrap();
    place.write("bad.jsonl", "{\"id\": \"1\"}\n[]\n").unwrap();
    for (arguments, expected) in [
        (vec!["eval", "score", "none.jsonl", "--scorer", "exact"], "cannot be read"),
        (vec!["eval", "score", "bad.jsonl", "--scorer", "exact"], "line 2 of `bad.jsonl` is no record"),
        (vec!["eval", "score", "bad.jsonl", "--scorer", "exakt"], "there is no scorer `exakt`"),
        (vec!["eval", "compare", "bad.jsonl", "bad.jsonl"], "line 2 of `bad.jsonl` is no record"),
    ] {
        let done = run(&place, &arguments);
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(done.stderr.contains(expected), "{done:?}");
    }
}

#[test]
fn a_long_reason_for_a_score_is_shown_by_its_beginning_and_is_whole_as_json() {
    let place = Place::new().unwrap();
    let message = "out of order\n".repeat(1_000);
    let record = serde_json::json!({"id": "1", "success": false, "error_message": message});
    place.write("failed.jsonl", format!("{record}\n")).unwrap();
    let score = ["eval", "score", "failed.jsonl", "--scorer", "regex=x"];
    let shown = ok(&place, &score).stdout;
    assert!(shown.contains("out of order out of order") && shown.contains('…'), "{shown}");
    assert!(shown.len() < 2_000, "{}", shown.len());
    let json = ok(&place, &[&score[..], &["--output", "json"]].concat()).json().unwrap();
    assert_eq!(json["records"][0]["scores"]["regex"]["reason"], message);
}
