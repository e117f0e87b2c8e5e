//! What calls cost by recorded usages, what budgets let through, and what the run log says was paid.

mod budgets;
mod ledger;

use std::collections::BTreeMap;
use std::path::PathBuf;

use motet::providers::layers::budget::bound::{Candidate, bound};
use motet::providers::layers::{Ask, Lent};
use motet::{ChatRequest, Delivery, Message, RunContext, Runtime, Settings};
use motet_core::price::{COST_SOURCE, LISTED_COST, Price};
use motet_core::settings::{Loaded, Sources};
use motet_tests::server::{Reply, Server};
use motet_tests::{corpus, neutral};
use serde_json::{Value, json};

/// Gives settings of these options.
fn loaded(options: &[(&str, &str)]) -> Loaded {
    let overrides =
        options.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned(), "test".to_owned()));
    let environment = vec![
        ("AWS_ACCESS_KEY_ID".to_owned(), "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "secret-secret".to_owned()),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
    ];
    Settings::load(&Sources { overrides: overrides.collect(), environment, ..Sources::default() }).unwrap()
}

fn runtime(options: &[(&str, &str)]) -> Runtime {
    let memory = [("store", "memory:")];
    Runtime::new(loaded(&[&memory[..], options].concat()), PathBuf::from(".")).unwrap()
}

/// Makes the smallest answer of a format that tells a usage.
fn answer(wire: &str, usage: &Value) -> Value {
    match wire {
        "openai-chat" => {
            json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage})
        }
        "openai-responses" => json!({
            "status": "completed", "usage": usage,
            "output": [{"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}],
        }),
        "anthropic-messages" => {
            json!({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "usage": usage})
        }
        "gemini-generate" => json!({
            "candidates": [{"index": 0, "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }),
        "bedrock-converse" => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": "end_turn", "usage": usage,
        }),
        "cohere-chat" => json!({
            "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]}, "finish_reason": "COMPLETE", "usage": usage,
        }),
        other => panic!("no answer of `{other}`"),
    }
}

/// Each row is a usage that a provider sent, and what it costs by arithmetic that shares nothing with Motet's.
#[tokio::test]
async fn recorded_usages_cost_what_independent_arithmetic_says() {
    let rows: Vec<Value> =
        include_str!("money/usages.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen = BTreeMap::new();
    for row in &rows {
        let text = |name: &str| row[name].as_str().unwrap();
        let (provider, wire) = (text("provider"), text("wire"));
        let body = answer(wire, &row["usage"]);
        let server = Server::start(move |_, _| Reply::json(200, &body)).unwrap();
        let option = |name: &str| format!("providers.{provider}.{name}");
        let (url, key, dialect) = (option("base_url"), option("api_key"), option("dialect"));
        let (address, mut options) = (server.url(), Vec::new());
        options.extend([(url.as_str(), address.as_str()), (dialect.as_str(), wire)]);
        if provider != "bedrock" {
            options.push((&key, "sk-0123456789abcdef"));
        }
        let id = format!("{provider}:{}", text("model")).parse().unwrap();
        let asked = ChatRequest::new(id, vec![Message::user("Hello")]);
        let response = runtime(&options).complete(&RunContext::new(), &asked).await;
        let response = response.unwrap_or_else(|error| panic!("{row}: {error:?}"));
        assert_eq!(json!(response.cost), row["cost"], "{row}");
        let listed = || response.cost.map(|_| json!("listed"));
        let source = response.metadata.get(COST_SOURCE).cloned().or_else(listed);
        assert_eq!(json!(source), row["source"], "{row}");
        assert_eq!(json!(response.metadata.get(LISTED_COST)), json!(row.get("listed")), "{row}");
        *seen.entry(row["source"].to_string()).or_insert(0) += 1;
    }
    assert!(seen["\"listed\""] > 40 && seen["\"reported\""] > 10 && seen["null"] > 10, "{seen:?}");
}

/// Tells whether a recording is not what was sent, or the provider's own tools read more than was sent, as models do
/// that search by themselves.
fn is_incomplete(line: &Value) -> bool {
    let trimmed = line["request"]["trimmed_media"].as_array().is_some_and(|list| !list.is_empty());
    let body = line["request"]["body"].to_string();
    (trimmed && line["kind"].as_str().is_some_and(|kind| kind.contains("document")))
        || body.contains("encrypted_content_REDACTED")
        || !line["expect"]["server_tools"].is_null()
}

#[test]
fn no_recorded_request_used_more_than_its_bound() {
    let path = corpus::path();
    let Some(lines) = corpus::load(&path).unwrap() else { return motet_tests::skip("no corpus") };
    let raw = std::fs::read_to_string(&path).unwrap();
    let incomplete = raw.lines().map(|line| is_incomplete(&serde_json::from_str(line).unwrap()));
    let calls = neutral::load(&path).unwrap();
    let (mut checked, mut failures) = (0, Vec::new());
    for (line, incomplete) in lines.iter().zip(incomplete).filter(|(line, _)| line.op == "chat") {
        let Ok(outcome) = corpus::read(line) else { continue };
        let (Some(usage), Ok(_)) = (outcome.usage, &outcome.result) else { continue };
        let origin = line.origin().unwrap();
        let Ok(mut request) = neutral::chat_request(line, &calls[&line.id], origin.row.name) else {
            continue;
        };
        // The limit is that of the request, or else what was written: the bound of the input is what is in question.
        let limit = u64::from(request.max_tokens.unwrap_or_default()).max(usage.output);
        request.max_tokens = u32::try_from(limit).ok();
        let candidate = Candidate::new(request.model.clone(), Some(Price::new(1_000_000, 2_000_000)))
            .with_hidden_input(origin.profile.hidden_input);
        let ask = Ask::Chat { request: Lent::Borrowed(&request), delivery: Delivery::Plain };
        let bound = bound(&ask, &[candidate]);
        if incomplete || bound.unseen_input.is_some() {
            continue;
        }
        checked += 1;
        let cost = Price::new(1_000_000, 2_000_000).cost(&usage);
        if bound.estimate.tokens < usage.total() || bound.estimate.cost.unwrap() < cost {
            failures.push(format!("{} ({}): {:?} over {:?}", line.id, line.kind, usage, bound.estimate));
        }
    }
    assert!(failures.is_empty(), "{} exceed:\n{}", failures.len(), failures.join("\n"));
    assert!(checked > 400, "{checked}");
}
