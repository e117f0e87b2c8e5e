//! Files of agents, read whole and found wrong at their places.

use std::time::Duration;

use motet_core::request::ToolChoice;
use serde_json::json;

use super::*;

mod selecting;

const WHOLE: &str = r#"
name: clerk
description: Pays invoices
model: scripted:lab
instructions: |
  You pay invoices.
tools:
  - mcp: git
    command: uvx
    args: [mcp-server-git]
    timeout: 20s
  - command:
      name: pay
      parameters: {type: object, properties: {amount: {type: integer}}}
      run: [./pay.sh, "${amount}"]
      effect: at_most_once
      approve: true
      timeout: 5s
limits:
  max_iterations: 4
  tool_timeout: 1.5
  budget: {usd: 0.5, tokens: 1000}
output: {type: object, required: [paid]}
sampling: {temperature: 0}
reasoning_effort: low
tool_choice: {tool: pay}
approvals: [pay]
condense: {keep_rounds: 2, max_chars: 100}
metadata: {team: books}
"#;

#[test]
fn a_whole_file_is_read_and_written_and_read_again() {
    let spec = read(WHOLE.as_bytes()).unwrap();
    assert_eq!(spec.limits.tool_timeout, Some(Duration::from_millis(1_500)));
    assert_eq!(spec.limits.budget.usd.unwrap().nanos(), 500_000_000);
    assert_eq!(spec.tool_choice, ToolChoice::Tool("pay".to_owned()));
    assert_eq!(spec.approvals, Approvals::Named(vec!["pay".to_owned()]));
    let tools: Vec<&ToolEntry> = spec.tools.iter().map(|line| &line.tool).collect();
    let [ToolEntry::Mcp { name, server }, ToolEntry::Command(command)] = tools.as_slice() else {
        panic!("{:?}", spec.tools)
    };
    assert_eq!((name.as_str(), server.command.as_deref()), ("git", Some("uvx")));
    assert_eq!((server.timeout, command.timeout), (Duration::from_secs(20), Some(Duration::from_secs(5))));
    assert!(command.approve);
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(written["tools"][0]["mcp"], "git");
    assert_eq!(serde_json::from_value::<AgentSpec>(written.clone()).unwrap(), spec);
    assert_eq!(read_value(&written).unwrap(), spec);
    assert_eq!(read(b"{}").unwrap(), AgentSpec::default());
}

#[test]
fn every_problem_is_told_with_its_place_and_what_was_meant() {
    let text = r#"
nmae: clerk
model: gpt
instructions: 5
tools:
  - command:
      name: pay
      run: [./pay.sh, "--to=${x}"]
      timout: 5s
      stdin: xml
  - comand: {name: x, run: [ls]}
  - mcp: git
    commnad: uvx
limits: {max_iterations: many, budget: {usd: lots}}
approvals: sometimes
"#;
    let problems = read(text.as_bytes()).unwrap_err();
    let told: Vec<String> = problems
        .iter()
        .map(|problem| {
            format!("{problem}{}", problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})")))
        })
        .collect();
    assert_eq!(
        told,
        [
            "2:1: unknown key `nmae` (did you mean `name`?)",
            "3:8: `gpt` is not a model id",
            "4:15: `instructions` must be a string, but is the number `5` (put it in quotes: `\"5\"`)",
            "9:7: unknown key `timout` (did you mean `timeout`?)",
            "10:14: `xml` is not known here (known are `none`, `json`)",
            "11:5: a tool names no server at `mcp`, no program at `command`, no agent at `agent`, and no `code` (did you mean `command`?)",
            "13:5: unknown key `commnad` (did you mean `command`?)",
            "14:26: `max_iterations` must be a whole number from 0 up, but is the string `many`",
            "14:46: `lots` is no amount of dollars, such as `0.50`",
            "15:12: `sometimes` is not known here (known are `tools`, `always`, `never`)",
        ]
    );
}

#[test]
fn a_value_is_read_by_its_paths() {
    let problems = read_value(&json!({"tools": [{"command": {"run": ["ls"]}}], "limits": {"timeout": true}}))
        .unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "tools[0].command: `name` is missing",
            "limits.timeout: `timeout` must be a number or a text, but is `true`"
        ]
    );
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, message) in [
        (
            "instructions: a\ninstructions_file: b",
            "2:1: `instructions` and `instructions_file` mean the same",
        ),
        ("output: [1]", "1:1: `output` must be a JSON schema"),
        (
            "tools: [{mcp: a, command: b, url: 'http://c'}]",
            "needs either a program at `command` or an address at `url`",
        ),
        ("tools: [{command: {name: a, run: []}}]", "`run` names no program"),
        (
            "tools: [{command: {name: a, run: [ls]}}, {command: {name: a, run: [ls]}}]",
            "two tools have the name `a`",
        ),
        ("tools: 3", "`tools` must be a list, but is the number `3`"),
        ("- a", "must be a mapping, but is a list"),
        ("limits: [3]", "`limits` must be a mapping, but is a list"),
        ("", "must be a mapping, but is nothing"),
    ] {
        let problems = read(text.as_bytes()).unwrap_err().to_string();
        assert!(problems.contains(message), "{text}: {problems}");
    }
}
