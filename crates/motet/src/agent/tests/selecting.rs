//! Code, categories, and selections of tools that files of agents describe.

use super::*;

const TOOLS: &str = r#"
model: scripted:lab
tools:
  - {command: {name: add, run: [echo, "${n}"], parameters: {type: object, properties: {n: {type: integer}}}}, category: sums}
  - {command: {name: look, run: [echo, a]}, category: files}
  - {command: {name: remove, run: [echo, gone], approve: true}, category: files}
"#;

/// Runs an agent and gives the names of the tools that its model was offered at first, and the result.
async fn offered(more: &str, answers: Vec<Answer>, small: &Arc<ScriptedModel>) -> (Vec<String>, AgentResult) {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, answers);
    runtime.add_model("scripted:small".parse().unwrap(), Arc::clone(small) as Arc<dyn Model>);
    let file = file(&runtime, &format!("{TOOLS}{more}"));
    let result = runtime.run_agent(&RunContext::new(), file, "sum up", Keeping::Nowhere).await.unwrap();
    (names(&model), result)
}

fn names(model: &ScriptedModel) -> Vec<String> {
    model.requests()[0].tools.iter().map(|tool| tool.name.clone()).collect()
}

fn choosing(names: &[&str]) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::answers([Answer::text(json!({"tools": names}).to_string())]))
}

async fn offered_by(more: &str) -> Vec<String> {
    offered(more, vec![Answer::text("done")], &choosing(&["look"])).await.0
}

#[tokio::test]
async fn an_agent_has_the_tools_that_its_file_picks() {
    for (more, expected) in [
        ("", vec!["add", "look", "remove"]),
        ("offered: {}", vec!["add", "look", "remove"]),
        ("offered: {only: [look, 'a*']}", vec!["add", "look"]),
        ("offered: {categories: [fi*]}", vec!["look", "remove"]),
        ("offered: {categories: [files, sums], only: ['?oo*'], without: [add, look]}", vec![]),
        ("offered: {categories: [files], without: ['re*']}", vec!["look"]),
        ("  - {code: {}, category: sums}\noffered: {categories: [sums]}", vec!["add", "run_python"]),
        ("  - {code: {}}\noffered: {without: [run_python]}", vec!["add", "look", "remove"]),
    ] {
        assert_eq!(offered_by(more).await, expected, "{more}");
    }
}

#[tokio::test]
async fn a_router_of_a_file_selects_beyond_its_threshold() {
    for (more, expected) in [
        ("router: {model: 'scripted:small'}", vec!["add", "look", "remove"]),
        ("router: {model: 'scripted:small', threshold: 3}", vec!["add", "look", "remove"]),
        ("router: {model: 'scripted:small', threshold: 2}", vec!["look"]),
        ("router: {model: 'scripted:small', threshold: 0, always: [add]}", vec!["add", "look"]),
        // What the agent does not have counts for nothing.
        (
            "offered: {without: [add]}\nrouter: {model: 'scripted:small', threshold: 2}",
            vec!["look", "remove"],
        ),
    ] {
        assert_eq!(offered_by(more).await, expected, "{more}");
    }
}

#[tokio::test]
async fn a_router_without_a_model_asks_that_of_the_agent_and_a_resumed_run_asks_nobody_again() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let choice = || Answer::text(r#"{"tools": ["remove"]}"#).when_contains("The tools:");
    let remove = || Answer::tool_call("remove", &json!({})).when_contains("sum up");
    let first = process(&store, vec![choice(), remove()]);
    let file = file(&first.runtime, &format!("{TOOLS}router: {{threshold: 1}}"));
    let context = RunContext::new();
    let result = first.runtime.run_agent(&context, file, "sum up", Keeping::InStore).await.unwrap();
    assert_eq!(result.outcome, Outcome::Waiting);
    let stored = store.run(context.run_id()).await.unwrap().unwrap().definition;
    assert_eq!(stored["agent"]["router"], json!({"model": "scripted:lab", "threshold": 1}));
    let second = process(&store, vec![Answer::text("gone")]);
    second.runtime.decide(context.run_id(), None, Decision::Approve { arguments: None }).await.unwrap();
    let result = second.runtime.resume_agent(&RunContext::new(), context.run_id()).await.unwrap();
    assert_eq!((result.text.as_str(), result.tool_history[0].result.trim()), ("gone", "gone"));
    assert_eq!((names(&second.model), second.model.requests().len()), (vec!["remove".to_owned()], 1));
}

fn running(code: &str) -> Vec<Answer> {
    vec![
        Answer::tool_call("run_python", &json!({"code": code})).when_turn(0),
        Answer::text("done").when_turn(1),
    ]
}

async fn ran(more: &str, code: &str) -> (Vec<String>, String) {
    let (names, result) = offered(more, running(code), &choosing(&[])).await;
    (names, result.tool_history[0].result.clone())
}

#[tokio::test]
async fn code_calls_the_tools_that_its_line_names() {
    let all = ["add", "look", "remove", "run_python"];
    let (names, told) = ran("  - code: {}", "int(add(3)) + int(add(n=4))").await;
    assert_eq!((names.as_slice(), told.as_str()), (all.map(str::to_owned).as_slice(), r#"{"result":7}"#));
    let (names, told) = ran("  - code: {tools: [add], only_in_code: true}", "look()").await;
    assert_eq!(names, ["look", "remove", "run_python"]);
    assert!(told.contains("look"), "{told}");
    let (_, told) = ran("  - code: {tools: [add], only_in_code: true}", "list2()").await;
    assert!(told.contains("NameError"), "{told}");
    // A call that a person must agree to is not made from code, so that the model keeps its tool.
    let (names, told) = ran("  - code: {only_in_code: true}", "remove()").await;
    assert_eq!(names, ["remove", "run_python"]);
    assert!(told.contains("a person must agree to this call"), "{told}");
    let (names, told) = ran("  - code: {only_in_code: true}\napprovals: never", "remove()").await;
    assert_eq!((names, told.contains("gone")), (vec!["run_python".to_owned()], true), "{told}");
    let (names, told) = ran("  - code: {tools: []}", "add(1)").await;
    assert_eq!((names.len(), told.contains("NameError")), (4, true), "{told}");
    // What the agent does not have, its code does not have either.
    let (_, told) = ran("  - code: {}\noffered: {without: [add]}", "add(1)").await;
    assert!(told.contains("NameError"), "{told}");
}

#[tokio::test]
async fn each_bound_of_code_takes_effect() {
    let loops = "total = 0\nwhile True:\n    total += 1";
    for (bound, code, message) in [
        ("limits: {time: 20ms}", loops, "20ms"),
        ("limits: {memory_bytes: 1000000}", "len('a' * 200000000)", "memory"),
        ("limits: {output_bytes: 10}", "print('a' * 100)", "10 bytes"),
        ("limits: {result_bytes: 10}", "'a' * 100", "10 bytes"),
        ("limits: {recursion: 5}", "def f(n):\n    return f(n + 1)\nf(0)", "recursion"),
        ("limits: {calls: 1}", "add(1)\nadd(2)", "1 "),
    ] {
        let (_, told) = ran(&format!("  - code: {{{bound}}}"), code).await;
        assert!(!told.contains("result\":") && told.contains(message), "{bound}: {told}");
    }
    let slow = "  - command: {name: slow, run: [sleep, '600']}\n";
    let (_, told) = ran(&format!("{slow}  - code: {{call_timeout: 20ms}}"), "slow()").await;
    assert!(told.contains("gave no answer within 20ms"), "{told}");
    let (_, told) = ran(&format!("{slow}  - code: {{timeout: 20ms}}"), "slow()").await;
    assert!(told.contains("`run_python`") && told.contains("20ms"), "{told}");
}

#[tokio::test]
async fn what_code_and_selections_cannot_be_is_told_before_anything_is_asked() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, Vec::new());
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("critic.yaml", "description: Judges texts");
    for (more, message) in [
        (
            "  - {command: {name: a-b, run: [ls]}}\n  - {command: {name: a_b, run: [ls]}}\n  - {code: {}}",
            "two tools are named `a_b` in Python",
        ),
        ("  - {code: {name: 'a b'}}", "`a b` cannot be the name of a tool"),
        ("  - {agent: critic.yaml}\noffered: {only: [critc]}", "no tool has the name `critc`"),
        (
            "  - {agent: critic.yaml}\n  - {code: {tools: [critc]}}",
            "no tool that code can call has the name `critc`",
        ),
    ] {
        write("clerk.yaml", &format!("{TOOLS}{more}"));
        let error = match runtime.read_agent(&directory.path().join("clerk.yaml")) {
            Ok(file) => runtime
                .run_agent(&RunContext::new(), file, "x", Keeping::Nowhere)
                .await
                .unwrap_err()
                .to_string(),
            Err(error) => format!("{error:?}"),
        };
        assert!(error.contains(message), "{more}: {error}");
    }
    assert!(model.requests().is_empty());
}

/// Runs an agent whose program adds a tool `price`, gives what the model was offered at last, and the
/// first tool's answer.
async fn with_price(more: Value, answers: Vec<Answer>) -> (Vec<String>, String) {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, answers);
    let mut written = json!({"name": "clerk", "model": "scripted:lab"});
    written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let file = Runtime::read_agent_value_to_extend(&written).unwrap_or_else(|_| panic!("{written}"));
    let run = |agent: Extended| async {
        runtime.run_agent(&RunContext::new(), agent, "sum up", Keeping::Nowhere).await.unwrap()
    };
    let result = run(Extended { file, additions: priced() }).await;
    let offered = model.requests().last().unwrap().tools.iter().map(|tool| tool.name.clone()).collect();
    (offered, result.tool_history.first().map(|used| used.result.clone()).unwrap_or_default())
}

fn priced() -> Additions {
    let parameters = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let price =
        dynamic(ToolSpec::new("price", "", parameters), |_, _| async { Ok(ToolOutput::json(&json!(7))) });
    Additions { tools: vec![AddedTool::Tool(Arc::new(price))], ..Additions::default() }
}

#[tokio::test]
async fn tools_that_a_program_adds_are_known_to_code_and_selections() {
    let code = || running("int(price(1)) + int(price(2))");
    let (names, told) = with_price(json!({"tools": [{"code": {}}]}), code()).await;
    assert_eq!(
        (names, told.as_str()),
        (vec!["run_python".to_owned(), "price".to_owned()], r#"{"result":14}"#)
    );
    let only_in_code = json!({"tools": [{"code": {"tools": ["price"], "only_in_code": true}}]});
    assert_eq!(with_price(only_in_code, code()).await, (vec!["run_python".to_owned()], told));
    let done = || vec![Answer::text("done")];
    for (offered, expected) in
        [(json!({"only": ["pri*"]}), vec!["price"]), (json!({"without": ["price"]}), vec!["run_python"])]
    {
        let more = json!({"tools": [{"code": {}}], "offered": offered});
        assert_eq!(with_price(more, done()).await.0, expected, "{offered}");
    }
    let router = json!({"tools": [{"code": {}}], "router": {"threshold": 0, "always": ["price"]}});
    let choice = Answer::text(r#"{"tools": ["price"]}"#).when_contains("The tools:");
    let (names, _) = with_price(router, vec![choice, Answer::text("done").when_contains("sum up")]).await;
    assert_eq!(names, ["price"]);
}

#[tokio::test]
async fn a_file_may_name_tools_that_a_program_adds() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, vec![Answer::text("done")]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clerk.yaml");
    std::fs::write(&path, "model: scripted:lab\noffered: {only: [price]}\n").unwrap();
    assert!(runtime.read_agent(&path).is_err(), "nobody adds it");
    let Ok(file) = runtime.read_agent_to_extend(&path) else { panic!() };
    let bare = Extended { file: file.clone(), additions: Additions::default() };
    let error = runtime.run_agent(&RunContext::new(), bare, "x", Keeping::Nowhere).await.unwrap_err();
    assert_eq!(error.message(), "no tool has the name `price`");
    let agent = Extended { file, additions: priced() };
    let result = runtime.run_agent(&RunContext::new(), agent, "x", Keeping::Nowhere).await.unwrap();
    assert_eq!((result.text.as_str(), names(&model)), ("done", vec!["price".to_owned()]));
}

#[test]
fn an_agent_of_a_file_without_a_name_has_that_of_its_file() {
    let runtime = Runtime::with_defaults().unwrap();
    let inner = Extended { file: file(&runtime, "model: scripted:lab"), additions: Additions::default() };
    let tools = vec![AddedTool::Agent(Box::new(inner.clone()))];
    let additions = Additions { tools, handoffs: vec![inner], ..Additions::default() };
    assert_eq!(additions.names(), ["agent clerk", "handoff clerk"]);
}
