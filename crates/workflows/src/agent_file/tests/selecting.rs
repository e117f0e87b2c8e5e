//! What files of agents say of code, categories, and selections of tools.

use super::*;

const TOOLS: &str = r#"
tools:
  - {command: {name: git_push, run: [ls]}, category: code}
  - {command: {name: count, run: [ls]}}
"#;

fn told(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes()).unwrap_err();
    let told = problems.iter().map(|problem| {
        format!("{problem}{}", problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})")))
    });
    told.collect()
}

#[test]
fn code_and_selections_are_read_and_written_and_read_again() {
    let text = format!(
        r#"{TOOLS}
  - category: code
    code:
      name: python
      tools: [count, "git_*"]
      only_in_code: true
      limits: {{time: 1.5, memory_bytes: 1000, output_bytes: 10, result_bytes: 20, recursion: 5, calls: 0}}
      call_timeout: 3s
      timeout: 1m
  - code: {{}}
offered: {{only: ["*"], without: ["git_p?sh"], categories: [co*]}}
router: {{model: "scripted:small", threshold: 2, always: [count]}}
"#
    );
    let spec = read(text.as_bytes()).unwrap();
    let [_, _, python, plain] = spec.tools.as_slice() else { panic!("{:?}", spec.tools) };
    let (ToolEntry::Code(code), ToolEntry::Code(other)) = (&python.tool, &plain.tool) else { panic!() };
    assert_eq!((python.category.as_str(), code.name(), code.only_in_code), ("code", "python", true));
    assert_eq!(code.timeout.zip(code.call_timeout), Some((Duration::from_secs(60), Duration::from_secs(3))));
    let limits = code.limits.resolved();
    assert_eq!((limits.time, limits.memory_bytes), (Duration::from_millis(1_500), 1_000));
    assert_eq!((limits.output_bytes, limits.result_bytes, limits.recursion, limits.calls), (10, 20, 5, 0));
    assert_eq!((other.name(), &other.tools), ("run_python", &None));
    assert_eq!(other.limits.resolved(), motet_providers::sandbox::Limits::default());
    let router = spec.router.as_ref().unwrap();
    assert_eq!((router.threshold, router.always.as_slice()), (Some(2), ["count".to_owned()].as_slice()));
    let offered = spec.offered.ready().unwrap();
    let has = |name, category| offered.has(name, category);
    assert!(has("git_pull", "code") && !has("git_push", "code") && !has("git_pull", "other"));
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(
        (&written["tools"][0]["category"], &written["tools"][3]),
        (&json!("code"), &json!({"code": {}}))
    );
    assert_eq!(serde_json::from_value::<AgentSpec>(written.clone()).unwrap(), spec);
    assert_eq!(read_value(&written).unwrap(), spec);
}

#[test]
fn unknown_keys_and_wrong_values_are_told_with_their_places() {
    let text = r#"
tools:
  - {command: {name: count, run: [ls]}, categroy: code}
  - {command: {name: other, run: [ls]}, approve: true}
  - {agent: critic.yaml, category: 5}
  - code: {tool: [count], limits: {tiem: 1s, calls: -1}}
  - code: {name: x, limits: {time: 0s}}
  - code: [count]
  - {code: {name: y}, limits: {time: 1s}}
offered: {categories: code, exclude: [x]}
router: {modle: "a:b", threshold: few}
"#;
    assert_eq!(
        told(text),
        [
            "3:41: unknown key `categroy` (did you mean `category`?)",
            "4:41: unknown key `approve` (everything about a program stands in `command`)",
            "5:36: `category` must be a text",
            "6:12: unknown key `tool` (did you mean `tools`?)",
            "6:36: unknown key `tiem` (did you mean `time`?)",
            "6:53: `calls` must be a whole number from 0 up, but is the number `-1`",
            "7:11: `time` is zero (give it a value of at least 1, or leave it out for the default)",
            "8:11: `code` must be a mapping, but is a list",
            "9:23: unknown key `limits` (everything about code stands in `code`)",
            "10:23: `categories` must be a list, but is the string `code`",
            "10:29: unknown key `exclude` (known are `only`, `without`, `categories`)",
            "11:10: unknown key `modle` (did you mean `model`?)",
            "11:35: `threshold` must be a whole number from 0 up, but is the string `few`",
        ]
    );
    assert_eq!(told("router: [small]"), ["1:9: `router` must be a mapping, but is a list"]);
}

#[test]
fn words_that_stand_for_no_tool_are_told_with_the_one_that_was_meant() {
    let text = format!(
        r#"{TOOLS}
  - {{code: {{tools: [conut, run_python, "x*"]}}}}
offered: {{only: ["git_*", cuont], without: [git_psuh, "[a"], categories: [coed]}}
router: {{always: [git_*, count]}}
"#
    );
    assert_eq!(
        told(&text),
        [
            "6:21: no tool that code can call has the name `conut` (did you mean `count`?)",
            "6:28: no tool that code can call has the name `run_python` (known are `git_push`, `count`)",
            "6:40: `x*` describes no tool (known are `git_push`, `count`)",
            "7:27: no tool has the name `cuont` (did you mean `count`?)",
            "7:45: no tool has the name `git_psuh` (did you mean `git_push`?)",
            "7:55: `[a` is not a pattern: unclosed character class; missing ']' (write it such as `git_*`)",
            "7:75: no tool has the category `coed` (did you mean `code`?)",
            "8:19: no tool has the name `git_*` (known are `git_push`, `count`, `run_python`)",
        ]
    );
}

#[test]
fn names_of_tools_that_servers_offer_are_looked_at_when_they_are_known() {
    let text = format!("{TOOLS}  - {{mcp: git, url: 'http://x'}}\noffered: {{only: [git_pull]}}");
    let spec = read(text.as_bytes()).unwrap();
    let known = |name| [Known { name, is_code: false }];
    assert!(spec.check_selection(&known("git_pull")).is_ok());
    let error = spec.check_selection(&known("git_poll")).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.hint()),
        ("no tool has the name `git_pull`", Some("did you mean `git_poll`?"))
    );
    let two = "tools: [{code: {}}, {code: {}}]";
    assert_eq!(told(two), ["1:1: two tools have the name `run_python`"]);
}
