//! Runs of agents, each through the blocking and the streaming driver, with equal results demanded.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use motet_core::message::ToolResult;
use motet_core::run_log::{Entry, MemoryLog, Record, RunLog, Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{Cost, FinishReason, Message, Part, Role, RunId, Usage};
use tokio::sync::Notify;

use super::*;
use crate::agent::AgentBuilder;
use crate::function::{CallContext, FunctionTool, NoArguments, function};
use crate::machine::Outcome;
use crate::test_double::{BrokenModel, TestModel, Turn, calls, model_id, says};

mod properties;
mod resume;
mod scenarios;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Double {
    /// The number to double.
    n: i64,
}

fn double() -> FunctionTool {
    function("double", "Doubles a number.", |args: Double, _| async move { Ok(args.n * 2) })
}

fn agent(tools: impl IntoIterator<Item = FunctionTool>) -> AgentBuilder {
    let builder = Agent::builder("test", model_id());
    tools.into_iter().fold(builder, AgentBuilder::tool)
}

/// Runs the agent through both drivers, demands the same result from both, and gives it.
async fn both(agent: AgentBuilder, turns: &[Turn]) -> AgentResult {
    let agent = agent.build().unwrap();
    let plain = run(&RunContext::new(), &agent, TestModel::new(turns), "go").await;
    let mut events = stream(&RunContext::new(), &agent, TestModel::new(turns), "go");
    let (mut text, mut error) = (String::new(), None);
    while let Some(event) = events.next().await {
        match event {
            Ok(StreamEvent::TextDelta { text: piece, .. }) => text.push_str(&piece),
            Ok(_) => {}
            Err(problem) => error = Some(problem.report()),
        }
    }
    assert_eq!(events.finish().await, plain, "streamed and plain differ");
    assert_eq!(error, plain.error().map(|error| error.report()), "the stream ends with the error of the run");
    let answers = plain.new_messages().iter().filter(|message| message.role == Role::Assistant);
    let shown: String = answers.chain(&plain.partial).map(Message::visible_text).collect();
    assert_eq!(text, shown, "the stream shows the text of the transcript and no other");
    assert_valid(&plain);
    plain
}

/// Demands that each answer with tool calls is followed by their results in the order asked.
fn assert_valid(result: &AgentResult) {
    let mut messages = result.messages.iter().peekable();
    while let Some(message) = messages.next() {
        let asked: Vec<_> = message.tool_calls().map(|call| (&call.id, &call.name)).collect();
        if !asked.is_empty() {
            let answers = messages.next().expect("tool calls are answered");
            assert_eq!(answers.role, Role::Tool);
            let answered: Vec<_> = results(answers).map(|result| (&result.id, &result.name)).collect();
            assert_eq!(answered, asked);
        } else {
            assert_ne!(message.role, Role::Tool, "a result that answers nothing");
        }
    }
}

fn results(message: &Message) -> impl Iterator<Item = &ToolResult> {
    message.parts.iter().map(|part| match part {
        Part::ToolResult(result) => result,
        other => panic!("a tool result was expected, not {other:?}"),
    })
}

fn told(result: &AgentResult) -> Vec<&str> {
    result.tool_history.iter().map(|tool| tool.result.as_str()).collect()
}

fn failure(result: &AgentResult) -> ErrorKind {
    match &result.outcome {
        Outcome::Failed(report) => report.kind,
        other => panic!("a failure was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_plain_answer_is_the_whole_run() {
    let result = both(agent([]), &[says("Hello!").spending(3, 2, 10)]).await;
    assert_eq!((&result.outcome, result.text.as_str()), (&Outcome::Completed, "Hello!"));
    assert_eq!(result.messages, [Message::user("go"), Message::assistant("Hello!")]);
    assert_eq!((result.model_calls, result.finish_reason), (1, Some(FinishReason::Stop)));
}

#[tokio::test]
async fn the_model_reads_what_its_tool_answered() {
    let turns = [calls(&[("a", "double", "{\"n\":4}")]), says("It is 8.")];
    let model = TestModel::new(&turns);
    let result = run(&RunContext::new(), &agent([double()]).build().unwrap(), model.clone(), "go").await;
    assert_eq!((result.text.as_str(), told(&result)), ("It is 8.", vec!["8"]));
    assert_eq!(model.requests()[1].messages, result.messages[..3]);
    assert_eq!(both(agent([double()]), &turns).await, result);
}

#[tokio::test]
async fn parallel_tools_answer_in_the_order_asked_even_when_the_last_is_ready_first() {
    let ready = Arc::new(Notify::new());
    let waiting = Arc::clone(&ready);
    let first = function("first", "", move |_: NoArguments, _| {
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.notified().await;
            Ok("one")
        }
    });
    let second = function("second", "", move |_: NoArguments, _| {
        ready.notify_one();
        async { Ok("two") }
    });
    let turns = [calls(&[("a", "first", ""), ("b", "second", "")]), says("done")];
    let result = both(agent([first, second]), &turns).await;
    assert_eq!(told(&result), ["one", "two"]);
}

#[tokio::test]
async fn no_more_tools_run_at_once_than_allowed() {
    let (now, peak) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (running, most) = (Arc::clone(&now), Arc::clone(&peak));
    let tool = function("busy", "", move |_: NoArguments, _| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let turns = [calls(&["a", "b", "c", "d", "e"].map(|id| (id, "busy", ""))), says("done")];
    let result = both(agent([tool]).max_parallel_tools(2), &turns).await;
    assert_eq!((result.tool_history.len(), peak.load(Ordering::SeqCst)), (5, 2));
}

#[tokio::test]
async fn a_wrong_call_is_answered_and_can_be_corrected() {
    for (name, arguments, reason) in [
        ("duoble", "{\"n\":4}", "there is no tool `duoble`; the nearest names are `double`"),
        ("double", "{\"n\":", "not valid JSON"),
        ("double", "{\"n\":\"four\"}", "\"four\" is not of type \"integer\""),
        ("double", "{}", "\"n\" is a required property"),
        ("double", "{\"n\":4,\"m\":5}", "Additional properties are not allowed ('m' was unexpected)"),
    ] {
        let turns =
            [calls(&[("a", name, arguments)]), calls(&[("b", "double", "{\"n\":4}")]), says("It is 8.")];
        let result = both(agent([double()]), &turns).await;
        assert_eq!((&result.outcome, result.model_calls), (&Outcome::Completed, 3), "{arguments}");
        let wrong = &result.tool_history[0];
        assert!(wrong.result.contains(reason), "`{}` lacks `{reason}`", wrong.result);
        assert!(wrong.is_error && !wrong.executed);
        assert_eq!(result.tool_history[1].result, "8");
    }
}

#[tokio::test]
async fn failures_and_panics_of_a_tool_are_told_to_the_model() {
    let failing = function("failing", "", |_: NoArguments, _| async {
        Err::<(), _>(Error::new(ErrorKind::NotFound, "no file `a`").with_hint("make it"))
    });
    let panicking = function("panicking", "", |_: NoArguments, _| async {
        if true {
            panic!("tooth broken");
        }
        Ok(())
    });
    let turns =
        [calls(&[("a", "failing", ""), ("b", "panicking", ""), ("c", "double", "{\"n\":1}")]), says("oh")];
    let result = both(agent([failing, panicking, double()]), &turns).await;
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(
        told(&result),
        [
            "the tool `failing` failed: no file `a`; hint: make it",
            "the tool `panicking` broke down: tooth broken",
            "2"
        ]
    );
    assert!(result.tool_history[0].is_error && result.tool_history[1].is_error);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_takes_too_long_is_stopped_and_the_model_is_told() {
    let hangs = || function("hangs", "", |_: NoArguments, _| futures::future::pending::<Result<()>>());
    let turns = [calls(&[("a", "hangs", "")]), says("oh")];
    let start = tokio::time::Instant::now();
    let result = both(agent([hangs()]).tool_timeout(Duration::from_secs(5)), &turns).await;
    assert_eq!(start.elapsed().as_secs(), 10, "twice, once for each driver");
    assert_eq!(
        told(&result),
        ["the tool `hangs` gave no answer within 5s and was stopped; it may have taken effect"]
    );
    let own = both(agent([hangs().timeout(Duration::from_secs(2))]), &turns).await;
    assert!(told(&own)[0].contains("within 2s"));
}

#[tokio::test]
async fn the_limit_of_calls_keeps_what_there_is() {
    let call = |id| calls(&[(id, "double", "{\"n\":4}")]).spending(10, 1, 5);
    let result = both(agent([double()]).max_iterations(2), &[call("a"), call("b")]).await;
    assert_eq!((&result.outcome, result.model_calls), (&Outcome::LimitReached, 2));
    assert_eq!(told(&result), ["8", "not run: the limit of 2 model calls is reached"]);
    assert_eq!((result.usage, result.cost), (Usage::new(20, 2), Some(Cost::from_nanos(10))));
    assert_eq!(result.into_result().unwrap_err().kind(), ErrorKind::LimitReached);
}

#[tokio::test]
async fn a_failing_model_ends_the_run_and_what_was_done_stays() {
    let turns =
        [calls(&[("a", "double", "{\"n\":4}")]).spending(10, 1, 5), Turn::Fail(ErrorKind::Overloaded)];
    let result = both(agent([double()]), &turns).await;
    assert_eq!(failure(&result), ErrorKind::Overloaded);
    assert_eq!((told(&result), result.messages.len(), result.model_calls), (vec!["8"], 3, 2));
    assert_eq!((result.usage, result.cost), (Usage::new(10, 1), Some(Cost::from_nanos(5))));
    let error = result.into_result().unwrap_err();
    assert_eq!(error.message(), "the model is out of order");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_its_beginning_is_kept() {
    let turns =
        [calls(&[("a", "double", "{\"n\":4}")]).spending(1, 1, 5), says("It is").spending(7, 2, 9).cut_off()];
    let result = both(agent([double()]), &turns).await;
    assert_eq!(failure(&result), ErrorKind::Truncated);
    assert_eq!(result.partial.as_ref().map(Message::visible_text).as_deref(), Some("It is"));
    assert_eq!((result.text.as_str(), result.messages.len()), ("", 3));
    assert_eq!((result.usage, result.cost), (Usage::new(8, 3), None));

    let model = Arc::new(BrokenModel(says("Once upon")));
    let broken = run(&RunContext::new(), &agent([]).build().unwrap(), model, "go").await;
    assert_eq!(failure(&broken), ErrorKind::Connection);
    assert_eq!(broken.partial.unwrap().visible_text(), "Once upon");
}

#[tokio::test]
async fn usage_and_cost_are_the_sums_over_all_calls() {
    let turns = |nanos: Option<u64>| {
        [
            calls(&[("a", "double", "{\"n\":1}")]).spending(10, 1, 100),
            calls(&[("b", "double", "{\"n\":2}")]).spending(20, 2, nanos),
            says("done").spending(30, 3, 300),
        ]
    };
    let known = both(agent([double()]), &turns(Some(200))).await;
    assert_eq!((known.usage, known.cost), (Usage::new(60, 6), Some(Cost::from_nanos(600))));
    let unknown = both(agent([double()]), &turns(None)).await;
    assert_eq!((unknown.usage, unknown.cost), (Usage::new(60, 6), None));
}

#[tokio::test]
async fn a_tool_may_end_the_run() {
    let tool = function("quit", "", |_: NoArguments, _| async {
        Err::<(), _>(Error::new(ErrorKind::Cancelled, "the person said no"))
    });
    let result = both(agent([tool]), &[calls(&[("a", "quit", "")])]).await;
    assert_eq!(result.outcome, Outcome::Cancelled);
    assert_eq!(told(&result), ["the run was cancelled before this call had a result"]);
}

#[tokio::test]
async fn cancelling_stops_a_tool_where_it_stands() {
    let context = RunContext::new();
    let token = context.cancellation().clone();
    let (dropped, tool) = hanging_tool(move || token.cancel());
    let turns = [calls(&[("a", "hangs", ""), ("b", "double", "{\"n\":1}")])];
    let agent = agent([tool, double()]).max_parallel_tools(1).build().unwrap();
    let result = run(&context, &agent, TestModel::new(&turns), "go").await;
    assert_eq!(result.outcome, Outcome::Cancelled);
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(told(&result), ["the run was cancelled before this call had a result"; 2]);
    assert_valid(&result);
}

#[tokio::test]
async fn cancelling_during_an_answer_keeps_its_beginning() {
    let agent = agent([]).build().unwrap();
    let context = RunContext::new();
    let mut events = stream(&context, &agent, TestModel::new(&[says("Wait").hanging()]), "go");
    while let Some(event) = events.next().await {
        match event {
            Ok(StreamEvent::TextDelta { text, .. }) if text == "t" => context.cancellation().cancel(),
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        }
    }
    let result = events.finish().await;
    assert_eq!(result.outcome, Outcome::Cancelled);
    assert_eq!(result.partial.unwrap().visible_text(), "Wait");
}

#[tokio::test]
async fn a_cancelled_context_calls_nothing() {
    let context = RunContext::new();
    context.cancellation().cancel();
    let model = TestModel::new(&[says("no")]);
    let result = run(&context, &agent([]).build().unwrap(), model.clone(), "go").await;
    assert_eq!((result.outcome, result.model_calls), (Outcome::Cancelled, 0));
    assert!(model.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_an_outcome_of_its_own() {
    let context = RunContext::new().with_timeout(Duration::from_secs(60));
    let model = TestModel::new(&[says("Wait").hanging()]);
    let result = run(&context, &agent([]).build().unwrap(), model, "go").await;
    assert_eq!(result.outcome, Outcome::DeadlinePassed);
    assert_eq!(result.into_result().unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn dropping_the_stream_stops_everything() {
    let (dropped, tool) = hanging_tool(|| {});
    let agent = agent([tool]).build().unwrap();
    let mut events =
        stream(&RunContext::new(), &agent, TestModel::new(&[calls(&[("a", "hangs", "")])]), "go");
    while !matches!(events.next().await, Some(Ok(StreamEvent::ToolStarted { .. }))) {}
    assert!(!dropped.load(Ordering::SeqCst));
    drop(events);
    assert!(dropped.load(Ordering::SeqCst));
}

/// A tool that does something and then never ends, and a flag that tells when it is dropped.
fn hanging_tool(first: impl Fn() + Send + Sync + 'static) -> (Arc<AtomicBool>, FunctionTool) {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let tool = function("hangs", "", move |_: NoArguments, _| {
        let flag = Flag(Arc::clone(&flag));
        first();
        async move {
            futures::future::pending::<()>().await;
            drop(flag);
            Ok(())
        }
    });
    (dropped, tool)
}

#[tokio::test]
async fn the_stream_tells_each_thing_as_it_happens() {
    let turns = [calls(&[("a", "double", "{\"n\":4}"), ("b", "nope", "")]).spending(1, 1, 1), says("8")];
    let agent = agent([double()]).build().unwrap();
    let context = RunContext::new().child("chat");
    let events: Vec<_> =
        stream(&context, &agent, TestModel::new(&turns), "go").map(Result::unwrap).collect().await;
    let lines: Vec<_> = events.iter().filter_map(line).collect();
    assert_eq!(
        lines,
        [
            "model chat/model/0",
            "call a double",
            "call b nope",
            "answered chat/model/0 replayed=false",
            "tool call `nope` was refused: not run: there is no tool `nope`; the nearest names are `double`",
            "tool chat/tool/0/0 a double",
            "ended chat/tool/0/0 a double error=false",
            "model chat/model/1",
            "text 8",
            "answered chat/model/1 replayed=false",
        ]
    );
}

fn line(event: &StreamEvent) -> Option<String> {
    Some(match event {
        StreamEvent::ModelCallStarted { step, .. } => format!("model {step}"),
        StreamEvent::ModelCallEnded { step, replayed, .. } => format!("answered {step} replayed={replayed}"),
        StreamEvent::ToolCallStarted { id, name, .. } => format!("call {id} {name}"),
        StreamEvent::ToolStarted { step, id, name } => format!("tool {step} {id} {name}"),
        StreamEvent::ToolEnded { step, id, name, is_error } => {
            format!("ended {step} {id} {name} error={is_error}")
        }
        StreamEvent::TextDelta { text, .. } => format!("text {text}"),
        StreamEvent::Warning { message } => message.clone(),
        _ => return None,
    })
}

#[tokio::test]
async fn a_tool_works_below_its_own_step_with_a_key_of_its_own() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keys = Arc::clone(&seen);
    let tool = function("nested", "", move |_: NoArguments, context: CallContext| {
        keys.lock().unwrap().push(context.idempotency_key.clone());
        async move {
            let step = Step {
                name: "inner",
                kind: StepKind::Value,
                request_hash: "h",
                effect: Effect::Pure,
                label: "inner",
            };
            context.run.step(step, || async { Ok(5) }).await
        }
    });
    let context = RunContext::new();
    let agent = agent([tool]).build().unwrap();
    let turns = [calls(&[("a", "nested", "")]), says("done")];
    let result = run(&context, &agent, TestModel::new(&turns), "go").await;
    assert_eq!(told(&result), ["5"]);
    assert!(context.log().lookup("tool/0/0/inner").is_some());
    assert_eq!(*seen.lock().unwrap(), [format!("{}/tool/0/0", context.run_id())]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_run() {
    struct FullLog;
    #[async_trait::async_trait]
    impl RunLog for FullLog {
        fn lookup(&self, _: &str) -> Option<motet_core::run_log::StepState> {
            None
        }
        async fn append(&self, _: Vec<Record>) -> Result<()> {
            Err(Error::new(ErrorKind::Store, "the disk is full"))
        }
        fn records(&self) -> Vec<Record> {
            Vec::new()
        }
    }
    let context = RunContext::with_log(RunId::new(), Arc::new(FullLog));
    let model = TestModel::new(&[says("no")]);
    let result = run(&context, &agent([]).build().unwrap(), model.clone(), "go").await;
    assert_eq!(failure(&result), ErrorKind::Store);
    assert!(model.requests().is_empty(), "what cannot be recorded is not called");
}

#[tokio::test]
async fn runs_may_move_between_threads() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let agent = agent([double()]).build().unwrap();
    let context = RunContext::new();
    let result = sent(run(&context, &agent, TestModel::new(&[says("hi")]), "go")).await;
    let events = sent(stream(&RunContext::new(), &agent, TestModel::new(&[says("hi")]), "go"));
    assert_eq!(events.finish().await, result);
}
