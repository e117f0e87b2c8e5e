//! Code of models in runs of agents: calls, failures, resuming, and ends from outside.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use motet_core::run_log::{Begun, MemoryLog, Record, RunLog, Step, StepKind};
use motet_core::tool::Spent;
use motet_core::{Cost, Error, Message, Role, RunContext, RunId, Usage};

use super::*;
use crate::agent::Agent;
use crate::driver;
use crate::function::dynamic;
use crate::machine::Outcome;
use crate::test_double::{TestModel, calls, model_id, says};

fn counting(name: &str, effect: Effect, count: &Arc<AtomicU32>) -> Arc<dyn Tool> {
    let count = Arc::clone(count);
    let parameters = json!({
        "type": "object",
        "properties": {"unit": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": false,
    });
    let spec = ToolSpec::new(name, "Counts.", parameters);
    let body = move |arguments: Value, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if arguments["n"] == 13 {
                return Err(Error::new(ErrorKind::ToolFailed, "unlucky"));
            }
            Ok(ToolOutput::json(&json!({"n": arguments["n"], "unit": arguments["unit"], "call": number})))
        }
    };
    Arc::new(dynamic(spec, body).effect(effect))
}

async fn called(tool: &CodeTool, context: &RunContext, code: &str) -> Result<ToolOutput> {
    let run = context.child("tool/0/0");
    let context = ToolContext { run: &run, call_id: "c", idempotency_key: "k" };
    tool.call(json!({"code": code}), &context).await
}

async fn text(tool: &CodeTool, code: &str) -> String {
    let output = called(tool, &RunContext::new(), code).await.unwrap();
    output.content[0].as_text().unwrap().to_owned()
}

#[tokio::test]
async fn code_calls_tools_by_place_and_by_name_and_reads_their_json() {
    let count = Arc::default();
    let tool = CodeTool::new([counting("fetch-item.1", Effect::Pure, &count)]).unwrap_err();
    assert!(tool.to_string().contains("cannot be the name of a tool"), "{tool}");
    let tool = CodeTool::new([counting("fetch-item", Effect::Pure, &count)]).unwrap();
    assert!(tool.spec().description.contains("def fetch_item(n: int, unit: str = None)\n    Counts."));
    let code = "a = fetch_item(1)\nb = fetch_item(n=2, unit='km')\nprint(a['n'])\n[a['call'], b['unit']]";
    assert_eq!(text(&tool, code).await, r#"{"output":"1\n","result":[0,"km"]}"#);
    assert_eq!(text(&tool, "x = 1").await, r#"{"result":null}"#);
}

#[tokio::test]
async fn what_goes_wrong_is_told_so_that_the_model_can_correct_it() {
    let count = Arc::default();
    let tool = CodeTool::new([counting("item", Effect::Pure, &count)]).unwrap();
    for (code, expected) in [
        ("x = = 1", "SyntaxError"),
        ("print('so far')\n1 / 0", "ZeroDivisionError"),
        (
            "item()",
            "the arguments of `item` do not match its schema: at the top: \"n\" is a required property",
        ),
        ("item('x')", "at `/n`: \"x\" is not of type \"integer\""),
        ("item(1, 'km', 3)", "`item` takes 2 arguments, and 3 were given"),
        ("item(1, n=2)", "`item` was given `n` twice"),
        ("item(n=13)", "the tool `item` failed: unlucky"),
        ("other(1)", "NameError"),
        ("import os\nos.system('ls')", "Error"),
    ] {
        let output = called(&tool, &RunContext::new(), code).await.unwrap();
        let told = output.content[0].as_text().unwrap();
        assert!(output.is_error && told.contains(expected), "{code}: {told}");
    }
    let told = text(&tool, "print('so far')\n1 / 0").await;
    assert!(told.ends_with("printed before:\nso far\n"), "{told}");
    assert_eq!(
        text(&tool, "try:\n    item(13)\nexcept RuntimeError as e:\n    r = str(e)\nr").await,
        r#"{"result":"the tool `item` failed: unlucky"}"#
    );
    assert_eq!(count.load(Ordering::SeqCst), 2, "calls that do not fit are not made");
}

#[tokio::test]
async fn calls_that_a_person_must_agree_to_are_not_made_from_code() {
    let count = Arc::default();
    let tools = [counting("item", Effect::AtMostOnce, &count)];
    let tool = CodeTool::new(tools).unwrap().approvals(ApprovalPolicy::Named(vec!["item".into()]));
    let told = text(&tool, "item(1)").await;
    assert!(told.contains("call the tool `item` itself instead of from code"), "{told}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_agents_behind_functions_spend_is_summed() {
    let spec = ToolSpec::new("ask", "", json!({"type": "object", "properties": {}}));
    let spent = Spent { usage: Usage::new(3, 4), cost: Some(Cost::from_nanos(5)) };
    let ask =
        dynamic(
            spec,
            move |_, _| async move { Ok(ToolOutput { spent: Some(spent), ..ToolOutput::text("yes") }) },
        );
    let tool = CodeTool::new([Arc::new(ask) as Arc<dyn Tool>]).unwrap();
    let output = called(&tool, &RunContext::new(), "[ask() for _ in range(3)][0]").await.unwrap();
    assert_eq!(output.spent, Some(Spent { usage: Usage::new(9, 12), cost: Some(Cost::from_nanos(15)) }));
    assert_eq!(output.content[0].as_text(), Some(r#"{"result":"yes"}"#));
}

#[tokio::test]
async fn what_an_agent_within_a_function_spends_is_summed_with_the_rest() {
    let spec = |name: &str| ToolSpec::new(name, "", json!({"type": "object", "properties": {}}));
    let spent = Spent { usage: Usage::new(3, 4), cost: Some(Cost::from_nanos(5)) };
    let tells = dynamic(spec("tells"), move |_, _| async move {
        Ok(ToolOutput { spent: Some(spent), ..ToolOutput::text("yes") })
    });
    let silent = dynamic(spec("silent"), |_, context: crate::function::CallContext| async move {
        let model = TestModel::new(&[says("yes").spending(10, 20, 30)]);
        let inner = Agent::builder("inner", model_id()).build().unwrap();
        Ok(ToolOutput::text(driver::run(&context.run, &inner, model, "go").await.text))
    });
    let tool = CodeTool::new([Arc::new(tells) as Arc<dyn Tool>, Arc::new(silent)]).unwrap();
    let output = called(&tool, &RunContext::new(), "[tells(), silent()]").await.unwrap();
    assert_eq!(output.content[0].as_text(), Some(r#"{"result":["yes","yes"]}"#));
    assert_eq!(output.spent, Some(Spent { usage: Usage::new(13, 24), cost: Some(Cost::from_nanos(35)) }));
}

#[tokio::test]
async fn calls_of_a_run_that_ends_are_not_swallowed_by_the_code() {
    let spec = ToolSpec::new("stop", "", json!({"type": "object", "properties": {}}));
    let stop = dynamic(spec, |_, _| async { Err(Error::new(ErrorKind::Cancelled, "the run ends")) });
    let tool = CodeTool::new([Arc::new(stop) as Arc<dyn Tool>]).unwrap();
    let error = called(&tool, &RunContext::new(), "try:\n    stop()\nexcept BaseException: pass\n1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

fn agent(count: &Arc<AtomicU32>, effect: Effect) -> Agent {
    let code = CodeTool::new([counting("item", effect, count)]).unwrap();
    Agent::builder("a", model_id()).tool(code).build().unwrap()
}

const THREE: &str = r#"{"code": "[item(i)['call'] for i in range(3)]"}"#;

/// Gives the records of a whole run of three calls in code.
async fn recorded(effect: Effect) -> Vec<Record> {
    let (count, model) =
        (Arc::default(), TestModel::new(&[calls(&[("c", "run_python", THREE)]), says("done")]));
    let context = RunContext::new();
    let result = driver::run(&context, &agent(&count, effect), model, "go").await;
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(result.tool_history[0].result, r#"{"result":[0,1,2]}"#);
    context.log().records()
}

#[tokio::test]
async fn a_run_resumed_after_any_record_repeats_no_call_that_was_answered() {
    let records = recorded(Effect::Idempotent).await;
    let steps: Vec<&str> = records.iter().map(Record::step).collect();
    assert!(steps.contains(&"tool/0/0/call/2"), "{steps:?}");
    for kept in 0..=records.len() {
        let log: MemoryLog = records[..kept].iter().cloned().collect();
        let answered = (0..3)
            .filter(|n| log.lookup(&format!("tool/0/0/call/{n}")).is_some_and(|state| state.result.is_some()))
            .count();
        let (count, model) =
            (Arc::default(), TestModel::new(&[calls(&[("c", "run_python", THREE)]), says("done")]));
        let context = RunContext::with_log(RunId::new(), Arc::new(log));
        let result = driver::run(&context, &agent(&count, Effect::Idempotent), model, "go").await;
        assert_eq!(result.outcome, Outcome::Completed, "after {kept} records");
        assert_eq!(count.load(Ordering::SeqCst) as usize, 3 - answered, "after {kept} records");
    }
}

#[tokio::test]
async fn a_call_from_code_whose_outcome_is_unknown_waits_for_a_person() {
    let records = recorded(Effect::AtMostOnce).await;
    let second = records.iter().position(|record| record.step() == "tool/0/0/call/1").unwrap();
    let log: MemoryLog = records[..=second].iter().cloned().collect();
    let (count, model) =
        (Arc::default(), TestModel::new(&[calls(&[("c", "run_python", THREE)]), says("done")]));
    let context = RunContext::with_log(RunId::new(), Arc::new(log));
    let result = driver::run(&context, &agent(&count, Effect::AtMostOnce), model, "go").await;
    assert_eq!(result.outcome, Outcome::Waiting);
    assert_eq!((result.questions[0].tool.as_str(), count.load(Ordering::SeqCst)), ("run_python", 0));
}

#[tokio::test]
async fn an_agent_called_from_code_that_waits_for_a_person_parks_the_run() {
    let count = Arc::default();
    let inner = || {
        let tools = [counting("item", Effect::AtMostOnce, &count)];
        let agent = Agent::builder("buyer", model_id()).tools(tools).approvals(ApprovalPolicy::Always);
        let turns = [calls(&[("i", "item", r#"{"n": 1}"#)]), says("bought")];
        crate::AgentTool::new(agent.build().unwrap(), TestModel::new(&turns))
    };
    let outer = || {
        let code = CodeTool::new([Arc::new(inner()) as Arc<dyn Tool>]).unwrap();
        Agent::builder("a", model_id()).tool(code).build().unwrap()
    };
    let code = r#"{"code": "try:\n    r = buyer('buy')\nexcept RuntimeError as e:\n    r = str(e)\nr"}"#;
    let turns = [calls(&[("c", "run_python", code)]), says("done")];
    let context = RunContext::new();
    let parked = driver::run(&context, &outer(), TestModel::new(&turns), "go").await;
    assert_eq!((parked.outcome, count.load(Ordering::SeqCst)), (Outcome::Waiting, 0));
    assert_eq!(parked.questions[0].step, "tool/0/0/call/0/decision/0/0/approval");
    let decided = context.with_decisions(Arc::new(Approves));
    let result = driver::run(&decided, &outer(), TestModel::new(&turns), "go").await;
    assert_eq!((&result.outcome, count.load(Ordering::SeqCst)), (&Outcome::Completed, 1));
    assert_eq!(result.tool_history[0].result, r#"{"result":"bought"}"#);
}

struct Approves;

#[async_trait]
impl motet_core::decision::Decisions for Approves {
    async fn decide(
        &self,
        _: &motet_core::decision::Question,
    ) -> Result<Option<motet_core::decision::Decision>> {
        Ok(Some(motet_core::decision::Decision::Approve { arguments: None }))
    }
}

#[tokio::test]
async fn another_try_that_a_person_allowed_repeats_only_what_is_unknown() {
    let records = recorded(Effect::AtMostOnce).await;
    let second = records.iter().position(|record| record.step() == "tool/0/0/call/1").unwrap();
    let log: MemoryLog = records[..=second].iter().cloned().collect();
    let (count, model) =
        (Arc::default(), TestModel::new(&[calls(&[("c", "run_python", THREE)]), says("done")]));
    let context = RunContext::with_log(RunId::new(), Arc::new(log)).with_decisions(Arc::new(Approves));
    let result = driver::run(&context, &agent(&count, Effect::AtMostOnce), model, "go").await;
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(count.load(Ordering::SeqCst), 2, "the first call was answered before the crash");
    assert_eq!(result.tool_history[0].result, r#"{"result":[0,0,1]}"#);
}

/// Counts its calls, and finds out what became of one in a way of its own.
struct Settles {
    counts: Arc<dyn Tool>,
    knows: Knows,
}

#[derive(Clone, Copy, Debug)]
enum Knows {
    Done,
    NotDone,
    Unknown,
    Fails,
    Panics,
    Hangs,
}

#[async_trait]
impl Tool for Settles {
    fn spec(&self) -> &ToolSpec {
        self.counts.spec()
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        self.counts.call(arguments, context).await
    }

    fn effect(&self) -> Effect {
        Effect::Reconcile
    }

    async fn reconcile(&self, _: &Value, _: &ToolContext<'_>) -> Result<Reconciled> {
        match self.knows {
            Knows::Done => Ok(Reconciled::Done(ToolOutput::json(&json!({"call": 7})))),
            Knows::NotDone => Ok(Reconciled::NotDone),
            Knows::Unknown => Ok(Reconciled::Unknown),
            Knows::Fails => Err(Error::new(ErrorKind::ToolFailed, "no connection")),
            Knows::Panics => panic!("it broke down"),
            Knows::Hangs => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_tool_called_from_code_finds_out_what_it_did_or_a_person_is_asked() {
    let records = recorded(Effect::Reconcile).await;
    let second = records.iter().position(|record| record.step() == "tool/0/0/call/1").unwrap();
    for (knows, expected) in [
        (Knows::Done, Some((r#"{"result":[0,7,0]}"#, 1))),
        (Knows::NotDone, Some((r#"{"result":[0,0,1]}"#, 2))),
        (Knows::Unknown, None),
        (Knows::Fails, None),
        (Knows::Panics, None),
        (Knows::Hangs, None),
    ] {
        let count: Arc<AtomicU32> = Arc::default();
        let agent = || {
            let tool = Settles { counts: counting("item", Effect::Reconcile, &count), knows };
            let code = CodeTool::new([Arc::new(tool) as Arc<dyn Tool>]).unwrap();
            let code = code.call_timeout(Duration::from_millis(50));
            Agent::builder("a", model_id()).tool(code).build().unwrap()
        };
        let turns = [calls(&[("c", "run_python", THREE)]), says("done")];
        let log: MemoryLog = records[..=second].iter().cloned().collect();
        let context = RunContext::with_log(RunId::new(), Arc::new(log));
        let result = driver::run(&context, &agent(), TestModel::new(&turns), "go").await;
        let Some((answer, made)) = expected else {
            assert_eq!((&result.outcome, count.load(Ordering::SeqCst)), (&Outcome::Waiting, 0), "{knows:?}");
            assert_eq!(result.questions[0].tool, "run_python");
            // A person lets it be tried again.
            let decided = context.with_decisions(Arc::new(Approves));
            let result = driver::run(&decided, &agent(), TestModel::new(&turns), "go").await;
            assert_eq!(result.tool_history[0].result, r#"{"result":[0,0,1]}"#, "{knows:?}");
            continue;
        };
        assert_eq!(result.outcome, Outcome::Completed, "{knows:?}");
        assert_eq!((result.tool_history[0].result.as_str(), count.load(Ordering::SeqCst)), (answer, made));
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_its_code() {
    let code = CodeTool::new([]).unwrap().limits(long());
    let agent = Agent::builder("a", model_id()).tool(code).build().unwrap();
    let model =
        TestModel::new(&[calls(&[("c", "run_python", r#"{"code": "while True: pass"}"#)]), says("x")]);
    let stop = tokio_util::sync::CancellationToken::new();
    let context = RunContext::new().with_cancellation(stop.clone());
    let begun = context.clone();
    let run = tokio::spawn(async move { driver::run(&begun, &agent, model, "go").await });
    while context.log().lookup("tool/0/0").is_none() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert_eq!(run.await.unwrap().outcome, Outcome::Cancelled);
}

fn long() -> Limits {
    let mut limits = Limits::default();
    limits.time = Duration::from_secs(600);
    limits
}

#[tokio::test]
async fn a_deadline_ends_code_and_a_tools_timeout_is_told_to_the_model() {
    let code = CodeTool::new([]).unwrap().limits(long()).timeout(Duration::from_millis(50));
    let agent = Agent::builder("a", model_id()).tool(code).build().unwrap();
    let turns = [calls(&[("c", "run_python", r#"{"code": "while True: pass"}"#)]), says("sorry")];
    let result = driver::run(&RunContext::new(), &agent, TestModel::new(&turns), "go").await;
    assert_eq!((result.outcome, result.text.as_str()), (Outcome::Completed, "sorry"));
    assert!(result.tool_history[0].is_error && result.tool_history[0].result.contains("50ms"));
    let code = CodeTool::new([]).unwrap().limits(long());
    let agent = Agent::builder("a", model_id()).tool(code).build().unwrap();
    let context = RunContext::new().with_timeout(Duration::from_millis(50));
    let result = driver::run(&context, &agent, TestModel::new(&turns), "go").await;
    assert_eq!(result.outcome, Outcome::DeadlinePassed);
}

#[tokio::test]
async fn steps_of_other_runs_are_told_apart_and_messages_stay_paired() {
    let transcript = Mutex::new(Vec::<Message>::new());
    let count = Arc::default();
    let model =
        TestModel::new(&[calls(&[("a", "run_python", THREE), ("b", "run_python", THREE)]), says("done")]);
    let result = driver::run(&RunContext::new(), &agent(&count, Effect::Pure), model, "go").await;
    transcript.lock().unwrap().extend(result.messages.clone());
    let answers = result.messages.iter().filter(|message| message.role == Role::Tool).count();
    assert_eq!((answers >= 1, count.load(Ordering::SeqCst)), (true, 6));
    let step = Step { name: "x", kind: StepKind::Tool, request_hash: "h", effect: Effect::Pure, label: "x" };
    assert!(matches!(RunContext::new().begin(step).await.unwrap(), Begun::Fresh(_)));
}
