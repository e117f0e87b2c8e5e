//! What people do with agents at the command line.

use super::*;

const RUN: &[&str] =
    &["agent", "run", "examples/agent-tools.yaml", "Publish the longer one.", "--run-id", "r"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [RUN, more].concat()
}

fn state(place: &Place) -> String {
    let listed = run(place, &["workflow", "list", "--output", "json"]).json().unwrap();
    listed[0]["state"].as_str().unwrap().to_owned()
}

const STEP: &str = "decision/2/0/approval";

#[test]
fn an_agent_waits_for_a_person_and_goes_on_in_another_process_when_it_is_approved() {
    let place = with_examples();
    let parked = run(&place, RUN);
    assert_eq!(parked.code, Some(5), "{parked:?}");
    assert!(parked.stderr.contains(&format!("motet approve r {STEP}")), "{parked:?}");
    assert!(parked.stderr.contains("motet agent resume r"), "{parked:?}");
    assert_eq!((state(&place), place.read("published.txt").is_ok()), ("waiting".to_owned(), false));
    let status = run(&place, &["workflow", "status", "r"]);
    assert!(status.stdout.contains("waiting") && status.stdout.contains("motet deny r"), "{status:?}");
    let still = run(&place, &["agent", "resume", "r"]);
    assert_eq!(still.code, Some(5), "{still:?}");
    assert!(still.stderr.contains("motet approve r"), "{still:?}");
    let workflow = run(&place, &["workflow", "resume", "r"]);
    assert_eq!(workflow.code, Some(5), "{workflow:?}");
    let asked = run(&place, &["agent", "questions", "--output", "json"]).json().unwrap();
    assert_eq!((&asked[0]["step"], &asked[0]["tool"]), (&json!(STEP), &json!("publish")));
    let approved = run(&place, &["approve", "r"]);
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert_eq!(run(&place, &["agent", "questions"]).stdout, "nothing waits for a decision\n");
    let otherwise = run(&place, &["deny", "r", STEP]);
    assert_eq!(otherwise.code, Some(1), "{otherwise:?}");
    assert!(otherwise.stderr.contains("was answered otherwise already"), "{otherwise:?}");
    let done = run(&place, &["agent", "resume", "r"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "I am done with the letter.\n"), "{done:?}");
    assert_eq!(place.read("published.txt").unwrap(), place.read("examples/documents/letter.txt").unwrap());
    assert_eq!(state(&place), "completed");
    let again = run(&place, &["agent", "resume", "r", "--output", "json"]).json().unwrap();
    assert_eq!(
        (&again["outcome"], &again["model_calls"], &again["run"]),
        (&json!("completed"), &json!(4), &json!("r"))
    );
}

#[test]
fn a_decision_may_change_the_arguments_or_stand_in_for_the_call() {
    let edited = r#"{"document": "examples/documents/short-note.txt", "name": "note.txt"}"#;
    let wrong = with_examples();
    assert_eq!(run(&wrong, RUN).code, Some(5));
    let refused = run(&wrong, &["approve", "r", "--arguments", r#"{"document": 5}"#]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("do not match the schema of `publish`"), "{refused:?}");
    assert_eq!(state(&wrong), "waiting");
    for (decision, told, published) in [
        (&["approve", "r", "--arguments", edited][..], "", Some("note.txt")),
        (&["approve", "r", STEP, "--result", "\"sent by mail\""], "sent by mail", None),
        (
            &["deny", "r", "--reason", "not the letter"],
            "not run: a person did not allow this call: not the letter",
            None,
        ),
    ] {
        let place = with_examples();
        assert_eq!(run(&place, RUN).code, Some(5));
        let decided = run(&place, decision);
        assert_eq!(decided.code, Some(0), "{decided:?}");
        let done = run(&place, &["agent", "resume", "r", "--output", "json"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let result = done.json().unwrap();
        assert_eq!(result["tool_history"][3]["result"], told, "{result}");
        assert!(place.read("published.txt").is_err());
        assert_eq!(place.read("note.txt").is_ok(), published.is_some());
    }
}

#[test]
fn yes_approves_everything_and_nothing_is_kept_where_that_is_not_wanted() {
    let place = with_examples();
    let done = run(&place, &with(&["--yes", "--stream"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stdout, "The letter is the longer one.\nI am done with the letter.\n");
    assert!(done.stderr.contains("calling publish"), "{done:?}");
    assert!(place.read("published.txt").is_ok());
    let taken = run(&place, &with(&["--yes"]));
    assert_eq!(taken.code, Some(1), "{taken:?}");
    assert!(taken.stderr.contains("motet agent resume r"), "{taken:?}");
    let place = with_examples();
    let file = &RUN[..4];
    let done = run(&place, &[file, &["--no-keep", "--no-ask"][..]].concat());
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(done.stderr.contains("nothing is kept"), "{done:?}");
    assert!(!place.path().join(".motet/motet.db").exists());
    let late = run(&place, &[file, &["--timeout", "0s", "--output", "json"][..]].concat());
    assert_eq!((late.code, &late.json().unwrap()["outcome"]), (Some(1), &json!("deadline_passed")));
}

#[test]
fn a_run_is_shown_priced_exported_and_replayed() {
    let place = with_examples();
    assert_eq!(run(&place, RUN).code, Some(5));
    let edited = r#"{"document": "examples/documents/short-note.txt", "name": "note.txt"}"#;
    assert_eq!(run(&place, &["approve", "r", "--arguments", edited]).code, Some(0));
    assert_eq!(run(&place, &["agent", "resume", "r"]).code, Some(0));
    for command in [&["log", "show", "r"][..], &["log", "cost", "r"], &["workflow", "results", "r"]] {
        let shown = run(&place, command);
        assert_eq!(shown.code, Some(0), "{shown:?}");
    }
    assert!(run(&place, &["log", "show", "r"]).stdout.contains(STEP));
    let exported = run(&place, &["log", "export", "r", "--to", "r.jsonl"]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    std::fs::remove_file(place.path().join("note.txt")).unwrap();
    for recording in ["r", "r.jsonl"] {
        let replayed = run(&place, &["replay", recording]);
        assert_eq!(replayed.code, Some(0), "{replayed:?}");
        assert_eq!(replayed.stdout, "I am done with the letter.\n", "{replayed:?}");
        assert!(place.read("note.txt").is_err(), "a replay runs no tool");
    }
}

#[test]
fn files_are_checked_with_places_and_nothing_is_started() {
    let place = with_examples();
    let sound = run(&place, &["agent", "check", "examples/agent-tools.yaml", "examples/agent-git.yaml"]);
    assert_eq!(sound.code, Some(0), "{sound:?}");
    place.write("bad.yaml", "tools:\n  - command: {name: a, run: [ls], timout: 5s}\nlimts: {}\n").unwrap();
    for command in [&["agent", "check", "bad.yaml"][..], &["agent", "run", "bad.yaml", "go"]] {
        let wrong = run(&place, command);
        assert_eq!(wrong.code, Some(3), "{wrong:?}");
        assert!(wrong.stderr.contains("bad.yaml:2:35: unknown key `timout`"), "{wrong:?}");
        assert!(wrong.stderr.contains("bad.yaml:3:1: unknown key `limts`"), "{wrong:?}");
        assert!(wrong.stderr.contains("did you mean `limits`?"), "{wrong:?}");
    }
    place.write("zero.yaml", "model: offline:extract\nlimits: {max_iterations: 0}\n").unwrap();
    let zero = run(&place, &["agent", "check", "zero.yaml", "--output", "json"]);
    assert_eq!(zero.code, Some(3), "{zero:?}");
    assert!(zero.stdout.contains("`max_iterations` is zero"), "{zero:?}");
}

/// Runs an agent of these fields with scripted answers, and gives its result.
fn result_of(fields: &Value, answers: &Value, arguments: &[&str]) -> (Place, Value) {
    let place = Place::new().unwrap();
    let mut spec = json!({"name": "lab", "model": "scripted:script.json"});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    place.write("agents/lab.json", spec.to_string()).unwrap();
    place.write("agents/words.md", "Be brief.").unwrap();
    place.write("script.json", json!({"answers": answers, "log": "calls.jsonl"}).to_string()).unwrap();
    let own = ["agent", "run", "agents/lab.json", "go", "--output", "json"];
    let done = run(&place, &[&own[..], arguments].concat());
    let result = done.json().unwrap();
    (place, result)
}

#[test]
fn what_a_file_says_takes_effect() {
    let calls = |names: &[&str]| -> Value {
        names.iter().map(|name| json!({"name": name, "arguments": {"n": 1}})).collect()
    };
    let tools = json!([noting("note", "pure")]);
    let loops = json!([{"when": {"contains": "go"}, "tool_calls": calls(&["note"])}]);
    let (_, limited) = result_of(&json!({"tools": tools, "limits": {"max_iterations": 2}}), &loops, &[]);
    assert_eq!((&limited["outcome"], &limited["model_calls"]), (&json!("limit_reached"), &json!(2)));
    let (_, stuck) = result_of(&json!({"tools": tools, "limits": {"max_repeated_rounds": 1}}), &loops, &[]);
    assert_eq!(stuck["outcome"], "stuck");
    let budget = json!({"tools": tools, "max_tokens": 10, "limits": {"budget": {"tokens": 1}}});
    let (_, dear) = result_of(&budget, &loops, &[]);
    assert_eq!(dear["outcome"], "budget_exceeded", "{dear}");
    let slow = json!([{"command": {"name": "slow", "run": ["sleep", "60"], "timeout": "50ms"}}]);
    let script = json!([{"when": {"turn": 0}, "tool_calls": calls(&["slow"])}, {"when": {"turn": 1}, "text": "gave up"}]);
    let (_, given_up) = result_of(&json!({"tools": slow}), &script, &[]);
    assert!(given_up["tool_history"][0]["result"].as_str().unwrap().contains("within 50ms"), "{given_up}");
    let (place, instructed) =
        result_of(&json!({"instructions_file": "words.md"}), &json!([{"text": "done"}]), &["--no-keep"]);
    assert_eq!((&instructed["text"], &instructed["run"]), (&json!("done"), &Value::Null));
    assert_eq!(instructed["messages"][0]["parts"][0]["text"], "Be brief.", "{instructed}");
    assert!(!place.path().join(".motet/motet.db").exists());
    let shaped = json!({"output": {"type": "object", "required": ["n"]}, "limits": {"max_repairs": 1}});
    let (_, value) = result_of(&shaped, &json!([{"text": "{}"}, {"text": "{\"n\": 4}"}]), &[]);
    assert_eq!((&value["outcome"], &value["value"]), (&json!("completed"), &json!({"n": 4})), "{value}");
    let (_, never) =
        result_of(&json!({"tools": [noting("note", "pure")], "approvals": "always"}), &loops, &[]);
    assert_eq!((&never["outcome"], &never["questions"][0]["tool"]), (&json!("waiting"), &json!("note")));
    let (_, other) = result_of(&json!({}), &json!([{"text": "no"}]), &["--model", "offline:extract"]);
    assert_eq!(other["model"], "offline:extract");
}

#[test]
fn inputs_go_into_the_template_of_the_instructions() {
    let place = Place::new().unwrap();
    let template = "model: offline:extract\ninstructions_template: 'You work for {{ team }}.'\n";
    place.write("t.yaml", format!("{template}variables: {{team: books}}\n")).unwrap();
    let asked = |id: &str, more: &[&str]| {
        let arguments = [&["agent", "run", "t.yaml", "Who wrote? Ada wrote.", "--run-id", id][..], more];
        let done = run(&place, &arguments.concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let file = format!("{id}.jsonl");
        assert_eq!(run(&place, &["log", "export", id, "--to", &file]).code, Some(0));
        place.read(&file).unwrap()
    };
    assert!(asked("one", &[]).contains("You work for books."));
    assert!(asked("two", &["--input", "team=ships"]).contains("You work for ships."));
    let unused = run(&place, &["agent", "run", "t.yaml", "Who?", "--input", "teem=ships"]);
    assert_eq!(unused.code, Some(3), "{unused:?}");
    assert!(unused.stderr.contains("no variable `teem`\nhint: they use `team`"), "{unused:?}");
    place.write("plain.yaml", "model: offline:extract\n").unwrap();
    let nowhere = run(&place, &["agent", "run", "plain.yaml", "Who?", "--input", "team=ships"]);
    assert!(nowhere.stderr.contains("`--input` has nothing to go into"), "{nowhere:?}");
    place.write("t.yaml", template).unwrap();
    let missing = run(&place, &["agent", "run", "t.yaml", "Who?"]);
    assert_ne!(missing.code, Some(0));
    assert!(missing.stderr.contains("team"), "{missing:?}");
}
