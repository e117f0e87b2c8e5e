//! What is true of single methods: definitions, files that they run, and parameters that only share a name.

use super::*;

#[test]
fn a_definition_that_is_written_out_has_references_of_its_own() {
    let lines = in_tasks(&[
        ASK,
        "{id: a, method: workflow/run, params: {workflow: {inputs: {x: 1}, tasks: [{id: in, method: file/write, params: {path: \"${inputs.x}\", content: \"${in.none}\"}}]}}}",
        "{id: b, method: workflow/run, params: {workflow: \"${ask.content}\"}}",
        "{id: c, method: agent/run, params: {agent: \"${ask.content}\", input: x}}",
        "{id: d, method: agent/run, params: {agent: {instructions: \"${nobody.x}\"}, input: \"${ask.content}\"}}",
    ]);
    let refused = |name: &str| {
        format!(
            "invalid: the parameter `{name}` must be a mapping that is written out, but is the string `${{ask.content}}`"
        )
    };
    assert_eq!(lines, [format!("5:52 {}", refused("workflow")), format!("6:46 {}", refused("agent"))]);
}

#[test]
fn a_reference_to_a_task_within_a_definition_is_told() {
    let lines = in_tasks(&[
        ASK,
        "{id: a, method: workflow/run, params: {workflow: {tasks: [{id: in, method: file/write, params: {path: x, content: \"${ask.content} ${in.x} ${inputs.x}\"}}]}}}",
        "{id: b, method: workflow/run, params: {workflow: {tasks: [{id: ask, method: file/write}, {id: in, method: file/write, params: {content: \"${ask.bytes}\"}}]}}}",
        "{id: c, method: agent/run, params: {input: x, agent: {instructions: \"It is ${ask.content}\", tools: [\"${document}\"]}}}",
    ]);
    assert_eq!(
        lines,
        [
            "4:117 not-filled-in: `${ask.content}` is not filled in here: `workflow` has references of its own",
            "6:71 not-filled-in: `${ask.content}` is not filled in here: `agent` has references of its own",
        ]
    );
}

#[test]
fn a_script_that_a_task_before_may_make_is_only_doubtful() {
    let script = "method: python/execute, params: {file: none.py}";
    let lines = in_tasks(&[
        "{id: make, method: python/execute, params: {code: open('none.py')}}",
        "{id: box, method: python/execute, params: {code: x = 1, sandbox: true}}",
        "{id: between, method: file/write, params: {path: x, content: \"${make.result}\"}}",
        &format!("{{id: after, dependencies: [between], {script}}}"),
        &format!("{{id: boxed, dependencies: [box], {script}}}"),
        &format!("{{id: beside, {script}}}"),
        "{id: write, method: file/write, params: {path: ./made.py, content: x}}",
        "{id: run, dependencies: [write], method: python/execute, params: {file: made.py}}",
    ]);
    let told: Vec<_> = lines.iter().filter_map(|line| line.split_once(' ')).map(|(_, told)| told).collect();
    assert_eq!(
        told,
        [
            "file-missing: there is no script `none.py` yet",
            "script-missing: there is no script `none.py`",
            "script-missing: there is no script `none.py`",
        ]
    );
}

#[test]
fn parameters_of_other_programs_that_share_a_name_mean_something_of_their_own() {
    let lines = in_tasks(&[
        "{id: a, method: mcp/filer.list, params: {files: [src/a.txt], file_path: /srv/x, messages: [x], schema: {type: table}, reasoning_effort: much}}",
        "{id: b, method: mcp/dotted.name.list, params: {file: none.yaml}}",
    ]);
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn files_of_agents_and_of_other_workflows_must_be_there() {
    let lines = in_tasks(&[
        "{id: a, method: agent/run, params: {file: none.yaml, input: x}}",
        "{id: b, method: workflow/run, params: {file: none.yaml}}",
        "{id: c, method: workflow/run, params: {file: ../ends.yaml}}",
        "{id: d, method: workflow/run, params: {file: ends.yaml}}",
    ]);
    assert_eq!(
        lines,
        [
            "3:45 file-missing: there is no file `none.yaml`",
            "4:48 file-missing: there is no file `none.yaml`",
            "5:48 file-refused: `../ends.yaml` is outside",
        ]
    );
}
