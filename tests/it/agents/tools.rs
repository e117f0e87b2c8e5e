//! Agents whose files have code call their tools, and have a model select among them.

use super::*;

/// Gives the steps of a kept run that began, with what they did.
fn steps(place: &Place, run_id: &str) -> Vec<(String, String)> {
    let shown = run(place, &["log", "show", run_id, "--output", "json"]).json().unwrap();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let records = shown.as_array().unwrap().iter().map(|entry| &entry["record"]);
    let begun = records.filter(|record| record["entry"] == "started");
    begun.map(|record| (text(record, "step"), text(record, "label"))).collect()
}

#[test]
fn the_example_of_code_calls_every_tool_from_one_call_of_its_model() {
    let place = with_examples();
    let arguments = [
        "agent",
        "run",
        "examples/agent-code.yaml",
        "Which is the longest?",
        "--run-id",
        "r",
        "--output",
        "json",
    ];
    let done = run(&place, &arguments);
    assert_eq!(done.code, Some(0), "{done:?}");
    let result = done.json().unwrap();
    let told: Value = serde_json::from_str(result["tool_history"][0]["result"].as_str().unwrap()).unwrap();
    assert_eq!(told, json!({"output": "12 documents\n", "result": [1647, "council-minutes.md"]}));
    assert_eq!((&result["model_calls"], result["tool_history"].as_array().unwrap().len()), (&json!(2), 1));
    let below = steps(&place, "r").into_iter().filter(|(step, _)| step.starts_with("tool/0/0/call/"));
    let labels: Vec<String> = below.map(|(_, label)| label).collect();
    assert_eq!(
        (labels.len(), labels[0].as_str(), labels[12].as_str()),
        (13, "list_documents", "count_words")
    );
}

#[test]
fn the_example_of_a_router_offers_what_its_small_model_selected() {
    let place = with_examples();
    let arguments = [
        "agent",
        "run",
        "examples/agent-router.yaml",
        "How many words has the letter?",
        "--run-id",
        "r",
        "--output",
        "json",
    ];
    let done = run(&place, &arguments);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json().unwrap()["tool_history"][0]["result"], "268 examples/documents/letter.txt\n");
    let exported = run(&place, &["log", "export", "r"]).stdout;
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pieces: Vec<Value> = lines.filter_map(|line| line.pointer("/piece/value").cloned()).collect();
    // The model that answers sees the tool that was selected and the one that is always offered.
    let tools = pieces.iter().find_map(|piece| piece["tools"].as_array()).unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["list_documents", "count_words"]);
    // The one that selects sees all that the agent has.
    let asked = Value::Array(pieces.clone()).to_string();
    assert!(asked.contains("- first_lines: Shows how a document begins."), "{asked}");
    assert!(!asked.contains("- checksum:") && !asked.contains("- delete_document:"), "{asked}");
    let labels: Vec<_> =
        steps(&place, "r").into_iter().filter(|(step, _)| step.starts_with("route")).collect();
    assert!(
        labels.iter().any(|(_, label)| label == "scripted:examples/agent-router-choice.json"),
        "{labels:?}"
    );
}

#[test]
fn a_file_that_is_wrong_is_told_by_line_and_column() {
    let place = Place::new().unwrap();
    let text = "model: scripted:x.json\ntools:\n  - {command: {name: count, run: [ls]}, category: sums}\n  \
                - code: {tools: [conut]}\noffered: {categories: [smus]}\nrouter: {alwys: [count]}\n";
    place.write("a.yaml", text).unwrap();
    let checked = run(&place, &["agent", "check", "a.yaml"]);
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert!(checked.stderr.contains("6:10: unknown key `alwys`"), "{checked:?}");
    assert!(checked.stderr.contains("did you mean `always`?"), "{checked:?}");
    place.write("a.yaml", text.replace("alwys", "always")).unwrap();
    let checked = run(&place, &["agent", "run", "a.yaml", "x"]);
    assert!(checked.stderr.contains("4:20: no tool that code can call has the name `conut`"), "{checked:?}");
    assert!(checked.stderr.contains("5:24: no tool has the category `smus`"), "{checked:?}");
}
