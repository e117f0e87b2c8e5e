//! Guardrails in whole runs: what is asked, told, recorded, and handed back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use motet_core::run_log::{MemoryLog, RunLog};
use motet_core::tool::Effect;
use motet_core::{ErrorKind, ModelId};

use super::*;
use crate::agent::AgentBuilder;
use crate::driver;
use crate::function::{dynamic, function};
use crate::guardrails::{Judge, OnFailure};
use crate::hooks::{Hook, HookEntry, Payload, Reaction};
use crate::machine::{AgentResult, Outcome};
use crate::test_double::{TestModel, Turn, calls, says};

const SECRET: &str = "ada@x.org";

fn agent(guardrails: Guardrails) -> AgentBuilder {
    Agent::builder("a", model_id()).instructions("Ask admin@x.org.").guardrails(guardrails)
}

/// Everything that was heard of a run: its result, its events, what its model was asked, and its log.
struct Heard {
    result: AgentResult,
    events: Vec<StreamEvent>,
    requests: Vec<ChatRequest>,
    all: String,
}

async fn heard(agent: &Agent, turns: &[Turn], prompt: impl Into<crate::Prompt>, delivery: Delivery) -> Heard {
    heard_again(agent, turns, prompt, delivery, &RunContext::new()).await
}

async fn heard_again(
    agent: &Agent,
    turns: &[Turn],
    prompt: impl Into<crate::Prompt>,
    delivery: Delivery,
    context: &RunContext,
) -> Heard {
    let model = TestModel::new(turns);
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let context = context
        .clone()
        .with_events(Arc::new(move |event: &StreamEvent| listener.lock().unwrap().push(event.clone())));
    let (result, streamed) = match delivery {
        Delivery::Plain => (driver::run(&context, agent, model.clone(), prompt).await, Vec::new()),
        Delivery::Streamed => {
            let mut stream = driver::stream(&context, agent, model.clone(), prompt);
            let mut events = Vec::new();
            while let Some(event) = stream.next().await {
                events.extend(event);
            }
            (stream.finish().await, events)
        }
    };
    let mut events = told.lock().unwrap().clone();
    if delivery == Delivery::Streamed {
        assert_eq!(events, streamed, "the stream and the listener hear the same");
    }
    events.extend(streamed);
    let log = context.log().records();
    let requests = model.requests();
    let all = serde_json::to_string(&(&result, &events, &log)).unwrap();
    Heard { result, events, requests, all }
}

fn hits(heard: &Heard) -> Vec<(&str, &str)> {
    let mut hits: Vec<_> = heard
        .events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::GuardrailHit { place, action, .. } => Some((place.as_str(), action.as_str())),
            _ => None,
        })
        .collect();
    hits.dedup();
    hits
}

#[tokio::test]
async fn what_is_redacted_stands_nowhere() {
    let mail = function("mail", "", |args: std::collections::BTreeMap<String, String>, _| async move {
        assert_eq!(args["to"], "#");
        Err::<String, _>(Error::new(
            ErrorKind::ToolFailed,
            format!("{SECRET} is {}", "{\"of\": \"b\\u0040y.io\"}"),
        ))
    });
    let agent = agent(pii()).tool(mail).build().unwrap();
    let arguments = format!("{{\"to\": \"{}\"}}", SECRET.replace('@', "\\u0040"));
    let turns = [calls(&[("c", "mail", &arguments)]), says("It failed for ada@x.org.")];
    let prompt = vec![Message::user("Write to ada@x.org")];
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let heard = heard(&agent, &turns, prompt.clone(), delivery).await;
        assert_eq!(heard.result.text, "It failed for #.");
        assert!(!heard.all.contains(SECRET), "{}", heard.all);
        assert_eq!(heard.requests[0].messages[1], Message::user("Write to #"));
        assert_eq!(heard.requests[0].messages[0], Message::system("Ask admin@x.org."));
        assert!(!serde_json::to_string(&heard.requests).unwrap().contains(SECRET));
        assert_eq!(heard.result.tool_history[0].result, "the tool `mail` failed: # is {\"of\": \"#\"}");
        let places: Vec<_> = hits(&heard).into_iter().map(|(place, _)| place).take(4).collect();
        assert_eq!(places, ["input", "tool_arguments", "tool_result", "output"]);
    }
}

#[tokio::test]
async fn only_what_is_new_in_a_conversation_is_looked_at() {
    let agent = agent(pii()).build().unwrap();
    let old = vec![Message::user("old ada@x.org"), Message::assistant("yes")];
    let prompt = [old.clone(), vec![Message::user("new ada@x.org")]].concat();
    // The model of the test answers by how often it answered before.
    let heard = heard(&agent, &[says(""), says("ok")], prompt, Delivery::Plain).await;
    assert_eq!(heard.requests[0].messages[1..], [old, vec![Message::user("new #")]].concat());
}

#[tokio::test]
async fn blocked_input_is_shown_to_nobody() {
    let list = Blocklist::of_words(["falcon"]).unwrap();
    let agent = agent(Guardrails::default().with(list)).build().unwrap();
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let heard = heard(&agent, &[says("no")], "Tell me of FALCON", delivery).await;
        let Outcome::Blocked(error) = &heard.result.outcome else { panic!("{:?}", heard.result) };
        let told = "the guardrail `blocklist` held the input back: it has a word that is not allowed";
        assert_eq!((error.message.as_str(), heard.requests.len()), (told, 0));
        assert!(!heard.all.to_lowercase().contains("falcon"), "{}", heard.all);
        assert_eq!(hits(&heard), [("input", "block")]);
    }
}

#[tokio::test]
async fn a_model_is_asked_again_until_its_answer_passes_and_a_resumed_run_decides_alike() {
    let list = Blocklist::of_words(["falcon"]).unwrap().actions(Actions::all(Action::AskAgain));
    let agent = agent(Guardrails::default().with(list)).max_rewrites(2).build().unwrap();
    let turns = [says("the falcon").spending(1, 1, 10), says("fine").spending(2, 2, 20)];
    let mut results = Vec::new();
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let log: Arc<dyn RunLog> = Arc::new(MemoryLog::default());
        let context = || RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log));
        let heard = heard_again(&agent, &turns, "go", delivery, &context()).await;
        assert_eq!((heard.result.text.as_str(), heard.result.model_calls), ("fine", 2));
        assert_eq!((heard.result.usage.input, heard.result.cost), (3, Some(Cost::from_nanos(30))));
        assert!(!heard.all.contains("falcon"), "{}", heard.all);
        assert!(heard.events.iter().any(|event| matches!(event, StreamEvent::AskedAgain { .. })));
        let asked = heard.requests[1].messages.last().unwrap().visible_text();
        assert_eq!(
            asked,
            "Your answer was held back: it has a word that is not allowed. Answer again without that."
        );
        let again = heard_again(&agent, &turns, "go", delivery, &context()).await;
        assert_eq!((&again.result, again.requests.len()), (&heard.result, 0));
        results.push(heard.result);
    }
    assert_eq!(results[0], results[1]);
    let stubborn = [says("falcon"), says("falcon"), says("falcon"), says("fine")];
    let heard = heard(&agent, &stubborn, "go", Delivery::Plain).await;
    assert_eq!((heard.requests.len(), heard.result.error().unwrap().kind()), (3, ErrorKind::Blocked));
}

#[tokio::test]
async fn a_withheld_result_of_a_tool_is_told_to_the_model_and_the_tool_is_not_called_again() {
    let called = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&called);
    let look = dynamic(ToolSpec::new("look", "", json!({"type": "object"})), move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(ToolOutput::text("the falcon")) }
    })
    .effect(Effect::AtMostOnce);
    let list = Blocklist::of_words(["falcon"]).unwrap().actions(Actions::all(Action::Block));
    let agent = agent(Guardrails::default().with(list)).tool(look).build().unwrap();
    let turns = [calls(&[("c", "look", "{}")]), says("nothing")];
    let log: Arc<dyn RunLog> = Arc::new(MemoryLog::default());
    for _ in 0..2 {
        let context = RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log));
        let heard = heard_again(&agent, &turns, "go", Delivery::Plain, &context).await;
        assert_eq!((heard.result.text.as_str(), &heard.result.outcome), ("nothing", &Outcome::Completed));
        let told = "[withheld by the guardrail `blocklist`]: it has a word that is not allowed";
        assert_eq!(
            (heard.result.tool_history[0].result.as_str(), heard.result.tool_history[0].is_error),
            (told, true)
        );
        assert!(!heard.all.contains("falcon"));
    }
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

/// A judge that says these things, one after the other, and counts how often it is asked.
struct Says(Vec<&'static str>, AtomicU32);

#[async_trait]
impl Model for Says {
    async fn open(&self, context: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst) as usize;
        if self.0[turn].is_empty() {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        let said = self.0[turn];
        context.emit(&StreamEvent::Warning { message: format!("heard of the judge: {said}") });
        Ok(ready_stream(unfold(&answer(vec![Part::text(said)]))))
    }
}

fn judge_id() -> ModelId {
    "scripted:judge".parse().unwrap()
}

#[tokio::test]
async fn a_judge_is_paid_once_and_quotes_nothing() {
    let judge = Arc::new(Says(
        vec![r#"{"ok": false, "reason": "it names ada@x.org."}"#, r#"{"ok": true, "reason": ""}"#],
        AtomicU32::new(0),
    ));
    let rule = Judge::new("No names.", Arc::clone(&judge) as _, judge_id());
    let rule = rule.actions(Actions::all(Action::Off).output(Action::AskAgain));
    // Although it stands behind the judge, the other guardrail cleans what the judge says.
    let agent = agent(Guardrails::default().with(rule).with(Pii::default())).build().unwrap();
    let log: Arc<dyn RunLog> = Arc::new(MemoryLog::default());
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let context = RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log));
        let heard =
            heard_again(&agent, &[says("by ada@x.org"), says("by her")], "go", delivery, &context).await;
        assert_eq!(heard.result.text, "by her");
        assert!(!heard.all.contains(SECRET), "{}", heard.all);
        assert_eq!(judge.1.load(Ordering::SeqCst), 2);
        let asked = heard.result.messages.iter().map(Message::visible_text).collect::<Vec<_>>();
        assert!(asked[3].contains("it names [REDACTED]. Answer again"), "{asked:?}");
    }
    let steps: Vec<_> = log.records().into_iter().map(|record| record.step().to_owned()).collect();
    assert!(steps.iter().any(|step| step.starts_with("model/0/guardrail/judge/")), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_says_nothing_in_time_blocks_or_lets_pass_as_it_is_told() {
    for (on_failure, text) in [(OnFailure::Open, Some("hi")), (OnFailure::Closed, None)] {
        for said in ["", "I cannot judge this"] {
            let judge = Judge::new("No names.", Arc::new(Says(vec![said], AtomicU32::new(0))), judge_id());
            let rules = Guardrails::default().with_rules(
                Arc::new(judge.actions(Actions::all(Action::Off).output(Action::Block))),
                on_failure,
                Duration::from_secs(5),
            );
            let agent = agent(rules).build().unwrap();
            let begun = tokio::time::Instant::now();
            let heard = heard(&agent, &[says("hi")], "go", Delivery::Streamed).await;
            match text {
                Some(text) => assert_eq!(heard.result.text, text),
                None => {
                    assert!(matches!(heard.result.outcome, Outcome::Blocked(_)), "{:?}", heard.result.outcome)
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(6));
        }
    }
}

/// A hook that does what a function says.
struct Does<F>(F);

#[async_trait]
impl<F: Fn(&Payload) -> Reaction + Send + Sync> Hook for Does<F> {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        Ok((self.0)(payload))
    }
}

#[tokio::test]
async fn a_hook_changes_an_answer_before_it_is_heard_or_recorded_and_what_it_adds_is_looked_at() {
    let hook = Does(|payload: &Payload| {
        let Payload::AfterModelCall { step, response } = payload else { unreachable!() };
        assert_eq!((step.as_str(), response.text().as_str()), ("model/0", "by #"));
        let mut response = response.clone();
        response.message = Message::assistant("by her, ada@x.org");
        Reaction::Change(Box::new(Payload::AfterModelCall { step: step.clone(), response }))
    });
    let entry = HookEntry::new("own", [Stage::AfterModelCall], hook);
    let agent = agent(pii()).hook(entry).build().unwrap();
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let heard = heard(&agent, &[says("by bo@y.io").spending(1, 2, 3)], "go", delivery).await;
        assert_eq!((heard.result.text.as_str(), heard.result.usage.input), ("by her, #", 1));
        assert!(
            !heard.all.contains('@') || heard.all.matches('@').count() == heard.all.matches("admin@").count()
        );
        assert!(!heard.all.contains("bo@") && !heard.all.contains("by #\""), "{}", heard.all);
    }
}

#[tokio::test]
async fn hooks_see_each_text_that_guardrails_look_at_once_and_whole() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let hook = Does(move |payload: &Payload| {
        list.lock().unwrap().push(match payload {
            Payload::BeforeGuardrail { place, text, .. } => format!("{place}: {text}"),
            Payload::AfterGuardrail { action, .. } => action.clone(),
            _ => unreachable!(),
        });
        Reaction::Continue
    });
    let stages = [Stage::BeforeGuardrail, Stage::AfterGuardrail];
    let agent = agent(pii()).hook(HookEntry::new("own", stages, hook)).build().unwrap();
    heard(&agent, &[says("to ada@x.org")], "go", Delivery::Streamed).await;
    assert_eq!(*seen.lock().unwrap(), ["input: go", "pass", "output: to ada@x.org", "redact"]);
}

/// A model that tries again before it answers.
struct Retries;

#[async_trait]
impl Model for Retries {
    async fn open(&self, context: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        for attempt in 2..=4 {
            let error = Error::new(ErrorKind::Overloaded, "busy").report();
            context.emit(&StreamEvent::Retrying { attempt, delay_ms: 1000, error: Box::new(error) });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(ready_stream(unfold(&answer(vec![Part::text("late")]))))
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_are_told_of_retries_in_order_and_may_stop_them() {
    for (most, expected) in [(9, vec![2, 3, 4]), (3, vec![2, 3])] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let hook = Does(move |payload: &Payload| {
            let Payload::Retry { attempt, delay_ms: 1000, .. } = payload else { unreachable!() };
            list.lock().unwrap().push(*attempt);
            if *attempt < most { Reaction::Continue } else { Reaction::Stop { reason: "enough".into() } }
        });
        let agent =
            agent(Guardrails::default()).hook(HookEntry::new("own", [Stage::Retry], hook)).build().unwrap();
        let result = driver::run(&RunContext::new(), &agent, Arc::new(Retries), "go").await;
        assert_eq!(*seen.lock().unwrap(), expected);
        let told = result.error().map(|error| error.to_string());
        assert_eq!(told.is_none(), most == 9, "{told:?}");
        assert!(told.is_none_or(|told| told.starts_with("the hook `own` stopped the run: enough")));
    }
}
