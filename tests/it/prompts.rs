//! System prompts reach every provider as they were written.

use motet::{ChatRequest, Delivery, Message, Runtime};
use motet_agents::PromptTemplate;
use serde_json::{Value, json};

const PROMPT: &str = "Rules:\n\n  - Say <b>\"yes\"</b> & 'no'.\n\t{{ not a variable }}\r\n```\nx < 1 && y > 2\n```\n\u{e9} \u{1F600}\n";

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(fields) => fields.values().any(|item| holds(item, text)),
        _ => false,
    }
}

#[test]
fn a_system_prompt_is_byte_identical_in_every_dialect() {
    let runtime = Runtime::with_defaults().unwrap();
    let template = PromptTemplate::new("{{ text }}").unwrap();
    let text = template.render(&json!({"text": PROMPT})).unwrap();
    assert_eq!(text, PROMPT);
    let mut sent = 0;
    for provider in runtime.providers() {
        let Ok(model) = format!("{}:model", provider.name).parse() else { continue };
        let request = ChatRequest::new(model, vec![Message::system(text.clone()), Message::user("hi")]);
        for delivery in [Delivery::Plain, Delivery::Streamed] {
            let Ok(dry) = runtime.dry_run(&request, delivery) else { continue };
            let body: Value = serde_json::from_str(&dry.body).unwrap();
            assert!(holds(&body, PROMPT), "{}: {}", provider.name, dry.body);
            sent += 1;
        }
    }
    assert!(sent >= 20, "only {sent} requests were looked at");
}
