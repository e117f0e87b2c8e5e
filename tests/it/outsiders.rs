//! What a model answers is data in every parameter of every method that could run, read, or start something of it.

use motet_tests::command::{Done, Place};
use serde_json::json;

/// Answers that would do harm if they were more than text: as code, as a reference, as a path, or as a definition.
const ANSWERS: [&str; 6] = [
    "${vault.result}",
    "'); open('owned', 'w') #",
    "\"\"\"\nopen('owned', 'w')\n\"\"\"",
    "__import__('os').system('touch owned')",
    "../outside.txt",
    r#"{"tasks": [{"id": "t", "method": "python/execute", "params": {"code": "open('owned', 'w')"}}]}"#,
];

/// A place whose workflow runs in a directory of its own, beside a file that it may not read.
fn place(answer: &str) -> Place {
    let place = Place::new().unwrap();
    place.write("outside.txt", "the-secret").unwrap();
    place.write("in/answer.json", json!({"answers": [{"text": answer}]}).to_string()).unwrap();
    place
}

fn run(place: &Place, tasks: &str, outputs: &str) -> Done {
    let text = format!(
        "name: outsiders\ntasks:\n- {{id: vault, method: python/execute, params: {{code: \"result = 'hunter2'\"}}}}\n\
         - {{id: ask, method: llm/chat, params: {{prompt: Say something., model: 'scripted:in/answer.json'}}}}\n{tasks}outputs: {{{outputs}}}\n"
    );
    place.write("in/w.yaml", text).unwrap();
    place.run(&["run", "in/w.yaml", "--output", "json"]).unwrap()
}

fn is_unharmed(place: &Place, done: &Done, answer: &str) {
    for owned in ["owned", "in/owned"] {
        assert!(!place.path().join(owned).exists(), "`{answer}` was run: {done:?}");
    }
    assert_eq!(place.read("outside.txt").unwrap(), "the-secret", "`{answer}` was written to");
    assert!(!done.stdout.contains("the-secret"), "`{answer}` was read: {done:?}");
}

#[test]
fn an_answer_reaches_code_agents_and_other_workflows_as_it_is() {
    let tasks = r#"- {id: code, method: python/execute, params: {code: "result = ['${ask.content}', ${ask.content}, f'{1}${ask.content}']"}}
- {id: boxed, method: python/execute, params: {sandbox: true, code: "result = ['${ask.content}', ${ask.content}]"}}
- id: below
  method: workflow/run
  params:
    inputs: {text: "${ask.content}", code: "result = 1"}
    workflow:
      inputs: {text: null, code: null}
      tasks:
      - {id: first, method: python/execute, params: {code: "result = '${inputs.text}'"}}
      - {id: then, method: llm/chat, params: {model: "offline:extract", prompt: "Repeat it. ${first.result}"}}
      - {id: last, method: python/execute, params: {context: {used: "${inputs.code}"}, code: "result = [${first.result}, '${then.response}' != '']"}}
      outputs: {last: "${last.result}"}
- id: agent
  method: agent/run
  params:
    agent: {name: clerk, model: "offline:extract", instructions: "Answer ${nobody.x} briefly."}
    variables: {name: "${ask.content}"}
    input: "${ask.content}"
"#;
    let outputs = "vault: '${vault.result}', code: '${code.result}', boxed: '${boxed.result}', below: '${below.last}', messages: '${agent.messages}'";
    for answer in ANSWERS {
        let place = place(answer);
        let done = run(&place, tasks, outputs);
        assert_eq!(done.code, Some(0), "{answer}: {done:?}");
        let given = done.json().unwrap()["outputs"].take();
        assert_eq!(given["code"], json!([answer, answer, format!("1{answer}")]));
        assert_eq!(given["boxed"], json!([answer, answer]));
        assert_eq!(given["below"], json!([answer, true]));
        let messages = given["messages"].to_string();
        assert!(
            messages.contains(&json!(answer).to_string().replace('"', "")) || answer.contains('"'),
            "{messages}"
        );
        assert!(messages.contains("${nobody.x}") && !messages.contains("hunter2"), "{messages}");
        is_unharmed(&place, &done, answer);
    }
}

#[test]
fn an_answer_is_no_definition_of_what_runs() {
    let place = place(ANSWERS[5]);
    for (method, parameter, rest) in
        [("workflow/run", "workflow", ""), ("agent/run", "agent", ", input: hello")]
    {
        let task = |written: &str| {
            format!("- {{id: t, method: {method}, params: {{{parameter}: {written}{rest}}}}}\n")
        };
        for written in ["'${ask.content}'", "'${ask.result.wf}'", "'Run ${ask.content}'"] {
            let done = run(&place, &task(written), "");
            let refused = format!("the parameter `{parameter}` must be a mapping that is written out");
            assert!(done.code == Some(3) && done.stdout.contains(&refused), "{written}: {done:?}");
        }
    }
    // Within a definition a reference means what it means there.
    let inner = "{id: t, method: python/execute, params: {code: '${ask.content}'}}";
    let done = run(
        &place,
        &format!("- {{id: below, method: workflow/run, params: {{workflow: {{tasks: [{inner}]}}}}}}\n"),
        "",
    );
    assert!(done.code == Some(1) && done.stdout.contains("there is no such task"), "{done:?}");
    let tool = "{command: {name: t, run: ['${ask.content}'], effect: pure}}";
    let agent = format!("{{name: a, model: 'offline:extract', tools: [{tool}]}}");
    let done = run(
        &place,
        &format!("- {{id: a, method: agent/run, params: {{input: hello, agent: {agent}}}}}\n"),
        "",
    );
    assert!(done.code == Some(1) && !done.stdout.contains("hunter2"), "{done:?}");
    is_unharmed(&place, &done, ANSWERS[5]);
}

#[test]
fn no_answer_leads_out_of_the_directory_whatever_reads_writes_or_runs_it() {
    let tasks: String = [
        ("chat", "llm/chat", "file_path: '${ask.content}', model: 'offline:extract'"),
        ("files", "llm/chat", "files: ['${ask.content}'], model: 'offline:extract'"),
        ("image", "llm/vision", "image_path: '${ask.content}', prompt: x, model: 'offline:extract'"),
        ("script", "python/execute", "file: '${ask.content}'"),
        ("agent", "agent/run", "file: '${ask.content}', input: x"),
        ("below", "workflow/run", "file: '${ask.content}'"),
        ("web", "http/request", "url: '${ask.content}'"),
    ]
    .map(|(id, method, params)| {
        format!("- {{id: {id}, method: {method}, on_failure: continue, params: {{{params}}}}}\n")
    })
    .concat();
    // It comes last, so that no other task finds what it writes.
    let others = "chat, files, image, script, agent, below, web";
    let write = format!(
        "- {{id: write, method: file/write, dependencies: [{others}], on_failure: continue, params: {{path: '${{ask.content}}', content: owned}}}}\n"
    );
    for answer in
        ["../outside.txt", "in/../../outside.txt", "file:///etc/passwd", "/etc/passwd", "${vault.result}"]
    {
        let place = place(answer);
        let done = run(&place, &(tasks.clone() + &write), "");
        let report = done.json().unwrap();
        for task in report["tasks"].as_array().unwrap().iter().skip(2) {
            let name = task["name"].as_str().unwrap();
            // A name of no path at all is a file like any other, in the directory.
            let may_write = name == "write" && ["$", "file:"].iter().any(|start| answer.starts_with(start));
            assert!(may_write || !task["error"].is_null(), "{name} took `{answer}`: {task}");
        }
        is_unharmed(&place, &done, answer);
        assert!(!done.stdout.contains("root:"), "{done:?}");
    }
}
