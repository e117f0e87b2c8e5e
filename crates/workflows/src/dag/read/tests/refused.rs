//! Every mistake, with its place and advice.

use motet_core::error::{Error, ErrorKind};

use super::{problems, read, rules};

#[test]
fn a_file_with_every_kind_of_mistake_gets_all_of_them_at_once_with_their_places() {
    let text = r#"nme: broken
model: gpt-4o
inputs:
  topic: null
  url: ${env.URL}
env: [API_KEY, "A B"]
max_parallel_tasks: 0
retry: 30
tasks:
  - id: research
    method: llm/chatt
    params: {prompt: "About ${inputs.topci}"}
  - id: write
    method: llm/chat
    timeout: soon
    prompt: hello
    params:
      promt: x
      temperature: hot
      max_tokens: "${research.tokens} tokens"
      messages: hi
      system: 5
      retry: 3
    dependencies: [reserch, write]
    retry: {attempts: 3, backoff: exponentail}
  - id: write
    method: file/write
    params:
      path: "${env.HOME}/x"
  - id: a
    method: llm/chat
    params: {prompt: "${b.content} ${item.x}"}
  - id: b
    method: llm/chat
    params: {prompt: "${a.content}", system: "${a.x"}
    when: ${a.status} == done
    priority: 9
    on_failure: ignore
  - id: item
    protocol: python/v1
    method: llm/chat
    for_each: docs/*.txt
    parameters: {}
    params: {prompt: "${inputs}", prompt: x}
  - just text
  - {id: 7, name: "", method: llm/chat, depends_on: b}
outputs: {x: "${nobody.x} ${env.API_KEY}", y: "${index}"}
"#;
    let expected = [
        "1:1: unknown key `nme` | did you mean `name`?",
        "2:8: `gpt-4o` is not a model id | write it as `provider:model`, for example `openai:gpt-4o-mini` or `offline:extract`",
        "5:8: the default of `url` holds `${env.URL}`, but defaults are not filled in | write it where `${inputs.url}` is used",
        "6:16: `A B` is not the name of an environment variable | list only names, such as `- API_URL`; values come from the environment",
        "7:21: `max_parallel_tasks` must be a whole number from 1 to 100000, but is the number `0` | -",
        "8:1: unknown key `retry` | `retry` is a key of a task: move it there",
        "11:13: there is no method `llm/chatt` | did you mean `llm/chat`?",
        "12:22: `${inputs.topci}` refers to an input that is not declared | did you mean `topic`?",
        "15:14: `timeout` must be a time, but is the string `soon` | write seconds, as in `30` or `0.5`, or a unit, as in `500ms`, `30s`, `5m`, `1h`",
        "16:5: unknown key `prompt` | `prompt` is a parameter of `llm/chat`: write it under `params`",
        "18:7: `llm/chat` has no parameter `promt` | did you mean `prompt`?",
        "19:20: the parameter `temperature` must be a number, but is the string `hot` | write it without quotes",
        "20:19: the parameter `max_tokens` must be an integer, but is the string `${research.tokens} tokens` | a text around a reference makes it a text; write the reference alone",
        "21:17: the parameter `messages` must be a list, but is the string `hi` | write it as a list: `[hi]`",
        "22:15: the parameter `system` must be a string, but is the number `5` | put it in quotes: `\"5\"`",
        "23:7: `llm/chat` has no parameter `retry` | `retry` is a key of the task: move it out of `params`",
        "24:20: `write` depends on `reserch`, but there is no such task | did you mean `research`?",
        "24:29: `write` depends on itself | remove it from `dependencies`",
        "25:13: unknown key `attempts` | did you mean `max_attempts`?",
        "25:35: `backoff` must be one of `fixed`, `linear`, `exponential`, but is the string `exponentail` | did you mean `exponential`?",
        "26:9: the id `write` stands twice | the first is at line 13, column 9",
        "28:5: `file/write` needs the parameter `content` | it takes anything: what it is for",
        "29:13: `${env.HOME}` refers to a variable that `env` does not list | add `HOME` to the list `env` of the workflow",
        "32:22: `${item.x}` has no meaning here: only a task with `for_each` has items | in `for_each` itself and in `outputs` there is no item",
        "32:22: tasks wait for each other in a circle: a → b → a | remove one of these dependencies or references",
        "35:46: the reference `${a.x` is not closed by `}` | write `$${` for a plain `${`",
        "36:11: `when` is always true: it is the string `${a.status} == done` | write one reference, such as `${check.result.ok}`; a text is true unless it is empty or `false`",
        "37:15: `priority` must be 1 (high), 2 (normal), or 3 (low), but is the number `9` | -",
        "38:17: `on_failure` must be one of `fail`, `continue`, `skip_dependents`, but is the string `ignore` | -",
        "39:9: the id `item` is reserved: references use it for something else | choose another one",
        "40:15: the protocol `python/v1` does not fit the method `llm/chat` | leave `protocol` out; it follows from the method",
        "42:15: `for_each` must be a list, a reference to a list, `files: …`, or `items: …`, but is the string `docs/*.txt` | for files write `for_each: {files: \"docs/*.txt\"}`",
        "43:5: `params` and `parameters` mean the same, so only one may be given | move everything to `params`",
        "44:35: the key `prompt` stands twice | it stands at 44:14 already; remove one",
        "45:5: a task must be a mapping, but is the string `just text` | -",
        "46:10: `id` must be a string, but is the number `7` | put it in quotes: `\"7\"`",
        "46:19: `name` is empty | -",
        "46:53: `depends_on` must be a list of strings, but is the string `b` | write it as a list: `[b]`",
        "47:14: `${nobody.x}` refers to `nobody`, but there is no such task | known are `research`, `write`, `a`, `b`, `item`; write `$${` for a plain `${`",
        "47:14: `${env.API_KEY}` cannot stand in `outputs`, which are stored and shown | -",
        "47:47: `${index}` has no meaning here: only a task with `for_each` has items | in `for_each` itself and in `outputs` there is no item",
    ];
    let found = problems(text);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn files_that_are_no_workflow_at_all_say_why() {
    for (text, expected) in [
        ("", "1:1: the workflow is empty | a workflow begins with `name:` and `tasks:`"),
        ("---\n", "2:1: the workflow is empty | a workflow begins with `name:` and `tasks:`"),
        ("~", "1:1: the workflow is empty | a workflow begins with `name:` and `tasks:`"),
        (
            "hello",
            "1:1: a workflow must be a mapping, but is the string `hello` | a workflow begins with `name:` and `tasks:`",
        ),
        ("- id: a\n", "1:1: a workflow must be a mapping, but is a list | put the list under `tasks:`"),
        ("name: x", "1:1: the workflow has no `tasks` | add `tasks:` with at least one task"),
        (
            "tasks:",
            "1:1: the workflow has no task | add one, such as `- {id: ask, method: llm/chat, params: {prompt: Hello}}`",
        ),
        ("tasks: {}", "1:8: `tasks` must be a list of tasks, but is a mapping | -"),
        ("tasks: [\n", "2:1: not valid YAML: while parsing a node, did not find expected node content | -"),
        ("tasks: [{}]", "1:9: the task has no `method` | write what it calls, such as `method: llm/chat`"),
    ] {
        assert_eq!(problems(text)[0], expected, "{text}");
    }
    let bytes = read(b"name: caf\xe9\n", &rules()).unwrap_err();
    assert_eq!(bytes.to_string(), "1:10: the byte 0xe9 is not UTF-8");
    let large = read(&vec![b' '; 50 << 20], &rules()).unwrap_err();
    assert_eq!(large.to_string(), "1:1: the file has 50 MiB, but at most 8 MiB are read");
}

/// Checks the one problem of a workflow that consists of these tasks.
fn one_problem(tasks: &str, expected: &str) {
    assert_eq!(
        problems(&format!("name: w\ninputs: {{topic: bees}}\nenv: [KEY]\ntasks:\n{tasks}")),
        [expected],
        "{tasks}"
    );
}

#[test]
fn ids_and_names_are_unique_and_can_be_referred_to() {
    for (tasks, expected) in [
        (
            "- {id: a.b, method: llm/chat}",
            "5:8: the id `a.b` holds `.`, which separates the steps of references | use letters, digits, `-`, and `_`",
        ),
        ("- {id: \"a b \", method: llm/chat}", "5:8: the id has spaces around it, or line breaks | -"),
        ("- {id: '', method: llm/chat}", "5:8: `id` is empty | -"),
        (
            "- {id: env, method: llm/chat}",
            "5:8: the id `env` is reserved: references use it for something else | choose another one",
        ),
        (
            "- {name: inputs, method: llm/chat}",
            "5:10: the name `inputs` is reserved: references use it for something else | choose another one",
        ),
        (
            "- {method: llm/chat}",
            "5:3: the task has neither `id` nor `name` | add `id:` with a short name of its own",
        ),
        (
            "- {name: One, method: llm/chat}\n- {name: One, method: llm/chat}",
            "6:10: the id `One` stands twice | the first is at line 5, column 10",
        ),
        (
            "- {id: a, name: One, method: llm/chat}\n- {id: b, name: One, method: llm/chat}",
            "6:17: the name `One` means another task already | it is task `a` at line 5, column 17",
        ),
        (
            "- {id: a, method: llm/chat}\n- {id: b, name: a, method: llm/chat}",
            "6:17: the name `a` means another task already | it is task `a` at line 5, column 8",
        ),
    ] {
        one_problem(tasks, expected);
    }
    let long = "x".repeat(201);
    one_problem(
        &format!("- {{id: {long}, method: llm/chat}}"),
        "5:8: the id is longer than 200 characters | -",
    );
}

#[test]
fn circles_are_shown_from_the_first_task_and_once() {
    for (tasks, expected) in [
        (
            "- {id: a, method: llm/chat, dependencies: [b]}\n- {id: b, method: llm/chat, when: \"${a.ok}\"}",
            "5:44: tasks wait for each other in a circle: a → b → a | remove one of these dependencies or references",
        ),
        (
            "- {id: z, method: llm/chat, depends_on: [b]}\n- {id: a, method: llm/chat, depends_on: [c]}\n- {id: b, method: llm/chat, depends_on: [a]}\n- {id: c, method: llm/chat, depends_on: [b]}",
            "6:42: tasks wait for each other in a circle: a → c → b → a | remove one of these dependencies or references",
        ),
        (
            "- {id: a, method: llm/chat, params: {prompt: \"${a.content}\"}}",
            "5:46: `${a.content}` refers to the task's own result | -",
        ),
    ] {
        one_problem(tasks, expected);
    }
    let found = problems(
        "tasks:\n- {id: a, method: llm/chat, depends_on: [b, c, d]}\n- {id: b, method: llm/chat, depends_on: [a, c]}\n- {id: c, method: llm/chat, depends_on: [a]}\n- {id: d, method: llm/chat}",
    );
    let circles: Vec<&str> = found.iter().filter_map(|problem| problem.split(" | ").next()).collect();
    let message = "tasks wait for each other in a circle";
    assert_eq!(circles, [format!("2:42: {message}: a → b → a"), format!("2:42: {message}: a → b → c → a")]);
    let ring: String = (0..30)
        .map(|n| format!("- {{id: t{n}, method: llm/chat, depends_on: [t{}]}}\n", (n + 1) % 30))
        .collect();
    one_problem(
        &ring,
        "5:43: tasks wait for each other in a circle: t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → t8 → t9 → … → t0 | remove one of these dependencies or references",
    );
}

#[test]
fn references_are_checked_where_they_stand() {
    for (task, expected) in [
        (
            "params: {prompt: \"${topic}\"}",
            "5:46: `${topic}` refers to `topic`, but there is no such task | write `${inputs.topic}` for the input",
        ),
        (
            "params: {prompt: \"${env.KAY}\"}",
            "5:46: `${env.KAY}` refers to a variable that `env` does not list | did you mean `KEY`?",
        ),
        ("params: {prompt: \"${env}\"}", "5:46: `${env}` names no variable | write `${env.NAME}`"),
        (
            "params: {messages: [{role: user, content: \"${}\"}]}",
            "5:71: the reference `${}` names nothing | write `$${` for a plain `${`",
        ),
        (
            "for_each: [\"${item}\"]",
            "5:40: `${item}` has no meaning here: only a task with `for_each` has items | in `for_each` itself and in `outputs` there is no item",
        ),
        (
            "when: \"${item.ok}\"",
            "5:35: `${item.ok}` has no meaning here: only a task with `for_each` has items | in `for_each` itself and in `outputs` there is no item",
        ),
    ] {
        one_problem(&format!("- {{id: t, method: llm/chat, {task}}}"), expected);
    }
}

#[test]
fn policies_that_mean_nothing_are_refused() {
    for (key, expected) in [
        ("timeout: 0", "`timeout` is zero | leave it out for no limit"),
        (
            "timeout: -1",
            "`timeout` must be a time, but is the number `-1` | write seconds, as in `30` or `0.5`, or a unit, as in `500ms`, `30s`, `5m`, `1h`",
        ),
        ("timeout: 400d", "`timeout` is longer than a year | -"),
        ("timeout: 1e300", "`timeout` is longer than a year | -"),
        ("retry: 0", "`retry` must be a whole number from 1 to 1000, but is the number `0` | -"),
        (
            "retry: often",
            "`retry` must be the number of attempts or a mapping, but is the string `often` | -",
        ),
        ("retry: {jitter: 1}", "`jitter` must be `true` or `false`, but is the number `1` | -"),
        ("retry: {base_delay: 2s, max_delay: 1s}", "`max_delay` is shorter than the base delay of 2s | -"),
        (
            "priority: hihg",
            "`priority` must be one of `low`, `normal`, `high`, `urgent`, but is the string `hihg` | did you mean `high`?",
        ),
        (
            "when: done",
            "`when` is always true: it is the string `done` | write one reference, such as `${check.result.ok}`; a text is true unless it is empty or `false`",
        ),
        (
            "when: ",
            "`when` has no value | write one reference, such as `${check.result.ok}`; a text is true unless it is empty or `false`",
        ),
        (
            "for_each: ",
            "`for_each` must be a list, a reference to a list, `files: …`, or `items: …`, but is nothing | -",
        ),
        ("for_each: {files: a, items: []}", "`for_each` takes `files` or `items`, not both | -"),
        ("for_each: {}", "`for_each` needs `files` or `items` | -"),
        ("for_each: {files: []}", "`files` names no file | -"),
        (
            "for_each: {files: [1]}",
            "`files` must be a pattern or a list of patterns, but is the number `1` | write a pattern such as `notes/*.md`",
        ),
        ("for_each: {itms: []}", "unknown key `itms` | did you mean `items`?"),
        ("dependencies: [3]", "`dependencies` must hold names, but holds the number `3` | -"),
        ("params: []", "`params` must be a mapping, but is a list | -"),
        ("metadata: 3", "`metadata` must be a mapping, but is the number `3` | -"),
        (
            "description: 3",
            "`description` must be a string, but is the number `3` | put it in quotes: `\"3\"`",
        ),
        (
            "cache: reed",
            "`cache` must be one of `off`, `read`, `write`, `read_write`, `refresh`, but is the string `reed` | did you mean `read`?",
        ),
        (
            "cache: 3",
            "`cache` must be one of `off`, `read`, `write`, `read_write`, `refresh`, but is the number `3` | -",
        ),
        (
            "colour: red",
            "unknown key `colour` | known are `id`, `name`, `description`, `protocol`, `method`, `params`, `parameters`, `dependencies`, `depends_on`, `when`, `for_each`, `retry`, and 10 more",
        ),
    ] {
        let text = format!("tasks:\n- id: t\n  method: llm/chat\n  {key}\n");
        let found = problems(&text);
        let message = found[0].split_once(": ").map(|(_, message)| message);
        assert_eq!(message, Some(expected), "{key}");
    }
}

#[test]
fn only_tasks_that_ask_a_model_have_answers_to_keep() {
    let text = "tasks:\n- id: t\n  method: python/execute\n  cache: true\n  params: {code: x}\n";
    assert_eq!(
        problems(text),
        ["4:3: `python/execute` asks no model, so there is no answer to keep | remove `cache`"]
    );
}

#[test]
fn problems_become_one_error_that_lists_them() {
    let error = Error::from(read(b"nme: x\ntasks: []\n", &rules()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.message(),
        "the workflow has 2 problems:\n1:1: unknown key `nme`\n2:1: the workflow has no task"
    );
    assert!(error.hint().unwrap().starts_with("1:1: did you mean `name`?\n2:1: add one"));
    let single = Error::from(read(b"name: x\n", &rules()).unwrap_err());
    assert_eq!(single.message(), "the workflow is not valid: 1:1: the workflow has no `tasks`");
    assert_eq!(single.hint(), Some("add `tasks:` with at least one task"));
}
