//! The format across versions, damaged files, and steps that are answered from a recording or refused.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::context::RunContext;
use crate::message::Message;
use crate::response::ChatResponse;
use crate::run_log::{Begun, Record, Shelf, Step};
use crate::store::Sequenced;
use crate::tool::Effect;

const GOLDEN: &str = include_str!("golden-v1.jsonl");

#[test]
fn cassettes_of_every_version_can_be_read_and_are_written_as_they_were() {
    let cassette = Reader::read(GOLDEN).unwrap();
    assert_eq!(cassette.header.name, "brief");
    assert_eq!(cassette.task("b[0]").unwrap().attempt, 3);
    let steps: Vec<&str> = cassette.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["a/model", "b[0]/model", "b[0]/tool"]);
    let request = cassette.request(&cassette.steps[0]).unwrap().unwrap();
    assert_eq!(request, ChatRequest::new("openai:gpt-4o-mini".parse().unwrap(), vec![Message::user("hi")]));
    let Some(StepOutcome::Finished(result)) = &cassette.steps[0].outcome else { panic!("no answer") };
    assert_eq!(serde_json::from_value::<ChatResponse>(result.clone()).unwrap().text(), "hello");
    assert!(
        matches!(&cassette.steps[1].outcome, Some(StepOutcome::Failed(error)) if error.status == Some(429))
    );
    assert_eq!(cassette.steps[2].outcome, None, "it was interrupted");
    let mut lines = GOLDEN.lines();
    assert_eq!(cassette.header.write().unwrap(), lines.next().unwrap());
    for line in lines {
        assert_eq!(serde_json::from_str::<Line>(line).unwrap().write().unwrap(), line);
    }
}

#[test]
fn a_cassette_that_breaks_off_is_refused_wherever_it_does() {
    for end in 1..GOLDEN.len() - 1 {
        let Some(text) = GOLDEN.get(..end) else { continue };
        let error = Reader::read(text).unwrap_err();
        let line = text.lines().count().max(1);
        assert!(error.message().starts_with(&format!("line {line}: ")), "after {end} bytes: {error}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
    }
}

#[test]
fn a_wrong_line_is_named_with_its_number() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        Reader::read(&lines.join("\n")).unwrap_err()
    };
    for place in 1..lines.len() {
        for garbage in ["x", "[1]", "{\"unknown\":{}}", "{\"record\":{\"seq\":1}}"] {
            let error = with(place, garbage);
            let start = format!("line {}: it cannot be read: ", place + 1);
            assert!(error.message().starts_with(&start), "{error}");
            assert!(!error.message().contains("at line 1"), "{error}");
        }
    }
    let newer = lines[5].replace("\"version\":\"1\"", "\"version\":\"7\"");
    assert!(with(5, &newer).message().starts_with("line 6: it cannot be read: unknown variant `7`"));
    let lost = [&lines[..6], &lines[7..]].concat().join("\n");
    assert_eq!(
        Reader::read(&lost).unwrap_err().message(),
        "line 10: there are 4 records where 5 were written"
    );
    let followed = format!("{GOLDEN}{}\n", lines[1]);
    assert_eq!(Reader::read(&followed).unwrap_err().message(), "line 12: something follows the end");
    let newer = GOLDEN.replacen("{\"cassette\":1", "{\"cassette\":2", 1);
    let error = Reader::read(&newer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.message(), "line 1: the cassette has version 2, and this Motet reads up to 1");
}

fn asked(text: &str) -> ChatRequest {
    ChatRequest::new("openai:gpt-4o".parse().unwrap(), vec![Message::user(text)])
}

fn model_step(name: &'static str) -> Step<'static> {
    Step { name, kind: StepKind::Model, request_hash: "now", effect: Effect::Pure, label: "openai:gpt-4o" }
}

/// Makes a recording of model calls and a tool; `None` is a call that was interrupted.
fn recording(calls: &[(&str, &str, Option<Result<&str>>)], masked: bool) -> Arc<Steps> {
    let header = Reader::read(GOLDEN).unwrap().header;
    let masked = masked.then_some(Masked { expressions: 1, secrets: 0 });
    let mut cassette = Cassette::new(Header { masked, ..header });
    let mut shelf = Shelf::default();
    let mut add = |record: Record| {
        shelf.note(&record);
        cassette.add(Line::Record(Box::new(Sequenced { seq: 1, task: 0, record }))).unwrap();
    };
    for (step, text, outcome) in calls {
        let kept = Shelf::default().keep(&asked(text)).unwrap();
        let started = Entry::Started {
            kind: StepKind::Model,
            request_hash: format!("then {text}"),
            effect: Effect::Pure,
            label: "openai:gpt-4o".into(),
            request: Some(Box::new(kept)),
        };
        add(Record::new(*step, started));
        match outcome {
            Some(Ok(result)) => add(Record::new(*step, Entry::Finished { result: json!(result) })),
            Some(Err(error)) => add(Record::new(*step, Entry::Failed { error: Box::new(error.report()) })),
            None => {}
        }
    }
    let tool =
        Step { name: "", kind: StepKind::Tool, request_hash: "h", effect: Effect::AtMostOnce, label: "mail" };
    add(Record::new("tool", tool.started(None)));
    add(Record::new("tool", Entry::Finished { result: json!("sent") }));
    Arc::new(Steps::new(Arc::new(cassette)).unwrap())
}

fn context(steps: &Arc<Steps>, strict: bool) -> RunContext {
    RunContext::new().in_run(RunId::new(), Arc::new(ReplayLog::new(Arc::clone(steps), strict)))
}

async fn begun(context: &RunContext, step: &'static str, text: &str) -> Result<Option<Value>> {
    Ok(match context.begin_asking(model_step(step), &asked(text)).await? {
        Begun::Recorded(value) => Some(value),
        Begun::Fresh(_) => None,
    })
}

#[tokio::test]
async fn a_recorded_step_is_answered_and_any_other_is_refused_before_it_begins() {
    let steps = recording(&[("a", "What?", Some(Ok("that"))), ("b", "Who?", None)], false);
    let strict = context(&steps, true);
    assert_eq!(begun(&strict, "a", "What?").await.unwrap(), Some(json!("that")));
    let changed = begun(&strict, "a", "What now?").await.unwrap_err();
    assert_eq!(
        changed.message(),
        "step `a` was recorded otherwise: message 1 (user) is `What now?` and was `What?`"
    );
    let unknown = begun(&strict, "c", "What?!").await.unwrap_err();
    assert_eq!(unknown.message(), "step `c` was not recorded");
    assert_eq!(unknown.hint(), Some("nearest is step `a`: message 1 (user) is `What?!` and was `What?`"));
    let interrupted = begun(&strict, "b", "Who?").await.unwrap_err();
    assert_eq!(interrupted.message(), "step `b` was interrupted and has no outcome");
    for error in [changed, unknown, interrupted] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert!(strict.log().records().is_empty(), "something began that was not recorded");
}

#[tokio::test]
async fn a_loose_replay_lets_model_calls_through_and_never_tools() {
    let steps = recording(&[("a", "What?", Some(Ok("that")))], false);
    let loose = context(&steps, false);
    assert_eq!(begun(&loose, "a", "What?").await.unwrap(), Some(json!("that")));
    assert_eq!(begun(&loose, "a", "What now?").await.unwrap(), None);
    assert_eq!(begun(&loose, "c", "What?").await.unwrap(), None);
    let tool = |name, request_hash| Step {
        name,
        kind: StepKind::Tool,
        request_hash,
        effect: Effect::AtMostOnce,
        label: "mail",
    };
    assert!(
        matches!(loose.begin(tool("tool", "h")).await.unwrap(), Begun::Recorded(value) if value == "sent")
    );
    assert_eq!(loose.begin(tool("tool", "other")).await.err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(loose.begin(tool("unknown", "h")).await.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_recorded_failure_fails_again_unless_a_later_attempt_did_not() {
    let failure = || Some(Err(Error::new(ErrorKind::RateLimit, "slow down").with_status(429)));
    let steps =
        recording(&[("a", "x", failure()), ("b", "y", failure()), ("b", "y", Some(Ok("late")))], false);
    let strict = context(&steps, true);
    let error = begun(&strict, "a", "x").await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimit, Some(429)));
    assert_eq!(begun(&strict, "b", "y").await.unwrap(), Some(json!("late")));
}

#[tokio::test]
async fn what_became_of_recorded_steps_can_be_looked_up() {
    let failure = Some(Err(Error::new(ErrorKind::RateLimit, "slow down")));
    let steps =
        recording(&[("done", "x", Some(Ok("that"))), ("failed", "y", failure), ("cut", "z", None)], false);
    let strict = context(&steps, true);
    let state = |step| strict.log().lookup(step).map(|state| (state.result, state.failed));
    assert_eq!(state("done").unwrap().0, Some(json!("that")));
    assert_eq!(state("failed"), Some((None, true)));
    assert_eq!(state("cut"), Some((None, false)), "nobody knows what became of it");
    assert_eq!(state("unheard of"), None);
}

#[tokio::test]
async fn what_masking_changed_is_no_difference() {
    let tool = Step {
        name: "tool",
        kind: StepKind::Tool,
        request_hash: "masked",
        effect: Effect::AtMostOnce,
        label: "mail",
    };
    for (masked, answered) in [(true, true), (false, false)] {
        let strict = context(&recording(&[], masked), true);
        assert_eq!(strict.begin(tool).await.is_ok(), answered);
    }
}

#[test]
fn the_first_difference_is_told_with_what_stands_around_it() {
    let told = |now: &ChatRequest, then: &ChatRequest| difference(now, then).map(|first| first.to_string());
    let one = asked("a");
    assert_eq!(told(&one, &ChatRequest { model: "x:y".parse().unwrap(), ..one.clone() }), None);
    let more = ChatRequest { messages: vec![Message::user("a"), Message::assistant("b")], ..one.clone() };
    let last = r#"{"role":"assistant","parts":[{"type":"text","text":"b"}]}"#;
    assert_eq!(told(&more, &one), Some(format!("message 2 (assistant) is `{last}` and was not there")));
    let other_role = ChatRequest { messages: vec![Message::system("a")], ..one.clone() };
    assert_eq!(told(&other_role, &one), Some("message 1 (system).role is `system` and was `user`".into()));
    let shorter = ChatRequest { max_tokens: Some(5), ..one.clone() };
    assert_eq!(told(&shorter, &one), Some("max_tokens is `5` and was not there".into()));
    let long = |end: &str| asked(&format!("{}{end}", "x".repeat(500)));
    let found = difference(&long("new"), &long("old")).unwrap();
    assert_eq!(found.now, Some(format!("…{}new", "x".repeat(40))));
}
