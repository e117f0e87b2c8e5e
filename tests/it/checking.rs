//! `motet check`, `plan`, `graph`, and `schema` through the command.

mod editors;

use motet_tests::command::{Done, Place, workspace};
use serde_json::{Value, json};

const DOUBTFUL: &str = r#"name: doubtful
model: offline:extract
inputs: {topic: bees, idle: 1}
tasks:
- id: ask
  method: llm/chat
  params: {prompt: "About ${inputs.topic}", file_path: none.txt}
- id: save
  method: file/write
  params: {path: "${ask.content}", content: "${ask.contnt}"}
"#;

fn place() -> Place {
    let place = Place::new().unwrap();
    place.write("doubtful.yaml", DOUBTFUL).unwrap();
    place.write("sound.yaml", "name: sound\nmodel: offline:extract\ntasks:\n- {id: a, method: llm/chat, params: {prompt: hi}}\n").unwrap();
    place
}

#[test]
fn errors_and_warnings_are_told_with_place_and_advice() {
    let place = place();
    let done = place.run(&["check", "doubtful.yaml", "sound.yaml"]).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), "sound.yaml: ok, 1 tasks\n"));
    insta::assert_snapshot!(done.stderr);
    let json = place.run(&["check", "doubtful.yaml", "--output", "json"]).unwrap().json().unwrap();
    let rules: Vec<_> = json["files"][0]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["unused", "file-missing", "risky-use", "result-field"]);
    assert_eq!(json["ok"], false);
}

#[test]
fn warnings_count_as_errors_only_where_that_is_wanted() {
    let place = place();
    place.write("warned.yaml", "name: w\ninputs: {idle: 1}\ntasks: [{id: a, method: file/write, params: {path: x, content: y}}]\n").unwrap();
    let lenient = place.run(&["check", "warned.yaml"]).unwrap();
    assert_eq!((lenient.code, lenient.stdout.as_str()), (Some(0), "warned.yaml: ok, 1 tasks, 1 warning\n"));
    assert_eq!(place.run(&["check", "warned.yaml", "--strict"]).unwrap().code, Some(3));
    assert_eq!(place.run(&["check", "sound.yaml", "--strict"]).unwrap().code, Some(0));
}

#[test]
fn what_the_settings_and_the_machine_know_is_checked() {
    let place = place();
    place.write("bad.py", "x = (\n").unwrap();
    let text = r#"name: world
env: [NOBODY_SETS_THIS]
tasks:
- {id: a, method: llm/chat, params: {model: "opnai:gpt-4o", prompt: "${env.NOBODY_SETS_THIS}"}}
- {id: b, method: llm/chat, params: {model: "openai:gpt-4o-mini", prompt: x}}
- {id: c, method: llm/chat, params: {model: "offline:extrct", prompt: x}}
- {id: d, method: python/execute, params: {file: bad.py}}
- {id: e, method: python/execute, params: {code: "if True\n  pass"}}
- {id: f, method: file/write, params: {path: ../outside.txt, content: x}}
- {id: g, method: llm/chat, params: {prompt: x}}
"#;
    place.write("w.yaml", text).unwrap();
    let found = place.run(&["check", "w.yaml", "--output", "json"]).unwrap().json().unwrap();
    let found: Vec<_> = found["files"][0]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}:{}", one["line"], one["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            "2:variable-not-set",
            "4:model",
            "5:no-key",
            "6:model",
            "7:script-syntax",
            "8:script-syntax",
            "9:file-refused",
            "10:no-model"
        ]
    );
}

#[test]
fn a_check_takes_every_method_that_a_run_takes() {
    let directory = workspace().join("examples/methods");
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> =
        files.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(files.len() >= 2);
    for file in files {
        let done = place().run(&["check", "--strict", file.to_str().unwrap()]).unwrap();
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    }
}

#[test]
fn servers_providers_and_limits_are_looked_up_as_for_a_run() {
    let place = place();
    let check = |tasks: &str, more: &[&str]| {
        place.write("w.yaml", format!("name: w\n{tasks}\n")).unwrap();
        let done = place.run(&[&["check", "w.yaml", "--output", "json"], more].concat()).unwrap();
        let found = done.json().unwrap()["files"][0]["problems"].take();
        let shown =
            |one: &Value| format!("{}: {}", one["rule"].as_str().unwrap(), one["message"].as_str().unwrap());
        found.as_array().into_iter().flatten().map(shown).collect::<Vec<_>>()
    };
    let tool = "tasks: [{id: a, method: mcp/my.server.list, params: {files: [none], schema: {type: table}}}]";
    assert_eq!(check(tool, &[]), ["mcp-server: there is no MCP server `my`"]);
    place.write(".mcp.json", r#"{"mcpServers": {"my.server": {"command": "no-such-program"}}}"#).unwrap();
    assert_eq!(check(tool, &[]), Vec::<String>::new());
    let limited = "tasks: [{id: a, method: python/execute, limit: gpu, params: {code: x = 1}}]";
    assert_eq!(check(limited, &[]), ["invalid: there is no limit `gpu`"]);
    assert_eq!(check(limited, &["--set", "workflow.limits.gpu=2"]), Vec::<String>::new());
    let wrong = "providers: {words: {type: carrier-pigeon}}\ntasks: [{id: a, method: python/execute, params: {code: x = 1}}]";
    let told = check(wrong, &[]);
    assert!(told.len() == 1 && told[0].starts_with("invalid: "), "{told:?}");
}

/// Tells what is missing of the fields that a code host needs to take a log.
fn lacking(log: &Value) -> Vec<String> {
    let mut lacking = Vec::new();
    let mut need = |holds: bool, what: &str| {
        if !holds {
            lacking.push(what.to_owned());
        }
    };
    need(log["version"] == "2.1.0", "version");
    need(log["$schema"].as_str().is_some_and(|schema| schema.contains("2.1.0")), "$schema");
    let runs = log["runs"].as_array().cloned().unwrap_or_default();
    need(runs.len() == 1, "runs");
    for run in &runs {
        let driver = &run["tool"]["driver"];
        need(driver["name"].is_string() && driver["semanticVersion"].is_string(), "tool");
        let rules = driver["rules"].as_array().cloned().unwrap_or_default();
        for rule in &rules {
            need(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "rule");
            need(
                ["error", "warning"].iter().any(|level| rule["defaultConfiguration"]["level"] == *level),
                "level of a rule",
            );
        }
        for result in run["results"].as_array().unwrap() {
            let index =
                result["ruleIndex"].as_u64().and_then(|index| rules.get(usize::try_from(index).ok()?));
            need(index.is_some_and(|rule| rule["id"] == result["ruleId"]), "rule of a result");
            need(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()), "message");
            need(["error", "warning"].iter().any(|level| result["level"] == *level), "level");
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap_or_default();
            need(!uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic()), "uri");
            if result["ruleId"] != "unreadable" {
                let region = &place["region"];
                need(
                    region["startLine"].as_u64() >= Some(1) && region["startColumn"].as_u64() >= Some(1),
                    "region",
                );
            }
        }
    }
    lacking
}

#[test]
fn a_log_for_code_hosts_has_all_that_they_need() {
    let place = place();
    place.write("a b/ü.yaml", "tasks: [").unwrap();
    let done = place
        .run(&["check", "doubtful.yaml", "sound.yaml", "a b/ü.yaml", "none.yaml", "--output", "sarif"])
        .unwrap();
    assert_eq!((done.code, done.stderr.as_str()), (Some(3), ""));
    let mut log = done.json().unwrap();
    assert_eq!(lacking(&log), Vec::<String>::new());
    assert_eq!(lacking(&json!({"version": "2.1.0", "runs": []})), ["$schema", "runs"]);
    let driver = &mut log["runs"][0]["tool"]["driver"];
    (driver["semanticVersion"], driver["rules"]) = (json!("…"), json!("…"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap());
}

fn plan(place: &Place, arguments: &[&str]) -> Done {
    place.run(&[&["plan"], arguments].concat()).unwrap()
}

#[test]
fn a_plan_shows_order_and_cost_and_does_nothing() {
    let place = place();
    place.write("docs/a.txt", "x".repeat(400)).unwrap();
    place.write("docs/b.txt", "x".repeat(400)).unwrap();
    let text = "name: paid\nmodel: openai:gpt-4o-mini\ninputs: {note: null}\ntasks:\n- {id: each, for_each: {files: 'docs/*.txt'}, method: llm/chat, params: {prompt: '${inputs.note}', file_path: '${item.path}', max_tokens: 50}}\n- {id: all, method: llm/chat, retry: 2, params: {prompt: '${each[*].content}', max_tokens: 100}}\n- {id: save, method: file/write, params: {path: out.txt, content: '${all.content}'}}\n";
    place.write("paid.yaml", text).unwrap();
    let done = plan(&place, &["paid.yaml", "--input", "note=hello"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    insta::assert_snapshot!(done.stdout);
    let forecast = plan(&place, &["paid.yaml", "--output", "json"]).json().unwrap();
    assert_eq!(forecast["waves"], json!([["each"], ["all"], ["save"]]));
    assert_eq!(forecast["model_calls"], json!({"expected": 3, "most": 4}));
    let other =
        plan(&place, &["paid.yaml", "--model", "offline:extract", "--output", "json"]).json().unwrap();
    assert_eq!(
        (&other["cost"]["expected"], &other["tasks"][0]["model"]),
        (&json!(0.0), &json!("offline:extract"))
    );
    assert!(!place.path().join(".motet").exists() && !place.path().join("out.txt").exists());
    assert_eq!(plan(&place, &["paid.yaml", "--input", "other=1"]).code, Some(3));
}

#[test]
fn a_plan_tells_which_answers_the_cache_holds() {
    let place = place();
    place.write("docs/a.txt", "The bridge is open.").unwrap();
    let text = "name: kept\nmodel: offline:extract\ninputs: {topic: bees}\ntasks:\n- {id: each, for_each: {files: 'docs/*.txt'}, method: llm/chat, params: {prompt: 'Sum up for ${inputs.topic}', file_path: '${item.path}'}}\n- {id: all, method: llm/complete, params: {prompt: 'Join ${each[*].content}'}}\n- {id: off, cache: false, method: llm/chat, params: {prompt: '${all.text}'}}\n- {id: vector, method: llm/embed, params: {texts: ['${all.text}']}}\n";
    place.write("kept.yaml", text).unwrap();
    let kept = ["--set", "cache.mode=read_write", "--set", "cache.place=store", "--output", "json"];
    let cached = |more: &[&str]| {
        let forecast = plan(&place, &[&["kept.yaml"], &kept[..], more].concat()).json().unwrap();
        let tasks: Vec<_> = forecast["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["cached"].as_u64().unwrap())
            .collect();
        (tasks, forecast["cached"].as_u64().unwrap(), forecast["model_calls"]["expected"].as_u64().unwrap())
    };
    assert_eq!(cached(&[]), (vec![0, 0, 0, 0], 0, 4));
    assert!(!place.path().join(".motet").exists(), "looking made a store");
    assert_eq!(place.run(&[&["run", "kept.yaml"], &kept[..]].concat()).unwrap().code, Some(0));
    assert_eq!(cached(&[]), (vec![1, 1, 0, 1], 3, 1));
    assert_eq!(cached(&["--input", "topic=wasps"]), (vec![0, 0, 0, 0], 0, 4));
    assert_eq!(cached(&["--set", "cache.mode=off"]), (vec![0, 0, 0, 0], 0, 4));
    place.write("docs/b.txt", "The gate is shut.").unwrap();
    // One of two files was asked about; what depends on both is not known.
    assert_eq!(cached(&[]), (vec![1, 0, 0, 0], 1, 4));
    let shown = plan(&place, &[&["kept.yaml"], &kept[..4]].concat());
    assert!(
        shown.stdout.contains("answers that the cache holds now, and that are not expected to cost: 1\n"),
        "{shown:?}"
    );
}

#[test]
fn a_plan_leaves_out_what_an_earlier_run_has_done() {
    let place = place();
    let text = |code: &str| {
        format!(
            "name: r\nmodel: offline:extract\ntasks:\n- {{id: a, method: llm/chat, params: {{prompt: hi}}}}\n- {{id: b, for_each: [1, 2], method: llm/chat, params: {{prompt: '${{a.content}} ${{item}}'}}}}\n- {{id: c, method: python/execute, params: {{context: {{b: '${{b}}'}}, code: {code}}}}}\n- {{id: d, method: llm/chat, params: {{prompt: '${{c.result}}'}}}}\n"
        )
    };
    place.write("r.yaml", text("1/0")).unwrap();
    let failed = place.run(&["run", "r.yaml", "--output", "json"]).unwrap().json().unwrap();
    let id = failed["id"].as_str().unwrap();
    place.write("r.yaml", text("result = 1")).unwrap();
    let calls = |arguments: &[&str]| {
        plan(&place, &[&["r.yaml", "--output", "json"], arguments].concat()).json().unwrap()
    };
    assert_eq!(calls(&[])["model_calls"]["expected"], 4);
    let resumed = calls(&["--resume", id]);
    assert_eq!(resumed["model_calls"], json!({"expected": 1, "most": 1}));
    let recorded: Vec<_> =
        resumed["tasks"].as_array().unwrap().iter().map(|task| task["recorded"].as_u64().unwrap()).collect();
    assert_eq!(recorded, [1, 2, 0, 0]);
}

#[test]
fn a_graph_is_drawn_in_three_languages_and_in_the_colours_of_a_run() {
    let place = place();
    let text = "name: \"<b>\\\"Drawn\\\"</b>\"\nmodel: offline:extract\ntasks:\n- {id: a, method: llm/chat, params: {prompt: hi}}\n- {id: 'b --> <x>', for_each: {files: '*.yaml'}, method: llm/chat, params: {prompt: '${a.content}'}}\n- {id: c, when: '${a.content}', method: python/execute, params: {code: '1/0'}}\n";
    place.write("g.yaml", text).unwrap();
    let graph = |arguments: &[&str]| {
        let done = place.run(&[&["graph", "g.yaml"], arguments].concat()).unwrap();
        assert_eq!(done.code, Some(0), "{done:?}");
        done.stdout
    };
    insta::assert_snapshot!("mermaid", graph(&[]));
    insta::assert_snapshot!("dot", graph(&["--format", "dot"]));
    insta::assert_snapshot!("svg", graph(&["--format", "svg"]));
    let run = place.run(&["run", "g.yaml", "--output", "json"]).unwrap().json().unwrap();
    let drawn = graph(&["--run", run["id"].as_str().unwrap()]);
    assert!(drawn.contains(":::done") && drawn.contains(":::failed"), "{drawn}");
    let json = place.run(&["graph", "g.yaml", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(json["format"], "mermaid");
}
