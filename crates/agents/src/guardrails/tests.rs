//! Tests of guardrails by themselves, and of those that files write.

use async_trait::async_trait;
use motet_core::model::Models;
use motet_core::{ErrorKind, Model, ModelId};
use serde_json::{Value, json};

use super::*;
use crate::hooks::Hooks;
use crate::test_double::TestModel;

struct OneModel;

#[async_trait]
impl Models for OneModel {
    async fn model(&self, id: &ModelId) -> Result<Arc<dyn Model>> {
        match id.provider() {
            "scripted" => Ok(TestModel::new(&[])),
            other => Err(motet_core::Error::new(ErrorKind::Configuration, format!("no provider `{other}`"))),
        }
    }
}

async fn built(written: Value) -> Result<Guardrails> {
    let spec: GuardrailsSpec = serde_json::from_value(written)
        .map_err(|error| motet_core::Error::new(ErrorKind::Configuration, error.to_string()))?;
    let mut registry = GuardrailRegistry::default();
    let custom = Custom::new("shout", [Place::Input], |text| {
        let finding = Finding { span: 0..text.text.len(), remedy: Remedy::Replace(text.text.to_uppercase()) };
        Ok(vec![finding])
    });
    registry.register("shout", Arc::new(custom));
    spec.build(&OneModel, &registry).await
}

/// What becomes of a text: the text, or the verdict on it.
async fn passed(written: Value, place: Place, text: &str) -> String {
    let reviewer = Reviewer::new(&built(written).await.unwrap(), &Hooks::default());
    let reviewed = reviewer.text(&RunContext::new(), place, text).await.unwrap();
    match reviewed.verdict {
        Some((_, verdict)) => format!("{} {}: {}", verdict.guardrail, verdict.ask_again, verdict.reason),
        None => reviewed.text.unwrap_or_else(|| text.to_owned()),
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of what files write")]
async fn what_files_write_takes_effect() {
    use Place::{Input, Output, ToolArguments, ToolResult};
    let words = |more: Value| {
        let mut list = json!({"words": ["Falcon", "C++", "鷹", "two words"]});
        list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{"blocklist": list}])
    };
    let blocked = "blocklist false: it has a word that is not allowed";
    for (written, place, text, expected) in [
        (words(json!({})), Input, "a falcon", blocked),
        (
            words(json!({})),
            Output,
            "FALCON, falcons, x C++. C++x 白鷹 two \n words",
            "[REDACTED], falcons, x [REDACTED]. C++x 白[REDACTED] [REDACTED]",
        ),
        (words(json!({"case_sensitive": true})), Output, "Falcon falcon", "[REDACTED] falcon"),
        (words(json!({"replacement": "x", "on": {"input": "redact"}})), Input, "a falcon", "a x"),
        (words(json!({"on": {"output": "off"}})), Output, "a falcon", "a falcon"),
        (
            words(json!({"on": {"output": "ask_again"}, "name": "birds"})),
            Output,
            "a falcon",
            "birds true: it has a word that is not allowed",
        ),
        (
            json!([{"blocklist": {"patterns": ["key-[0-9]+"]}}]),
            ToolResult,
            "Key-12345 key-x",
            "[REDACTED] key-x",
        ),
        (
            json!([{"blocklist": {"patterns": [{"regex": "key-[0-9]+", "longest": 6}]}}]),
            ToolResult,
            "key-12345 key-1",
            "[REDACTED]345 [REDACTED]",
        ),
        (json!([{"pii": {}}]), Input, "a@x.org 10.0.0.1", "[REDACTED] 10.0.0.1"),
        (
            json!([{"pii": {"kinds": ["ip"], "replacement": "<{kind}>"}}]),
            Input,
            "a@x.org 10.0.0.1",
            "a@x.org <ip>",
        ),
        (
            json!([{"pii": {"patterns": {"badge": "B[0-9]{4}"}, "replacement": "<{kind}>"}}]),
            ToolArguments,
            "B1234",
            "<badge>",
        ),
        (
            json!([{"pii": {"on": {"input": "block"}}}]),
            Input,
            "a@x.org",
            "pii false: it has personal data of the kind `email`",
        ),
        (
            json!([{"length": {"max_chars": 3}}]),
            Input,
            "äöüß",
            "length false: it is longer than 3 characters",
        ),
        (json!([{"length": {"max_chars": 3}}]), Output, "äöüß", "äöü[cut after 3 characters]"),
        (json!([{"length": {"max_chars": 4}}]), Output, "äöüß", "äöüß"),
        (
            json!([{"custom": {"name": "shout"}}, {"blocklist": {"words": ["HI"], "case_sensitive": true}}]),
            Input,
            "hi",
            blocked,
        ),
    ] {
        assert_eq!(passed(written.clone(), place, text).await, expected, "{written} of `{text}`");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_the_reason() {
    for (written, problem) in [
        (json!([{"blocklist": {}}]), "a blocklist has neither words nor patterns"),
        (json!([{"blocklist": {"words": [" "]}}]), "an empty word cannot be looked for"),
        (json!([{"blocklist": {"patterns": ["("]}}]), "`(` cannot be looked for"),
        (json!([{"blocklist": {"patterns": ["a*"]}}]), "it matches the empty text"),
        (json!([{"blocklist": {"word": ["x"]}}]), "unknown field `word`"),
        (json!([{"blocklist": {"words": ["x"], "on": {"answer": "block"}}}]), "unknown variant `answer`"),
        (json!([{"pii": {"kinds": ["name"]}}]), "unknown variant `name`"),
        (json!([{"length": {}}]), "missing field `max_chars`"),
        (json!([{"judge": {"rule": "x", "model": "nowhere:m"}}]), "no provider `nowhere`"),
        (
            json!([{"judge": {"rule": "x", "model": "scripted:m", "timeout": "soon"}}]),
            "`soon` is not a duration",
        ),
        (json!([{"custom": {"name": "whisper"}}]), "no guardrail is registered as `whisper`"),
        (json!([{"toxicity": {}}]), "unknown variant `toxicity`"),
    ] {
        let told = built(written).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains(problem), "{told}");
    }
    let judge =
        json!([{"judge": {"rule": "x", "model": "scripted:m", "on_failure": "open", "timeout": "5s"}}]);
    assert!(built(judge).await.unwrap().hold_at(Place::Output));
}

#[tokio::test]
async fn what_a_file_writes_reads_back_as_written() {
    let written = json!([
        {"judge": {"rule": "x", "model": "scripted:m", "on": {"output": "block"}, "on_failure": "open", "timeout": "5s"}},
        {"length": {"max_chars": 3, "on": {}}},
    ]);
    let spec: GuardrailsSpec = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), written);
}

#[test]
fn a_pattern_finds_no_more_than_its_longest_match() {
    let bounded = Pattern::regex("a(.*z)?", true).unwrap().at_most(3);
    assert_eq!(bounded.find("xa..z", 0), Some(1..2));
    assert_eq!(bounded.find("xa.z", 0), Some(1..4));
    assert_eq!(bounded.count("xa.z"), 1);
}
