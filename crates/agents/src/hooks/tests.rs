//! Tests of hooks: their chain, their failures, and those that files can name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use motet_core::message::{Opaque, Reasoning};
use motet_core::{Message, Part, Role, StreamEvent, ToolOutput};
use serde_json::{Value, json};

use super::*;

/// A hook that does what a function says.
struct Does<F>(F);

#[async_trait]
impl<F: Fn(&Payload) -> Result<Reaction> + Send + Sync> Hook for Does<F> {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        (self.0)(payload)
    }
}

/// A hook that never ends.
struct Never;

#[async_trait]
impl Hook for Never {
    async fn at(&self, _: &RunContext, _: &Payload) -> Result<Reaction> {
        futures::future::pending().await
    }
}

const STAGE: [Stage; 1] = [Stage::BeforeTool];

fn payload(text: &str) -> Payload {
    let (step, tool, call_id) = ("s".to_owned(), "t".to_owned(), "c".to_owned());
    Payload::BeforeTool { step, tool, call_id, arguments: json!({"text": text}) }
}

fn text(payload: &Payload) -> &str {
    let Payload::BeforeTool { arguments, .. } = payload else { unreachable!() };
    arguments["text"].as_str().unwrap()
}

fn adds(letter: &'static str) -> impl Hook {
    Does(move |seen: &Payload| Ok(Reaction::Change(Box::new(payload(&format!("{}{letter}", text(seen)))))))
}

fn fails() -> impl Hook {
    Does(|_: &Payload| Err(Error::new(ErrorKind::ToolFailed, "no luck")))
}

fn chain(entries: impl IntoIterator<Item = HookEntry>) -> Hooks {
    let mut hooks = Hooks::default();
    entries.into_iter().for_each(|entry| hooks.add(entry));
    hooks
}

/// What a chain makes of a payload, and what it warns of.
async fn called(hooks: &Hooks) -> (Result<String>, Vec<String>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let context = RunContext::new().with_events(Arc::new(move |event: &StreamEvent| {
        let StreamEvent::Warning { message } = event else { panic!("{event:?}") };
        list.lock().unwrap().push(message.clone());
    }));
    let result = hooks.call(&context, payload("x")).await.map(|payload| text(&payload).to_owned());
    let told = told.lock().unwrap().clone();
    (result, told)
}

#[tokio::test]
async fn hooks_of_a_stage_are_called_in_order_and_each_sees_what_the_last_one_made() {
    let other = Does(|_: &Payload| panic!("this hook is of another stage"));
    let hooks = chain([
        HookEntry::new("a", STAGE, adds("a")),
        HookEntry::new("other", [Stage::AfterTool], other),
        HookEntry::new("b", STAGE, Does(|_: &Payload| Ok(Reaction::Continue))),
        HookEntry::new("c", STAGE, adds("c")),
    ]);
    let (result, told) = called(&hooks).await;
    assert_eq!((result.unwrap().as_str(), told.len()), ("xac", 0));
    assert!(hooks.wants(Stage::BeforeTool) && !hooks.wants(Stage::BeforeRun));
}

#[tokio::test]
async fn a_hook_that_stops_the_run_is_the_last_one_called() {
    let stop = Does(|_: &Payload| Ok(Reaction::Stop { reason: "enough".into() }));
    let never = Does(|_: &Payload| panic!("called after the stop"));
    let hooks =
        chain([HookEntry::new("a", STAGE, stop), HookEntry::new("b", STAGE, never).on_error(OnError::Abort)]);
    let error = called(&hooks).await.0.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Blocked, "the hook `a` stopped the run: enough"));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_is_treated_as_the_hook_says() {
    let foreign = Payload::BeforeIteration { number: 1 };
    let failing: [(&str, Arc<dyn Hook>); 4] = [
        ("no luck", Arc::new(fails())),
        ("it panicked", Arc::new(Does(|_: &Payload| panic!("ouch")))),
        ("it took longer than 2s", Arc::new(Never)),
        (
            "it answered `before_tool` with a payload of `before_iteration`",
            Arc::new(Does(move |_: &Payload| Ok(Reaction::Change(Box::new(foreign.clone()))))),
        ),
    ];
    for (problem, hook) in failing {
        let with = |on_error| {
            let hook = HookEntry::shared("h", STAGE, Arc::clone(&hook)).timeout(Duration::from_secs(2));
            chain([hook.on_error(on_error), HookEntry::new("z", STAGE, adds("z"))])
        };
        let (result, told) = called(&with(OnError::Skip)).await;
        assert_eq!(result.unwrap(), "xz");
        assert!(
            told[0].contains("the hook `h` failed and is passed over") && told[0].contains(problem),
            "{told:?}"
        );
        let error = called(&with(OnError::Abort)).await.0.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        let fallback = OnError::Fallback(Arc::new(|seen| payload(&format!("{}!", text(seen)))));
        assert_eq!(called(&with(fallback)).await.0.unwrap(), "x!z");
        let useless = OnError::Fallback(Arc::new(|_| Payload::BeforeIteration { number: 1 }));
        assert_eq!(called(&with(useless)).await.0.unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[tokio::test]
async fn the_end_of_a_run_is_no_failure_of_a_hook() {
    let hooks = chain([HookEntry::new("h", STAGE, fails())]);
    let context = RunContext::new();
    context.cancellation().cancel();
    assert!(hooks.call(&context, payload("x")).await.is_err());
}

fn spec(value: Value) -> HookSpec {
    serde_json::from_value(value).unwrap()
}

async fn made(name: &str, options: Value, seen: &Payload) -> Result<Payload> {
    let spec = spec(json!({"name": name, "stages": [seen.stage()], "on_error": "abort", "options": options}));
    let hooks = chain([HookRegistry::default().build(&spec)?]);
    hooks.call(&RunContext::new(), seen.clone()).await
}

#[tokio::test]
async fn every_ready_made_hook_does_what_its_name_says() {
    for (name, options, before, after) in [
        ("redact_pii", json!({}), "to ada@x.org", "to [REDACTED]"),
        ("redact_pii", json!({"kinds": ["card"], "replacement": "#"}), "a@b.io 4111111111111111", "a@b.io #"),
        ("remove_emails", json!({}), "to ada@x.org now", "to  now"),
        ("remove_phone_numbers", json!({"replacement": "?"}), "call +49 170 1234567", "call ?"),
        ("remove_cards", json!({}), "4111 1111 1111 1111", ""),
        ("normalize_whitespace", json!({}), "  a \t b\n\n\n\nc \nd ", "a b\n\nc\nd"),
        ("escape_html", json!({}), "<a href='x'>&\"", "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"),
        ("truncate", json!({"max_chars": 3}), "äöüß", "äöü…"),
        ("truncate", json!({"max_chars": 4}), "äöüß", "äöüß"),
        ("validate_length", json!({"max_chars": 40}), "short", "short"),
        ("require_citations", json!({}), "It is so [1].", "It is so [1]."),
        (
            "require_citations",
            json!({"at_least": 2}),
            "(Brook, 2024) https://x.org",
            "(Brook, 2024) https://x.org",
        ),
    ] {
        assert_eq!(text(&made(name, options, &payload(before)).await.unwrap()), after, "{name}");
    }
    for (name, options, before, problem) in [
        ("validate_length", json!({"max_chars": 3}), "long", "more than 3"),
        ("validate_length", json!({"min_chars": 99}), "short", "less than 99"),
        ("require_citations", json!({}), "It is so.", "the text has 0 citations, less than 1"),
    ] {
        let error = made(name, options, &payload(before)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Blocked && error.message().contains(problem), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_with_the_reason() {
    let refused = |value: Value| HookRegistry::default().build(&spec(value)).unwrap_err().to_string();
    let before = json!(["before_tool"]);
    for (value, message) in [
        (json!({"name": "nope", "stages": before}), "no hook is registered as `nope`"),
        (json!({"name": "truncate", "stages": []}), "the hook `truncate` has no stage"),
        (json!({"name": "truncate", "stages": before}), "the options do not fit: missing field `max_chars`"),
        (json!({"name": "escape_html", "stages": before, "options": {"x": 1}}), "unknown field `x`"),
        (
            json!({"name": "escape_html", "stages": before, "on_error": "fallback"}),
            "has no text to fall back to",
        ),
        (json!({"name": "escape_html", "stages": before, "fallback": "x"}), "is never used"),
        (json!({"name": "validate_length", "stages": before}), "bound nothing"),
    ] {
        let told = refused(value);
        assert!(told.contains(message), "{told}");
    }
    assert!(serde_json::from_value::<HookSpec>(json!({"name": "x", "stages": ["never"]})).is_err());
    for (name, options, stage, is_of_use) in [
        ("escape_html", json!({}), "before_record", true),
        ("escape_html", json!({}), "before_guardrail", false),
        ("remove_cards", json!({}), "retry", false),
        ("require_citations", json!({}), "before_record", false),
        ("validate_length", json!({"min_chars": 1}), "after_iteration", false),
    ] {
        let value = json!({"name": name, "stages": ["after_run", stage], "options": options});
        match HookRegistry::default().build(&spec(value)) {
            Ok(_) => assert!(is_of_use, "{name} at {stage}"),
            Err(error) => {
                assert_eq!(error.message(), format!("the hook `{name}` does nothing at `{stage}`"));
                assert!(error.hint().unwrap().starts_with("it works at `before_run`, `after_run`, "));
                assert!(!is_of_use);
            }
        }
    }
    let mut registry = HookRegistry::default();
    registry.register("escape_html", |_| Ok(Arc::new(Never)));
    let own = json!({"name": "escape_html", "stages": ["retry"]});
    assert!(registry.build(&spec(own)).is_ok(), "a program's own may do anything anywhere");
    assert!(serde_json::from_value::<HookSpec>(json!({"name": "x", "stages": before, "when": 1})).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_file_names_time_limits_and_fallbacks_of_programs_hooks() {
    let mut registry = HookRegistry::default();
    registry.register("never", |_| Ok(Arc::new(Never)));
    let value =
        json!({"name": "never", "stages": STAGE, "on_error": "fallback", "fallback": "-", "timeout": "5s"});
    let hooks = chain([registry.build(&spec(value)).unwrap()]);
    let begun = tokio::time::Instant::now();
    assert_eq!(called(&hooks).await.0.unwrap(), "-");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[test]
fn all_texts_of_a_payload_are_changed_and_nothing_else() {
    let opaque = || Some(Opaque { provider: "p".into(), payload: json!("x") });
    let mut called = serde_json::Map::new();
    called.insert("x".into(), json!(["x", 1]));
    let message = Message {
        role: Role::Assistant,
        parts: vec![
            Part::Reasoning(Reasoning { text: "x".into(), opaque: opaque() }),
            Part::Text { text: "y".into(), opaque: opaque() },
            Part::ToolCall(motet_core::message::ToolCall {
                id: "x".into(),
                name: "x".into(),
                arguments: Value::Object(called).to_string(),
                minted: false,
                opaque: None,
            }),
        ],
    };
    let messages = vec![Message::system("x"), Message::user("x"), message];
    let mut payload = Payload::BeforeRun { agent: "x".into(), messages };
    assert!(payload.change_texts(&mut |text| Some(text.replace('x', "z"))));
    let Payload::BeforeRun { agent, messages } = payload else { unreachable!() };
    assert_eq!(
        (agent.as_str(), &messages[0], &messages[1]),
        ("x", &Message::system("x"), &Message::user("z"))
    );
    let written = serde_json::to_value(&messages[2].parts).unwrap();
    assert_eq!(written[0], json!({"type": "reasoning", "text": "z"}));
    assert_eq!((&written[1]["text"], written[1]["opaque"].is_object()), (&json!("y"), true));
    let call = messages[2].tool_calls().next().unwrap();
    assert_eq!((call.id.as_str(), call.arguments.as_str()), ("x", "{\"x\":[\"z\",1]}"));
}

#[test]
fn every_payload_reads_back_as_written() {
    let output = ToolOutput::text("x");
    let (step, tool, call_id, arguments) = ("s".to_owned(), "t".to_owned(), "c".to_owned(), json!({}));
    for payload in
        [payload("x"), Payload::AfterTool { step, tool, call_id, arguments, output, duration_ms: 3 }]
    {
        let written = serde_json::to_string(&payload).unwrap();
        assert_eq!(serde_json::from_str::<Payload>(&written).unwrap(), payload);
    }
    let names: BTreeMap<_, _> = Stage::ALL.iter().map(|stage| (stage.as_str(), stage)).collect();
    assert_eq!(names.len(), Stage::ALL.len());
}
