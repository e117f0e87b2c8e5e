//! Requests as they go over the wire, answers in the forms that servers send them, and answers sent back.

mod answers;
mod equal;
mod history;
mod requests;

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ChatRequest, ChatResponse, Delivery, Error, Message, ModelId, Part, Role, StreamEvent};
use serde_json::{Value, json};

use super::AnthropicMessages;
use crate::dialect::{Dialect as _, HttpRequest, Origin};
use crate::framing::Frame;
use crate::rows;

/// A model that thinks within a budget and takes most options.
const MODEL: &str = "anthropic:claude-sonnet-4-5";

fn origin(model: &str) -> Arc<Origin> {
    let model: ModelId = model.parse().unwrap();
    Arc::new(Origin::new(rows::find(model.provider()).unwrap(), model))
}

fn fold(events: Vec<StreamEvent>) -> ChatResponse {
    let mut accumulator = Accumulator::new(MODEL.parse().unwrap());
    for event in events {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

fn plain(body: &Value) -> Result<ChatResponse, Error> {
    AnthropicMessages.decode(body.to_string().as_bytes(), &origin(MODEL)).map(fold)
}

/// Reads events, each named as its `type` says, and gives what came also when it failed.
fn frames(frames: &[(&str, String)]) -> (Message, Result<ChatResponse, Error>) {
    let mut decoder = AnthropicMessages.decoder(&origin(MODEL));
    let mut out = Vec::new();
    let read = frames.iter().try_for_each(|(event, data)| {
        let event = (!event.is_empty()).then_some(*event);
        decoder.frame(Frame { event, data: data.as_bytes() }, &mut out)
    });
    let result = read.and_then(|()| decoder.finish(&mut out));
    let mut accumulator = Accumulator::new(MODEL.parse().unwrap());
    out.into_iter().for_each(|event| accumulator.push(event).unwrap());
    (accumulator.partial(), result.and_then(|()| accumulator.finish()))
}

fn streamed(events: &[Value]) -> Result<ChatResponse, Error> {
    let named = |event: &Value| (event["type"].as_str().unwrap_or_default().to_owned(), event.to_string());
    let named: Vec<(String, String)> = events.iter().map(named).collect();
    let borrowed: Vec<(&str, String)> = named.iter().map(|(name, data)| (&**name, data.clone())).collect();
    frames(&borrowed).1
}

fn request(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new(model.parse().unwrap(), messages)
}

fn encode(request: &ChatRequest) -> Result<HttpRequest, Error> {
    let profile = origin(&request.model.to_string()).profile;
    AnthropicMessages.encode(request, &profile, Delivery::Plain)
}

fn body(request: &ChatRequest) -> Value {
    serde_json::from_slice(&encode(request).unwrap().body).unwrap()
}

fn warnings(request: &ChatRequest) -> Vec<String> {
    encode(request).unwrap().warnings
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn start(usage: Value) -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [], "usage": usage}})
}

fn block(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn ending(reason: &str) -> [Value; 2] {
    [json!({"type": "message_delta", "delta": {"stop_reason": reason}}), json!({"type": "message_stop"})]
}
