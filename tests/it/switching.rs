//! A conversation that changes its provider and comes back: nothing is lost without being told, and every request is one
//! that its provider accepts.

mod answers;
mod rules;

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::message::{Part, ToolResult};
use motet_core::request::ToolSpec;
use motet_core::{ChatRequest, ChatResponse, Delivery, Message};
use motet_providers::dialect::Origin;
use motet_providers::driver::DryRun;
use motet_providers::{dialects, rows};
use motet_tests::requests::http_model;
use serde_json::{Value, json};

use answers::{PROVIDERS, Provider};

/// Reads a provider's answer as its dialect does.
fn answered(provider: &Provider, number: usize) -> ChatResponse {
    let origin = origin(provider);
    let body = (provider.answer)(number).to_string();
    let dialect = dialects::find(origin.row.dialect).unwrap();
    let events = dialect.decode(body.as_bytes(), &origin).unwrap();
    let mut accumulator = Accumulator::new(origin.model.clone());
    events.into_iter().for_each(|event| accumulator.push(event).unwrap());
    accumulator.finish().unwrap()
}

fn origin(provider: &Provider) -> Arc<Origin> {
    let row = rows::find(provider.name).unwrap();
    Arc::new(Origin::new(row, format!("{}:{}", provider.name, provider.model).parse().unwrap()))
}

fn asked(provider: &Provider, messages: &[Message]) -> DryRun {
    let origin = origin(provider);
    let mut request = ChatRequest::new(origin.model.clone(), messages.to_vec());
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    request.tools = vec![ToolSpec::new("weather", "Tells the weather of a city.", parameters)];
    http_model(&origin, origin.model.clone()).unwrap().dry_run(&request, Delivery::Plain).unwrap()
}

/// Adds an answer and the results of its calls.
fn went_on(messages: &mut Vec<Message>, response: ChatResponse) {
    let results = response.message.tool_calls().map(|call| ToolResult {
        id: call.id.clone(),
        name: call.name.clone(),
        content: vec![Part::text(format!("It rains in {}.", call.arguments))],
        is_error: false,
    });
    let results = results.collect();
    messages.push(response.message);
    messages.push(Message::tool(results));
}

/// Gives every text within a JSON value.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                texts(&inner, out);
            }
            out.push(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, out)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, out)),
        _ => {}
    }
}

/// Checks a request that follows the given answers.
fn check(provider: &Provider, sent: &DryRun, history: &[(&Provider, usize)]) {
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    let origin = origin(provider);
    let path = history.iter().map(|(provider, _)| provider.name).collect::<Vec<_>>().join(" -> ");
    let place = format!("{path} -> {}\n{body:#}\nwarnings: {:#?}", provider.name, sent.warnings);
    let problems = rules::broken(origin.row.dialect, &origin.profile, &body);
    assert!(problems.is_empty(), "{}\n{place}", problems.join("\n"));
    let mut said = Vec::new();
    texts(&body, &mut said);
    let holds = |wanted: &str| said.iter().any(|text| text.contains(wanted));
    for (earlier, number) in history {
        assert!(holds(&format!("Oslo{number}")), "the call of {} is lost\n{place}", earlier.name);
        let secrets = (earlier.secrets)(*number);
        for secret in &secrets {
            if earlier.name == provider.name {
                assert!(holds(secret), "`{secret}` must go back to {}\n{place}", earlier.name);
            } else {
                assert!(!holds(secret), "`{secret}` of {} reached {}\n{place}", earlier.name, provider.name);
            }
        }
        if earlier.name != provider.name && (!secrets.is_empty() || earlier.reasons) {
            let told = sent.warnings.iter().any(|warning| warning.contains(&format!("`{}`", earlier.name)));
            let kept = holds(&format!("thought{number}"));
            assert!(told || kept, "the loss of what {} sent is not told\n{place}", earlier.name);
        }
    }
}

#[test]
fn a_conversation_survives_any_switch_and_the_way_back() {
    for first in PROVIDERS {
        for second in PROVIDERS.iter().filter(|second| second.name != first.name) {
            let mut messages = vec![Message::system("Be brief."), Message::user("What is the weather?")];
            went_on(&mut messages, answered(first, 1));
            check(second, &asked(second, &messages), &[(first, 1)]);
            went_on(&mut messages, answered(second, 2));
            check(first, &asked(first, &messages), &[(first, 1), (second, 2)]);
            messages.push(answered(first, 3).message);
            let last = messages.len() - 1;
            // A turn of a person may follow only when the calls before it have results.
            let results = went_results(&messages[last]);
            messages.push(results);
            messages.push(Message::user("And tomorrow?"));
            check(second, &asked(second, &messages), &[(first, 1), (second, 2), (first, 3)]);
        }
    }
}

fn went_results(message: &Message) -> Message {
    Message::tool(
        message
            .tool_calls()
            .map(|call| ToolResult {
                id: call.id.clone(),
                name: call.name.clone(),
                content: vec![Part::text("It rains.")],
                is_error: false,
            })
            .collect(),
    )
}
