//! What is masked wherever it stands, and what stays so that a cassette can still be read.

use motet_core::Part;
use motet_core::cassette::{Cassette, Masked, Reader, VERSION};
use motet_core::id::Millis;
use motet_core::store::RunState;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &str = "sk-\"Näch/ste\\r 4711";

fn redaction(patterns: &[&str], secrets: &[&str]) -> Redaction {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    Redaction::new(&patterns, secrets.iter().map(|secret| Secret::new(*secret))).unwrap()
}

#[test]
fn overlapping_matches_become_one_mask_and_masks_are_not_masked() {
    let masked = |patterns: &[&str], text: &str| redaction(patterns, &[]).text(text).into_owned();
    assert_eq!(masked(&["b+", "bc"], "abbcd"), "a[redacted]d");
    assert_eq!(masked(&["[a-z]+", "redacted"], "ab 1 cd"), "[redacted] 1 [redacted]");
    assert_eq!(masked(&["x*"], "ab"), "ab", "an empty match masks nothing");
}

#[test]
fn a_secret_is_masked_in_every_form_and_a_short_one_as_a_word() {
    let masked = redaction(&[], &[SECRET, "tok", "openai"]);
    let arguments = json!({"key": SECRET}).to_string();
    let address = "https://x/?k=sk-%22N%C3%A4ch%2Fste%5Cr%204711&l=sk-%22N%c3%a4ch%2fste%5cr%204711";
    assert_eq!(masked.text(&arguments), r#"{"key":"[redacted]"}"#);
    assert_eq!(masked.text(address), "https://x/?k=[redacted]&l=[redacted]");
    assert_eq!(masked.text(&format!("no {SECRET}!")), "no [redacted]!");
    assert_eq!(masked.text("a tok in tokens"), "a [redacted] in tokens");
    assert_eq!(masked.text("openai:gpt"), "openai:gpt", "the name of a provider is no secret");
}

#[test]
fn the_password_of_an_address_is_masked_whole() {
    for (url, expected) in [
        ("redis://user:p@ss@host/@0", Some("p@ss")),
        ("http://u:a/b@proxy", Some("a/b")),
        ("http://proxy/?to=a@b", None),
        ("sqlite:a", None),
    ] {
        assert_eq!(password(url).as_ref().map(Secret::expose), expected, "{url}");
    }
}

#[test]
fn what_a_json_text_spells_otherwise_is_masked_too() {
    let masked = redaction(&["hunter[0-9]"], &[]);
    assert_eq!(masked.text(r#"{"p":"hunt\u0065r2","q":1}"#), r#"{"p":"[redacted]","q":1}"#);
    assert_eq!(masked.text("{not json hunter2"), "{not json [redacted]");
}

#[test]
fn numbers_and_names_of_fields_are_masked_and_stay_apart() {
    let masked = redaction(&["[0-9]{16}", "^k[0-9]$"], &[]);
    let value = masked.value(json!({"card": 4_111_111_111_111_111_u64, "k1": 1, "k2": 2, "n": 12}));
    assert_eq!(value, json!({"card": "[redacted]", "[redacted]": 1, "[redacted]+": 2, "n": 12}));
}

#[test]
fn an_expression_that_is_none_is_named_with_the_reason() {
    let error = Redaction::new(&["[0-9".to_owned()], []).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.message(),
        "`[0-9`, which is to be masked, is no regular expression: unclosed character class"
    );
    assert!(error.hint().unwrap().contains("record.redact"));
}

#[test]
fn every_key_of_the_settings_is_known() {
    use motet_core::settings::{Settings, Sources};
    let set = |path: &str, value: &str| (path.to_owned(), value.to_owned(), "test".to_owned());
    let overrides = vec![
        set("providers.openai.api_key", "sk-plain-0001"),
        set("providers.groq.keys.a.api_key", "sk-pool-0002"),
        set("providers.lab.base_url", "http://user:sk-address-0003@localhost:1/v1"),
        set("providers.lab.proxy", "http://user:sk-proxy-0004@localhost:2"),
        set("providers.lab.headers.x-token", "sk-header-0005"),
        set("record.redact", "sk-pattern-[0-9]+"),
    ];
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment =
        vec![variable("MISTRAL_API_KEY", "sk-usual-0006"), variable("AWS_SECRET_ACCESS_KEY", "sk-aws-0007")];
    let loaded = Settings::load(&Sources { overrides, environment, ..Sources::default() }).unwrap();
    let masked = Redaction::of_settings(&loaded, &["sk-flag-[0-9]+".to_owned()]).unwrap();
    let kinds = ["plain", "pool", "address", "proxy", "header", "usual", "aws", "pattern", "flag"];
    for (number, kind) in (1..).zip(kinds) {
        assert_eq!(masked.text(&format!("sk-{kind}-000{number}")), MASK, "{kind}");
    }
}

/// A cassette whose every free text is the given one.
fn lines(text: &str) -> Vec<(Line, Option<StepKind>)> {
    let response = json!({
        "message": {"role": "assistant", "parts": [
            {"type": "text", "text": text, "opaque": {"provider": text, "payload": {text: [text, 7]}}},
            {"type": "tool_call", "id": text, "name": text, "arguments": json!({"a": text}).to_string()},
            {"type": "reasoning", "text": text},
        ]},
        "finish_reason": "stop", "raw_finish_reason": text, "model": format!("openai:{text}"), "served_model": text,
        "usage": {"input": 12, "output": 3}, "cost": 4711, "response_id": text, "request_id": text,
        "metadata": {text: text},
    });
    let error = Error::new(ErrorKind::ToolFailed, text)
        .with_hint(text)
        .with_status(500)
        .with_request_id(text)
        .with_context("url", format!("https://host/{text}?q={text}"))
        .report();
    let started = |kind, request| Entry::Started {
        kind,
        request_hash: "00".repeat(32),
        effect: motet_core::tool::Effect::Pure,
        label: text.to_owned(),
        request,
    };
    let mut request = motet_core::ChatRequest::new(
        "openai:gpt-4o".parse().unwrap(),
        vec![Message { role: motet_core::Role::User, parts: vec![Part::text(text)] }],
    );
    request.max_tokens = Some(4711);
    request.metadata.insert(text.to_owned(), json!(text));
    let kept = motet_core::run_log::Shelf::default().keep(&request).unwrap();
    let record = |entry| {
        let record = Record::new(format!("{text}/model"), entry);
        Line::Record(Box::new(Sequenced { seq: 1, task: 0, record }))
    };
    let task = RecordedTask {
        number: 0,
        name: text.to_owned(),
        state: motet_core::store::TaskState::Failed,
        attempt: 1,
        parent: None,
        output: Some(json!({text: [text, {"deep": text}]})),
        error: Some(error.clone()),
        started_at: None,
        ended_at: None,
    };
    vec![
        (Line::Task(Box::new(task)), None),
        (Line::Piece { key: "1".into(), value: json!({"metadata": {text: text}, "max_tokens": 4711}) }, None),
        (record(started(StepKind::Model, Some(Box::new(kept)))), None),
        (record(Entry::Finished { result: response }), Some(StepKind::Model)),
        (record(started(StepKind::Tool, None)), None),
        (record(Entry::Failed { error: Box::new(error) }), None),
        (Line::End { records: 4 }, None),
    ]
}

fn header(text: &str) -> Header {
    let field = |value: Value| value.as_object().cloned().unwrap();
    Header {
        cassette: VERSION,
        motet: "0.1.0".into(),
        run: RunId::new(),
        name: text.to_owned(),
        kind: "workflow".into(),
        state: RunState::Failed,
        created_at: Millis(1),
        ended_at: None,
        definition: json!({
            "name": text, "model": format!("openai:{text}"), "metadata": {text: text},
            "tasks": [{"id": text, "method": text, "params": {"url": text}, "retry": {"max_attempts": 4711}}],
        }),
        inputs: field(json!({text: text})),
        settings: field(
            json!({"directory": format!("/home/{text}"), "default_model": format!("openai:{text}")}),
        ),
        outputs: field(json!({text: [text]})),
        masked: None,
    }
}

fn exported(redaction: &Redaction, text: &str) -> Result<String> {
    let mut written = redaction.header(header(text))?.write()?;
    for (line, kind) in lines(text) {
        written.push('\n');
        written.push_str(&redaction.line(line, kind)?.write()?);
    }
    Ok(written)
}

fn read(text: &str) -> Cassette {
    Reader::read(text).unwrap()
}

#[test]
fn an_expression_that_holds_the_secret_does_not_tell_it() {
    let written = exported(&redaction(&["hunter2", "[0-9]{4}"], &[]), "hunter2").unwrap();
    assert!(!written.contains("hunter2"));
    let cassette = read(&written);
    assert_eq!(cassette.header.masked, Some(Masked { expressions: 2, secrets: 0 }));
    // Counts stay although the expression matches them, or nothing could be read.
    let request = cassette.request(&cassette.steps[0]).unwrap().unwrap();
    assert_eq!(request.max_tokens, Some(4711));
    let motet_core::cassette::StepOutcome::Finished(answer) = cassette.steps[0].outcome.clone().unwrap()
    else {
        panic!("no answer")
    };
    let answer: ChatResponse = serde_json::from_value(answer).unwrap();
    assert_eq!(
        (answer.cost.unwrap().nanos(), answer.model.to_string()),
        (4711, "redacted:redacted".to_owned())
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_secret_stands_nowhere_in_a_cassette(
        before in "[ -~äß\n]{0,12}", secret in "[!-~ä]{8,20}", after in "[ -~äß\n]{0,12}"
    ) {
        let text = format!("{before}{secret}{after}");
        let known = redaction(&[], &[&secret]);
        let matched = redaction(&[&regex::escape(&secret)], &[]);
        for masked in [known, matched] {
            let Ok(written) = exported(&masked, &text) else {
                // A word of the format's own that happens to be the secret leaves nothing readable, and nothing is written.
                continue;
            };
            let cassette: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            for value in &cassette {
                prop_assert!(!tells(value, &secret), "{value}");
            }
        }
    }
}

/// Tells whether a text stands in any string or name of a field, JSON texts within included.
fn tells(value: &Value, secret: &str) -> bool {
    match value {
        Value::String(text) => {
            let inner = serde_json::from_str::<Value>(text).ok().filter(|inner| !inner.is_string());
            text.contains(secret) || inner.is_some_and(|inner| tells(&inner, secret))
        }
        Value::Array(items) => items.iter().any(|item| tells(item, secret)),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(secret) || tells(value, secret))
        }
        _ => false,
    }
}
