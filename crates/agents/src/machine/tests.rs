//! The machine alone: no model, no tool, no runtime.

use motet_core::message::{ToolCall, ToolResult};
use motet_core::request::ToolSpec;
use motet_core::{Part, Role};
use serde_json::json;

use super::*;
use crate::test_double::{Turn, calls, model_id, says};

fn spec(name: &str) -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "additionalProperties": false,
    });
    ToolSpec::new(name, "", parameters)
}

fn limits() -> RunLimits {
    RunLimits { max_model_calls: 3, max_tool_result_chars: 100, ..RunLimits::default() }
}

fn start(limits: RunLimits) -> AgentRun {
    let tools = ToolSet::new(vec![spec("add"), spec("search"), spec("search_web")]).unwrap();
    AgentRun::new(ChatRequest::new(model_id(), vec![Message::user("go")]), Arc::new(tools), limits)
}

fn answer(run: &mut AgentRun, turn: Turn) {
    assert!(matches!(run.next_action(), Action::CallModel { .. }));
    let Turn::Answer(response) = turn else { unreachable!() };
    run.answered(response).unwrap();
}

fn tools(run: &mut AgentRun) -> ToolRound {
    match run.next_action() {
        Action::RunTools(round) => round,
        other => panic!("tools were expected, not {other:?}"),
    }
}

/// The ids and texts of the results in the newest tool message.
fn results(run: &AgentRun) -> Vec<(String, String, bool)> {
    let message = run.request.messages.iter().rfind(|message| message.role == Role::Tool).unwrap();
    let result = |part: &Part| match part {
        Part::ToolResult(result) => (result.id.clone(), result.text(), result.is_error),
        other => panic!("a tool result was expected, not {other:?}"),
    };
    message.parts.iter().map(result).collect()
}

/// What the model is told when it makes this call as the last of an answer that ended for this reason.
fn told(name: &str, arguments: &str, reason: FinishReason) -> Option<String> {
    let mut run = start(limits());
    answer(&mut run, calls(&[("c", name, arguments)]).finishing(reason));
    tools(&mut run).refused.pop().map(|refusal| refusal.reason)
}

#[test]
fn results_come_in_any_order_and_are_shown_in_the_order_asked() {
    let mut run = start(limits());
    answer(&mut run, calls(&[("a", "add", "{\"n\":1}"), ("b", "nope", "{}"), ("c", "search", "")]));
    let round = tools(&mut run);
    let asked: Vec<_> = round.calls.iter().map(|call| (call.index, call.arguments.clone())).collect();
    assert_eq!(asked, [(0, json!({"n": 1})), (2, json!({}))]);
    run.tool_ended(2, ToolOutput::text("third")).unwrap();
    assert!(matches!(run.next_action(), Action::Wait));
    run.tool_ended(0, ToolOutput::text("first")).unwrap();
    let refused = "not run: there is no tool `nope`; the nearest names are `search`, `search_web`, `add`";
    assert_eq!(
        results(&run),
        [
            ("a".into(), "first".into(), false),
            ("b".into(), refused.into(), true),
            ("c".into(), "third".into(), false)
        ]
    );
    answer(&mut run, says("done"));
    assert!(matches!(run.next_action(), Action::Finish));
    let result = run.into_result();
    let executed: Vec<_> = result.tool_history.iter().map(|tool| tool.executed).collect();
    assert_eq!((result.outcome, executed), (Outcome::Completed, vec![true, false, true]));
}

#[test]
fn a_call_that_cannot_be_run_is_answered_with_the_reason() {
    let asked = FinishReason::ToolCalls;
    for (name, arguments, reason) in [
        (
            "serch",
            "{}",
            "not run: there is no tool `serch`; the nearest names are `search`, `search_web`, `add`",
        ),
        (
            "add",
            "{\"n\":",
            "not run: arguments of tool call `add` are not valid JSON: EOF while parsing a value at line 1 column 5",
        ),
        (
            "add",
            "{\"n\":\"x\"}",
            "not run: the arguments of `add` do not match its schema: at `/n`: \"x\" is not of type \"integer\"",
        ),
        (
            "add",
            "[]",
            "not run: the arguments of `add` do not match its schema: at the top: [] is not of type \"object\"",
        ),
    ] {
        assert_eq!(told(name, arguments, asked).as_deref(), Some(reason));
    }
}

#[test]
fn no_arguments_are_an_empty_object_in_every_spelling() {
    for arguments in ["", "  ", "{}", "null", "{\"n\":null}"] {
        assert_eq!(told("add", arguments, FinishReason::ToolCalls), None, "{arguments}");
    }
}

#[test]
fn a_call_that_was_cut_off_is_not_run_with_half_its_arguments() {
    let reason = told("add", "", FinishReason::Length).unwrap();
    assert_eq!(
        reason,
        "not run: the answer was cut off by its length limit within this call: the call has no arguments yet"
    );
    assert!(told("add", "{\"n\"", FinishReason::Length).unwrap().contains("cut off by its length limit"));
    assert_eq!(told("add", "{\"n\":1}", FinishReason::Length), None);
}

#[test]
fn a_run_without_tools_says_so() {
    let request = ChatRequest::new(model_id(), vec![Message::user("go")]);
    let mut run = AgentRun::new(request, Arc::new(ToolSet::new(Vec::new()).unwrap()), limits());
    answer(&mut run, calls(&[("a", "add", "{}")]));
    assert_eq!(tools(&mut run).refused[0].reason, "not run: there is no tool `add`, nor any other");
    answer(&mut run, says("then not"));
}

#[test]
fn a_long_result_is_cut_with_a_notice_and_pictures_stay() {
    let picture = Part::Image(motet_core::message::Media {
        media_type: None,
        source: motet_core::message::MediaSource::Url("https://example.com/a.png".into()),
        name: None,
    });
    let mut run = start(RunLimits { max_tool_result_chars: 5, ..limits() });
    answer(&mut run, calls(&[("a", "add", ""), ("b", "add", "")]));
    tools(&mut run);
    let content = vec![Part::text("äöü"), picture.clone(), Part::text("äöü"), Part::text("more")];
    run.tool_ended(0, ToolOutput { content, ..ToolOutput::text("") }).unwrap();
    run.tool_ended(1, ToolOutput::text("äöüäö")).unwrap();
    let Part::ToolResult(ToolResult { content, .. }) = &run.request.messages[2].parts[0] else { panic!() };
    let cut = Part::text("äö\n[cut: the first 5 of 10 characters are shown]");
    assert_eq!(content, &[Part::text("äöü"), picture, cut]);
    assert_eq!(results(&run)[1].1, "äöüäö");
}

#[test]
fn the_last_model_call_may_not_start_tools_that_nobody_reads() {
    let mut run = start(RunLimits { max_model_calls: 1, ..limits() });
    answer(&mut run, calls(&[("a", "add", "{}")]));
    let round = tools(&mut run);
    assert_eq!((round.calls.len(), round.refused.len()), (0, 1));
    assert!(matches!(run.next_action(), Action::Finish));
    assert_eq!(results(&run), [("a".into(), "not run: the limit of 1 model calls is reached".into(), true)]);
    let result = run.into_result();
    assert_eq!(result.outcome, Outcome::LimitReached);
    let error = result.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
}

#[test]
fn calls_left_to_the_caller_end_the_run_in_sight() {
    let mut run = start(RunLimits { execute_tools: false, ..limits() });
    answer(&mut run, calls(&[("a", "add", "{\"n\":"), ("b", "nope", "{}")]));
    assert!(matches!(run.next_action(), Action::Finish));
    let result = run.into_result().into_result().unwrap();
    assert_eq!(result.outcome, Outcome::ToolsRequested);
    let asked: Vec<&ToolCall> = result.requested_calls().collect();
    assert_eq!((asked[0].arguments.as_str(), asked[1].name.as_str()), ("{\"n\":", "nope"));
    assert_eq!(result.new_messages().len(), 1);
}

#[test]
fn a_run_stopped_among_its_tools_answers_what_is_open() {
    let mut run = start(limits());
    answer(&mut run, calls(&[("a", "add", ""), ("b", "add", "")]));
    tools(&mut run);
    run.tool_ended(1, ToolOutput::text("second")).unwrap();
    run.stop(Stop::DeadlinePassed);
    let notice = "the run's deadline passed before this call had a result";
    assert_eq!(results(&run), [("a".into(), notice.into(), true), ("b".into(), "second".into(), false)]);
    assert!(matches!(run.next_action(), Action::Finish));
    run.stop(Stop::Cancelled);
    assert_eq!(run.into_result().outcome, Outcome::DeadlinePassed);
}

#[test]
fn what_nobody_asked_for_is_refused() {
    let Turn::Answer(response) = says("hello") else { unreachable!() };
    let mut run = start(limits());
    assert!(run.answered(response.clone()).is_err());
    assert!(run.tool_ended(0, ToolOutput::text("")).is_err());
    answer(&mut run, calls(&[("a", "add", ""), ("b", "nope", ""), ("c", "add", "")]));
    assert!(run.tool_ended(0, ToolOutput::text("before it was handed out")).is_err());
    tools(&mut run);
    run.tool_ended(0, ToolOutput::text("one")).unwrap();
    for index in [0, 1, 9] {
        assert_eq!(run.tool_ended(index, ToolOutput::text("")).unwrap_err().kind(), ErrorKind::Internal);
    }
    assert!(run.answered(response).is_err());
}

#[test]
fn a_forced_choice_of_tools_is_lifted_after_the_first_round() {
    let mut request = ChatRequest::new(model_id(), vec![Message::user("go")]);
    request.tool_choice = ToolChoice::Required;
    let mut run = AgentRun::new(request, Arc::new(ToolSet::new(vec![spec("add")]).unwrap()), limits());
    let Action::CallModel { request, number: 0, .. } = run.next_action() else { panic!() };
    assert_eq!(request.tool_choice, ToolChoice::Required);
    let Turn::Answer(response) = calls(&[("a", "add", "")]) else { unreachable!() };
    run.answered(response).unwrap();
    tools(&mut run);
    run.tool_ended(0, ToolOutput::text("1")).unwrap();
    let Action::CallModel { request, number: 1, .. } = run.next_action() else { panic!() };
    assert_eq!(request.tool_choice, ToolChoice::Auto);
}

#[test]
fn a_paused_turn_goes_on_with_what_there_is_of_it() {
    let mut run = start(limits());
    answer(&mut run, says("One, ").finishing(FinishReason::Paused));
    let Action::CallModel { request, number: 1, .. } = run.next_action() else { panic!() };
    assert_eq!(request.messages[1..], [Message::assistant("One, ")]);
    let Turn::Answer(response) = says("two.") else { unreachable!() };
    run.answered(response).unwrap();
    assert!(matches!(run.next_action(), Action::Finish));
    let result = run.into_result();
    assert_eq!(
        (&result.outcome, result.text.as_str(), result.model_calls),
        (&Outcome::Completed, "One, two.", 2)
    );
    assert_eq!(result.new_messages().len(), 2);

    let mut run = start(limits());
    answer(&mut run, says("Look: ").finishing(FinishReason::Paused));
    answer(&mut run, calls(&[("a", "add", "{}")]));
    tools(&mut run);
    run.tool_ended(0, ToolOutput::text("1")).unwrap();
    answer(&mut run, says("1."));
    assert_eq!(run.into_result().text, "1.");

    let mut run = start(limits());
    for _ in 0..3 {
        answer(&mut run, says("").finishing(FinishReason::Paused));
    }
    assert!(matches!(run.next_action(), Action::Finish));
    assert_eq!(run.into_result().outcome, Outcome::LimitReached);
    let mut run = start(limits());
    answer(&mut run, calls(&[("a", "add", "{}")]).finishing(FinishReason::Paused));
    assert_eq!(tools(&mut run).calls.len(), 1);
}

#[test]
fn no_input_is_an_error_and_no_call() {
    let tools = Arc::new(ToolSet::new(Vec::new()).unwrap());
    let mut run = AgentRun::new(ChatRequest::new(model_id(), Vec::new()), tools, limits());
    assert!(matches!(run.next_action(), Action::Finish));
    let error = run.into_result().into_result().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "the agent was given no input"));
}

#[test]
fn a_result_reads_back_from_json() {
    let mut run = start(limits());
    answer(&mut run, says("done").spending(3, 4, 5));
    let result = run.into_result();
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(
        json,
        json!({
            "outcome": "completed", "text": "done", "finish_reason": "stop",
            "messages": [
                {"role": "user", "parts": [{"type": "text", "text": "go"}]},
                {"role": "assistant", "parts": [{"type": "text", "text": "done"}]},
            ],
            "first_new": 1, "usage": {"input": 3, "output": 4}, "cost": 5, "model_calls": 1, "model": "scripted:test",
        })
    );
    assert_eq!(serde_json::from_value::<AgentResult>(json).unwrap(), result);
    let mut failed = start(limits());
    failed.stop(Stop::Failed(Error::new(ErrorKind::Overloaded, "busy")));
    let json = serde_json::to_value(failed.into_result()).unwrap();
    assert_eq!((&json["outcome"], &json["error"]["kind"]), (&json!("failed"), &json!("overloaded")));
}

#[test]
fn outcomes_have_the_same_name_everywhere() {
    let report = Error::new(ErrorKind::Internal, "x").report();
    for outcome in [
        Outcome::Completed,
        Outcome::ToolsRequested,
        Outcome::LimitReached,
        Outcome::DeadlinePassed,
        Outcome::Cancelled,
        Outcome::Waiting,
        Outcome::Stuck(report.clone()),
        Outcome::BudgetExceeded(report.clone()),
        Outcome::Blocked(report.clone()),
        Outcome::Failed(report),
    ] {
        assert_eq!(serde_json::to_value(&outcome).unwrap()["outcome"], outcome.as_str());
    }
}
