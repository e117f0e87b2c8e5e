//! Runs of agents whose tools are selected, against selecting models that do well and badly.

use std::sync::Mutex;

use motet_core::run_log::{MemoryLog, RunLog};
use motet_core::{Cost, RunId};

use super::*;
use crate::driver::{run, stream};
use crate::function::{FunctionTool, NoArguments, function};
use crate::hooks::{Hook, HookEntry, Reaction};
use crate::machine::{AgentResult, Outcome};
use crate::test_double::{TestModel, Turn, calls, model_id, says};
use crate::{AgentBuilder, Prompt};

fn tool(name: &str) -> FunctionTool {
    function(name, format!("Does {name}.\nMore that is not shown."), |_: NoArguments, _| async { Ok("done") })
}

const NAMES: [&str; 6] = ["read", "write", "search", "mail", "time", "sum"];

fn agent(router: ToolRouter) -> AgentBuilder {
    NAMES
        .iter()
        .fold(Agent::builder("a", model_id()), |builder, name| builder.tool(tool(name)))
        .router(router)
}

fn router(model: &Arc<TestModel>) -> ToolRouter {
    ToolRouter::new("scripted:small".parse().unwrap(), Arc::clone(model) as Arc<dyn Model>).threshold(3)
}

fn offered(model: &TestModel) -> Vec<Vec<String>> {
    let names = |request: ChatRequest| request.tools.into_iter().map(|tool| tool.name).collect();
    model.requests().into_iter().map(names).collect()
}

/// Runs with an answer of the selecting model, plain and streamed, which must not differ.
async fn routed(selection: Turn, prompt: impl Into<Prompt>) -> (AgentResult, Vec<String>, Arc<TestModel>) {
    let prompt = prompt.into();
    let small = TestModel::new(std::slice::from_ref(&selection));
    let agent = agent(router(&small).always(["time"])).build().unwrap();
    let model = TestModel::new(&[says("fine"), says("fine"), says("fine")]);
    let result = run(&RunContext::new(), &agent, Arc::clone(&model) as Arc<dyn Model>, prompt.clone()).await;
    let other = TestModel::new(&[says("fine"), says("fine"), says("fine")]);
    let streamed =
        stream(&RunContext::new(), &agent, Arc::clone(&other) as Arc<dyn Model>, prompt).finish().await;
    assert_eq!(result, streamed);
    assert_eq!(offered(&model), offered(&other));
    (result, offered(&model).remove(0), small)
}

#[tokio::test]
async fn the_selected_tools_and_those_named_are_offered() {
    let selection = says(r#"{"tools": ["mail", "no_such", "read"]}"#).spending(100, 10, 7);
    let (result, offered, small) = routed(selection, "Write to Ada").await;
    assert_eq!(offered, ["read", "mail", "time"]);
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(result.model_calls, 1, "selecting uses up no model call");
    let asked = &small.requests()[0];
    assert!(asked.messages[1].visible_text().contains("- mail: Does mail.\n"));
    assert!(asked.messages[1].visible_text().ends_with("The user's message:\nWrite to Ada"));
    assert_eq!(asked.max_tokens, Some(MAX_TOKENS));
    assert!(asked.tools.is_empty());
}

#[tokio::test]
async fn what_selecting_costs_is_part_of_the_sums() {
    let small = TestModel::new(&[says(r#"{"tools": ["sum"]}"#).spending(100, 10, 7)]);
    let agent = agent(router(&small)).build().unwrap();
    let model = TestModel::new(&[says("fine").spending(20, 5, 30)]);
    let result = run(&RunContext::new(), &agent, model, "go").await;
    assert_eq!((result.usage.input, result.usage.output), (120, 15));
    assert_eq!(result.cost, Some(Cost::from_nanos(37)));
}

#[tokio::test]
async fn a_wrong_answer_falls_back_to_all_tools() {
    for (turn, why) in [
        (says(r#"{"tools": []}"#), "holds no tool that there is"),
        (says(r#"{"tools": ["none", "such"]}"#), "holds no tool that there is"),
        (says(r#"{"names": ["mail"]}"#), "holds no list of tools"),
        (says("I would take mail."), "is not JSON"),
        (says(""), "is not JSON"),
        (Turn::Fail(ErrorKind::Overloaded), "the model that selects failed: the model is out of order"),
        (says(r#"{"tools": ["mail"]}"#).cut_off(), "the model that selects failed"),
    ] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let small = TestModel::new(&[turn]);
        let agent = agent(router(&small)).build().unwrap();
        let model = TestModel::new(&[says("fine")]);
        let context = RunContext::new().with_events(Arc::new({
            let told = Arc::clone(&told);
            move |event: &StreamEvent| told.lock().unwrap().push(event.clone())
        }));
        let result = run(&context, &agent, Arc::clone(&model) as Arc<dyn Model>, "go").await;
        assert_eq!(result.outcome, Outcome::Completed);
        assert_eq!(offered(&model), [NAMES]);
        let told = told.lock().unwrap();
        let warned =
            |event: &StreamEvent| matches!(event, StreamEvent::Warning { message } if message.contains(why));
        assert!(told.iter().any(warned), "{why}: {told:?}");
        let all =
            |event: &StreamEvent| matches!(event, StreamEvent::ToolsSelected { tools } if tools == &NAMES);
        assert!(told.iter().any(all), "{told:?}");
        let shown = told.iter().filter_map(|event| match event {
            StreamEvent::TextDelta { text, .. } => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(shown.collect::<String>(), "fine", "the selection is not shown as an answer");
    }
}

#[tokio::test]
async fn every_turn_is_routed_by_its_own_message() {
    let mut conversation = Vec::new();
    for (turn, name) in [(1, "mail"), (2, "sum"), (3, "search")] {
        conversation.push(Message::user(format!("turn {turn}")));
        let selection = says(&format!(r#"{{"tools": ["{name}"]}}"#));
        let (result, offered, small) = routed(selection, conversation.clone()).await;
        let expected: Vec<_> = NAMES.into_iter().filter(|known| [name, "time"].contains(known)).collect();
        assert_eq!(offered, expected);
        let asked = small.requests()[0].messages[1].visible_text();
        assert!(asked.ends_with(&format!("The user's message:\nturn {turn}")), "{asked}");
        conversation = result.messages;
    }
}

#[tokio::test]
async fn few_tools_and_an_empty_turn_are_not_asked_about() {
    let small = TestModel::new(&[says(r#"{"tools": ["sum"]}"#)]);
    let few = agent(router(&small).threshold(6)).build().unwrap();
    let model = TestModel::new(&[says("fine")]);
    let _ = run(&RunContext::new(), &few, Arc::clone(&model) as Arc<dyn Model>, "go").await;
    let silent = agent(router(&small)).build().unwrap();
    let _ = run(&RunContext::new(), &silent, Arc::clone(&model) as Arc<dyn Model>, " ").await;
    assert_eq!(offered(&model), [NAMES, NAMES]);
    assert!(small.requests().is_empty());
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_offered() {
    let small = TestModel::new(&[says(r#"{"tools": ["sum"]}"#)]);
    let agent = agent(router(&small)).tool_choice(ToolChoice::Tool("mail".into())).build().unwrap();
    let model = TestModel::new(&[says("fine")]);
    let _ = run(&RunContext::new(), &agent, Arc::clone(&model) as Arc<dyn Model>, "go").await;
    assert_eq!(offered(&model), [["mail", "sum"]]);
}

#[tokio::test]
async fn a_resumed_run_offers_the_same_and_asks_nobody_again() {
    for selection in [says(r#"{"tools": ["sum"]}"#).spending(100, 10, 7), Turn::Fail(ErrorKind::Overloaded)] {
        let (id, log) = (RunId::new(), Arc::new(MemoryLog::default()));
        let small = TestModel::new(&[selection]);
        let first = agent(router(&small)).build().unwrap();
        let turns = [calls(&[("c", "sum", "{}")]), Turn::Fail(ErrorKind::Overloaded)];
        let context = RunContext::with_log(id.clone(), Arc::clone(&log) as Arc<dyn RunLog>);
        let broken = run(&context, &first, TestModel::new(&turns), "go").await;
        assert!(matches!(broken.outcome, Outcome::Failed(_)));

        // Whoever would be asked now would choose otherwise.
        let changed = TestModel::new(&[says(r#"{"tools": ["mail"]}"#)]);
        let again = agent(router(&changed)).build().unwrap();
        let context = RunContext::with_log(id, Arc::clone(&log) as Arc<dyn RunLog>);
        let model = TestModel::new(&[says("never asked"), says("fine")]);
        let result = run(&context, &again, Arc::clone(&model) as Arc<dyn Model>, "go").await;
        assert_eq!((result.outcome, result.text.as_str()), (Outcome::Completed, "fine"));
        assert!(changed.requests().is_empty());
        let whole = broken.usage.input;
        assert!(result.usage.input >= whole, "what selecting used counts in the resumed run too");
        assert_eq!(offered(&model).len(), 1);
    }
}

struct Choosing(&'static str);

#[async_trait::async_trait]
impl Hook for Choosing {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        Ok(match payload {
            Payload::BeforeRoute { tools, .. } => {
                let (query, tools) = (self.0.to_owned(), tools.clone());
                Reaction::Change(Box::new(Payload::BeforeRoute { query, tools }))
            }
            Payload::AfterRoute { query, fell_back, .. } => {
                let tools = vec!["write".to_owned()];
                let (query, fell_back) = (query.clone(), *fell_back);
                Reaction::Change(Box::new(Payload::AfterRoute { query, tools, fell_back }))
            }
            _ => Reaction::Continue,
        })
    }
}

#[tokio::test]
async fn hooks_may_change_the_question_and_the_choice() {
    for selection in [says(r#"{"tools": ["sum"]}"#), says("nonsense")] {
        let small = TestModel::new(&[selection]);
        let stages = [Stage::BeforeRoute, Stage::AfterRoute];
        let hook = HookEntry::new("choosing", stages, Choosing("another question"));
        let agent = agent(router(&small)).hook(hook).build().unwrap();
        let model = TestModel::new(&[says("fine")]);
        let _ = run(&RunContext::new(), &agent, Arc::clone(&model) as Arc<dyn Model>, "go").await;
        assert_eq!(offered(&model), [["write"]]);
        assert!(small.requests()[0].messages[1].visible_text().ends_with("another question"));
    }
}

#[tokio::test]
async fn an_agent_that_takes_over_has_its_own_tools_selected() {
    let small = TestModel::new(&[says(r#"{"tools": ["mail"]}"#)]);
    let clerk_model = TestModel::new(&[says("unused"), says("done")]);
    let clerk = NAMES
        .iter()
        .fold(Agent::builder("clerk", model_id()), |builder, name| builder.tool(tool(name)))
        .router(router(&small))
        .build()
        .unwrap();
    let boss = Agent::builder("boss", model_id())
        .handoff(clerk, Arc::clone(&clerk_model) as Arc<dyn Model>)
        .build()
        .unwrap();
    let handoff = boss.tool_set().specs()[0].name.clone();
    let model = TestModel::new(&[calls(&[("c", &handoff, "{}")])]);
    let result = run(&RunContext::new(), &boss, model, "go").await;
    assert_eq!(result.text, "done");
    assert_eq!(offered(&clerk_model), [["mail"]]);
}
