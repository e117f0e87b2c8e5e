//! Every rule: what it finds, where, and what it leaves alone.

mod methods;

use std::collections::BTreeMap;

use motet_core::method::ParameterKind::{
    self, Any, Array, Boolean, Definition, Model, Object, Source, String as Text,
};
use serde_json::json;

use super::*;

const fn parameter(name: &'static str, kind: ParameterKind) -> Parameter {
    Parameter { name, kind, required: false, doc: "what it is for" }
}

const CHAT: &[Parameter] = &[
    parameter("model", Model),
    parameter("messages", Array),
    parameter("prompt", Text),
    parameter("file_path", Text),
    parameter("files", Array),
    parameter("schema", Object),
    parameter("reasoning_effort", Text),
];
const PYTHON: &[Parameter] = &[
    parameter("file", Text),
    parameter("code", Source),
    parameter("context", Object),
    parameter("sandbox", Boolean),
];
const WRITE: &[Parameter] = &[parameter("path", Text), parameter("content", Any)];
const HTTP: &[Parameter] = &[parameter("url", Text), parameter("body", Any)];
const RUN: &[Parameter] =
    &[parameter("file", Text), parameter("workflow", Definition), parameter("inputs", Object)];
const AGENT: &[Parameter] = &[
    parameter("file", Text),
    parameter("agent", Definition),
    parameter("input", Any),
    parameter("model", Model),
];
const TOOL: &[Parameter] = &[parameter(Parameter::ANY_NAME, Any)];
const PATTERN: &[Parameter] =
    &[parameter("input", Text), parameter("model", Model), parameter("stages", Array)];

const METHODS: [(&str, &[Parameter]); 11] = [
    ("llm/chat", CHAT),
    ("python/execute", PYTHON),
    ("file/write", WRITE),
    ("http/request", HTTP),
    ("workflow/run", RUN),
    ("pattern/pipeline", PATTERN),
    ("mcp/files.list", HTTP),
    ("agent/run", AGENT),
    ("mcp/filer.list", TOOL),
    ("mcp/dotted.name.list", TOOL),
    ("mcp/filer.old.list", HTTP),
];

/// A world of a few files in memory.
struct World {
    files: BTreeMap<&'static str, &'static str>,
}

impl Surroundings for World {
    fn result_schema(&self, method: &str, params: &Map<String, Value>) -> Value {
        let closed = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
        match method {
            "llm/chat" => {
                let mut properties = json!({
                    "content": {"type": "string"},
                    "usage": {"type": ["object", "null"]},
                    "files": {"type": "array", "items": {"type": "string"}},
                    "tokens_used": {"type": "integer"},
                });
                if let Some(schema) = params.get("schema") {
                    properties["json"] = schema.clone();
                }
                closed(properties)
            }
            "python/execute" => closed(json!({"result": true, "output": {"type": "string"}})),
            "file/write" => closed(json!({"path": {"type": "string"}, "bytes": {"type": "integer"}})),
            _ => Value::Bool(true),
        }
    }

    fn parameters(&self, method: &str) -> &[Parameter] {
        METHODS.iter().find(|(name, _)| *name == method).map_or(&[], |(_, table)| table)
    }

    fn default_model(&self) -> Option<ModelId> {
        None
    }

    fn model(&self, id: &ModelId) -> ModelStanding {
        match (id.provider(), id.model()) {
            ("offline", _) => ModelStanding::Ready,
            ("keyed", _) => ModelStanding::NoKey("KEYED_API_KEY".to_owned()),
            ("listed", "big") => ModelStanding::Ready,
            ("listed", _) => ModelStanding::Unlisted(Some("listed:big".to_owned())),
            (name, _) => {
                ModelStanding::Wrong { message: format!("there is no provider `{name}`"), hint: None }
            }
        }
    }

    fn file(&self, path: &str, _: Access) -> FileStanding {
        if path.starts_with("../") || path.starts_with('/') {
            return FileStanding::Refused { message: format!("`{path}` is outside"), hint: None };
        }
        let path = path.trim_start_matches("./");
        if self.files.contains_key(path) { FileStanding::Found } else { FileStanding::Missing }
    }

    fn matches(&self, pattern: &str) -> Option<usize> {
        let (directory, _) = pattern.rsplit_once('/')?;
        Some(self.files.keys().filter(|path| path.starts_with(directory)).count())
    }

    fn text(&self, path: &str) -> Option<String> {
        self.files.get(path).map(|text| (*text).to_owned())
    }

    fn python(&self, scripts: &[String]) -> Vec<Option<SyntaxFault>> {
        let fault = |script: &String| {
            let line = script.lines().position(|line| line.contains("def ("))? + 1;
            Some(SyntaxFault { line, message: "invalid syntax".to_owned() })
        };
        scripts.iter().map(fault).collect()
    }

    fn mcp_servers(&self) -> Vec<String> {
        vec!["filer.old".to_owned(), "filer".to_owned(), "dotted.name".to_owned()]
    }

    fn is_set(&self, variable: &str) -> bool {
        variable == "SET"
    }
}

fn checked(text: &str) -> Checked {
    let files = BTreeMap::from([
        ("docs/a.txt", "a"),
        ("good.py", "result = 1"),
        ("bad.py", "x = 1\ndef ("),
        ("loop.yaml", "tasks: [{id: a, method: workflow/run, params: {file: sub/back.yaml}}]"),
        ("sub/back.yaml", "tasks: [{id: a, method: workflow/run, params: {file: ../loop.yaml}}]"),
        ("ends.yaml", "tasks: [{id: a, when: false, method: workflow/run, params: {file: ends.yaml}}]"),
    ]);
    let rules = Rules::from_tables(METHODS);
    check(text.as_bytes(), &rules, &World { files })
}

/// Gives what is found as `line:column rule: message`.
fn found(text: &str) -> Vec<String> {
    let told = |finding: &Finding| {
        format!("{}:{} {}: {}", finding.line, finding.column, finding.rule, finding.message)
    };
    checked(text).findings.iter().map(told).collect()
}

/// Gives what is found in tasks that stand each on a line of its own, from line 3 on.
fn in_tasks(tasks: &[&str]) -> Vec<String> {
    found(&format!("model: offline:extract\ntasks:\n- {}\n", tasks.join("\n- ")))
}

const ASK: &str = "{id: ask, method: llm/chat, params: {prompt: hi}}";

#[test]
fn a_sound_workflow_has_no_findings() {
    let text = r#"
model: offline:extract
inputs: {topic: null}
env: [SET]
tasks:
- {id: ask, method: llm/chat, params: {prompt: "${inputs.topic} ${env.SET}", schema: {type: object, properties: {steps: {type: array, maxItems: 3, items: {type: string}}}, required: [steps]}}}
- {id: each, for_each: "${ask.json.steps}", method: llm/chat, params: {messages: [{role: user, content: "${item}"}]}}
- {id: sum, method: python/execute, params: {code: "x = ${each[*].content}\nresult = len('${each[0].tokens_used}')"}}
- {id: save, method: file/write, params: {path: out/a.txt, content: "${sum.result.deep[0].x} ${sum.status} ${sum.error}"}}
- {id: again, method: llm/chat, dependencies: [save], params: {file_path: out/a.txt}}
outputs: {text: "${again}", all: "${each[*].content}"}
"#;
    let checked = checked(text);
    assert_eq!(checked.findings, []);
    assert!(checked.spec.is_some() && checked.is_sound());
}

#[test]
fn references_are_followed_through_the_schemas_of_results() {
    let schema = "{id: s, method: llm/chat, params: {prompt: x, schema: {type: object, properties: {name: {type: string}, parts: {type: array, items: {type: object, properties: {n: {type: integer}}, additionalProperties: false}}}}}}";
    let use_of = |reference: &str| {
        in_tasks(&[
            ASK,
            schema,
            "{id: many, for_each: [1], method: llm/chat, params: {prompt: x}}",
            &format!("{{id: u, method: llm/chat, params: {{prompt: \"- ${{{reference}}}\"}}}}"),
        ])
        .pop()
        .map(|line| line.split_once(": ").unwrap().1.to_owned())
        .unwrap_or_default()
    };
    for (reference, message) in [
        ("ask.content", ""),
        ("ask.result.content", ""),
        ("ask.contnt", "`${ask.contnt}` leads nowhere: the result of `ask` has no field `contnt`"),
        ("ask.json", "`${ask.json}` leads nowhere: the result of `ask` has no field `json`"),
        (
            "ask.content[0]",
            "`${ask.content[0]}` leads nowhere: content of the result of `ask` is a text, so `[0]` does not fit",
        ),
        ("ask.files.0", ""),
        (
            "ask.files[*].name",
            "`${ask.files[*].name}` leads nowhere: [*] of files of the result of `ask` is a text, so `.name` does not fit",
        ),
        ("ask.usage.input", ""),
        (
            "ask.status.x",
            "`${ask.status.x}` leads nowhere: the status of `ask` is a text, so `.x` does not fit",
        ),
        ("s.json.parts[1].n", ""),
        (
            "s.json.parts[1].m",
            "`${s.json.parts[1].m}` leads nowhere: [1] of parts of json of the result of `s` has no field `m`",
        ),
        (
            "s.json.nme",
            "the schema of json of the result of `s` names no field `nme`, which `${s.json.nme}` needs",
        ),
        (
            "many.content",
            "`${many.content}` leads nowhere: the result of `many` is a list, so it has no field `content`",
        ),
        ("many[*].content", ""),
        (
            "many.0.contents",
            "`${many.0.contents}` leads nowhere: 0 of the result of `many` has no field `contents`",
        ),
    ] {
        assert_eq!(use_of(reference), message, "{reference}");
    }
    let hints: Vec<_> = checked(&format!("model: offline:extract\ntasks:\n- {ASK}\noutputs: {{a: \"${{ask.contnt}}\", b: \"${{ask.content.x}}\"}}"))
        .findings
        .into_iter()
        .map(|finding| (finding.line, finding.column, finding.hint))
        .collect();
    assert_eq!(hints, [(4, 14, Some("did you mean `content`?".to_owned())), (4, 34, None)]);
}

#[test]
fn a_reference_must_give_what_the_parameter_takes() {
    for (task, message) in [
        (
            "params: {messages: \"${ask.content}\"}",
            "type-mismatch: `messages` takes a list, but `${ask.content}` is a text",
        ),
        (
            "params: {prompt: \"${ask.usage}\"}",
            "type-mismatch: `prompt` takes a text, but `${ask.usage}` is an object",
        ),
        (
            "params: {prompt: \"${ask.tokens_used}\"}",
            "type-mismatch: `prompt` takes a text, but `${ask.tokens_used}` is a whole number",
        ),
        ("params: {prompt: \"${ask}\"}", "type-mismatch: `prompt` takes a text, but `${ask}` is an object"),
        ("params: {prompt: \"it is ${ask.usage}\"}", ""),
        ("params: {prompt: \"${run.result}\"}", ""),
        (
            "for_each: \"${ask.content}\", params: {prompt: x}",
            "type-mismatch: `for_each` takes a list, but `${ask.content}` is a text",
        ),
    ] {
        let run = "{id: run, method: python/execute, params: {code: result = 1}}";
        let lines = in_tasks(&[ASK, run, &format!("{{id: u, method: llm/chat, {task}}}")]);
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.contains("unbounded")).collect();
        let told: Vec<_> =
            lines.iter().filter_map(|line| line.split_once(' ')).map(|(_, told)| told).collect();
        assert_eq!(told.concat(), message, "{task}");
    }
}

#[test]
fn what_never_runs_is_told_with_all_that_hangs_on_it() {
    let lines = in_tasks(&[
        "{id: off, when: false, method: llm/chat, params: {prompt: x}}",
        "{id: next, when: \"${off.content}\", method: llm/chat, params: {prompt: \"${off.content}\"}}",
        "{id: fine, when: \"${off.status}\", method: llm/chat, params: {prompt: x}}",
        "{id: zero, when: 0, method: llm/chat, params: {prompt: x}}",
    ]);
    assert_eq!(
        lines,
        [
            "3:19 never-runs: `off` never runs: its condition is always false",
            "4:20 never-runs: `next` never runs: its condition is always false",
            "4:73 refers-to-never: `${off.content}` is always null: `off` never runs",
            "6:20 never-runs: `zero` never runs: its condition is always false",
        ]
    );
}

#[test]
fn a_list_that_a_model_makes_needs_a_bound() {
    let each = |schema: &str| {
        let ask = format!(
            "{{id: ask, method: llm/chat, params: {{prompt: x, schema: {{type: object, properties: {{l: {schema}}}}}}}}}"
        );
        in_tasks(&[&ask, "{id: e, for_each: \"${ask.json.l}\", method: llm/chat, params: {prompt: x}}"])
    };
    assert_eq!(
        each("{type: array}"),
        ["4:21 unbounded-items: a model decides how often `e` runs: nothing bounds the list `${ask.json.l}`"]
    );
    assert_eq!(each("{type: array, maxItems: 5}"), Vec::<String>::new());
}

#[test]
fn answers_that_decide_paths_addresses_and_commands_are_told() {
    let lines = in_tasks(&[
        ASK,
        "{id: w, method: file/write, params: {path: \"out/${ask.content}\", content: \"${ask.content}\"}}",
        "{id: h, method: http/request, params: {url: \"${ask.content}\", body: {url: \"${ask.content}\"}}}",
        "{id: i, for_each: \"${ask.files}\", method: llm/chat, params: {file_path: \"${item}\"}}",
        "{id: p, method: python/execute, params: {code: \"x = '${ask.content}'\"}}",
        "{id: f, method: file/write, params: {path: \"${w.path}\", content: \"${h}\"}}",
        "{id: g, method: file/write, params: {path: \"${h.name}\", content: x}}",
    ]);
    let risky: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("risky"))
        .map(|line| line.split_once(" and").unwrap().0)
        .collect();
    assert_eq!(
        risky,
        [
            "4:46 risky-use: the answer of `ask` decides `path` of `w`,",
            "5:47 risky-use: the answer of `ask` decides `url` of `h`,",
            "6:75 risky-use: the answer of `ask` decides `file_path` of `i`,",
            "9:46 risky-use: the answer of `h` decides `path` of `g`,",
        ]
    );
}

#[test]
fn a_workflow_that_runs_itself_is_told() {
    let lines = in_tasks(&[
        "{id: a, method: workflow/run, params: {file: ./loop.yaml}}",
        "{id: b, method: workflow/run, params: {file: ends.yaml}}",
        "{id: c, when: \"${b}\", method: workflow/run, params: {file: loop.yaml}}",
    ]);
    assert_eq!(
        lines,
        ["3:48 recursion: the workflow runs itself without end: loop.yaml → sub/back.yaml → loop.yaml"]
    );
}

#[test]
fn models_are_looked_up_wherever_they_are_named() {
    let text = r#"model: nowhere:x
tasks:
- {id: a, method: llm/chat, params: {model: keyed:m, prompt: x}}
- {id: b, method: pattern/pipeline, params: {input: x, stages: [{name: a, instructions: x, model: listed:bgi}]}}
- {id: c, method: mcp/files.list, params: {url: x}}
- {id: d, method: mcp/filer.old.list, params: {url: x}}
"#;
    assert_eq!(
        found(text),
        [
            "1:8 model: there is no provider `nowhere`",
            "3:45 no-key: `keyed:m` needs a key, and `KEYED_API_KEY` is not set",
            "4:99 unlisted-model: `listed:bgi` is not among the known models of its provider",
            "5:19 mcp-server: there is no MCP server `files`",
        ]
    );
    assert_eq!(
        found("tasks: [{id: a, method: llm/chat, params: {prompt: x}}]"),
        ["1:25 no-model: `a` asks a model, but none is named"]
    );
    assert_eq!(
        found("batch: {directory: docs}\ntemplate: {prompt: x, model: keyed:m}"),
        ["2:30 no-key: `keyed:m` needs a key, and `KEYED_API_KEY` is not set"]
    );
}

#[test]
fn files_must_be_there_and_scripts_must_be_python() {
    let lines = in_tasks(&[
        "{id: a, method: llm/chat, params: {file_path: docs/a.txt, files: [docs/a.txt, docs/b.txt]}}",
        "{id: b, method: llm/chat, params: {file_path: ../secret}}",
        "{id: c, method: llm/chat, for_each: {files: none/*.txt}, params: {file_path: \"${item.path}\"}}",
        "{id: d, method: llm/chat, params: {batch_mode: true, files: [docs/a.txt, x.txt], prompt: x}}",
        "{id: e, method: python/execute, params: {file: bad.py}}",
        "{id: f, method: python/execute, params: {file: none.py}}",
        "{id: g, method: python/execute, params: {code: 'def (${a.content})'}}",
        "{id: h, method: python/execute, params: {file: good.py}}",
        "{id: i, method: file/write, params: {path: /etc/x, content: x}}",
    ]);
    assert_eq!(
        lines,
        [
            "3:81 file-missing: there is no file `docs/b.txt`",
            "4:49 file-refused: `../secret` is outside",
            "5:47 file-missing: no file matches `none/*.txt`",
            "6:76 file-missing: there is no file `x.txt`",
            "7:50 script-syntax: `bad.py` is not Python: line 2: invalid syntax",
            "8:50 script-missing: there is no script `none.py`",
            "9:50 script-syntax: the code is not Python: line 1: invalid syntax",
            "11:46 file-refused: `/etc/x` is outside",
        ]
    );
}

#[test]
fn values_that_cannot_work_are_told() {
    let lines = in_tasks(&[
        "{id: a, method: python/execute, params: {context: {}}}",
        "{id: b, method: python/execute, params: {code: x = 1, file: good.py}}",
        "{id: c, method: llm/chat, params: {reasoning_effort: hgih}}",
        "{id: d, method: llm/chat, params: {messages: [{role: usr, content: x}, {role: user}, hello]}}",
        "{id: e, method: llm/chat, params: {prompt: x, schema: {type: objekt, properties: {a: {type: strng}}, required: [b]}}}",
    ]);
    assert_eq!(
        lines,
        [
            "3:19 parameters: `a` has nothing to work on",
            "4:63 parameters: `b` has both `code` and `file`",
            "5:19 parameters: `c` has nothing to work on",
            "5:56 parameters: `hgih` is no `reasoning_effort`",
            "6:56 parameters: there is no role `usr`",
            "6:74 parameters: the message has no `content`",
            "6:88 parameters: a message must be a mapping",
            "7:64 parameters: JSON schema has no type `objekt`",
            "7:95 parameters: JSON schema has no type `strng`",
            "7:115 parameters: the schema requires `b`, which its `properties` do not name",
        ]
    );
}

#[test]
fn what_is_declared_and_not_used_or_not_set_is_told() {
    let text = "inputs: {used: 1, idle: 2}\nenv: [SET, UNSET, IDLE]\ntasks:\n- {id: a, method: file/write, params: {path: x, content: \"${inputs.used} ${env.SET} ${env.UNSET}\"}}\n";
    assert_eq!(
        found(text),
        [
            "1:19 unused: nothing uses the input `idle`",
            "2:12 variable-not-set: the environment variable `UNSET` is not set",
            "2:19 unused: nothing uses the variable `IDLE`",
        ]
    );
    assert_eq!(found(&text.replace("${inputs.used}", "${inputs}")).len(), 2);
}

#[test]
fn limits_that_nobody_names_and_queues_that_look_misspelt_are_told() {
    let task = |id: &str, queue: Option<&str>, limit: Option<&str>| {
        let mut task: motet_core::workflow::TaskSpec =
            serde_json::from_value(json!({"id": id, "method": "file/write"})).unwrap();
        (task.queue, task.limit) = (queue.map(str::to_owned), limit.map(str::to_owned));
        task
    };
    let mut spec =
        checked("tasks: [{id: a, method: file/write, params: {path: x, content: x}}]").spec.unwrap();
    spec.limits.insert("gpu".to_owned(), 2);
    spec.limits.insert("idle".to_owned(), 2);
    spec.tasks = vec![
        task("a", Some("heavy"), Some("gpu")),
        task("b", Some("heavy"), None),
        task("c", Some("heavi"), None),
    ];
    let root = crate::dag::yaml::parse_bytes(
        b"limits: {gpu: 2, idle: 2}\ntasks: [{queue: heavy}, {queue: heavy}, {queue: heavi}]",
    )
    .unwrap()
    .root;
    let world = World { files: BTreeMap::new() };
    let view = View::new(&spec, &root, &world);
    let mut found = Found { findings: Vec::new() };
    values::check(&view, &world, &mut found);
    unused::check(&view, &world, &mut found);
    let told: Vec<_> = found
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{}:{} {} {}",
                finding.line,
                finding.column,
                finding.message,
                finding.hint.as_deref().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "2:49 only this task names the queue `heavi` did you mean `heavy`?",
            "1:18 no task names the limit `idle` remove it, or write `limit: idle` in the tasks that it limits",
        ]
    );
}

#[test]
fn secrets_are_told_and_never_shown() {
    let secret = "sk-abcdefghijklmnop0123456789";
    let text = format!(
        "model: offline:extract\ntasks:\n- {{id: a, method: llm/chat, params: {{prompt: \"use {secret} now\"}}}}\n- {{id: b, method: http/request, params: {{url: x, body: {{api_key: 12345678x, password: \"${{a.content}}\", note: secret}}}}}}\n- {{id: c, method: llm/chat, params: {{prompt: sk-short, schema: {{type: object, properties: {{password: {{description: the-password}}}}}}}}}}\n"
    );
    let lines = found(&text);
    assert_eq!(
        lines,
        ["3:46 secret: this looks like a key or password", "4:66 secret: this looks like a key or password"]
    );
    assert!(!format!("{:?}", checked(&text).findings).contains(secret));
}

#[test]
fn a_file_with_mistakes_is_checked_as_far_as_it_can_be_read() {
    let lines = found(
        "model: nowhere:x\ntasks:\n- just text\n- {id: a, method: llm/chat, params: {promt: x, file_path: none.txt}}\n- {id: b, method: llm/chat, params: {prompt: \"${a.contnt}\"}}\n",
    );
    assert_eq!(
        lines,
        [
            "1:8 model: there is no provider `nowhere`",
            "3:3 invalid: a task must be a mapping, but is the string `just text`",
            "4:38 invalid: `llm/chat` has no parameter `promt`",
            "4:59 file-missing: there is no file `none.txt`",
            "5:46 result-field: `${a.contnt}` leads nowhere: the result of `a` has no field `contnt`",
        ]
    );
    assert_eq!(
        found("tasks: ["),
        ["1:9 invalid: the list is not closed"].map(|_| found("tasks: [")[0].clone())
    );
}

#[test]
fn every_rule_has_an_id_of_its_own_and_a_sentence() {
    let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    assert!(RULES.iter().all(|rule| rule.doc.ends_with('.')));
}
