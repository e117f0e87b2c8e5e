//! What is counted, and what is read of the count.

use motet_core::request::{ToolChoice, ToolSpec};
use motet_core::{Message, ModelId};
use serde_json::{Value, json};

use super::*;
use crate::rows;

fn origin() -> Origin {
    let model: ModelId = "anthropic:claude-sonnet-4-5".parse().unwrap();
    Origin::new(rows::find("anthropic").unwrap(), model)
}

#[test]
fn a_count_is_asked_of_what_the_model_reads_alone() {
    let origin = origin();
    let mut request = ChatRequest::new(origin.model.clone(), vec![Message::system("s"), Message::user("hi")]);
    request.tools = vec![ToolSpec::new("add", "", json!({"type": "object"}))];
    request.tool_choice = ToolChoice::Required;
    request.max_tokens = Some(9);
    request.sampling.temperature = Some(0.5);
    request.stop = vec!["END".into()];
    request.extra.insert("cache_control".into(), json!({"type": "ephemeral"}));
    request.extra.insert("service_tier".into(), json!("auto"));
    let sent = Anthropic.encode(&request, &origin.profile).unwrap();
    assert_eq!(
        (sent.path.as_ref(), sent.headers.len(), sent.warnings.len()),
        ("/messages/count_tokens", 1, 0)
    );
    let tools = json!([{"name": "add", "input_schema": {"type": "object"}}]);
    assert_eq!(
        serde_json::from_slice::<Value>(&sent.body).unwrap(),
        json!({
            "model": "claude-sonnet-4-5", "system": "s", "messages": [{"role": "user", "content": "hi"}], "tools": tools,
            "tool_choice": {"type": "any"}, "cache_control": {"type": "ephemeral"},
        })
    );

    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let bash = json!({"type": "bash_20250124", "name": "bash"});
    request.extra.insert("tools".into(), json!([search, bash]));
    let sent = Anthropic.encode(&request, &origin.profile).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap()["tools"], json!([bash]));
    assert_eq!(sent.warnings.len(), 1);
}

#[test]
fn a_count_is_read_or_told_to_be_none() {
    let read = |body: &str| {
        let answer = Answer { status: 200, headers: &[], body: body.as_bytes() };
        Anthropic.decode(&answer, &origin()).map_err(|error| error.kind())
    };
    assert_eq!(read(r#"{"input_tokens":0}"#), Ok(0));
    assert_eq!(read(r#"{"input_tokens":1114,"context_management":null}"#), Ok(1114));
    assert_eq!(read("{}"), Err(ErrorKind::InvalidOutput));
    assert_eq!(read(r#"{"error":{"type":"overloaded_error","message":"busy"}}"#), Err(ErrorKind::Overloaded));
}
