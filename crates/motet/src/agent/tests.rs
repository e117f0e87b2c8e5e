//! Runs of agents in a store, parked and resumed by other runtimes over the same store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use motet_agents::function::{CallContext, FunctionTool, dynamic};
use motet_agents::{ApprovalPolicy, Hook, Payload, Reaction};
use motet_core::decision::{Decision, Question};
use motet_core::request::ToolSpec;
use motet_core::settings::{Settings, Sources};
use motet_core::store::SharedStore;
use motet_core::{ModelId, StreamEvent, ToolOutput};
use motet_persistence::memory::MemoryStore;
use motet_providers::scripted::{Answer, ScriptedModel};
use serde_json::json;

use super::*;

mod parts;
mod selecting;

/// A runtime as a process of its own would have it, over a store that others share.
struct Process {
    runtime: Runtime,
    model: Arc<ScriptedModel>,
}

fn process(store: &SharedStore, answers: Vec<Answer>) -> Process {
    let loaded = Settings::load(&Sources::default()).unwrap();
    let runtime = Runtime::new(loaded, ".".into()).unwrap().with_store(Arc::clone(store)).unwrap();
    let model = Arc::new(ScriptedModel::answers(answers));
    runtime.add_model(lab(), Arc::clone(&model) as Arc<dyn Model>);
    Process { runtime, model }
}

fn lab() -> ModelId {
    "scripted:lab".parse().unwrap()
}

/// Pays once, and then says so.
fn answers() -> Vec<Answer> {
    vec![
        Answer::tool_call("pay", &json!({"amount": 7})).and_tool_call("look", &json!({})).when_turn(0),
        Answer::text("paid").when_turn(1),
    ]
}

#[derive(Default)]
struct Effects(Mutex<Vec<String>>);

fn tools(effects: &Arc<Effects>) -> [FunctionTool; 2] {
    let tool = |name: &'static str, schema: Value| {
        let effects = Arc::clone(effects);
        dynamic(ToolSpec::new(name, "", schema), move |arguments: Value, _: CallContext| {
            effects.0.lock().unwrap().push(format!("{name}{arguments}"));
            async move { Ok::<_, Error>(ToolOutput::text("done")) }
        })
    };
    let amount =
        json!({"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]});
    [tool("pay", amount), tool("look", json!({"type": "object"}))]
}

fn agent(runtime: &Runtime, effects: &Arc<Effects>) -> Agent {
    let [pay, look] = tools(effects);
    runtime
        .agent("clerk", lab())
        .tool(pay)
        .tool(look)
        .approvals(ApprovalPolicy::Named(vec!["pay".to_owned()]))
        .build()
        .unwrap()
}

async fn parked(store: &SharedStore, effects: &Arc<Effects>) -> (RunId, Question) {
    let first = process(store, answers());
    let context = RunContext::new();
    let agent = agent(&first.runtime, effects);
    let result = first.runtime.run_agent(&context, agent, "pay", Keeping::InStore).await.unwrap();
    assert_eq!(result.outcome, Outcome::Waiting);
    let asked = first.runtime.questions(Some(context.run_id())).await.unwrap();
    assert_eq!((asked.len(), &asked[0].question), (1, &result.questions[0]));
    let run = store.run(context.run_id()).await.unwrap().unwrap().summary;
    assert_eq!((run.state, run.kind.as_str(), run.name.as_str()), (RunState::Waiting, KIND, "clerk"));
    (context.run_id().clone(), result.questions.into_iter().next().unwrap())
}

#[tokio::test]
async fn a_parked_run_goes_on_in_another_process_after_each_kind_of_decision() {
    let edited = Decision::Approve { arguments: Some(json!({"amount": 5})) };
    let by_hand = Decision::Answer { output: ToolOutput::text("paid by hand") };
    for (decision, told, effect) in [
        (Decision::Approve { arguments: None }, "done", Some(r#"pay{"amount":7}"#)),
        (edited, "done", Some(r#"pay{"amount":5}"#)),
        (
            Decision::Deny { reason: Some("too much".into()) },
            "not run: a person did not allow this call: too much",
            None,
        ),
        (by_hand, "paid by hand", None),
    ] {
        let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
        let (run, question) = parked(&store, &effects).await;
        let second = process(&store, answers());
        let agent = agent(&second.runtime, &effects);
        let still = second.runtime.resume_agent_as(&RunContext::new(), &run, &agent).await.unwrap_err();
        assert_eq!(still.kind(), ErrorKind::Conflict);
        second.runtime.decide(&run, None, decision.clone()).await.unwrap();
        second.runtime.decide(&run, Some(&question.step), decision).await.unwrap();
        let result = second.runtime.resume_agent_as(&RunContext::new(), &run, &agent).await.unwrap();
        assert_eq!((&result.outcome, result.text.as_str()), (&Outcome::Completed, "paid"));
        assert_eq!(result.tool_history[0].result, told);
        // The first answer of the model is not asked for again.
        assert_eq!((second.model.requests().len(), result.model_calls), (1, 2));
        let expected: Vec<&str> = ["look{}"].into_iter().chain(effect).collect();
        assert_eq!(*effects.0.lock().unwrap(), expected);
        let again = second.runtime.resume_agent_as(&RunContext::new(), &run, &agent).await.unwrap();
        assert_eq!(again, result);
        let report = second.runtime.report(&run).await.unwrap();
        assert_eq!(
            (report.state, &report.outputs["text"], report.model_calls),
            (RunState::Completed, &json!("paid"), 2)
        );
    }
}

#[tokio::test]
async fn arguments_that_do_not_match_the_schema_decide_nothing() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let (run, _) = parked(&store, &effects).await;
    let runtime = process(&store, answers()).runtime;
    let wrong = Decision::Approve { arguments: Some(json!({"amount": "all"})) };
    let error = runtime.decide(&run, None, wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("the schema of `pay`"), "{error}");
    assert!(runtime.questions(Some(&run)).await.unwrap()[0].is_open());
    let error = runtime.decide(&run, Some("nowhere"), Decision::Deny { reason: None }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_run_of_an_agent_built_in_code_names_what_it_needs() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let (run, _) = parked(&store, &effects).await;
    let error = process(&store, answers()).runtime.resume_agent(&RunContext::new(), &run).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.hint()),
        (ErrorKind::Unsupported, Some("build it again and give it to `resume_agent_as`"))
    );
}

#[tokio::test]
async fn whoever_decides_at_once_is_asked_and_nothing_is_parked() {
    struct Yes(AtomicU32);
    #[async_trait::async_trait]
    impl motet_core::decision::Decisions for Yes {
        async fn decide(&self, _: &Question) -> Result<Option<Decision>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Decision::Approve { arguments: None }))
        }
    }
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let yes = Arc::new(Yes(AtomicU32::new(0)));
    let first = process(&store, answers());
    let agent = agent(&first.runtime, &effects);
    let context = RunContext::new().with_decisions(Arc::clone(&yes) as _);
    let result = first.runtime.run_agent(&context, agent.clone(), "pay", Keeping::InStore).await.unwrap();
    assert_eq!((result.outcome, yes.0.load(Ordering::SeqCst)), (Outcome::Completed, 1));
    // A run that was parked by somebody else is put to them when it is resumed.
    let (run, _) = parked(&store, &effects).await;
    let context = RunContext::new().with_decisions(Arc::clone(&yes) as _);
    let result = first.runtime.resume_agent_as(&context, &run, &agent).await.unwrap();
    assert_eq!((result.outcome, yes.0.load(Ordering::SeqCst)), (Outcome::Completed, 2));
}

#[tokio::test]
async fn a_streamed_run_is_kept_and_one_that_is_dropped_is_given_back() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let first = process(
        &store,
        vec![Answer::tool_call("look", &json!({})).when_turn(0), Answer::text("seen").when_turn(1)],
    );
    let agent = agent(&first.runtime, &effects);
    let context = RunContext::new();
    let mut events =
        first.runtime.stream_agent(&context, agent.clone(), "look", Keeping::InStore).await.unwrap();
    while let Some(event) = events.next().await {
        if matches!(event.unwrap(), StreamEvent::ToolEnded { .. }) {
            break;
        }
    }
    drop(events);
    let run = context.run_id().clone();
    let mut seen = 0;
    while store.tasks(&run).await.unwrap()[0].state != motet_core::store::TaskState::Ready {
        seen = store.changed(seen, std::time::Duration::from_secs(1)).await;
    }
    let result = first.runtime.resume_agent_as(&RunContext::new(), &run, &agent).await.unwrap();
    assert_eq!((result.text.as_str(), effects.0.lock().unwrap().len()), ("seen", 1));
    let context = RunContext::new();
    let events = first.runtime.stream_agent(&context, agent, "look", Keeping::InStore).await.unwrap();
    assert_eq!(events.finish().await.unwrap().text, "seen");
    assert_eq!(store.run(context.run_id()).await.unwrap().unwrap().summary.state, RunState::Completed);
}

#[tokio::test]
async fn a_run_that_is_dropped_by_a_thread_of_another_kind_is_given_back_at_once() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let first = process(&store, vec![Answer::text("seen")]);
    let agent = agent(&first.runtime, &effects);
    let context = RunContext::new();
    let events = first.runtime.stream_agent(&context, agent.clone(), "look", Keeping::InStore).await.unwrap();
    std::thread::spawn(move || drop(events)).join().unwrap();
    let resumed = first.runtime.resume_agent_as(&RunContext::new(), context.run_id(), &agent).await.unwrap();
    assert_eq!(resumed.text, "seen");
}

#[tokio::test]
async fn a_part_of_a_run_is_not_kept_apart() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let first = process(&store, vec![Answer::text("seen")]);
    let agent = agent(&first.runtime, &effects);
    let part = RunContext::new().child("tool/0/0");
    let error = first.runtime.run_agent(&part, agent, "look", Keeping::InStore).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.hint(), Some("the run around it is kept with all its parts"));
}

#[tokio::test]
async fn what_fails_is_failed_and_goes_on_from_its_journal_when_resumed() {
    let (store, effects): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::default());
    let overloaded = Error::new(ErrorKind::InvalidRequest, "not now");
    let look = || Answer::tool_call("look", &json!({})).when_turn(0);
    let first = process(&store, vec![look(), Answer::error(&overloaded).when_turn(1)]);
    let agent = agent(&first.runtime, &effects);
    let context = RunContext::new();
    let result = first.runtime.run_agent(&context, agent.clone(), "look", Keeping::InStore).await.unwrap();
    assert!(matches!(result.outcome, Outcome::Failed(_)));
    let report = first.runtime.report(context.run_id()).await.unwrap();
    assert_eq!(
        (report.state, report.tasks[0].error.as_ref().unwrap().message.as_str()),
        (RunState::Failed, "not now")
    );
    let second = process(&store, vec![look(), Answer::text("seen").when_turn(1)]);
    let result = second.runtime.resume_agent_as(&RunContext::new(), context.run_id(), &agent).await.unwrap();
    assert_eq!((result.text.as_str(), effects.0.lock().unwrap().len()), ("seen", 1));
    assert_eq!(second.model.requests().len(), 1);
    let again = second.runtime.run_agent(&context, agent, "look", Keeping::InStore).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

/// Writes a file of an agent and reads it.
fn file(runtime: &Runtime, text: &str) -> AgentFile {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clerk.yaml");
    std::fs::write(&path, text).unwrap();
    match runtime.read_agent(&path) {
        Ok(file) => file,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn templates_guardrails_and_hooks_of_a_file_take_effect() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, vec![Answer::text("Write to ada@example.org, or 555.")]);
    runtime.register_hook("shout", |options| {
        let mark = options.get("mark").and_then(Value::as_str).unwrap_or("!").to_owned();
        Ok(Arc::new(Shouting(mark)) as Arc<dyn Hook>)
    });
    let file = file(
        &runtime,
        r#"
model: scripted:lab
instructions_template: "You work for {{ team }}.\n<b>{{ city }}</b>"
variables: {team: books, city: Paris}
guardrails:
  - pii: {}
  - blocklist: {words: ["555"], on: {output: redact}}
hooks:
  - {name: shout, stages: [before_run], options: {mark: "?"}}
"#,
    );
    let mut other = file.clone();
    other.spec.variables.insert("city".to_owned(), json!("Rome & {{ team }}"));
    let result = runtime.run_agent(&RunContext::new(), other, "who", Keeping::Nowhere).await.unwrap();
    let asked = model.requests();
    let told: Vec<_> = asked[0].messages.iter().map(Message::visible_text).collect();
    assert_eq!(told, ["You work for books.\n<b>Rome & {{ team }}</b>", "who?"]);
    assert!(!result.text.contains("ada@") && !result.text.contains("555"), "{}", result.text);
    assert!(result.text.starts_with("Write to "), "{}", result.text);
}

#[tokio::test]
async fn what_a_file_names_and_nobody_registered_is_refused_before_anything_is_asked() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let Process { runtime, model } = process(&store, Vec::new());
    let mut named = file(&runtime, "model: scripted:lab\nguardrails: [{custom: {name: house}}]");
    let error =
        runtime.run_agent(&RunContext::new(), named.clone(), "who", Keeping::Nowhere).await.unwrap_err();
    assert!(error.to_string().contains("house"), "{error}");
    named.spec.guardrails = Default::default();
    named.spec.instructions_template = Some("{{ missing }}".to_owned());
    let error = runtime.run_agent(&RunContext::new(), named, "who", Keeping::Nowhere).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(model.requests().is_empty());
}

/// Puts a mark behind what the run is given.
struct Shouting(String);

#[async_trait::async_trait]
impl Hook for Shouting {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let Payload::BeforeRun { agent, messages } = payload else { return Ok(Reaction::Continue) };
        let marked = |message: &Message| Message::user(message.visible_text() + &self.0);
        let messages = messages.iter().map(marked).collect();
        Ok(Reaction::Change(Box::new(Payload::BeforeRun { agent: agent.clone(), messages })))
    }
}

#[tokio::test]
async fn a_file_may_name_agents_as_tools_which_are_stored_whole() {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let answers = || {
        vec![
            Answer::tool_call("critic", &json!({"input": "Is it good?"})).when_contains("Judge"),
            Answer::text("It is good.").when_contains("Is it good?"),
        ]
    };
    let first = process(&store, answers());
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("critic.yaml", "description: Judges texts\ninstructions_file: rules.txt\nlimits: {timeout: 5s}\n");
    write("rules.txt", "Be kind.");
    write("outer.yaml", "model: scripted:lab\ntools: [{agent: critic.yaml}]\nlimits: {max_iterations: 1}\n");
    let read = |name: &str| first.runtime.read_agent(&directory.path().join(name));
    let Ok(outer) = read("outer.yaml") else { panic!() };
    let context = RunContext::new();
    let result = first.runtime.run_agent(&context, outer, "Judge", Keeping::InStore).await.unwrap();
    // One model call is allowed, so the call is refused; with more of them the inner agent answers.
    assert_eq!(result.outcome, Outcome::LimitReached);
    let stored = store.run(context.run_id()).await.unwrap().unwrap().definition;
    let inner = &stored["agent"]["tools"][0]["agent"];
    assert_eq!((inner["name"].as_str(), inner["instructions"].as_str()), (Some("critic"), Some("Be kind.")));
    assert_eq!(inner["model"], "scripted:lab");
    assert!(AgentDefinition::read(stored.clone()).is_ok());

    let Ok(mut outer) = read("outer.yaml") else { panic!() };
    outer.spec.limits.max_iterations = Some(2);
    let result = first.runtime.run_agent(&RunContext::new(), outer, "Judge", Keeping::Nowhere).await.unwrap();
    assert_eq!(result.tool_history[0].result, "It is good.");
    let asked = first.model.requests();
    let inner = asked.iter().find(|request| request.messages[0].visible_text() == "Be kind.").unwrap();
    assert_eq!(inner.messages[1].visible_text(), "Is it good?");

    for (name, text, message) in [
        ("round.yaml", "model: scripted:lab\ntools: [{agent: round.yaml}]", "calls itself"),
        ("gone.yaml", "model: scripted:lab\ntools: [{agent: nowhere.yaml}]", "nowhere.yaml"),
        ("dear.yaml", "model: scripted:lab\ntools: [{agent: paid.yaml}]", "has a budget"),
    ] {
        write("paid.yaml", "limits: {budget: {usd: 1}}");
        write(name, text);
        assert!(format!("{:?}", read(name).err().unwrap()).contains(message), "{name}");
    }
}
